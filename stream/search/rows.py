"""The vectors of a view: a byte a number, in blocks, so that those of a snapshot stay on disk."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

BLOCK_ROWS = 1 << 16  # made at a time: 32 MB at 512 numbers; nothing is copied when a view grows
LARGEST = 127  # of int8, on both sides of zero

Floats = NDArray[np.float32]


class VectorRows:
    """Unit vectors, appended and never changed.

    A row is int8 codes times a scale of its own: the largest number of the row is 127, which at
    256 dimensions is four times finer than one scale for all.
    """

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension
        self._blocks: list[NDArray[np.int8]] = []
        self._scales: list[Floats] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @classmethod
    def of(cls, codes: NDArray[np.int8], scales: Floats) -> "VectorRows":
        """From what `codes` and `scales` gave; full blocks are not copied.

        Args:
            codes: (N, D) int8, may be mapped from disk.
            scales: (N,) float32.
        """
        made = cls(codes.shape[1])
        for start in range(0, len(codes) - BLOCK_ROWS + 1, BLOCK_ROWS):
            made._blocks.append(codes[start : start + BLOCK_ROWS])
            made._scales.append(scales[start : start + BLOCK_ROWS])
        whole = len(made._blocks) * BLOCK_ROWS
        # The last block grows on: it is copied, and can't stay mapped from a file.
        if whole < len(codes):
            made._new_block()
            made._blocks[-1][: len(codes) - whole] = codes[whole:]
            made._scales[-1][: len(codes) - whole] = scales[whole:]
        made._count = len(codes)
        return made

    def append(self, vector: Floats) -> int:
        """Add a unit vector, (D,) float32; returns its row."""
        row, place = self._count, self._count % BLOCK_ROWS
        if place == 0:
            self._new_block()
        # Of a vector of zeros the largest number is nothing to divide by.
        scale = np.float32(max(float(np.abs(vector).max()), 1e-12) / LARGEST)
        self._blocks[-1][place] = np.rint(vector / scale)
        self._scales[-1][place] = scale
        # Counted last: a search beside this sees only rows that are whole.
        self._count += 1
        return row

    def take(self, rows: NDArray[np.int64]) -> Floats:
        """Some vectors, (N, D) float32, of unit length but for rounding; rows ascend."""
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

    def chosen(self, rows: NDArray[np.int64]) -> "VectorRows":
        """Some rows, ascending, as rows of their own."""
        places = [rows[rows // BLOCK_ROWS == number] % BLOCK_ROWS for number in range(self.blocks)]
        codes = [block[chosen] for block, chosen in zip(self._blocks, places, strict=True)]
        scales = [scale[chosen] for scale, chosen in zip(self._scales, places, strict=True)]
        none = np.empty((0, self.dimension), np.int8)
        return self.of(
            np.concatenate([none, *codes]), np.concatenate([np.empty(0, np.float32), *scales])
        )

    @property
    def blocks(self) -> int:
        """How many blocks there are."""
        return len(self._blocks)

    def parts(self) -> Iterator[tuple[NDArray[np.int8], Floats]]:
        """Codes and scales, block by block, for a file."""
        for number, (codes, scales) in enumerate(zip(self._blocks, self._scales, strict=True)):
            filled = min(BLOCK_ROWS, self._count - number * BLOCK_ROWS)
            yield codes[:filled], scales[:filled]

    def _new_block(self) -> None:
        self._blocks.append(np.empty((BLOCK_ROWS, self.dimension), np.int8))
        self._scales.append(np.empty(BLOCK_ROWS, np.float32))
