"""Search by short codes, in memory: inverted lists for large runs, all codes for the growing end.

IVF with product quantisation to 4 bits (Jegou et al., TPAMI 2011; scanned by shuffles, Andre et
al., VLDB 2015): 32 bytes and an 8-byte number a frame at 128 dimensions. Every run of a shard uses
one codebook, so that a frame has the same estimate whatever run it is in.
"""

from collections.abc import Sequence
from itertools import accumulate, islice, permutations
from typing import Any, Self

import faiss
import numpy as np
from numpy.typing import NDArray

from stream.index.growing import Growing
from stream.index.protocol import Floats, Index, Nearest

SUBVECTOR = 2  # dimensions that share a 4-bit code: docs/library.md compares codes
TRAINING_ROWS_PER_LIST = 64  # between the 39 that Faiss asks for and the 256 that it uses
ITERATIONS = 10  # of k-means: Faiss's own choice for lists
SEED = 20261125  # any: the same rows must give the same codebook on every replica
BLOCK_FRAMES = 32  # whose codes FastScan lays together
ORDERS_TRIED = 24  # of parts: all that there are of four
BATCH_ROWS = 512  # codes are made of many rows at a time for little more than of one


class Codebook:
    """Where lists are centred and what codes stand for; trained once, never changed.

    Attributes:
        packed: (B,) uint8, for a file; empty lists are made of it.
        trained_on: how many rows there were.
        lists: how many.
    """

    def __init__(self, packed: NDArray[np.uint8], trained_on: int) -> None:
        """Take what a trained one had as `packed`."""
        self.packed, self.trained_on = packed, trained_on
        self.lists = int(_lists(faiss.deserialize_index(packed)).nlist)

    @classmethod
    def train(cls, sample: Floats, rows: int) -> "Codebook":
        """Learn from descriptors; the same sample gives the same codebook.

        Args:
            sample: (M, D) float32; D is even.
            rows: how many the shard holds.
        """
        faiss.omp_set_num_threads(1)  # of this thread alone
        dimension = sample.shape[1]
        index = faiss.IndexIVFPQFastScan(
            faiss.IndexFlatIP(dimension), dimension, list_count(rows), dimension // SUBVECTOR, 4,
            faiss.METRIC_INNER_PRODUCT,
        )  # fmt: skip
        index.cp.niter, index.cp.seed = ITERATIONS, SEED
        # Else Faiss writes its warnings of small samples past the log.
        index.cp.min_points_per_centroid = index.pq.cp.min_points_per_centroid = 1
        index.cp.max_points_per_centroid = TRAINING_ROWS_PER_LIST
        index.train(sample)
        return cls(faiss.serialize_index(index), rows)

    def new_lists(self) -> "FrameLists":
        """Empty lists, for a large run."""
        return FrameLists(_lists(faiss.deserialize_index(self.packed)))

    def new_codes(self) -> "FrameCodes":
        """Empty codes without lists, for a run that is still small."""
        return FrameCodes(_lists(faiss.deserialize_index(self.packed)))


