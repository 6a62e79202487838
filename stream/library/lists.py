"""Search in large runs: inverted lists of short codes, in memory.

IVF with product quantisation to 4 bits (Jegou et al., TPAMI 2011; scanned by shuffles, Andre et
al., VLDB 2015): 32 bytes and an 8-byte number a frame at 128 dimensions. Every run of a shard uses
one codebook, so that a frame is found or not whatever run it is in.
"""

from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

SUBVECTOR = 2  # dimensions that share a 4-bit code
TRAINING_ROWS_PER_LIST = 64
ITERATIONS = 10
SEED = 20261125
BLOCK_ROWS = 65_536

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Nearest:
    """The frames that codes say are nearest.

    Attributes:
        serials: (Q, K) int64, -1 where there are fewer.
        estimates: (Q, K) float32, similarity by the codes.
    """

    serials: NDArray[np.int64]
    estimates: Floats


class Codebook:
    """Where lists are centred and what codes stand for; trained once, never changed.

    Attributes:
        trained_on: how many rows there were.
    """

    def __init__(self, empty: faiss.IndexIVFPQFastScan, trained_on: int) -> None:
        self._empty = empty
        self.trained_on = trained_on

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
        index.cp.min_points_per_centroid = 1
        index.cp.max_points_per_centroid = TRAINING_ROWS_PER_LIST
        index.train(sample)
        return cls(index, rows)

    @property
    def lists(self) -> int:
        """How many."""
        return int(self._empty.nlist)

    def new_lists(self) -> "FrameLists":
        """Empty lists."""
        return FrameLists(_lists(faiss.clone_index(self._empty)))

    def to_bytes(self) -> NDArray[np.uint8]:
        """For a file, (B,) uint8."""
        packed: NDArray[np.uint8] = faiss.serialize_index(self._empty)
        return packed

    @classmethod
    def from_bytes(cls, packed: NDArray[np.uint8], trained_on: int) -> "Codebook":
        """The inverse of `to_bytes`."""
        return cls(_lists(faiss.deserialize_index(packed)), trained_on)


class FrameLists:
    """The frames of a run in the lists of a codebook. Searching many times at once is safe."""

    def __init__(self, index: faiss.IndexIVFPQFastScan) -> None:
        self._index = index

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def add(self, rows: Floats, serials: NDArray[np.int64]) -> None:
        """Append frames: (N, D) float32 rows and their numbers."""
        if len(rows):
            self._index.add_with_ids(rows, serials)

    def search(self, queries: Floats, most: int, probes: int, *, below: int | None) -> Nearest:
        """The nearest frames of each query.

        Args:
            queries: (Q, D) float32.
            most: for each of them, K.
            probes: lists that are looked into.
            below: frames with this number or a higher one are left out.
        """
        asked: dict[str, Any] = {"nprobe": min(probes, self._index.nlist)}
        if below is not None:
            asked["sel"] = faiss.IDSelectorRange(0, below)
        estimates, serials = self._index.search(
            queries, most, params=faiss.SearchParametersIVF(**asked)
        )
        return Nearest(serials, estimates)

    def copy_with(self, others: list["FrameLists"]) -> "FrameLists":
        """All their frames in new lists; these stay as they are."""
        whole = _lists(faiss.clone_index(self._index))
        for other in others:
            whole.merge_from(faiss.clone_index(other._index), 0)
        return FrameLists(whole)

    def write(self, path: str) -> None:
        """Into a file."""
        faiss.write_index(self._index, path)

    @classmethod
    def read(cls, path: str) -> "FrameLists":
        """What `write` wrote.

        Raises:
            ValueError: the file isn't one of its.
        """
        try:
            return cls(_lists(faiss.read_index(path)))
        except RuntimeError as error:
            raise ValueError(f"{path}: {error}") from error


def list_count(rows: int) -> int:
    """Lists for so many rows: about one and a half times the root, a power of two from 16 on."""
    return int(2 ** max(4, round(np.log2(1.5 * np.sqrt(max(rows, 1))))))


def _lists(index: faiss.Index) -> faiss.IndexIVFPQFastScan:
    """What Faiss gives back by its general name.

    Raises:
        ValueError: another kind of index.
    """
    if not isinstance(index, faiss.IndexIVFPQFastScan):
        raise ValueError(f"{type(index).__name__} is no index of lists of 4-bit codes")
    return index


def nearest_of(parts: list[Nearest], most: int) -> Nearest:
    """The best of several searches of the same queries, `most` each."""
    serials = np.concatenate([part.serials for part in parts], axis=1)
    estimates = np.concatenate([part.estimates for part in parts], axis=1)
    if serials.shape[1] <= most:
        return Nearest(serials, estimates)
    best = np.argpartition(-np.where(serials < 0, -np.inf, estimates), most - 1, axis=1)[:, :most]
    return Nearest(
        np.take_along_axis(serials, best, axis=1), np.take_along_axis(estimates, best, axis=1)
    )
