"""Windows of long matrices: what a tile shows of the spans that run through it."""

import numpy as np
from numpy.typing import NDArray

MIN_CELLS = 1.5  # what is left of a span must show on places two cells apart; set by hand

Array = NDArray[np.float32]


def windowed(
    boxes: Array, backwards: NDArray[np.bool_], window: Array
) -> tuple[Array, NDArray[np.bool_]]:
    """The part of each span's line that lies in a window, and which way it runs.

    Args:
        boxes: (M, 4) query start, reference start, query end, reference end, in cells.
        backwards: (M,) bool.
        window: (4,) the same order, in cells.

    Returns:
        (K, 4) boxes from the window's corner on, without those of which less than `MIN_CELLS`
        is left; (K,) bool.
    """
    lengths = np.maximum(boxes[:, 2:] - boxes[:, :2], 1e-6)  # (M, 2)
    low = (window[:2] - boxes[:, :2]) / lengths  # (M, 2) shares of the span at the window's edges
    high = (window[2:] - boxes[:, :2]) / lengths
    low[backwards, 1], high[backwards, 1] = 1 - high[backwards, 1], 1 - low[backwards, 1]
    # The line, not the box, is cut: most of a long span's box shows no copy.
    first = np.clip(low.max(axis=1), 0, 1)
    last = np.clip(high.min(axis=1), 0, 1)
    start, end = np.stack([first, first], axis=1), np.stack([last, last], axis=1)
    start[backwards, 1], end[backwards, 1] = 1 - last[backwards], 1 - first[backwards]
    parts = np.concatenate([boxes[:, :2] + start * lengths, boxes[:, :2] + end * lengths], axis=1)
    kept = ((parts[:, 2:] - parts[:, :2]) >= MIN_CELLS).all(axis=1)
    shift = np.concatenate([window[:2], window[:2]])
    return (parts - shift)[kept].astype(np.float32), backwards[kept]