class FrameLists(Index):
    """The frames of a run in the lists of a codebook."""

    batch_rows = BATCH_ROWS

    def __init__(self, index: faiss.IndexIVFPQFastScan) -> None:
        self._index = index

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def add(self, rows: Floats, serials: NDArray[np.int64]) -> None:
        """Append frames: (N, D) float32 rows and their numbers."""
        if len(rows):
            self._index.add_with_ids(rows, serials)

    def search(self, queries: Floats, most: int, probes: int, *, below: int | None) -> Nearest:
        """The nearest frames of each query in `probes` lists; as in `Index`."""
        asked: dict[str, Any] = {"nprobe": min(probes, self._index.nlist)}
        if below is not None:
            asked["sel"] = faiss.IDSelectorRange(0, below)
        estimates, serials = self._index.search(
            queries, most, params=faiss.SearchParametersIVF(**asked)
        )
        return Nearest(serials, estimates)

    def merge(self, others: Sequence[Self]) -> bool:
        """Copy the frames of lists of the same codebook into these; as in `Index`.

        Faiss 1.15 writes beyond the end of a list when it appends to one whose length is a
        multiple of the bytes of a block; parts are taken in an order in which none is.
        """
        ours, *theirs = (each._inverted() for each in (self, *others))
        sizes = np.array([[part.list_size(n) for part in theirs] for n in range(ours.nlist)])
        block_bytes = BLOCK_FRAMES * self._index.code_size
        # Of every list before any is filled: a merge that is refused must leave all of them empty.
        orders = [_safe_order(row, block_bytes) for row in sizes.tolist()]
        if any(order is None for order in orders):
            return False
        for number, order in enumerate(orders):
            for part in (theirs[place] for place in order or ()):
                if count := part.list_size(number):
                    ours.add_entries(number, count, part.get_ids(number), part.get_codes(number))
        # Faiss counts in its own `add` only, and these went past it.
        self._index.ntotal = int(sizes.sum())
        return True

    def _inverted(self) -> faiss.InvertedLists:
        lists = self._index.invlists
        assert lists is not None
        return lists

    def save(self, path: str) -> bool:
        """Write them into a file; as in `Index`."""
        try:
            faiss.write_index(self._index, path)
        # Faiss raises it for whatever fails, a full disk too, which callers know as an `OSError`.
        except RuntimeError as error:
            raise OSError(f"{path}: {error}") from error
        return True

    @classmethod
    def read(cls, path: str) -> "FrameLists":
        """What `save` wrote.

        Raises:
            ValueError: the file isn't one of its.
        """
        try:
            return cls(_lists(faiss.read_index(path)))
        except RuntimeError as error:
            raise ValueError(f"{path}: {error}") from error


class FrameCodes(Index):
    """The frames of a run as codes end to end.

    A search looks at all of them. Up to some hundred thousand that costs less than looking into
    lists of a few codes each: 7 against 35 ms for 60 query frames and 31,000 codes of one core.
    """

    batch_rows = BATCH_ROWS

    def __init__(self, like: faiss.IndexIVFPQFastScan) -> None:
        """Begin empty, with the codes of trained lists."""
        self._index = faiss.IndexPQFastScan(
            like.d, like.pq.M, int(like.pq.nbits), faiss.METRIC_INNER_PRODUCT
        )
        # The lists' own codes: a frame has the same estimate before and after it is merged.
        self._index.pq, self._index.is_trained = like.pq, True
        self._serials = Growing(np.empty(0, np.int64))

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def add(self, rows: Floats, serials: NDArray[np.int64]) -> None:
        """Append frames: (N, D) float32 rows and their numbers, which ascend."""
        if len(rows):
            self._index.add(rows)
            self._serials.append(serials)

    def search(self, queries: Floats, most: int, probes: int, *, below: int | None) -> Nearest:
        """The nearest frames of each query; as in `Index`, `probes` means nothing here."""
        serials = self._serials.view()
        kept = len(serials) if below is None else int(np.searchsorted(serials, below))
        if kept == 0:
            return Nearest.none(len(queries))
        wanted = min(len(serials), most + len(serials) - kept)  # as many as may be left out
        estimates, rows = self._index.search(queries, wanted)
        # Faiss fills up with -1, which would pick the last serial.
        there = (rows >= 0) & (rows < kept)
        return Nearest(np.where(there, serials[np.maximum(rows, 0)], -1), estimates)


def list_count(rows: int) -> int:
    """Lists for so many rows: about one and a half times the root, a power of two from 16 on."""
    return int(2 ** max(4, round(np.log2(1.5 * np.sqrt(max(rows, 1))))))


def _safe_order(sizes: list[int], unsafe: int) -> list[int] | None:
    """An order of parts in which none is appended to a multiple of `unsafe`; None without one."""
    parts = [place for place, size in enumerate(sizes) if size]
    for order in islice(permutations(parts), ORDERS_TRIED):
        ends = list(accumulate(sizes[place] for place in order))[:-1]
        if all(end % unsafe for end in ends):
            return list(order)
    return None


def _lists(index: faiss.Index) -> faiss.IndexIVFPQFastScan:
    """What Faiss gives back by its general name.

    Raises:
        ValueError: another kind of index.
    """
    if not isinstance(index, faiss.IndexIVFPQFastScan):
        raise ValueError(f"{type(index).__name__} is no index of lists of 4-bit codes")
    return index
