"""Pictures put together of several: screens side by side, one of four, a window in another.

What is put together has seams: straight edges that stay where they are while what they part moves.
An upload is cut open along them, and each part is looked at by itself (the queries of the winners
of the Video Similarity Challenge were looked at in several ways; Pizzi et al., CVIU 2024). What has
no seams costs nothing but the search for them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Set by hand on made composites of training clips.
SIDE = 80  # cells on a side, in which seams are sought
WINDOW = 8  # frames: at one a second, shorter than the shortest copies that are looked for
STEP = 4  # frames from one window to the next
RIDGE = 1.25  # an edge is one where it is steeper than its surroundings by this factor
FAINT = 4.0  # levels of 255 between two cells; less is no edge
MIN_SEAM = 0.6  # share of a seam's length, and of the window's frames, in which there is an edge
MIN_LENGTH = 0.2  # of a side: a shorter line is none
LINES = 6  # of each direction that are tried, the plainest
MIN_AREA, MAX_AREA = 0.06, 0.9  # of the frame, of a part worth looking at
MAX_OVERLAP = 0.7  # intersection over union: what is more alike is one part
PARTS = 4  # of a window at the most

Rgb = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Part:
    """A part of some frames.

    Attributes:
        first: place of the first frame among those that were looked at.
        end: place behind the last one.
        box: left, top, right, bottom as shares of the frame's sides.
    """

    first: int
    end: int
    box: tuple[float, float, float, float]


def parts_of(frames: Rgb, chosen: NDArray[np.intp]) -> list[Part]:
    """The parts of frames that are put together; none where no seam is found.

    Args:
        frames: (N, S, S, 3) uint8, in order of time; may be mapped from disk.
        chosen: (K,) indices of those that are looked at, about one a second.
    """
    found: list[Part] = []
    for first in range(0, max(len(chosen) - WINDOW // 2, 1), STEP):
        shown = frames[chosen[first : first + WINDOW]]
        if len(shown) < WINDOW // 2:
            break
        grey = _small(shown)
        # Of a picture that stands still every edge stays: that says nothing.
        if np.abs(np.diff(grey, axis=0)).mean() < 1.0:
            continue
        end = len(chosen) if first + STEP + WINDOW // 2 >= len(chosen) else first + STEP
        found += [
            Part(first, end, box) for box in _boxes(_seams(grey), _seams(grey.swapaxes(1, 2)))
        ]
    return found


def _small(frames: Rgb) -> Floats:
    """(N, SIDE, SIDE) float32, grey."""
    step = frames.shape[1] // SIDE
    cut = frames[:, : step * SIDE, : step * SIDE]
    grey = cut[..., 1].astype(np.float32)  # green is most of luma, and enough for edges
    shape = (len(frames), SIDE, step, SIDE, step)
    small: Floats = grey.reshape(shape).mean(axis=(2, 4))
    return small


def _seams(grey: Floats) -> Floats:
    """How steady the edge is along every upright line between columns.

    Returns:
        (SIDE + 1, SIDE) float32: for each line and row, the share of the frames with an edge
        there. The frame's own two sides are seams.
    """
    steep = np.abs(np.diff(grey, axis=2))  # (N, SIDE, SIDE - 1)
    wide = np.pad(steep, ((0, 0), (0, 0), (3, 3)), mode="edge")
    size = steep.shape[2]
    beside = np.maximum.reduce([wide[:, :, at : at + size] for at in (0, 1, 5, 6)])
    ridge = (steep > RIDGE * beside) & (steep > FAINT)
    # A seam lies between two cells as often as on a border of one.
    ridge[:, :, 1:] |= ridge[:, :, :-1]
    seams = np.ones((SIDE + 1, SIDE), np.float32)
    seams[1:-1] = ridge.mean(axis=0).T
    return seams


def _boxes(upright: Floats, level: Floats) -> list[tuple[float, float, float, float]]:
    """Boxes whose inner sides are seams, the plainest first."""
    across, down = _lines(upright), _lines(level)
    sums = [np.pad(np.cumsum(one, axis=1), ((0, 0), (1, 0))) for one in (upright, level)]
    scored: list[tuple[float, tuple[int, int, int, int]]] = []
    for left in across:
        for right in across:
            for top in down:
                for bottom in down:
                    box = (left, top, right, bottom)
                    if (score := _score(box, *sums)) > 0:
                        scored.append((score, box))
    kept: list[tuple[int, int, int, int]] = []
    for _, box in sorted(scored, reverse=True):
        if all(_overlap(box, other) < MAX_OVERLAP for other in kept):
            kept.append(box)
        if len(kept) == PARTS:
            break
    return [(a / SIDE, b / SIDE, c / SIDE, d / SIDE) for a, b, c, d in kept]


def _lines(seams: Floats) -> list[int]:
    """The frame's sides and the lines with the longest edges, as places."""
    length = int(MIN_LENGTH * SIDE)
    sums = np.pad(np.cumsum(seams, axis=1), ((0, 0), (1, 0)))
    best = ((sums[:, length:] - sums[:, :-length]) / length).max(axis=1)
    best[[0, -1]] = 0
    lines = [0, SIDE]
    for place in np.argsort(-best, kind="stable").tolist():
        if best[place] < MIN_SEAM or len(lines) == LINES + 2:
            break
        if min(abs(place - other) for other in lines) > 2:
            lines.append(place)
    return lines


def _score(box: tuple[int, int, int, int], upright: Floats, level: Floats) -> float:
    """How plain the seams of a box are, by its weakest side; 0 where it is no part."""
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    least = MIN_LENGTH * SIDE
    area = width * height / SIDE**2
    if width < least or height < least or not MIN_AREA <= area <= MAX_AREA:
        return 0.0
    sides = [
        float(upright[x, bottom] - upright[x, top]) / height for x in (left, right) if 0 < x < SIDE
    ] + [float(level[y, right] - level[y, left]) / width for y in (top, bottom) if 0 < y < SIDE]
    weakest = min(sides)
    return weakest if weakest >= MIN_SEAM else 0.0


def _overlap(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> float:
    """Intersection over union."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(width, 0) * max(height, 0)
    both = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return shared / (both - shared)
