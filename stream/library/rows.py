"""How the rows of a library lie in memory and on disk: 8 or 4 bits a number."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream.library.codes import coarse, pack_nibbles, step_of, unpack_nibbles


@cache
def _pairs(step: int) -> NDArray[np.complex64]:
    """What each packed byte stands for, (256,): two whole numbers as one."""
    every = np.arange(256, dtype=np.uint8)[:, None]
    # A complex64 is two float32 side by side: one look-up of a byte gives both of its numbers.
    whole = unpack_nibbles(every, 2) * np.float32(step)
    return np.ascontiguousarray(whole).view(np.complex64)[:, 0]


@dataclass(frozen=True)
class RowCodes:
    """Packs descriptor codes.

    Attributes:
        dimension: of the descriptors.
        bits: 4 or 8.
    """

    dimension: int
    bits: int

    @property
    def width(self) -> int:
        """Bytes of a row."""
        return -(-self.dimension // 2) if self.bits == 4 else self.dimension

    @property
    def kind(self) -> type[np.uint8] | type[np.int8]:
        """The type of what a packed row consists of."""
        return np.uint8 if self.bits == 4 else np.int8

    def pack(self, codes: NDArray[np.int8]) -> NDArray[Any]:
        """Descriptors as events carry them, (N, D) int8, packed: (N, width)."""
        return pack_nibbles(coarse(codes)) if self.bits == 4 else codes

    def whole(self, packed: NDArray[Any]) -> NDArray[np.float32]:
        """Packed rows, (N, width), as whole numbers: (N, D) float32, unit rows times 127."""
        if self.bits == 8:
            return packed.astype(np.float32)
        both: NDArray[np.float32] = _pairs(step_of(self.dimension))[packed].view(np.float32)
        return both[:, : self.dimension]

    def multiply(
        self, packed: NDArray[Any], query: NDArray[np.int8], *, out: NDArray[np.float32]
    ) -> None:
        """The product of packed rows and one query, exactly, into `out`.

        Args:
            packed: (N, width).
            query: (D,) whole numbers.
            out: (N,) float32.
        """
        if self.bits == 8:
            np.dot(packed.astype(np.float32), query.astype(np.float32), out=out)
            return
        # Levels are kept as 1 to 15 for -7 to 7: the 8 is taken off the product.
        padded = np.pad(query, (0, 2 * self.width - self.dimension)).astype(np.float32)
        low, high = np.ascontiguousarray(padded[0::2]), np.ascontiguousarray(padded[1::2])
        # Whole numbers far below 2^24: float32 has them exactly, in any order of summation.
        np.dot((packed & np.uint8(15)).astype(np.float32), low, out=out)
        out += (packed >> np.uint8(4)).astype(np.float32) @ high
        out -= 8 * padded.sum()
        out *= step_of(self.dimension)

    def empty(self) -> NDArray[Any]:
        """No rows, (0, width)."""
        return np.empty((0, self.width), self.kind)
