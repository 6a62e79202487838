"""A run: consecutive videos of a shard, in log order, that change no more but for being replaced.

Rows and payload may lie in memory or be mapped from files; entries and lists are in memory.
"""

import mmap
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stream.index.protocol import Index
from stream.library.entry import Entry, unpack_entry

NEVER = 2**62  # after every offset of the log, and still an int64 when something is added
ENTRY = np.dtype(
    [
        ("hash", "<u8"),  # of the video id
        ("offset", "<i8"),  # in the log, where it was added
        ("replaced_at", "<i8"),  # where another version took its place, its own where removed
        ("serial", "<i8"),  # number of its first frame, never used again
        ("row", "<i8"),  # of its first frame, in the run
        ("count", "<i8"),  # of its frames
        ("payload", "<i8"),  # where its bytes begin, in the run
    ]
)
Rows = NDArray[np.uint8] | NDArray[np.int8]
Entries = NDArray[np.void]


@dataclass
class Run:
    """Videos of one shard, oldest first.

    Attributes:
        entries: (E,) of `ENTRY`; `replaced_at` alone changes.
        rows: (N, W) packed codes of all frames, as `stream.library.codes` packs them.
        payload: (P,) uint8, the packed entries end to end.
        lists: its index, what finds frames; None where nothing searches.
        folder: the files it is written in; None while it is in memory alone.
        sha256: of each of the files.
        waiting: rows at the end that the lists don't have yet.
    """

    entries: Entries
    rows: Rows
    payload: NDArray[np.uint8]
    lists: Index | None = None
    folder: Path | None = None
    sha256: dict[str, str] = field(default_factory=dict)
    waiting: int = 0

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def first_serial(self) -> int:
        """Of its first entry: from here up to the next run's, all serials are in this one."""
        return int(self.entries["serial"][0])

    @cached_property
    def serials(self) -> NDArray[np.int64]:
        """Of the entries, (E,), close together in memory: they are looked up all the time."""
        return np.ascontiguousarray(self.entries["serial"])

    @cached_property
    def _offsets(self) -> NDArray[np.int64]:
        """What a serial is more than its row, of each entry, (E,)."""
        return np.ascontiguousarray(self.entries["serial"] - self.entries["row"])

    def dead(self, before: int) -> NDArray[np.bool_]:
        """Which entries need not be kept, (E,): removed, or replaced before a place of the log."""
        replaced_at = self.entries["replaced_at"]
        gone = replaced_at == self.entries["offset"]
        return np.asarray(gone | (replaced_at < before), np.bool_)

    def dead_share(self, before: int) -> float:
        """Share of the rows that are dead."""
        rows = self.entries["count"][self.dead(before)].sum()
        return float(rows) / max(1, len(self.rows))

    def places_of(self, serials: NDArray[np.int64]) -> NDArray[np.intp]:
        """Numbers in `entries` of those that hold these frames, (M,)."""
        return np.searchsorted(self.serials, serials, side="right") - 1

    def rows_of(self, serials: NDArray[np.int64]) -> NDArray[np.int64]:
        """Row numbers of frames, (M,)."""
        found: NDArray[np.int64] = serials - self._offsets[self.places_of(serials)]
        return found

    def serials_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The inverse of `rows_of`, (M,)."""
        places = np.searchsorted(self.entries["row"], rows, side="right") - 1
        found: NDArray[np.int64] = rows + self._offsets[places]
        return found

    def unmap_pages(self) -> None:
        """Give back the pages of the mapped rows; what was read stays in the kernel's cache."""
        mapped = self.rows.base
        if isinstance(mapped, mmap.mmap):
            mapped.madvise(mmap.MADV_DONTNEED)

    def entry(self, place: int) -> Entry:
        """What is known of a video.

        Raises:
            ValueError: its bytes are damaged.
        """
        ends = self.entries["payload"]
        end = int(ends[place + 1]) if place + 1 < len(ends) else len(self.payload)
        return unpack_entry(self.payload[int(ends[place]) : end].tobytes())
