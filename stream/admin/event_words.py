"""Messages about uploads in words, for people; serves `samesource show`, `alerts` and `review`."""

from collections.abc import Callable, Sequence
from typing import Any

from stream.contract.events import (
    EVENTS,
    Alert,
    AlertRaised,
    AlertReviewed,
    AlertSuppressed,
    Event,
    MatchedSegment,
    VideoCompared,
    VideoDecided,
    VideoEmbedded,
    VideoFingerprinted,
    VideoRejected,
    VideoUploaded,
)
from stream.contract.fingerprint import Fingerprint
from stream.contract.message import Source
from stream.contract.order import restated
from stream.errors import BadEventError

Told = tuple[str, str]


def event_of(source: Source) -> Event:
    """The event of a message, whole: also what a fingerprint packs can be read.

    Raises:
        BadEventError: it can't.
    """
    event = EVENTS[source.topic].from_bytes(source.value)
    if isinstance(event, VideoFingerprinted):
        Fingerprint.from_event(event)
    return event


def what_happened(video_id: str, source: Source, event: Event | None) -> Told:
    """A message as one or two words, and its details.

    Args:
        video_id: whose story it is.
        source: of the message.
        event: None where it takes something back, or can't be read.
    """
    if event is None:
        return _without_event(source)
    what, text = TELL[type(event)](video_id, source, event)
    return (f"{what} again", text) if restated(source) else (what, text)


def _without_event(source: Source) -> Told:
    if source.value is not None:
        return "unreadable", f"{source}: {_problem(source)}"
    if source.topic == AlertReviewed.topic:
        return "verdict gone", f"on alert {(source.key or b'').decode(errors='replace')}"
    where = "from search" if source.topic == VideoEmbedded.topic else "from the library"
    again = " again" if restated(source) else ""
    return f"taken down{again}", f"{where} ({source})"


def _problem(source: Source) -> str:
    try:
        event_of(source)
    except BadEventError as error:
        return str(error)
    return "it can be read"


def _submitted(_: str, source: Source, event: VideoUploaded) -> Told:
    again = f", attempt {source.attempts}" if source.attempts > 1 else ""
    return "submitted", (
        f"as {event.role} of {event.owner_id}, version {event.content_version}: {event.uri} "
        f"(request {source.request_id}{again})"
    )


def _rejected(_: str, source: Source, event: VideoRejected) -> Told:
    where = f"{event.source_topic}[{event.source_partition}]@{event.source_offset}"
    return "rejected", f"{event.error}: {event.message} ({where}, attempt {event.attempts})"


def _fingerprinted(_: str, source: Source, event: VideoFingerprinted) -> Told:
    frames, chosen = Fingerprint.from_event(event), event.key_frames_version
    searching = len(frames.query_frames) if frames.has_denser_query else 0
    more = f", {searching} frames that search" if searching else ""
    return "fingerprinted", (
        f"log offset {source.offset}: {len(frames.key_frames)} key frames{more} of "
        f"{event.duration_seconds:.1f} s by {event.model_version}"
        + ("" if chosen is None else f", chosen by {chosen}")
        + ("" if event.uri is None else f", from {event.uri}")
        + _stages(event.stage_seconds)
    )


def _stages(seconds: dict[str, float]) -> str:
    """Where the time went."""
    told = ", ".join(f"{stage} {taken:.1f} s" for stage, taken in seconds.items())
    return f" ({told})" if told else ""


def _embedded(_: str, source: Source, event: VideoEmbedded) -> Told:
    return "embedded", (
        f"{event.dimension} numbers for {event.duration_seconds:.1f} s by {event.model_version}, "
        f"{len(event.thumbnails)} pictures, {len(event.moments().seconds)} moments"
    )


def _answered(_: str, source: Source, event: VideoCompared) -> Told:
    found = ", ".join(f"{match.reference_id} {match.score:.0%}" for match in event.matches)
    return "answered", (
        f"shard {event.shard} of {event.shards}, as of log offset {event.library_offset}: "
        f"{found or 'nothing'}"
    )


