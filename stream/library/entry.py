"""What a shard knows of one video besides its rows in the index."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream.events import ContentVersion, Role


@dataclass
class Entry:
    """One version of one video in the shard.

    Attributes:
        offset: log offset at which it was added.
        start: first row in the index.
        seconds: (count,) float32, times of its key frames, whole milliseconds.
        offset_codes: (count,) int8, their score offsets times 127.
        cut_seconds: (C,) float32, where its shots begin, whole milliseconds.
        motion_levels: (M,) uint8 in [0, 16), `models.motion.coarse`; empty where unknown.
        replaced_at: log offset of the version that took its place, if there is one; its own where
            the video was removed.
    """

    video_id: str
    content_version: ContentVersion
    owner_id: str
    role: Role
    offset: int
    start: int
    seconds: NDArray[np.float32]
    offset_codes: NDArray[np.int8]
    cut_seconds: NDArray[np.float32]
    motion_levels: NDArray[np.uint8]
    duration_seconds: float
    replaced_at: int | None = None

    def existed_before(self, offset: int) -> bool:
        """Whether a search at that place of the log could find it."""
        return self.offset < offset and (self.replaced_at is None or self.replaced_at >= offset)
