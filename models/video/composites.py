"""Pictures put together of several: screens side by side, one of four, a window in another.

What is put together has seams: straight edges that stay where they are while what they part moves.
An upload is cut open along them, and each part is looked at by itself (the queries of the winners
of the Video Similarity Challenge were looked at in several ways; Pizzi et al., CVIU 2024). What has
no seams costs nothing but the search for them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Self

import numpy as np
from numpy.typing import NDArray

# Set by hand on made composites of training clips.
CELLS = 80  # on a side, about: a cell is a whole number of pixels
BLOCK = 2  # frames; two blocks are looked at together, no more than a short copy lasts
BATCH = 32  # frames in memory at a time, a multiple of a block
RIDGE = 1.25  # an edge is one where it is steeper than its surroundings by this factor
FAINT = 4.0  # levels of 255 between two cells; less is no edge
MOVING = 3.0  # levels of 255 from frame to frame; less is no motion
MIN_MOVING = 0.3  # of a seam's length, beside which something moves
MIN_SEAM = 0.7  # share of a seam's length, and of the frames, in which there is an edge
MIN_LENGTH = 0.2  # of a side: a shorter line is none
LINES = 6  # of each direction that are tried, the plainest
MIN_AREA, MAX_AREA = 0.06, 0.9  # of the frame, of a part worth looking at
MAX_OVERLAP = 0.7  # intersection over union: what is more alike is one part
PARTS = 4  # of a window at the most

Rgb = NDArray[np.uint8]
Floats = NDArray[np.float32]
Box = tuple[float, float, float, float]  # left, top, right, bottom as shares of the frame's sides
Scored = tuple[float, Box]  # a box, and how plain its seams are


@dataclass(frozen=True)
class Part:
    """A part of some frames.

    Attributes:
        first: place of the first frame among those that were looked at.
        end: place behind the last one.
        box: what part.
    """

    first: int
    end: int
    box: Box


def parts_of(frames: Rgb, chosen: NDArray[np.intp]) -> list[Part]:
    """The parts of frames that are put together; none where no seam is found.

    Args:
        frames: (N, S, S, 3) uint8, in order of time; may be mapped from disk.
        chosen: (K,) indices of those that are looked at, about one a second.
    """
    found: list[Part] = []
    before: _Edges | None = None
    boxes: list[Scored] = []
    first = 0
    for block in _blocks(frames, chosen):
        if before is not None:
            # A block is seen with the one before it and with the one behind it.
            last, boxes = boxes, _boxes(before + block)
            found += _parts(first, first + BLOCK, last + boxes)
            first += BLOCK
        before = block
    return found + _parts(first, len(chosen), boxes)


def _parts(first: int, end: int, boxes: list[Scored]) -> list[Part]:
    """The plainest boxes that differ."""
    kept: list[Box] = []
    for _, box in sorted(boxes, reverse=True):
        if all(_overlap(box, other) < MAX_OVERLAP for other in kept):
            kept.append(box)
    return [Part(first, end, box) for box in kept[:PARTS]]


@dataclass(frozen=True)
class _Edges:
    """Where some frames have edges.

    Attributes:
        upright: (C + 1, C) float32: for each line between columns, and each row, in how many
            frames an edge is there. The frame's own two sides are edges.
        level: the same of lines between rows.
        moved: (C, C) float32: levels of 255 by which each cell changes from frame to frame; summed.
        count: frames.
    """

    upright: Floats
    level: Floats
    moved: Floats
    count: int

    def __add__(self, other: Self) -> Self:
        return replace(
            self,
            upright=self.upright + other.upright,
            level=self.level + other.level,
            moved=self.moved + other.moved,
            count=self.count + other.count,
        )


def _blocks(frames: Rgb, chosen: NDArray[np.intp]) -> Iterator[_Edges]:
    """The edges of every block of frames; the last one may be shorter."""
    for start in range(0, len(chosen), BATCH):
        cells = _cells(frames[chosen[start : start + BATCH]])
        moved = np.abs(np.diff(cells, axis=1, prepend=cells[:, :1])).max(axis=0)  # (N, C, C)
        firsts = np.arange(0, cells.shape[1], BLOCK)
        counts = np.diff(firsts, append=cells.shape[1])
        each = (_edges(cells, firsts, counts), _edges(cells.swapaxes(2, 3), firsts, counts))
        moves = np.add.reduceat(moved, firsts, axis=0)
        for upright, level, move, count in zip(*each, moves, counts, strict=True):
            yield _Edges(upright, level, move, int(count))


def _cells(frames: Rgb) -> Floats:
    """(3, N, C, C) float32: every cell's mean colour."""
    step = max(round(frames.shape[1] / CELLS), 1)
    side = frames.shape[1] // step
    cut = frames[:, : step * side, : step * side]
    total = np.zeros((len(frames), side, side, 3), np.uint16)
    for row, column in np.ndindex(step, step):
        total += cut[:, row::step, column::step]
    planes = np.ascontiguousarray(total.transpose(3, 0, 1, 2), np.float32)
    return planes / np.float32(step * step)