def _raised(video_id: str, source: Source, event: AlertRaised) -> Told:
    return "alert raised", _copied(video_id, event) + _judged(event)


def _suppressed(video_id: str, source: Source, event: AlertSuppressed) -> Told:
    why = f"{event.reason}: {event.detail}"
    return "alert suppressed", f"{_copied(video_id, event)}; {why}{_judged(event)}"


def _judged(event: Alert) -> str:
    return "" if event.policy is None else f"; {judged_by(event)}"


def judged_by(alert: Alert) -> str:
    """The policy by which an alert was judged."""
    policy = alert.policy
    if policy is None:
        return "judged by a policy that it doesn't say: it is older"
    minima = (
        (policy.least_seconds, f"{policy.least_seconds:g} s"),
        (policy.least_video_share, f"{100 * policy.least_video_share:g}% of the upload"),
        (policy.least_reference_share, f"{100 * policy.least_reference_share:g}% of the reference"),
        (policy.least_score, f"a score of {100 * policy.least_score:g}%"),
    )
    least = ", ".join(text for value, text in minima if value)
    told = [f"at least {least}" if least else "no minimum"]
    if policy.alerts_per_hour is not None:
        told.append(f"fewer than {policy.alerts_per_hour} other alerts an hour")
    if policy.is_licensed:
        told.append("the uploader is licensed")
    if policy.exclusions:
        told.append(
            f"spans of the reference that are excluded: {policy.exclusions}, "
            f"{policy.excluded_seconds:.1f} s of what was found"
        )
    whose = f"{alert.reference_owner_id}'s policy" if policy.is_own else "the settings"
    return f"judged by {whose}: {', '.join(told)}"


def _copied(video_id: str, event: Alert) -> str:
    """Which seconds of which, told from this video's side."""
    if event.video_id == video_id:
        sides, whose = f"copies {event.reference_id}", "its"
    else:
        sides, whose = f"{event.video_id} copies it", "the original's"
    spans = _spans(event.segments, whose)
    return f"{sides}: {spans}, {event.score:.0%} (alert {event.alert_id})"


def _spans(segments: Sequence[MatchedSegment], whose: str) -> str:
    return ", ".join(
        f"{one.video_start_seconds:.1f}–{one.video_end_seconds:.1f} s are {whose} "
        f"{one.reference_start_seconds:.1f}–{one.reference_end_seconds:.1f} s"
        + (" backwards" if one.reversed else "")
        for one in segments
    )


def _decided(_: str, source: Source, event: VideoDecided) -> Told:
    alerts = f"; alerts {', '.join(event.alert_ids)}" if event.alert_ids else ""
    return "decided", f"{event.outcome}: {event.reason}{alerts} (request {event.request_id})"


def _verdict(_: str, source: Source, event: AlertReviewed) -> Told:
    note = "" if event.note is None else f": {event.note}"
    said = f"{event.verdict}{how_far(event)}"
    return "verdict", f"alert {event.alert_id} {said} by {event.reviewer}{note}"


def how_far(event: AlertReviewed) -> str:
    """What a verdict reaches besides the alert's pair of videos, or how little; behind its word."""
    if event.alert is not None:
        return " and released"
    if event.scope == "alert":
        return " as this alert alone"
    if event.scope == "span":
        span = f"{event.reference_start_seconds:.1f}–{event.reference_end_seconds:.1f} s"
        return f" for {span} of {event.reference_id}"
    if event.scope == "uploader":
        return f" for all of {event.video_owner_id}'s videos against {event.reference_owner_id}'s"
    return ""


TELL: dict[type[Event], Callable[[str, Source, Any], Told]] = {
    VideoUploaded: _submitted,
    VideoRejected: _rejected,
    VideoFingerprinted: _fingerprinted,
    VideoEmbedded: _embedded,
    VideoCompared: _answered,
    AlertRaised: _raised,
    AlertSuppressed: _suppressed,
    VideoDecided: _decided,
    AlertReviewed: _verdict,
}
