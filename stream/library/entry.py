"""What a shard knows of one video besides its rows, and how that is written down.

`pack_entry` and `unpack_entry` are each other's inverse; a run keeps the bytes of its entries end
to end, on disk.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from models.video.motion import coarse
from stream.contract.events import ContentVersion, Role, Submission
from stream.contract.fingerprint import Fingerprint
from stream.library.codes import (
    pack_motion,
    pack_times,
    unpack_motion,
    unpack_times,
    whole_milliseconds,
)


@dataclass(frozen=True)
class Entry:
    """One version of one video in the shard.

    Attributes:
        seconds: (count,) float32, times of its key frames, whole milliseconds.
        bias_codes: (count,) int8, their score biases times 127.
        cut_seconds: (C,) float32, where its shots begin, whole milliseconds.
        motion_levels: (M,) uint8 in [0, 16), `models.video.motion.coarse`; empty where unknown.
        submission: of the upload; None where unknown.
    """

    video_id: str
    content_version: ContentVersion
    owner_id: str
    role: Role
    duration_seconds: float
    seconds: NDArray[np.float32]
    bias_codes: NDArray[np.int8]
    cut_seconds: NDArray[np.float32]
    motion_levels: NDArray[np.uint8]
    submission: Submission | None = None

    @classmethod
    def of(cls, fingerprint: Fingerprint) -> "Entry":
        """What is kept of a fingerprint."""
        return cls(
            video_id=fingerprint.video_id,
            content_version=fingerprint.content_version,
            owner_id=fingerprint.owner_id,
            role=fingerprint.role,
            duration_seconds=fingerprint.duration_seconds,
            seconds=whole_milliseconds(fingerprint.key_frames.seconds),
            bias_codes=fingerprint.key_frames.bias_codes,
            cut_seconds=whole_milliseconds(fingerprint.cut_seconds),
            motion_levels=coarse(fingerprint.motion_codes),
            submission=fingerprint.submission,
        )


# Written by position: their names would take more bytes than what they name.
SUBMISSION = tuple(Submission.model_fields)


def pack_entry(entry: Entry) -> bytes:
    """A line of JSON, then the arrays."""
    parts = [
        pack_times(entry.seconds).tobytes(),
        pack_times(entry.cut_seconds).tobytes(),
        entry.bias_codes.tobytes(),
        pack_motion(entry.motion_levels).tobytes(),
    ]
    submission = entry.submission
    head = [
        entry.video_id, entry.content_version, entry.owner_id, entry.role,
        entry.duration_seconds,
        None if submission is None else [getattr(submission, name) for name in SUBMISSION],
        len(entry.motion_levels), *map(len, parts),
    ]  # fmt: skip
    return b"".join((orjson.dumps(head), b"\n", *parts))


def unpack_entry(data: bytes) -> Entry:
    """The inverse of `pack_entry`.

    Raises:
        ValueError: these bytes are none of its.
    """
    line, _, rest = data.partition(b"\n")
    video_id, version, owner_id, role, duration, submission, moves, *sizes = orjson.loads(line)
    if sum(sizes) != len(rest):
        raise ValueError(f"{len(rest)} bytes of arrays, expected {sum(sizes)}")
    ends = np.cumsum(sizes).tolist()
    times, cuts, biases, motion = (
        rest[end - size : end] for end, size in zip(ends, sizes, strict=True)
    )
    return Entry(
        video_id=video_id,
        content_version=version,
        owner_id=owner_id,
        role=role,
        duration_seconds=duration,
        seconds=unpack_times(np.frombuffer(times, "<u2")),
        bias_codes=np.frombuffer(biases, np.int8),
        cut_seconds=unpack_times(np.frombuffer(cuts, "<u2")),
        motion_levels=unpack_motion(np.frombuffer(motion, np.uint8), moves),
        submission=_submission(submission),
    )


def _submission(values: list[Any] | None) -> Submission | None:
    return None if values is None else Submission(**dict(zip(SUBMISSION, values, strict=True)))
