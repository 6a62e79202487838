"""A video's motion over time: how much the picture changes in each quarter of a second.

Frames of one shot look alike, so descriptors say which shot is copied but hardly which second of
it. What moves and when is the same in a copy, whatever was laid over it, cropped or recoloured, so
the two curves agree at the one true offset. A curve is a byte for each quarter of a second.
"""

import numpy as np
from numpy.typing import NDArray

RATE = 4.0
"""Codes a second."""
FLOOR = 0.05  # change a second, in which the noise of still footage disappears
SCALE = 50.0  # codes for each factor of e: 255 is a change of 8 a second
COARSE = 16  # codes in a level: 16 levels are 4 bits
AROUND_CUT = 2  # frames on both sides, whose pace stands for that of the cut
MIN_GAP_SECONDS = 1e-3  # two frames of one time have a pace all the same
WINDOW = 16  # codes: four seconds
MIN_LENGTH = 0.6  # of a window, added to it: one in which next to nothing moves says little

Floats = NDArray[np.float64]
Codes = NDArray[np.uint8]


def motion_codes(
    steps: NDArray[np.float32], seconds: Floats, cuts: list[int], duration_seconds: float
) -> Codes:
    """The motion curve of a video.

    Args:
        steps: (N,) how far each frame is from the one before it: a squared distance.
        seconds: (N,) of the frames, ascending.
        cuts: numbers of the frames that begin a shot; what they jump isn't motion.
        duration_seconds: length of the video.

    Returns:
        (M,) uint8, M = `RATE` times the duration, rounded up: `SCALE` times the logarithm of the
        change in a second, above `FLOOR`. Empty when there are fewer than two frames.
    """
    if len(seconds) < 2:
        return np.empty(0, np.uint8)
    moved = np.sqrt(np.maximum(steps, 0)).astype(np.float64)
    gaps = np.maximum(np.diff(seconds, prepend=seconds[0]), MIN_GAP_SECONDS)
    paces = moved / gaps
    for cut in cuts:
        around = np.arange(max(1, cut - AROUND_CUT), min(len(moved), cut + AROUND_CUT + 1))
        others = paces[around[around != cut]]
        paces[cut] = np.median(others) if len(others) else 0.0
    length = max(1, int(np.ceil(duration_seconds * RATE - 1e-6)))
    edges = np.arange(length + 1) / RATE
    sums = np.append(0.0, np.cumsum((paces * gaps)[1:]))
    travelled = np.interp(edges, seconds, sums)  # (M + 1,)
    # Decoding ends with the last sample: what is left of the video moves on as it did.
    pace = (sums[-1] - np.interp(seconds[-1] - 1 / RATE, seconds, sums)) * RATE
    travelled += pace * np.maximum(edges - seconds[-1], 0)
    rate = np.diff(travelled) * RATE
    codes: Codes = np.clip(np.rint(SCALE * np.log1p(rate / FLOOR)), 0, 255).astype(np.uint8)
    return codes


def coarse(codes: Codes) -> Codes:
    """Motion codes as a library keeps them: one of 16 levels each, (M,) uint8 in [0, 16)."""
    levels: Codes = codes // np.uint8(COARSE)
    return levels


def curve_of(codes: Codes) -> NDArray[np.float32]:
    """Motion codes as logarithms, (M,) float32."""
    return codes.astype(np.float32) / np.float32(SCALE)


def coarse_curve(levels: Codes) -> NDArray[np.float32]:
    """Coarse levels as logarithms, (M,) float32: the middle of each level."""
    middles = levels.astype(np.float32) * COARSE + (COARSE - 1) / 2
    return middles / np.float32(SCALE)


def as_stored(curve: NDArray[np.float32]) -> NDArray[np.float32]:
    """A curve as it comes back from a library, (M,) float32."""
    codes = np.clip(np.rint(curve * SCALE), 0, 255).astype(np.uint8)
    return coarse_curve(coarse(codes))


def at(curve: NDArray[np.float32], seconds: Floats) -> Floats:
    """A curve between its codes, at any times of the video."""
    values: Floats = np.interp(seconds * RATE - 0.5, np.arange(len(curve)), curve)
    return values


def windows(curve: NDArray[np.float32], seconds: Floats) -> NDArray[np.float32]:
    """The curve around given times, so that a dot product says how well two of them agree.

    Args:
        curve: (M,) float32.
        seconds: (L,) middles of the windows.

    Returns:
        (L, `WINDOW`) float32, four seconds each: less their mean, of length below 1; short where
        next to nothing happens. Zeros when the curve is empty.
    """
    if len(curve) == 0:
        return np.zeros((len(seconds), WINDOW), np.float32)
    steps = np.arange(WINDOW) - WINDOW // 2
    places = np.rint(seconds * RATE).astype(np.intp)[:, None] + steps
    shown = curve[np.clip(places, 0, len(curve) - 1)]
    shown = shown - shown.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(shown, axis=1, keepdims=True)
    even: NDArray[np.float32] = (shown / (lengths + MIN_LENGTH)).astype(np.float32)
    return even
