"""Heaviest monotone paths through a grid of cells, a whole anti-diagonal at a time.

Serves dynamic programming and dynamic time warping. A path steps down, right or both at once.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Path = NDArray[np.intp]

START, BOTH, DOWN, RIGHT = 0, 1, 2, 3


def heaviest_warp(
    gains: Array,
    *,
    side_weight: float,
    ends: Literal["anywhere", "all_rows"],
    max_losses: int | None = None,
) -> tuple[Path, float]:
    """The monotone path with the greatest sum of gains.

    Args:
        gains: (I, J) of each cell; a loss is below 0.
        side_weight: share of a cell's gain that a step along one axis alone brings.
        ends: `anywhere`: the path begins and ends where it likes (local alignment); `all_rows`:
            it leads from the first row to the last, and begins and ends at any column.
        max_losses: losses in a row, after which a path ends; None allows any number.

    Returns:
        (K, 2) cells, ascending, and the sum. With `anywhere` and no gain above 0: no cells, 0.
    """
    rows, columns = gains.shape
    # Cells of one anti-diagonal depend on the two before it alone: numpy takes it in one go, where
    # row by row a loop over all cells would be needed.
    slant = np.full((rows + columns - 1, rows), -np.inf)  # cell (i, j) is at [i + j, i]
    down, right = np.indices(gains.shape)
    slant[down + right, down] = gains
    steps = np.zeros(slant.shape, np.int8)
    reached = np.full((len(slant) + 2, rows + 1), -np.inf)  # two rows and one column before it
    losses = np.zeros((len(slant) + 2, rows + 1), np.int64)
    options = np.empty((4, rows))
    # `argmax` takes the first of equals: a path starts late rather than drags on what brings 0.
    options[START] = 0.0
    if ends == "all_rows":
        options[START, 1:] = -np.inf
    begin, each = options[START].copy(), np.arange(rows)
    for number, gain in enumerate(slant):
        two, one, now = number, number + 1, number + 2
        side = side_weight * gain
        np.add(begin, gain, out=options[START])
        np.add(reached[two, :-1], gain, out=options[BOTH])
        np.add(reached[one, :-1], side, out=options[DOWN])
        np.add(reached[one, 1:], side, out=options[RIGHT])
        step = options.argmax(axis=0)
        total = options[step, each]
        if max_losses is not None:
            before = losses[[now, two, one, one]][:, :-1]
            before[RIGHT] = losses[one, 1:]
            lost = (before[step, each] + 1) * (gain < 0)
            losses[now, 1:] = lost
            total[lost > max_losses] = -np.inf
        steps[number], reached[now, 1:] = step, total
    reached = reached[2:, 1:]
    if ends == "all_rows":
        number = rows - 1 + int(reached[rows - 1 :, -1].argmax())
        row = rows - 1
    else:
        number, row = divmod(int(reached.argmax()), rows)
        if reached[number, row] <= 0:
            return np.empty((0, 2), np.intp), 0.0
    return _walk_back(steps, number, row), float(reached[number, row])


def _walk_back(steps: NDArray[np.int8], number: int, row: int) -> Path:
    """From the last cell to the first, and turned round."""
    cells = []
    while True:
        cells.append((row, number - row))
        step = steps[number, row]
        if step == START:
            return np.array(cells[::-1], np.intp)
        number -= 2 if step == BOTH else 1
        row -= step != RIGHT


def pieces(path: Path, broken: NDArray[np.bool_], longest: int) -> list[Path]:
    """Cut a path where it is broken, or runs along one axis, for more than `longest` cells.

    Args:
        path: (K, 2) cells.
        broken: (K,) cells that don't belong to a copy.
        longest: cells in a row that are passed over.

    Returns:
        What lies between, without broken cells and runs along one axis at the ends: there a path
        gathers what little it can get beside the copy.
    """
    moves = np.diff(path, axis=0)  # (K - 1, 2)
    still = [moves[:, axis] == 0 for axis in (0, 1)]
    out = np.zeros(len(path), bool)
    for flags in (broken, *(np.append(False, one) for one in still)):
        for start, end in _runs(flags):
            if end - start > longest:
                out[start:end] = True
    found = []
    for start, end in _runs(~out):
        whole = np.flatnonzero(~broken[start:end])
        if len(whole):
            first, last = start + int(whole[0]), start + int(whole[-1])
            for one in still:
                first += _length_of_run(one[first:last])
                last -= _length_of_run(one[first:last][::-1])
            found.append(path[first : last + 1])
    return found


def _length_of_run(flags: NDArray[np.bool_]) -> int:
    """How many true ones it begins with; one alone is a change of pace, and counts for none."""
    count = len(flags) if flags.all() else int(flags.argmin())
    return count if count > 1 else 0


def _runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Half-open runs of true ones."""
    edges = np.diff(flags.astype(np.int8), prepend=0, append=0)
    return list(
        zip(np.flatnonzero(edges > 0).tolist(), np.flatnonzero(edges < 0).tolist(), strict=True)
    )
