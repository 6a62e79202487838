"""What finds frames: the interface of every index, and what it answers.

`exact.py`, `inverted.py` and `gpu.py` fulfil it; the library asks no index of which kind it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Codes = NDArray[np.int8] | NDArray[np.float32]
Serials = NDArray[np.int64]


@dataclass(frozen=True)
class Hits:
    """Pairs of a query frame and a frame of the library above the threshold, measured exactly.

    Attributes:
        queries: (M,) int64, query frame numbers.
        serials: (M,) int64, of the library's frames.
        similarities: (M,) float32, cosine less the query frame's score bias.
    """

    queries: NDArray[np.int64]
    serials: Serials
    similarities: Floats

    @classmethod
    def joined(cls, parts: Sequence["Hits"]) -> "Hits":
        """All of them; none of no parts."""
        none = Hits(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
        every = [none, *parts]
        return cls(
            np.concatenate([part.queries for part in every]),
            np.concatenate([part.serials for part in every]),
            np.concatenate([part.similarities for part in every]),
        )


@dataclass(frozen=True)
class Nearest:
    """The frames that an index takes for the nearest, to be measured on the stored rows.

    Attributes:
        serials: (Q, K) int64, -1 where there are fewer.
        estimates: (Q, K) float32, similarity as far as the index knows it.
    """

    serials: Serials
    estimates: Floats

    @classmethod
    def none(cls, queries: int) -> "Nearest":
        """No frames for so many queries."""
        return cls(np.empty((queries, 0), np.int64), np.empty((queries, 0), np.float32))


class Index(Protocol):
    """Frames by their serial numbers, and the search for those that are like a query's.

    An index answers in one of two ways. One that holds the rows themselves says which frames are
    above a similarity (`hits`); one that holds less names the frames that are worth measuring
    (`search`), and the library measures them. It gives nothing in the other way, as here. A class
    of one's own inherits this, has `__len__`, `add` and one of the two, and is made in
    `FrameStore.new_lists`. Searching many times at once is safe; adding meanwhile is not.

    Attributes:
        batch_rows: so many frames wait, and are searched exhaustively, until they are added
            together: for an index to which many cost little more than one.
    """

    batch_rows: ClassVar[int] = 1

    def __len__(self) -> int:
        """How many frames it has."""
        ...

    def add(self, rows: Floats, serials: Serials) -> None:
        """Append frames: (N, D) float32 whole numbers, unit rows times 127, and their serials.

        Serials ascend, over all calls.
        """
        ...

    def hits(
        self, queries: Codes, biases: Codes, min_similarity: float, *, below: int | None
    ) -> Hits:
        """All frames that are more similar than asked.

        Args:
            queries: (Q, D) whole numbers, unit descriptors times 127.
            biases: (Q,) whole numbers, their score biases times 127.
            min_similarity: cosine less the query's bias.
            below: frames with this serial or a higher one are left out.
        """
        return Hits.joined([])

    def search(self, queries: Floats, most: int, probes: int, *, below: int | None) -> Nearest:
        """The nearest frames of each query, by estimate.

        Args:
            queries: (Q, D) float32.
            most: for each of them, K.
            probes: how far to look, where an index can look into a part of itself: lists.
            below: frames with this serial or a higher one are left out.
        """
        return Nearest.none(len(queries))

    def save(self, path: str) -> bool:
        """Write it into a file; False where it is as quickly filled from the rows again.

        Raises:
            OSError: the disk is full or not writable.
        """
        return False

    def merge(self, others: Sequence[Self]) -> bool:
        """Copy the frames of others of its kind into this one, which is empty.

        Returns:
            Whether that could be done; if not, it is still empty, and is to be filled from the
            rows.
        """
        return False


def nearest_of(parts: Sequence[Nearest], most: int) -> Nearest:
    """The best of several searches of the same queries, `most` each."""
    serials = np.concatenate([part.serials for part in parts], axis=1)
    estimates = np.concatenate([part.estimates for part in parts], axis=1)
    if serials.shape[1] <= most:
        return Nearest(serials, estimates)
    # Places without a frame count as the farthest, whatever number stands there.
    best = np.argpartition(-np.where(serials < 0, -np.inf, estimates), most - 1, axis=1)[:, :most]
    return Nearest(
        np.take_along_axis(serials, best, axis=1), np.take_along_axis(estimates, best, axis=1)
    )
