"""What messages make of the rows of videos and uploads. Serves `projection.py`."""

from stream.console.store.columns import key_of, of_milliseconds, utc
from stream.console.store.rows import Rows, is_old
from stream.console.store.tables import Rejection, Upload, Video
from stream.contract.events import (
    VideoCompared,
    VideoDecided,
    VideoEmbedded,
    VideoFingerprinted,
    VideoRejected,
    VideoUploaded,
)
from stream.contract.message import Source

REQUEST_TOPICS = {VideoUploaded.topic, VideoFingerprinted.topic, VideoCompared.topic}


def uploaded(rows: Rows, event: VideoUploaded, source: Source) -> None:
    """A video was submitted."""
    _uploaded(_upload(rows, source.request_id, event.video_id), event, source)
    _video_uploaded(_video(rows, event.video_id), event, source)


def fingerprinted(rows: Rows, event: VideoFingerprinted, source: Source) -> None:
    """A video came into the library log."""
    _upload_fingerprinted(_upload(rows, event.request_id, event.video_id), event, source)
    _fingerprinted(_video(rows, event.video_id), event, source)


def embedded(rows: Rows, event: VideoEmbedded, source: Source) -> None:
    """A video got a vector, and thumbnails."""
    _embedded(_video(rows, event.video_id), len(event.thumbnails), source)


def decided(rows: Rows, event: VideoDecided, source: Source) -> None:
    """An upload was decided."""
    _decided(_upload(rows, event.request_id, event.video_id), event, source)


def _upload(rows: Rows, request_id: str, video_id: str) -> Upload:
    row = rows.get(Upload, request_id)
    if row is None:
        row = Upload(request_id=request_id, request_key=key_of(request_id), video_id=video_id)
        rows.add(request_id, row)
    # All say the same, unless somebody else wrote them: then the submission's holds.
    if row.submitted_at is None:
        row.video_id = min(row.video_id, video_id)
    row.video_key = key_of(row.video_id)
    return row


def _uploaded(row: Upload, event: VideoUploaded, source: Source) -> None:
    row.submitted_partition, row.submitted_offset = source.partition, source.offset
    row.submitted_at = of_milliseconds(source.timestamp_ms)
    row.uploaded_at = None if event.uploaded_at is None else utc(event.uploaded_at)
    row.video_id, row.video_key = event.video_id, key_of(event.video_id)
    row.uri, row.title = event.uri, event.title
    row.owner_id, row.role = event.owner_id, event.role
    row.content_version, row.attempts = str(event.content_version), source.attempts
    _follow_upload(row)


def _upload_fingerprinted(row: Upload, event: VideoFingerprinted, source: Source) -> None:
    # The first of them: shards may say it again much later, behind what came late.
    if row.fingerprinted_offset is None or source.offset < row.fingerprinted_offset:
        row.fingerprinted_offset = source.offset
        row.fingerprinted_at = of_milliseconds(source.timestamp_ms)
        row.fingerprint_stage_seconds = dict(event.stage_seconds)
    _follow_upload(row)


def _decided(row: Upload, event: VideoDecided, source: Source) -> None:
    at = utc(event.decided_at)
    if row.decided_at is not None and (at, source.partition, source.offset) < (
        row.decided_at, row.decided_partition or 0, row.decided_offset or 0,
    ):  # fmt: skip
        return
    row.decided_partition, row.decided_offset = source.partition, source.offset
    row.decided_at, row.outcome, row.reason = at, event.outcome, event.reason
    row.alert_ids, row.stage_seconds = [*event.alert_ids], dict(event.stage_seconds)
    _follow_upload(row)


