"""Finds the rows nearest to a vector: exhaustively while they are few, else by lists of codes.

The lists are the library's (`stream.index.inverted`): IVF with product quantisation to 4 bits.
What came since the lists were filled is compared with exhaustively.
"""

import threading

import faiss
import numpy as np
from numpy.typing import NDArray

from stream.index.inverted import TRAINING_ROWS_PER_LIST, Codebook, FrameLists, list_count
from stream.search.rows import Floats, VectorRows
from stream.search.settings import SearchSettings

TAIL_ROWS = 1024  # that wait for the lists; taking them in takes some 40 ms
GROWTH = 4  # of the view, after which the lists are made anew
CHUNK_ROWS = 1 << 14  # unpacked to float32 at a time while lists are filled: 32 MB at 512 numbers
SEED = 20261125  # of the rows that lists are trained on: the same view gives the same lists


class VectorIndex:
    """An index of all rows. One thread may append rows and maintain it while others search."""

    def __init__(
        self,
        settings: SearchSettings,
        rows: VectorRows,
        *,
        codebook: Codebook | None = None,
        lists: FrameLists | None = None,
    ) -> None:
        """Index the rows that are there.

        Args:
            settings: when to use lists, and how far to look.
            rows: of the view.
            codebook: of the lists.
            lists: that hold the first `len(lists)` rows.
        """
        self._settings, self._rows = settings, rows
        self.codebook, self.lists = codebook, lists
        self._lock = threading.Lock()
        self._tail = faiss.IndexFlatIP(rows.dimension)

    @property
    def listed(self) -> int:
        """How many rows, from the first on, are in lists."""
        return 0 if self.lists is None else len(self.lists)

    def search(self, query: Floats, most: int, *, exhaustive: bool = False) -> NDArray[np.int64]:
        """Rows that are near, in no order, without repeats.

        Args:
            query: (D,) float32.
            most: of them from either part.
            exhaustive: whether to look into all lists.
        """
        faiss.omp_set_num_threads(1)  # of this thread alone: waking others costs more than a query
        with self._lock:
            # Both parts under the lock that moves rows between them: none is missed or met twice.
            self._fill_tail()
            count = min(most, self._tail.ntotal)
            found = np.empty((1, 0), np.int64)
            if count:
                found = self._tail.search(query[None], count)[1] + self.listed
            if self.lists is not None and self.codebook is not None:
                probes = self.codebook.lists if exhaustive else self._settings.probes
                near = self.lists.search(
                    _even(query[None]), min(most, self.listed), probes, below=None
                )
                found = np.concatenate((found, near.serials), axis=1)
        # Faiss fills up with -1 where it has found fewer than were asked for.
        return np.unique(found[found >= 0])

    def renewed(self, rows: VectorRows) -> "VectorIndex":
        """An index of other rows that are like these: the lists are centred where they were."""
        made = VectorIndex(self._settings, VectorRows(rows.dimension))
        made._rows = rows
        if self.codebook is not None:
            made._fill(self.codebook, len(rows))
        return made

    def maintain(self) -> None:
        """Move what waits into lists; make lists where the view has become large.

        May take minutes at millions of rows; searches go on meanwhile.
        """
        rows = len(self._rows)
        trained_on = 0 if self.codebook is None else self.codebook.trained_on
        if rows >= max(self._settings.exact_rows, GROWTH * trained_on):
            self._make_lists(rows)
        while self.lists is not None and len(self._rows) - self.listed >= TAIL_ROWS:
            with self._lock:
                # Moved and taken out of the tail under one lock: no search misses a row or sees it
                # twice.
                self._list(self.lists, self.listed, self.listed + TAIL_ROWS)
                self._tail.reset()

    def _make_lists(self, rows: int) -> None:
        wanted = TRAINING_ROWS_PER_LIST * list_count(rows)
        chosen = np.arange(rows, dtype=np.int64)
        if rows > wanted:
            chosen = np.random.default_rng(SEED).choice(chosen, wanted, replace=False)
            chosen.sort()
        self._fill(Codebook.train(_even(self._rows.take(chosen)), rows), rows)

    def _fill(self, codebook: Codebook, rows: int) -> None:
        """Put the first rows into lists of a codebook, and search those from then on."""
        lists = codebook.new_lists()
        # Without the lock: nobody searches these lists yet.
        for start in range(0, rows, CHUNK_ROWS):
            self._list(lists, start, min(start + CHUNK_ROWS, rows))
        with self._lock:
            self.codebook, self.lists = codebook, lists
            self._tail.reset()

    def _list(self, lists: FrameLists, start: int, stop: int) -> None:
        serials = np.arange(start, stop, dtype=np.int64)
        lists.add(_even(self._rows.span(start, stop)), serials)

    def _fill_tail(self) -> None:
        """Give it the rows that have come since the last search."""
        # The end is looked at once: another thread appends meanwhile.
        start, stop = self.listed + self._tail.ntotal, len(self._rows)
        if start < stop:
            self._tail.add(self._rows.span(start, stop))


def _even(vectors: Floats) -> Floats:
    """With a column of zeros where the dimension is odd: codes are of two numbers each."""
    if vectors.shape[1] % 2:
        vectors = np.pad(vectors, ((0, 0), (0, 1)))
    return np.ascontiguousarray(vectors)
