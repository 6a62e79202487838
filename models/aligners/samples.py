"""Key frames as samples of time: how far apart, what each stands for, which matches to keep.

Serves the temporal network.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def step(seconds: NDArray[np.floating]) -> float:
    """The usual distance of two samples; a second where there is one sample."""
    return float(np.median(np.diff(seconds))) if len(seconds) > 1 else 1.0


def best_of_each(
    rows: NDArray[np.intp], values: NDArray[np.floating], off: Array, most: int
) -> NDArray[np.intp]:
    """At most about `most` matches: each row's best ones, of equal ones the nearest in time."""
    order = np.lexsort((off, -values, rows))
    firsts = np.flatnonzero(np.diff(rows[order], prepend=-1))
    rank = np.arange(len(order)) - np.repeat(firsts, np.diff(np.append(firsts, len(order))))
    return np.sort(order[rank < max(1, most // len(firsts))])


def stands_for(seconds: Array, max_seconds: float) -> Array:
    """Half of the gaps on both sides of each sample, (N,), each gap at most `max_seconds`."""
    gaps = np.minimum(np.diff(seconds), max_seconds)
    if len(gaps) == 0:
        return np.ones(len(seconds))
    both: Array = (np.append(gaps[:1], gaps) + np.append(gaps, gaps[-1:])) / 2
    return both