def rejected(rows: Rows, event: VideoRejected, source: Source) -> None:
    """There is a dead letter."""
    place = (source.partition, source.offset)
    if rows.get(Rejection, place) is None:
        rows.add(
            place,
            Rejection(
                partition=source.partition,
                offset=source.offset,
                place_key=key_of(str(source)),
                video_id=event.video_id,
                request_id=event.request_id,
                error=event.error,
                message=event.message,
                source_topic=event.source_topic,
                source_partition=event.source_partition,
                source_offset=event.source_offset,
                attempts=event.attempts,
                rejected_at=utc(event.rejected_at),
                stage_seconds=dict(event.stage_seconds),
            ),
        )
    # A dead letter of a policy or a verdict is of no upload, and one without an id of none known.
    if event.source_topic not in REQUEST_TOPICS or event.video_id is None:
        return
    row = _upload(rows, event.request_id, event.video_id)
    at = utc(event.rejected_at)
    if row.rejected_at is not None and (at, source.partition, source.offset) < (
        row.rejected_at, row.rejected_partition or 0, row.rejected_offset or 0,
    ):  # fmt: skip
        return
    row.rejected_partition, row.rejected_offset = source.partition, source.offset
    row.rejected_at = at
    row.error, row.error_message = event.error, event.message
    _follow_upload(row)


def _follow_upload(row: Upload) -> None:
    """What follows from the parts that are known."""
    unknown = "unknown" if row.submitted_at is None else "undecided"
    row.status = row.outcome or unknown
    known = (row.submitted_at, row.fingerprinted_at, row.decided_at, row.rejected_at)
    row.listed_at = row.submitted_at or min(at for at in known if at is not None)


def _video(rows: Rows, video_id: str) -> Video:
    row = rows.get(Video, video_id)
    if row is None:
        row = Video(video_id=video_id, video_key=key_of(video_id), status="unknown")
        rows.add(video_id, row)
    return row


def _video_uploaded(row: Video, event: VideoUploaded, source: Source) -> None:
    at = of_milliseconds(source.timestamp_ms)
    said = (at, source.partition, source.offset)
    if row.uploaded_at is not None and said < (
        row.uploaded_at, row.uploaded_partition or 0, row.uploaded_offset or 0,
    ):  # fmt: skip
        return
    row.uploaded_at, row.uploaded_partition, row.uploaded_offset = said
    row.uploaded = {
        "owner_id": event.owner_id,
        "role": event.role,
        "title": event.title,
        "uri": event.uri,
    }
    _follow_video(row)


def _fingerprinted(row: Video, event: VideoFingerprinted, source: Source) -> None:
    if not _takes_log_entry(row, source, "live"):
        return
    row.fingerprint = {
        "owner_id": event.owner_id,
        "role": event.role,
        "title": event.title,
        "uri": event.uri,
    }
    row.duration_seconds, row.content_version = event.duration_seconds, str(event.content_version)
    row.model_version, row.request_id = event.model_version, event.request_id
    _follow_video(row)


def taken_down(rows: Rows, video_id: str, source: Source) -> None:
    """A video left the library. What was known of it stays, for those who ask what that was."""
    row = _video(rows, video_id)
    if _takes_log_entry(row, source, "taken_down"):
        _follow_video(row)


def _takes_log_entry(row: Video, source: Source, status: str) -> bool:
    at, partition = of_milliseconds(source.timestamp_ms), row.fingerprint_partition
    if is_old(source, at, partition, row.fingerprint_offset, row.fingerprint_at):
        return False
    row.fingerprint_partition, row.fingerprint_offset = source.partition, source.offset
    row.fingerprint_at, row.status = at, status
    return True


def _embedded(row: Video, thumbnails: int | None, source: Source) -> None:
    at = of_milliseconds(source.timestamp_ms)
    if is_old(source, at, row.embedded_partition, row.embedded_offset, row.embedded_at):
        return
    row.embedded_partition, row.embedded_offset = source.partition, source.offset
    row.embedded_at, row.thumbnails = at, thumbnails
    _follow_video(row)


def vector_taken_down(rows: Rows, video_id: str, source: Source) -> None:
    """The vector of a video is gone, and its thumbnails."""
    _embedded(_video(rows, video_id), None, source)


def _follow_video(row: Video) -> None:
    """What follows from the parts that are known: the library log says more than a submission."""
    submitted, kept = row.uploaded or {}, row.fingerprint or {}
    row.owner_id = kept.get("owner_id") or submitted.get("owner_id")
    row.owner_key = None if row.owner_id is None else key_of(row.owner_id)
    row.role = kept.get("role") or submitted.get("role")
    row.title = kept.get("title") or submitted.get("title")
    row.uri = kept.get("uri") or submitted.get("uri")
    known = (row.fingerprint_at, row.uploaded_at, row.embedded_at)
    row.seen_at = next(at for at in known if at is not None)
