"""What the library keeps of descriptor codes, motion and times: few bits, and whole numbers.

Sums of products of whole numbers this small are exact in float32, so that answers stay the same on
every machine. Serves the index and the snapshots.
"""

import math

import numpy as np
from numpy.typing import NDArray

LARGEST = 7  # level on either side of 0: one of the 16 stays free, so that 0 has a level
USUAL_STEP = 5  # of 127: 7 steps are three deviations of a unit row's numbers
USUAL_DIMENSION = 128
# What codes of one and two bits stand for at the usual dimension, and where one level begins to be
# the next: the best levels of normally distributed numbers (Lloyd 1982, Max 1960), moved apart so
# that a row's product with its own code is as large as with itself.
FEW_LEVELS = {1: (-14, 14), 2: (-19, -6, 6, 19)}
FEW_BOUNDS = {1: (0,), 2: (-11, 0, 11)}
LONG_STEP = 2**16 - 1  # ms, the most that two bytes hold
MILLISECONDS = 1000  # in a second


def step_of(dimension: int) -> int:
    """Distance of two levels of a 4-bit code, in units of the 8-bit one: 5 at 128 dimensions.

    The numbers of a unit row have a deviation of 1 / sqrt(D): 15 levels span about three of it on
    both sides, whatever the dimension.
    """
    return max(1, round(USUAL_STEP * _spread(dimension)))


def levels_of(bits: int, dimension: int) -> NDArray[np.int8]:
    """What the codes of one or two bits stand for, in units of the 8-bit one.

    Returns:
        (2^bits,) int8, ascending.
    """
    whole = np.rint(np.array(FEW_LEVELS[bits]) * _spread(dimension))
    return np.clip(whole, -127, 127).astype(np.int8)


def pack_few(codes: NDArray[np.int8], bits: int) -> NDArray[np.uint8]:
    """8-bit codes as codes of one or two bits, as many as fit into a byte, the first one lowest.

    Args:
        codes: (N, D) int8.
        bits: 1 or 2.

    Returns:
        (N, ceil(D * bits / 8)) uint8.
    """
    per = 8 // bits
    bounds = np.array(FEW_BOUNDS[bits]) * _spread(codes.shape[1])
    levels = np.searchsorted(bounds, codes).astype(np.uint8)
    levels = np.pad(levels, ((0, 0), (0, -levels.shape[1] % per)))
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    parts = levels.reshape(len(levels), levels.shape[1] // per, per) << shifts
    packed: NDArray[np.uint8] = np.bitwise_or.reduce(parts, axis=2)
    return packed


def _spread(dimension: int) -> float:
    """Deviation of a unit row's numbers, as a share of that at the usual dimension."""
    return math.sqrt(USUAL_DIMENSION / dimension)


def coarse(codes: NDArray[np.int8]) -> NDArray[np.int8]:
    """8-bit codes as 4-bit ones.

    Args:
        codes: (N, D) int8.

    Returns:
        (N, D) int8 in [-7, 7]; times `step_of(D)` they stand for the codes.
    """
    levels = np.rint(codes.astype(np.float32) / step_of(codes.shape[1]))
    clipped: NDArray[np.int8] = np.clip(levels, -LARGEST, LARGEST).astype(np.int8)
    return clipped


def pack_nibbles(levels: NDArray[np.int8]) -> NDArray[np.uint8]:
    """Two 4-bit codes in a byte.

    Args:
        levels: (N, D) int8 in [-8, 7].

    Returns:
        (N, ceil(D / 2)) uint8.
    """
    shifted = (levels + np.int8(8)).astype(np.uint8)
    if shifted.shape[1] % 2:
        shifted = np.pad(shifted, ((0, 0), (0, 1)))
    packed: NDArray[np.uint8] = shifted[:, 0::2] | (shifted[:, 1::2] << np.uint8(4))
    return packed


def unpack_nibbles(packed: NDArray[np.uint8], dimension: int) -> NDArray[np.int8]:
    """The inverse of `pack_nibbles`, (N, dimension) int8."""
    both = np.stack((packed & 15, packed >> 4), axis=2)  # (N, ceil(D / 2), 2)
    flat = both.reshape(len(packed), 2 * packed.shape[1])[:, :dimension]
    return flat.astype(np.int8) - np.int8(8)


def pack_motion(levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Two levels of motion in a byte.

    Args:
        levels: (M,) uint8 in [0, 16).

    Returns:
        (ceil(M / 2),) uint8.
    """
    packed: NDArray[np.uint8] = pack_nibbles(levels[None].astype(np.int8) - np.int8(8))[0]
    return packed


def unpack_motion(packed: NDArray[np.uint8], count: int) -> NDArray[np.uint8]:
    """The inverse of `pack_motion`, (count,) uint8."""
    levels: NDArray[np.int8] = unpack_nibbles(packed[None], count)[0]
    return (levels + np.int8(8)).astype(np.uint8)


def whole_milliseconds(seconds: NDArray[np.float32]) -> NDArray[np.float32]:
    """Times as the library keeps them: (N,) float32, ascending, whole milliseconds, from 0 on."""
    return _as_seconds(_milliseconds(seconds))


def pack_times(seconds: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Times in two bytes each: the milliseconds since the one before.

    65535 stands for a step of so many milliseconds to nowhere; the time itself follows.

    Args:
        seconds: (N,) float32, ascending, from 0 on.

    Returns:
        (M,) uint16, M = N unless there are steps of more than a minute.
    """
    steps = np.diff(_milliseconds(seconds), prepend=0)
    over, rest = np.divmod(steps, LONG_STEP)
    packed = np.full(len(steps) + int(over.sum()), LONG_STEP, np.uint16)
    # A step is `over` times the marker, then its rest: rests lie where each step ends.
    packed[np.cumsum(over + 1) - 1] = rest
    return packed


def unpack_times(packed: NDArray[np.uint16]) -> NDArray[np.float32]:
    """The inverse of `pack_times`, (N,) float32 seconds."""
    return _as_seconds(np.cumsum(packed, dtype=np.int64)[packed != LONG_STEP])


def _milliseconds(seconds: NDArray[np.float32]) -> NDArray[np.int64]:
    whole = np.rint(np.maximum(seconds.astype(np.float64), 0) * MILLISECONDS)
    return np.asarray(whole, np.int64)


def _as_seconds(milliseconds: NDArray[np.int64]) -> NDArray[np.float32]:
    return (milliseconds / MILLISECONDS).astype(np.float32)
