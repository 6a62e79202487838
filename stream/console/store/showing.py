"""Rows as the frozen values that pages and API get."""

from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Row

from stream.console.store.columns import microseconds
from stream.console.store.tables import (
    Alert,
    Policy,
    Rejection,
    Review,
    Upload,
    Verdict,
    Video,
)
from stream.console.store.tallies import wait_seconds
from stream.console.store.views import (
    AlertView,
    DismissedSpan,
    Place,
    PolicyView,
    RejectionView,
    ReviewView,
    UploadView,
    VideoView,
)
from stream.contract.events import (
    AlertRaised,
    AlertSuppressed,
    AppliedPolicy,
    MatchedSegment,
    PolicyUpdated,
    VideoEmbedded,
    VideoFingerprinted,
    VideoRejected,
    VideoUploaded,
)

# Checked, as they were when they were written: to make each without takes three times as long.
SEGMENTS = TypeAdapter(tuple[MatchedSegment, ...])


def alert_view(row: Alert | Row[Any]) -> AlertView:
    """An alert."""
    topic = AlertRaised.topic if row.said == "raised" else AlertSuppressed.topic
    return AlertView(
        alert_id=row.alert_id,
        video_id=row.video_id,
        reference_id=row.reference_id,
        video_owner_id=row.video_owner_id,
        reference_owner_id=row.reference_owner_id,
        score=row.score,
        copied_seconds=row.copied_seconds,
        segments=SEGMENTS.validate_python(row.segments),
        model_version=row.model_version,
        aligner_version=row.aligner_version,
        key_frames_version=row.key_frames_version,
        library_offset=row.library_offset,
        raised_at=row.raised_at,
        state=row.state,  # type: ignore[arg-type]
        reason=row.reason,
        detail=row.detail,
        policy=None if row.policy is None else AppliedPolicy.model_validate(row.policy),
        decided_by=row.decided_by,
        reviewer=row.reviewer,
        reviewed_at=row.reviewed_at,
        place=Place(topic, row.said_partition, row.said_offset),
        claimed_by=row.claimed_by,
        claimed_until=row.claimed_until,
    )


def video_view(row: Video | Row[Any]) -> VideoView:
    """A video."""
    log, place = VideoFingerprinted.topic, (row.fingerprint_partition, row.fingerprint_offset)
    return VideoView(
        video_id=row.video_id,
        status=row.status,  # type: ignore[arg-type]
        owner_id=row.owner_id,
        role=row.role,
        title=row.title,
        uri=row.uri,
        duration_seconds=row.duration_seconds,
        content_version=row.content_version,
        model_version=row.model_version,
        request_id=row.request_id,
        seen_at=row.seen_at,
        fingerprint=_place(log, *place, row.status == "live"),
        takedown=_place(log, *place, row.status == "taken_down"),
        embedded=_place(
            VideoEmbedded.topic,
            row.embedded_partition,
            row.embedded_offset,
            row.thumbnails is not None,
        ),
        thumbnails=row.thumbnails or 0,
    )


def upload_view(row: Upload) -> UploadView:
    """A request."""
    return UploadView(
        request_id=row.request_id,
        video_id=row.video_id,
        status=row.status,
        submitted=_place(VideoUploaded.topic, row.submitted_partition, row.submitted_offset),
        submitted_at=row.submitted_at,
        uploaded_at=row.uploaded_at,
        uri=row.uri,
        title=row.title,
        owner_id=row.owner_id,
        role=row.role,
        content_version=row.content_version,
        attempts=row.attempts,
        fingerprinted_at=row.fingerprinted_at,
        decided_at=row.decided_at,
        outcome=row.outcome,
        reason=row.reason,
        alert_ids=tuple(row.alert_ids or ()),
        wait_seconds=wait_seconds(row),
        stage_seconds={**(row.fingerprint_stage_seconds or {}), **(row.stage_seconds or {})},
        error=row.error,
        error_message=row.error_message,
        rejected=_place(VideoRejected.topic, row.rejected_partition, row.rejected_offset),
        rejected_at=row.rejected_at,
    )


def review_view(row: Review) -> ReviewView:
    """A verdict that was given once."""
    return ReviewView(
        alert_id=row.alert_id,
        verdict=row.verdict,
        scope=row.scope,
        reviewer=row.reviewer,
        reviewed_at=row.reviewed_at,
        note=row.note,
        reference_start_seconds=row.reference_start_seconds,
        reference_end_seconds=row.reference_end_seconds,
        place=Place(row.topic, row.partition, row.offset),
    )


def dismissed_span(row: Verdict) -> DismissedSpan:
    """What a dismissal of seconds says."""
    return DismissedSpan(
        alert_id=row.alert_id,
        start_seconds=row.reference_start_seconds or 0.0,
        end_seconds=row.reference_end_seconds or 0.0,
        reviewer=row.reviewer or "",
        reviewed_at=row.reviewed_at,
        note=row.note,
    )


def policy_view(row: Policy) -> PolicyView:
    """A policy. Its tag names the message: one of a topic that was made anew has another time."""
    return PolicyView(
        owner_id=row.owner_id,
        etag=f"{row.partition}-{row.offset}-{microseconds(row.said_at) // 1000}",
        policy=None if row.body is None else PolicyUpdated.from_json(row.body),
        said_at=row.said_at,
    )


def rejection_view(row: Rejection) -> RejectionView:
    """A dead letter."""
    return RejectionView(
        place=Place(VideoRejected.topic, row.partition, row.offset),
        video_id=row.video_id,
        request_id=row.request_id,
        error=row.error,
        message=row.message,
        source=Place(row.source_topic, row.source_partition, row.source_offset),
        attempts=row.attempts,
        rejected_at=row.rejected_at,
        stage_seconds=row.stage_seconds,
    )


def _place(
    topic: str, partition: int | None, offset: int | None, there: bool = True
) -> Place | None:
    if partition is None or offset is None or not there:
        return None
    return Place(topic, partition, offset)
