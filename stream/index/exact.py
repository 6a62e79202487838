"""Exact search over everything above a similarity, for runs that are small.

Faiss's flat inner-product index over whole-number codes. Sums of whole numbers this small are
exact in float32, so an answer doesn't depend on how Faiss or BLAS cuts the work.
"""

from dataclasses import dataclass

import faiss
import numpy as np
from numpy.typing import NDArray

from models.video.similarity import similarities
from stream.contract.packed import CODE_SCALE


@dataclass(frozen=True)
class RowHits:
    """Pairs of a query frame and a row of one index above the threshold.

    Attributes:
        queries: (M,) int64, query frame numbers.
        rows: (M,) int64, rows of the index.
        similarities: (M,) float32, cosine less the query frame's score bias.
    """

    queries: NDArray[np.int64]
    rows: NDArray[np.int64]
    similarities: NDArray[np.float32]


@dataclass(frozen=True)
class Hits:
    """Pairs of a query frame and a frame of the library above the threshold.

    Attributes:
        queries: (M,) int64, query frame numbers.
        serials: (M,) int64, of the library's frames.
        similarities: (M,) float32, as in `RowHits`.
    """

    queries: NDArray[np.int64]
    serials: NDArray[np.int64]
    similarities: NDArray[np.float32]

    @classmethod
    def joined(cls, parts: list["Hits"]) -> "Hits":
        """All of them."""
        none = Hits(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
        every = [none, *parts]
        return cls(
            np.concatenate([part.queries for part in every]),
            np.concatenate([part.serials for part in every]),
            np.concatenate([part.similarities for part in every]),
        )


class FrameIndex:
    """Growable rows of unit descriptors; row numbers ascend in log order.

    Score normalisation is one more dimension, as in SSCD (Pizzi et al., CVPR 2022): rows end in
    -127, queries in their bias.

    Not thread-safe: its shard is its only user.

    Measured on 200,000 rows of 128 dimensions, one core, 60 query frames: flat 0.4 s at 512 bytes
    a row; 8-bit scalar quantiser 9 s at 128 bytes, half floats 9-13 s at 256 bytes, because their
    range search isn't vectorised.
    """

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension
        self._index = faiss.IndexFlatIP(dimension + 1)

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def add(self, codes: "Codes") -> int:
        """Append rows.

        Args:
            codes: (N, D) whole numbers, unit descriptors times 127.

        Returns:
            The row number of the first.
        """
        start = len(self)
        if len(codes):
            rows = np.full((len(codes), self.dimension + 1), -CODE_SCALE, np.float32)
            rows[:, :-1] = codes
            self._index.add(rows)
        return start

    def search(
        self,
        queries: "Codes",
        biases: "Codes",
        similarity: float,
        *,
        below_row: int,
    ) -> RowHits:
        """All rows before `below_row` that are more similar than `similarity`.

        Args:
            queries: (Q, D) whole numbers, unit descriptors times 127.
            biases: (Q,) whole numbers, their score biases times 127.
            similarity: cosine less the bias, as in `RowHits`.
            below_row: rows from here on did not exist yet, for this question.
        """
        if below_row <= 0 or len(queries) == 0:
            return RowHits(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
        existed = faiss.IDSelectorRange(0, below_row)
        limits, products, rows = self._index.range_search(
            np.column_stack((queries, biases)).astype(np.float32),
            similarity * CODE_SCALE**2,
            params=faiss.SearchParameters(sel=existed),  # type: ignore[call-arg]
        )
        counts = np.diff(limits.astype(np.int64))
        asked = np.repeat(np.arange(len(queries), dtype=np.int64), counts.astype(np.int64))
        return RowHits(asked, rows, products / np.float32(CODE_SCALE**2))


Codes = NDArray[np.int8] | NDArray[np.float32]


def cosines(queries: Codes, references: Codes) -> NDArray[np.float32]:
    """The exact similarity of two lists of codes, the same on every machine.

    Args:
        queries: (Nq, D) whole numbers, unit descriptors times 127.
        references: (Nr, D), the same.

    Returns:
        (Nq, Nr) float32 in [-1, 1].
    """
    whole = (codes.astype(np.float32, copy=False) for codes in (queries, references))
    return similarities(*whole, scale=CODE_SCALE)
