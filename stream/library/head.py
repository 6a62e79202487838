"""The growing end of a shard's library, in memory."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream.library.gpu_frames import GpuFrames
from stream.library.index import FrameIndex
from stream.library.lists import FrameLists
from stream.library.rows import RowCodes
from stream.library.run import ENTRY, NEVER, Run

AnyLists = FrameIndex | FrameLists | GpuFrames

LEAST_CAPACITY = 1024
WAITING_ROWS = 512  # lists take many rows at a time for little more than one


class _Growing:
    """An array that is appended to; what was handed out stays as it is."""

    def __init__(self, begin: NDArray[Any]) -> None:
        self._data, self._size = begin, len(begin)

    def append(self, more: NDArray[Any]) -> None:
        size = self._size + len(more)
        if size > len(self._data):
            capacity = max(LEAST_CAPACITY, size, 2 * len(self._data))
            larger = np.empty((capacity, *self._data.shape[1:]), self._data.dtype)
            larger[: self._size] = self.view()
            self._data = larger
        self._data[self._size : size] = more
        self._size = size

    def view(self) -> NDArray[Any]:
        return self._data[: self._size]


class Head:
    """Takes videos one by one; `run` is all of them so far. Not thread-safe."""

    def __init__(self, codes: RowCodes, lists: AnyLists) -> None:
        """Begin empty, with empty lists."""
        self._codes, self._lists = codes, lists
        self._entries = _Growing(np.empty(0, ENTRY))
        self._rows = _Growing(codes.empty())
        self._payload = _Growing(np.empty(0, np.uint8))
        self._listed = 0

    @property
    def run(self) -> Run:
        """All videos so far; it grows no more, its lists do."""
        rows = self._rows.view()
        return Run(
            self._entries.view(), rows, self._payload.view(), self._lists,
            waiting=len(rows) - self._listed,
        )  # fmt: skip

    def append(
        self, video_hash: int, offset: int, serial: int, rows: NDArray[Any], payload: bytes
    ) -> None:
        """Take a video: (N, width) packed rows and its packed entry."""
        entry = np.zeros(1, ENTRY)
        entry[0] = (
            video_hash, offset, NEVER, serial, len(self._rows.view()), len(rows),
            len(self._payload.view()),
        )  # fmt: skip
        self._entries.append(entry)
        self._rows.append(rows)
        self._payload.append(np.frombuffer(payload, np.uint8))
        waiting = len(self._rows.view()) - self._listed
        if waiting >= WAITING_ROWS or isinstance(self._lists, FrameIndex):
            self.list_all()

    def list_all(self) -> None:
        """Put the rows that wait into the lists."""
        run = self.run
        waiting = np.arange(self._listed, len(run.rows))
        if len(waiting):
            rows = self._codes.whole(run.rows[self._listed :])
            add_rows(self._lists, rows, run.serials_of(waiting))
        self._listed = len(run.rows)

    @classmethod
    def of(cls, run: Run, codes: RowCodes, lists: AnyLists) -> "Head":
        """Go on from a run; lists are empty, and are filled."""
        head = cls(codes, lists)
        head._entries = _Growing(np.array(run.entries))
        head._rows, head._payload = _Growing(np.array(run.rows)), _Growing(np.array(run.payload))
        fill(lists, run, codes)
        head._listed = len(run.rows)
        return head


def fill(lists: AnyLists, run: Run, codes: RowCodes, block: int = 65_536) -> None:
    """Put all rows of a run into lists, a block in memory at a time."""
    for start in range(0, len(run.rows), block):
        rows = np.arange(start, min(start + block, len(run.rows)))
        add_rows(lists, codes.whole(run.rows[start : start + block]), run.serials_of(rows))


def add_rows(lists: AnyLists, rows: NDArray[np.float32], serials: NDArray[np.int64]) -> None:
    """Append (N, D) whole-number rows; an exact index counts its rows itself."""
    if isinstance(lists, FrameIndex):
        lists.add(rows)
    else:
        lists.add(rows, serials)
