"""The alert of one match: which side is the copy, and an id that every repetition shares."""

import hashlib
from collections.abc import Sequence

import orjson

from stream.contract.events import (
    AlertRaised,
    AlertReviewed,
    Match,
    MatchedSegment,
    VideoCompared,
)
from stream.times import now

SPAN_QUANTUM_SECONDS = 1.0
"""To which spans are rounded for an alert's id: what another machine's floating point moves stays
below it, and a copy of other seconds is another alert. A change makes every id another one."""


def alert_of(answer: VideoCompared, match: Match) -> AlertRaised:
    """The alert of one match.

    A reference that is registered after the upload that copies it still names the upload as the
    copy: the two sides change places.
    """
    swap = _changes_places(answer, match)
    ours, theirs = (
        (answer.video_id, answer.owner_id),
        (match.reference_id, match.reference_owner_id),
    )
    copy, original = (theirs, ours) if swap else (ours, theirs)
    segments = [_swapped(segment) for segment in match.segments] if swap else match.segments
    return AlertRaised(
        alert_id=alert_id(copy[0], original[0], segments, answer.model_version),
        video_id=copy[0],
        reference_id=original[0],
        video_owner_id=copy[1],
        reference_owner_id=original[1],
        score=match.score,
        segments=segments,
        model_version=answer.model_version,
        aligner_version=answer.aligner_version,
        key_frames_version=answer.key_frames_version,
        library_offset=answer.library_offset,
        raised_at=now(),
    )


def durations_of(answer: VideoCompared, match: Match) -> tuple[float | None, float | None]:
    """How long the alert's video and its reference play, in seconds; None where not known."""
    ours, theirs = answer.duration_seconds, match.reference_duration_seconds
    return (theirs, ours) if _changes_places(answer, match) else (ours, theirs)


def alert_id(
    video_id: str, reference_id: str, segments: Sequence[MatchedSegment], model_version: str
) -> str:
    """A deterministic id: the same upload, reference, spans and model give the same alert.

    Spans are rounded to whole seconds, so that a shift in the last digits is no new alert.
    """
    # Sorted: the id must not depend on the order in which an aligner names them.
    spans = sorted(
        [
            round(segment.video_start_seconds / SPAN_QUANTUM_SECONDS),
            round(segment.video_end_seconds / SPAN_QUANTUM_SECONDS),
            round(segment.reference_start_seconds / SPAN_QUANTUM_SECONDS),
            round(segment.reference_end_seconds / SPAN_QUANTUM_SECONDS),
            int(segment.reversed),
        ]
        for segment in segments
    )
    identity = orjson.dumps([video_id, reference_id, spans, model_version])
    return hashlib.blake2b(identity, digest_size=16).hexdigest()


def with_segments(alert: AlertRaised, segments: Sequence[MatchedSegment]) -> AlertRaised:
    """The alert of fewer segments: its id and score are theirs."""
    identity = alert_id(alert.video_id, alert.reference_id, segments, alert.model_version)
    score = max(segment.score for segment in segments)
    return alert.model_copy(
        update={"alert_id": identity, "segments": list(segments), "score": score}
    )


def released(review: AlertReviewed) -> AlertRaised | None:
    """The held alert that a confirmation carries, the same text each time; None without one."""
    if review.alert is None:
        return None
    fields = review.alert.model_dump(exclude={"reason", "detail"})
    return AlertRaised.model_validate(fields | {"raised_at": review.reviewed_at})


def _changes_places(answer: VideoCompared, match: Match) -> bool:
    return answer.role == "reference" and match.reference_role == "upload"


def _swapped(segment: MatchedSegment) -> MatchedSegment:
    return MatchedSegment(
        video_start_seconds=segment.reference_start_seconds,
        video_end_seconds=segment.reference_end_seconds,
        reference_start_seconds=segment.video_start_seconds,
        reference_end_seconds=segment.video_end_seconds,
        score=segment.score,
        reversed=segment.reversed,
    )
