"""The vectors of a view: a byte a number, in blocks, so that those of a snapshot stay on disk."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

BLOCK_ROWS = 1 << 16  # made at a time: 32 MB at 512 numbers; nothing is copied when a view grows
LARGEST = 127  # of int8, on both sides of zero

Floats = NDArray[np.float32]

NOTHING: Floats = np.empty(0, np.float32)


class VectorRows:
    """Vectors and the seconds that they are of, appended and never changed.

    A row is int8 codes times a scale of its own: the largest number of the row is 127, which at
    256 dimensions is four times finer than one scale for all.
    """

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension
        self._blocks: list[NDArray[np.int8]] = []
        self._scales: list[Floats] = []
        self._seconds: list[Floats] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @classmethod
    def of(cls, codes: NDArray[np.int8], scales: Floats, seconds: Floats) -> "VectorRows":
        """From what `parts` gave; full blocks are not copied.

        Args:
            codes: (N, D) int8, may be mapped from disk.
            scales: (N,) float32.
            seconds: (N,) float32.
        """
        made = cls(codes.shape[1])
        for start in range(0, len(codes) - BLOCK_ROWS + 1, BLOCK_ROWS):
            made._blocks.append(codes[start : start + BLOCK_ROWS])
            made._scales.append(scales[start : start + BLOCK_ROWS])
            made._seconds.append(seconds[start : start + BLOCK_ROWS])
        whole = len(made._blocks) * BLOCK_ROWS
        # The last block grows on: it is copied, and can't stay mapped from a file.
        if whole < len(codes):
            made._new_block()
            made._blocks[-1][: len(codes) - whole] = codes[whole:]
            made._scales[-1][: len(codes) - whole] = scales[whole:]
            made._seconds[-1][: len(codes) - whole] = seconds[whole:]
        made._count = len(codes)
        return made

    def append(self, vector: Floats, seconds: float = np.nan) -> int:
        """Add a vector, (D,) float32, of a moment or, at NaN, of a whole video; returns its row."""
        row, place = self._count, self._count % BLOCK_ROWS
        if place == 0:
            self._new_block()
        # Of a vector of zeros the largest number is nothing to divide by.
        scale = np.float32(max(float(np.abs(vector).max()), 1e-12) / LARGEST)
        self._blocks[-1][place] = np.rint(vector / scale)
        self._scales[-1][place] = scale
        self._seconds[-1][place] = seconds
        # Counted last: a search beside this sees only rows that are whole.
        self._count += 1
        return row

    def take(self, rows: NDArray[np.int64]) -> Floats:
        """Some vectors, (N, D) float32, as they were but for rounding; rows ascend."""
        found = np.empty((len(rows), self.dimension), np.float32)
        blocks, starts = np.unique(rows // BLOCK_ROWS, return_index=True)
        for block, (start, stop) in zip(blocks, pairwise([*starts, len(rows)]), strict=True):
            places = rows[start:stop] - block * BLOCK_ROWS
            scales = self._scales[block][places, None]
            np.multiply(self._blocks[block][places], scales, out=found[start:stop])
        return found

    def span(self, start: int, stop: int) -> Floats:
        """Vectors of consecutive rows, (N, D) float32."""
        return self.take(np.arange(start, stop, dtype=np.int64))

    def seconds_of(self, row: int) -> float | None:
        """The moment that a row is of; None of a whole video."""
        seconds = float(self._seconds[row // BLOCK_ROWS][row % BLOCK_ROWS])
        return None if np.isnan(seconds) else seconds

    def chosen(self, rows: NDArray[np.int64]) -> "VectorRows":
        """Some rows, ascending, as rows of their own."""
        places = [rows[rows // BLOCK_ROWS == number] % BLOCK_ROWS for number in range(self.blocks)]
        codes = [block[chosen] for block, chosen in zip(self._blocks, places, strict=True)]
        scales, seconds = (
            np.concatenate([NOTHING, *(one[rows] for one, rows in zip(kind, places, strict=True))])
            for kind in (self._scales, self._seconds)
        )
        none = np.empty((0, self.dimension), np.int8)
        return self.of(np.concatenate([none, *codes]), scales, seconds)

    @property
    def blocks(self) -> int:
        """How many blocks there are."""
        return len(self._blocks)

    def parts(self) -> Iterator[tuple[NDArray[np.int8], Floats, Floats]]:
        """Codes, scales and seconds, block by block, for a file."""
        blocks = zip(self._blocks, self._scales, self._seconds, strict=True)
        for number, (codes, scales, seconds) in enumerate(blocks):
            filled = min(BLOCK_ROWS, self._count - number * BLOCK_ROWS)
            yield codes[:filled], scales[:filled], seconds[:filled]

    def _new_block(self) -> None:
        self._blocks.append(np.empty((BLOCK_ROWS, self.dimension), np.int8))
        self._scales.append(np.empty(BLOCK_ROWS, np.float32))
        self._seconds.append(np.empty(BLOCK_ROWS, np.float32))
