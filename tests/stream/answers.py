"""Made answers of shards about one upload, for the tests of what is decided of them."""

from collections.abc import Sequence
from typing import Any

from stream.contract.events import (
    AlertReviewed,
    Match,
    MatchedSegment,
    PolicyUpdated,
    VideoCompared,
)
from stream.times import now

SEGMENT = MatchedSegment(
    video_start_seconds=1.0,
    video_end_seconds=9.0,
    reference_start_seconds=31.0,
    reference_end_seconds=39.0,
    score=0.9,
)


def match(reference_id: str, role: Any = "reference", **changes: Any) -> Match:
    fields = {
        "reference_id": reference_id,
        "reference_owner_id": f"owner of {reference_id}",
        "reference_role": role,
        "score": 0.9,
        "segments": [SEGMENT],
    }
    return Match(**fields | changes)


def answer(
    shard: int, *matches: Match, shards: int = 2, role: Any = "upload", **changes: Any
) -> VideoCompared:
    fields = {
        "video_id": "v",
        "content_version": 1,
        "owner_id": "me",
        "role": role,
        "request_id": "0-7-1",
        "model_version": "encoder-1",
        "shard": shard,
        "shards": shards,
        "library_offset": 7,
        "matches": list(matches),
        "stage_seconds": {"search": 0.1 * (shard + 1)},
    }
    return VideoCompared(**fields | changes)


def segment(
    reference_start: float, reference_end: float, *, video_start: float = 0.0, **changes: Any
) -> MatchedSegment:
    """As long in the video as in the reference, in seconds."""
    fields = {
        "video_start_seconds": video_start,
        "video_end_seconds": video_start + reference_end - reference_start,
        "reference_start_seconds": reference_start,
        "reference_end_seconds": reference_end,
        "score": 0.9,
    }
    return MatchedSegment(**fields | changes)


def policy(owner_id: str = "owner of r", **fields: Any) -> PolicyUpdated:
    return PolicyUpdated.from_json({"owner_id": owner_id, **fields})


def verdict(alert_id: str, verdict: Any = "dismissed", **fields: Any) -> AlertReviewed:
    given = {"alert_id": alert_id, "verdict": verdict, "reviewer": "ann", "reviewed_at": now()}
    return AlertReviewed(**given | fields)


def spans(segments: Sequence[MatchedSegment]) -> list[list[float]]:
    """(upload start, end, reference start, end) of each."""
    return [
        [
            segment.video_start_seconds,
            segment.video_end_seconds,
            segment.reference_start_seconds,
            segment.reference_end_seconds,
        ]
        for segment in segments
    ]
