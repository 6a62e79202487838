"""The growing end of a shard's library, in memory."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream.index.growing import Growing
from stream.index.protocol import Index
from stream.library.rows import RowCodes
from stream.library.run import ENTRY, NEVER, Run


class Head:
    """Takes videos one by one; `run` is all of them so far. Not thread-safe."""

    def __init__(self, codes: RowCodes, lists: Index) -> None:
        """Begin empty, with empty lists."""
        self._codes, self._lists = codes, lists
        self._entries = Growing(np.empty(0, ENTRY))
        self._rows = Growing(codes.empty())
        self._payload = Growing(np.empty(0, np.uint8))
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
        # In batches, as an index asks for; until then the search compares these rows exactly.
        if len(self._rows.view()) - self._listed >= self._lists.batch_rows:
            self.list_all()

    def list_all(self) -> None:
        """Put the rows that wait into the lists."""
        run = self.run
        waiting = np.arange(self._listed, len(run.rows))
        if len(waiting):
            rows = self._codes.whole(run.rows[self._listed :])
            self._lists.add(rows, run.serials_of(waiting))
        self._listed = len(run.rows)

    @classmethod
    def of(cls, run: Run, codes: RowCodes, lists: Index) -> "Head":
        """Go on from a run; lists are empty, and are filled."""
        head = cls(codes, lists)
        head._entries = Growing(np.array(run.entries))
        head._rows, head._payload = Growing(np.array(run.rows)), Growing(np.array(run.payload))
        fill(lists, run, codes)
        head._listed = len(run.rows)
        return head


def fill(lists: Index, run: Run, codes: RowCodes, block: int = 65_536) -> None:
    """Put all rows of a run into lists, a block in memory at a time."""
    for start in range(0, len(run.rows), block):
        rows = np.arange(start, min(start + block, len(run.rows)))
        lists.add(codes.whole(run.rows[start : start + block]), run.serials_of(rows))
