"""Made logs for the library's tests: fingerprints with spans pasted from one into another."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.all_aligners import make_aligner
from stream.contract.events import (
    ContentVersion,
    Role,
    Submission,
    VideoCompared,
    VideoFingerprinted,
)
from stream.contract.fingerprint import Fingerprint
from stream.contract.packed import pack_codes, pack_times
from stream.library.settings import LibrarySettings
from stream.library.shard import LibraryShard
from stream.library.state import ShardState

DIMENSION = 32


def look(seed: int, seconds: int = 30) -> NDArray[np.float64]:
    """A video's descriptors, one a second, (seconds, D)."""
    return np.random.default_rng(seed).standard_normal((seconds, DIMENSION))


def fingerprint(
    video_id: str,
    rows: NDArray[np.float64],
    *,
    content_version: ContentVersion = 1,
    role: Role = "upload",
    **changed: Any,
) -> Fingerprint:
    """As it comes off the log; `changed` are fields of its event."""
    unit = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
    fields = {
        "video_id": video_id,
        "content_version": content_version,
        "owner_id": f"owner of {video_id}",
        "role": role,
        "request_id": f"request of {video_id}",
        "model_version": "encoder-1",
        "duration_seconds": float(len(rows)),
        "dimension": rows.shape[1],
        "key_frame_seconds": pack_times(np.arange(len(rows), dtype=np.float32) + 0.5),
        "descriptors": pack_codes(np.rint(unit * 127).astype(np.int8)),
        "stage_seconds": {"decode": 1.5},
    }
    return Fingerprint.from_event(VideoFingerprinted.model_validate(fields | changed))


def submitted(offset: int, *, partition: int = 0, log_id: str = "uploads") -> Submission:
    """The place of an upload; Kafka's timestamps are a second apart."""
    return Submission(
        log_id=log_id, partition=partition, offset=offset, timestamp_ms=1000 * (offset + 1)
    )


def shard(
    state: ShardState | None = None, *, number: int = 0, shards: int = 1, **settings: Any
) -> LibraryShard:
    library = LibrarySettings(shards=shards, **settings)
    return LibraryShard(library, number, make_aligner(library.aligner), state)


def content(answer: VideoCompared) -> dict[str, Any]:
    """An answer without the time that it took."""
    return answer.model_dump(exclude={"stage_seconds"})
