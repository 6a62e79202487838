"""Which replaced versions a store keeps: those of so many log entries, and so many of each video.

Both are functions of the log alone, so that a repeat of an old upload is answered the same by every
replica, whatever was merged.
"""

import heapq
from bisect import insort
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class ReplacedVersions:
    """The replaced versions that are kept, by video; each is named by its serial.

    Attributes:
        of_each: how many of one video are kept at the most.
    """

    of_each: int
    _by_video: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    _by_age: list[tuple[int, int, int]] = field(default_factory=list)

    def add(self, video_hash: int, replaced_at: int, serial: int) -> Iterator[int]:
        """Note a version that was replaced; gives those that are now too many of its video."""
        versions = self._by_video.setdefault(video_hash, [])
        # Sorted in: those of a snapshot come by when they were added, not by when replaced.
        insort(versions, (replaced_at, serial))
        heapq.heappush(self._by_age, (replaced_at, serial, video_hash))
        while len(versions) > self.of_each:
            yield versions.pop(0)[1]
        if not versions:
            del self._by_video[video_hash]

    def pop_before(self, offset: int) -> Iterator[int]:
        """Forget, and give, those that were replaced before a place of the log."""
        while self._by_age and self._by_age[0][0] < offset:
            replaced_at, serial, video_hash = heapq.heappop(self._by_age)
            versions = self._by_video.get(video_hash, [])
            # Entries stay in the heap when their version goes another way; taking them out of its
            # middle would cost a pass over all.
            if (replaced_at, serial) in versions:
                versions.remove((replaced_at, serial))
                if not versions:
                    del self._by_video[video_hash]
                yield serial

    def drop(self, video_hash: int) -> None:
        """Forget those of a video that was removed."""
        # Its entries in the heap are passed over when their turn comes.
        self._by_video.pop(video_hash, None)
