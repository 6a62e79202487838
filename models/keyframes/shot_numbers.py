"""Shots of a video as key-frame selectors count them."""

import numpy as np
from numpy.typing import NDArray

SHORTEST_SHOT_SECONDS = 1.0


def shot_numbers(
    seconds: NDArray[np.float32], cut_seconds: NDArray[np.float32]
) -> NDArray[np.intp]:
    """The shot that each frame is of, (N,) ascending.

    A cut less than `SHORTEST_SHOT_SECONDS` after the one before (or the start) begins no shot.

    Args:
        seconds: (N,) ascending.
        cut_seconds: (C,) ascending.
    """
    kept: list[float] = []
    for cut in cut_seconds.tolist():
        if cut - (kept[-1] if kept else 0.0) >= SHORTEST_SHOT_SECONDS:
            kept.append(cut)
    return np.searchsorted(np.array(kept, np.float64), seconds, side="right")