def _edges(cells: Floats, firsts: NDArray[np.intp], counts: NDArray[np.intp]) -> Floats:
    """In how many frames of each block there is an edge along every upright line.

    Args:
        cells: (3, N, C, C), of which columns are parted.
        firsts: (B,) the first frame of each block.
        counts: (B,) how many it has.

    Returns:
        (B, C + 1, C) float32, as `_Edges.upright`.
    """
    steep = np.abs(np.diff(cells, axis=3)).max(axis=0)  # (N, C, C - 1)
    wide = np.pad(steep, ((0, 0), (0, 0), (3, 3)), mode="edge")
    size = steep.shape[2]
    beside = np.maximum.reduce([wide[:, :, at : at + size] for at in (0, 1, 5, 6)])
    ridge = (steep > RIDGE * beside) & (steep > FAINT)
    # A seam lies between two cells as often as on a border of one.
    ridge[:, :, 1:] |= ridge[:, :, :-1]
    edges = np.empty((len(firsts), size + 2, size + 1), np.float32)
    edges[:] = counts[:, None, None]
    edges[:, 1:-1] = np.add.reduceat(ridge.view(np.uint8), firsts, axis=0).swapaxes(1, 2)
    return edges


def _boxes(edges: _Edges) -> list[Scored]:
    """Boxes whose inner sides are seams."""
    upright, level = (each / np.float32(edges.count) for each in (edges.upright, edges.level))
    side, across, down = upright.shape[1], _lines(upright), _lines(level)
    if len(across) + len(down) == 4:  # the frame's own sides
        return []
    # Of what stands still every edge stays, and says nothing.
    moving = edges.moved > MOVING * edges.count
    sums = [_sums(one) for one in (upright, level, _beside(moving.T), _beside(moving))]
    found: list[Scored] = []
    for left, right in combinations(sorted(across), 2):
        for top, bottom in combinations(sorted(down), 2):
            if (score := _score((left, top, right, bottom), *sums)) > 0:
                shares = (left / side, top / side, right / side, bottom / side)
                found.append((score, shares))
    return found


def _lines(seams: Floats) -> list[int]:
    """The frame's sides and the lines with the longest edges, as places."""
    side = seams.shape[1]
    length = int(MIN_LENGTH * side)
    sums = np.pad(np.cumsum(seams, axis=1), ((0, 0), (1, 0)))
    best = ((sums[:, length:] - sums[:, :-length]) / length).max(axis=1)
    best[[0, -1]] = 0
    lines = [0, side]
    for place in np.argsort(-best, kind="stable").tolist():
        if best[place] < MIN_SEAM or len(lines) == LINES + 2:
            break
        if min(abs(place - other) for other in lines) > 2:
            lines.append(place)
    return lines


def _beside(moving: NDArray[np.bool_]) -> Floats:
    """(C + 1, C) float32: for each line between the rows, where there is motion on a side of it."""
    near = np.pad(moving, ((2, 2), (0, 0)))
    size = len(moving) + 1
    either: Floats = np.logical_or.reduce([near[at : at + size] for at in range(4)])
    return either.astype(np.float32)


def _sums(lines: Floats) -> Floats:
    """(C + 1, C + 1) float32: running sums along every line."""
    return np.pad(np.cumsum(lines, axis=1), ((0, 0), (1, 0)))


def _score(
    box: tuple[int, int, int, int],
    upright: Floats,
    level: Floats,
    moving_upright: Floats,
    moving_level: Floats,
) -> float:
    """How plain the seams of a box are, by its weakest side; 0 where it is no part.

    Args:
        box: left, top, right, bottom in cells.
        upright: running sums of the edges along upright lines.
        level: the same of level lines.
        moving_upright: running sums of the motion beside upright lines.
        moving_level: the same of level lines.
    """
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    side = upright.shape[0] - 1
    least = MIN_LENGTH * side
    area = width * height / side**2
    if width < least or height < least or not MIN_AREA <= area <= MAX_AREA:
        return 0.0
    weakest = 1.0
    for sums, motion, places, start, end in (
        (upright, moving_upright, (left, right), top, bottom),
        (level, moving_level, (top, bottom), left, right),
    ):
        for place in places:
            if 0 < place < side:
                length = end - start
                if motion[place, end] - motion[place, start] < MIN_MOVING * length:
                    return 0.0
                weakest = min(weakest, float(sums[place, end] - sums[place, start]) / length)
    return weakest if weakest >= MIN_SEAM else 0.0


def _overlap(one: Box, other: Box) -> float:
    """Intersection over union."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(width, 0.0) * max(height, 0.0)
    both = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return shared / (both - shared)
