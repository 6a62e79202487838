"""How the rows of a library lie in memory and on disk: 8, 4, 2 or 1 bits a number."""

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from stream.library.codes import (
    coarse,
    levels_of,
    pack_few,
    pack_nibbles,
    step_of,
    unpack_nibbles,
)

Bits = Literal[1, 2, 4, 8]
BYTE = 8


@cache
def _numbers(bits: int, dimension: int) -> NDArray[np.void]:
    """What each packed byte stands for, (256,): 8 / bits whole numbers as one."""
    every = np.arange(256, dtype=np.uint8)[:, None]
    if bits == 4:
        whole = unpack_nibbles(every, 2) * np.float32(step_of(dimension))
    else:
        shifts = np.arange(0, BYTE, bits, dtype=np.uint8)
        whole = levels_of(bits, dimension)[(every >> shifts) & (2**bits - 1)]
    whole = np.ascontiguousarray(whole, np.float32)
    # Several float32 as one entry: one look-up of a byte gives all of its numbers.
    return whole.view(np.dtype((np.void, whole.strides[0])))[:, 0]


@dataclass(frozen=True)
class RowCodes:
    """Packs descriptor codes.

    Attributes:
        dimension: of the descriptors.
        bits: of each number.
    """

    dimension: int
    bits: Bits

    @property
    def width(self) -> int:
        """Bytes of a row."""
        return -(-self.dimension * self.bits // BYTE)

    @property
    def kind(self) -> type[np.uint8] | type[np.int8]:
        """The type of what a packed row consists of."""
        return np.int8 if self.bits == BYTE else np.uint8

    def pack(self, codes: NDArray[np.int8]) -> NDArray[Any]:
        """Descriptors as events carry them, (N, D) int8, packed: (N, width)."""
        if self.bits == BYTE:
            return codes
        return pack_nibbles(coarse(codes)) if self.bits == 4 else pack_few(codes, self.bits)

    def whole(self, packed: NDArray[Any]) -> NDArray[np.float32]:
        """Packed rows, (N, width), as whole numbers: (N, D) float32, unit rows times 127."""
        if self.bits == BYTE:
            return packed.astype(np.float32)
        found: NDArray[np.float32] = _numbers(self.bits, self.dimension)[packed].view(np.float32)
        return found[:, : self.dimension]

    def multiply(
        self, packed: NDArray[Any], query: NDArray[np.int8], *, out: NDArray[np.float32]
    ) -> None:
        """The product of packed rows and one query, exactly, into `out`.

        Args:
            packed: (N, width).
            query: (D,) whole numbers.
            out: (N,) float32.
        """
        if self.bits != 4:
            np.dot(self.whole(packed), query.astype(np.float32), out=out)
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
