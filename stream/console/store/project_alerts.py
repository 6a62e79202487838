"""What messages make of the rows of alerts, verdicts and policies. Serves `projection.py`."""

from stream.console.store.columns import key_of, of_milliseconds, utc
from stream.console.store.rows import Rows, is_old
from stream.console.store.tables import Alert, Policy, Review, Verdict
from stream.contract.events import AlertRaised, AlertReviewed, AlertSuppressed, PolicyUpdated
from stream.contract.message import Source
from stream.decide.spans import covered_seconds
from stream.decide.verdicts import pair_of

SAID_OF_A_VERDICT = (
    "verdict",
    "scope",
    "reviewer",
    "reviewed_at",
    "note",
    "video_id",
    "reference_id",
    "reference_start_seconds",
    "reference_end_seconds",
    "video_owner_id",
    "reference_owner_id",
    "partition",
    "offset",
)


def alert(rows: Rows, event: AlertRaised | AlertSuppressed, source: Source) -> None:
    """An alert was raised or suppressed."""
    row = rows.get(Alert, event.alert_id)
    suppressed = isinstance(event, AlertSuppressed)
    raised_at, said = utc(event.raised_at), "suppressed" if suppressed else "raised"
    if row is None:
        row = Alert(alert_id=event.alert_id, alert_key=key_of(event.alert_id))
        rows.add(event.alert_id, row)
    # At one time raised wins: the two topics' offsets don't say which came later.
    elif (raised_at, not suppressed, source.partition, source.offset) < (
        row.raised_at, row.said == "raised", row.said_partition, row.said_offset,
    ):  # fmt: skip
        return
    row.said, row.said_partition, row.said_offset = said, source.partition, source.offset
    row.video_id, row.reference_id = event.video_id, event.reference_id
    row.video_key, row.reference_key = key_of(event.video_id), key_of(event.reference_id)
    row.pair_key = pair_key(event.video_id, event.reference_id)
    row.video_owner_id, row.reference_owner_id = event.video_owner_id, event.reference_owner_id
    row.reference_owner_key = key_of(event.reference_owner_id)
    row.owners_key = key_of(event.video_owner_id, event.reference_owner_id)
    row.score, row.raised_at = event.score, raised_at
    row.segments = [segment.model_dump() for segment in event.segments]
    row.copied_seconds = covered_seconds(
        (segment.video_start_seconds, segment.video_end_seconds) for segment in event.segments
    )
    row.model_version, row.aligner_version = event.model_version, event.aligner_version
    row.key_frames_version, row.library_offset = event.key_frames_version, event.library_offset
    row.reason = event.reason if isinstance(event, AlertSuppressed) else None
    row.detail = event.detail if isinstance(event, AlertSuppressed) else None
    row.policy = None if event.policy is None else event.policy.model_dump(exclude_none=True)


def reviewed(rows: Rows, event: AlertReviewed, source: Source) -> None:
    """Somebody judged an alert."""
    # Before any return: what an older verdict said is history, though it holds no more.
    _history(rows, event, source)
    row = rows.get(Verdict, event.alert_id)
    if row is None:
        row = Verdict(alert_id=event.alert_id, removed_offset=-1)
        rows.add(event.alert_id, row)
    elif source.offset <= row.removed_offset:
        return
    reviewed_at = utc(event.reviewed_at)
    if row.reviewed_at is not None and (reviewed_at, source.partition, source.offset) < (
        row.reviewed_at, row.partition or 0, row.offset or 0,
    ):  # fmt: skip
        return
    row.partition, row.offset, row.reviewed_at = source.partition, source.offset, reviewed_at
    row.verdict, row.reviewer, row.note = event.verdict, event.reviewer, event.note
    row.video_id, row.reference_id = event.video_id, event.reference_id
    row.reference_start_seconds = event.reference_start_seconds
    row.reference_end_seconds = event.reference_end_seconds
    row.video_owner_id, row.reference_owner_id = event.video_owner_id, event.reference_owner_id
    row.scope = (event.scope or "pair") if event.verdict == "dismissed" else None


def _history(rows: Rows, event: AlertReviewed, source: Source) -> None:
    place = (source.topic, source.partition, source.offset)
    if rows.get(Review, place) is not None:
        return
    rows.add(
        place,
        Review(
            topic=source.topic,
            partition=source.partition,
            offset=source.offset,
            alert_id=event.alert_id,
            alert_key=key_of(event.alert_id),
            verdict=event.verdict,
            scope=event.scope,
            reviewer=event.reviewer,
            reviewed_at=utc(event.reviewed_at),
            note=event.note,
            reference_start_seconds=event.reference_start_seconds,
            reference_end_seconds=event.reference_end_seconds,
        ),
    )


def verdict_removed(rows: Rows, alert_id: str, source: Source) -> None:
    """What was said of an alert is taken back."""
    row = rows.get(Verdict, alert_id)
    if row is None:
        row = Verdict(alert_id=alert_id, removed_offset=-1)
        rows.add(alert_id, row)
    if source.offset <= row.removed_offset:
        return
    row.removed_offset = source.offset
    if row.offset is not None and row.offset < source.offset:
        for name in SAID_OF_A_VERDICT:
            setattr(row, name, None)


def policy(rows: Rows, owner_id: str, event: PolicyUpdated | None, source: Source) -> None:
    """A policy was set; without an event, taken back."""
    row = rows.get(Policy, owner_id)
    if row is None:
        row = Policy(owner_id=owner_id)
        rows.add(owner_id, row)
    at = of_milliseconds(source.timestamp_ms)
    if is_old(source, at, row.partition, row.offset, row.said_at):
        return
    row.partition, row.offset, row.said_at = source.partition, source.offset, at
    # A row without a body stays: its place keeps out older messages that come again.
    row.body = None if event is None else event.model_dump(mode="json", exclude_none=True)


def policy_removed(rows: Rows, owner_id: str, source: Source) -> None:
    """A policy was taken back."""
    policy(rows, owner_id, None, source)


def pair_key(video_id: str, reference_id: str) -> int:
    """Of two videos, the same in either order."""
    return key_of(*pair_of(video_id, reference_id))
