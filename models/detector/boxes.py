"""From what the network says about a picture to boxes of copied spans; numpy only.

Long videos are cut into overlapping tiles, of which the likeliest are read; boxes that continue
each other across tiles become one.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.aligners.base import Segment
from models.aligners.matrix import SimilarityMatrix
from models.detector.grid import ALIGN, CELL_SECONDS, Axis, lay_axes, picture_of

Array = NDArray[np.float32]
Run = Callable[[Array], tuple[Array, Array]]
"""(N, 8, H, W) pictures to scores and directions (N, 2, H/2, W/2) in [0, 1], and distances
(N, 4, H/2, W/2) in cells."""

TILE = 128  # cells: the longest pairs of training, which the network knows
OVERLAP = 64  # cells between tiles' starts at most: spans up to so long are whole in one tile
MAX_TILES = 300  # all of two videos of 19 minutes; set by hand, it bounds the time of hours
MATCH_SIMILARITY = 0.3
"""One in a hundred pairs of unrelated frames was above 0.32 (docs/experiments.md, "Copies frame by
frame"). It only chooses tiles: lower counts chance, higher misses strongly edited copies. By hand.
"""
STRIDE = 2  # cells between places of the head: each level up costs four times as many places
MIN_SCORE = 0.05  # low, so that a measurement sees every threshold; the service asks for more
# What makes one box of many places; all set by hand.
MAX_PLACES = 400  # the best of a tile: merging takes time by their number, and few places vote
SAME_OVERLAP = 0.25  # intersection over union: higher leaves a span twice, lower eats neighbours
VOTE_OVERLAP = 0.55  # whose edges count: lower mixes in other spans, higher leaves too few
INSIDE_SHARE = 0.75  # a box so far inside a better one is part of its span
OFF_LINE_CELLS = 2.5  # somewhat more than a place's own width, so that parts of one line meet
MAX_BOXES = 32  # of a tile, and of a pair: each is refined; a still video of hours fills it


@dataclass(frozen=True)
class Boxes:
    """Boxes on a picture, in cells.

    Attributes:
        edges: (M, 4) float32, query start, reference start, query end, reference end.
        scores: (M,) float32 in [0, 1].
        backwards: (M,) float32 in [0, 1].
    """

    edges: Array
    scores: Array
    backwards: Array

    def __len__(self) -> int:
        return len(self.scores)

    def at(self, chosen: NDArray[np.intp] | NDArray[np.bool_]) -> "Boxes":
        """The boxes that a mask keeps, or those at these places in their order."""
        return Boxes(self.edges[chosen], self.scores[chosen], self.backwards[chosen])


def find_segments(
    similarity: SimilarityMatrix, run: Run, min_score: float = MIN_SCORE
) -> list[Segment]:
    """Boxes of the copied spans of a pair, best first, before their edges are refined.

    Args:
        similarity: the pair.
        run: the network.
        min_score: boxes below are left out.
    """
    if min(similarity.values.shape) == 0:
        return []
    query, reference = lay_axes(similarity)
    shape = (len(query), len(reference))
    found = [
        merged(candidates(scores, distances, min_score), origin, shape)
        for origin, scores, distances in _tiles(similarity.values, query, reference, run)
    ]
    if not found:
        return []
    boxes = Boxes(
        np.concatenate([one.edges for one in found]),
        np.concatenate([one.scores for one in found]),
        np.concatenate([one.backwards for one in found]),
    )
    # Joined first: two halves of a span overlap too little to be repeats of each other.
    if len(found) > 1:
        boxes = _without_repeats(joined(boxes))
    return segments_of(boxes, similarity)


def _tiles(
    values: Array, query: Axis, reference: Axis, run: Run
) -> Iterator[tuple[tuple[int, int], Array, Array]]:
    """What the network says of each tile, and where the tile begins, in cells."""
    for top, left in _worth_reading(values, query, reference):
        part = picture_of(values, query.part(top, TILE), reference.part(left, TILE))
        shape = [-(-side // ALIGN) * ALIGN for side in part.shape[1:]]
        full = np.zeros((1, len(part), *shape), np.float32)
        full[0, :, : part.shape[1], : part.shape[2]] = part
        what, distances = run(full)
        yield (top, left), what[0], distances[0]


def _worth_reading(values: Array, query: Axis, reference: Axis) -> list[tuple[int, int]]:
    """Where tiles begin; of many, the `MAX_TILES` with the most cells' best matches.

    A cell that is far from the frame that it shows counts for nothing: a hole in a recording would
    be hours of matches.
    """
    tops, lefts = _starts(len(query)), _starts(len(reference))
    every = [(top, left) for top in tops for left in lefts]
    if len(every) <= MAX_TILES:
        return every
    best = values.argmax(axis=1)  # (Nq,) the frame that each frame resembles most
    cells = np.searchsorted(reference.frames, best[query.frames])  # (H,) where that is shown
    rows = np.arange(len(query))
    matched = (values.max(axis=1)[query.frames] > MATCH_SIMILARITY) & (query.distance < 1)
    counts = [
        int((inside & (cells >= left) & (cells < left + TILE)).sum())
        for top in tops
        for inside in [matched & (rows >= top) & (rows < top + TILE)]
        for left in lefts
    ]
    # Stable, so that of equal tiles the same ones are read on every machine.
    order = np.argsort(-np.array(counts), kind="stable")[:MAX_TILES]
    return [every[number] for number in sorted(order.tolist()) if counts[number]]


def _starts(length: int) -> list[int]:
    """Where tiles begin: evenly, the last one flush with the end."""
    if length <= TILE:
        return [0]
    count = -(-(length - TILE) // OVERLAP) + 1
    return [int(start) for start in np.linspace(0, length - TILE, count)]


def candidates(what: Array, distances: Array, min_score: float) -> Boxes:
    """Every place of the head that says more than `min_score`, at most `MAX_PLACES`.

    Args:
        what: (2, H, W) scores and directions in [0, 1].
        distances: (4, H, W) in cells.
        min_score: of a place.
    """
    rows, columns = np.nonzero(what[0] > min_score)
    scores = what[0, rows, columns]
    if len(scores) > MAX_PLACES:
        top = np.argpartition(-scores, MAX_PLACES)[:MAX_PLACES]
        rows, columns, scores = rows[top], columns[top], scores[top]
    centres = (np.stack([rows, columns], axis=1) + 0.5) * STRIDE  # (M, 2)
    far = distances[:, rows, columns].T  # (M, 4)
    edges = np.concatenate([centres - far[:, :2], centres + far[:, 2:]], axis=1)
    return Boxes(edges.astype(np.float32), scores, what[1, rows, columns])


def merged(boxes: Boxes, origin: tuple[int, int], shape: tuple[int, ...]) -> Boxes:
    """One box for each span of a tile: the best, its edges voted by those that agree with it.

    Args:
        boxes: of one tile.
        origin: where the tile begins, in cells.
        shape: (H, W) of the whole picture.
    """
    shift = np.array([*origin, *origin], np.float32)
    limit = np.array([*shape, *shape], np.float32)
    edges = np.clip(boxes.edges + shift, 0, limit)
    boxes = Boxes(edges, boxes.scores, boxes.backwards)
    # Boxes that the clipping left next to nothing of would match anything by their share.
    boxes = boxes.at((edges[:, 2:] - edges[:, :2] > 0.25).all(axis=1))
    left = np.argsort(-boxes.scores, kind="stable")
    kept: list[Boxes] = []
    while len(left) and len(kept) < MAX_BOXES:
        own = left[0]
        overlap = overlaps(boxes.edges[own], boxes.edges[left])
        agree = left[overlap >= VOTE_OVERLAP]
        weights = boxes.scores[agree] ** 2  # squared: many weak places shall not outvote the best
        voted = (boxes.edges[agree] * weights[:, None]).sum(axis=0) / weights.sum()
        turned = float((boxes.backwards[agree] * weights).sum() / weights.sum())
        kept.append(Boxes(voted[None], boxes.scores[[own]], np.array([turned], np.float32)))
        covered = _inside(boxes.edges[left], voted)
        left = left[(overlap < SAME_OVERLAP) & (covered < INSIDE_SHARE)]
    if not kept:
        return boxes.at(np.zeros(0, np.intp))
    return Boxes(
        np.concatenate([one.edges for one in kept]).astype(np.float32),
        np.concatenate([one.scores for one in kept]),
        np.concatenate([one.backwards for one in kept]),
    )


def overlaps(box: Array, others: Array) -> Array:
    """Intersection over union of a box (4,) with others (M, 4)."""
    shared = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    area = np.maximum(shared, 0).prod(axis=1)
    own = (box[2:] - box[:2]).prod()
    both: Array = area / (own + (others[:, 2:] - others[:, :2]).prod(axis=1) - area + 1e-6)
    return both


def _inside(boxes: Array, box: Array) -> Array:
    """Share of each box (M, 4) that lies inside another (4,)."""
    shared = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    area = np.maximum(shared, 0).prod(axis=1)
    share: Array = area / ((boxes[:, 2:] - boxes[:, :2]).prod(axis=1) + 1e-6)
    return share


def joined(boxes: Boxes) -> Boxes:
    """Boxes of several tiles, those that continue each other along one line made one.

    The best box grows by every box of its direction that overlaps it on both axes and lies on its
    line, until none is left.
    """
    edges, scores, turned = boxes.edges.copy(), boxes.scores.copy(), boxes.backwards.copy()
    alive = np.ones(len(scores), bool)
    for own in np.argsort(-scores, kind="stable").tolist():
        grown = bool(alive[own])
        while grown:
            grown = False
            for other in np.flatnonzero(alive).tolist():
                if other != own and _continues(
                    edges[own], edges[other], turned[own], turned[other]
                ):
                    edges[own, :2] = np.minimum(edges[own, :2], edges[other, :2])
                    edges[own, 2:] = np.maximum(edges[own, 2:], edges[other, 2:])
                    scores[own] = max(scores[own], scores[other])
                    alive[other], grown = False, True
    return Boxes(edges, scores, turned).at(alive)


def _continues(own: Array, other: Array, own_turned: float, other_turned: float) -> bool:
    """Whether two boxes are parts of one span."""
    turned = own_turned > 0.5
    if turned != (other_turned > 0.5):
        return False
    if (np.minimum(own[2:], other[2:]) - np.maximum(own[:2], other[:2])).min() <= 0:
        return False
    mine, theirs = _corners(own, turned), _corners(other, turned)
    # A pace that is off by 5 % leads so far astray at the end of a long box.
    slack = OFF_LINE_CELLS + 0.05 * float((own[2:] - own[:2]).max())
    return max(_off_line(mine, point) for point in theirs) <= slack or (
        max(_off_line(theirs, point) for point in mine) <= slack
    )


def _corners(box: Array, turned: bool) -> tuple[tuple[float, float], tuple[float, float]]:
    """Where a span's line begins and ends, (query, reference)."""
    q0, r0, q1, r1 = box.tolist()
    return ((q0, r1), (q1, r0)) if turned else ((q0, r0), (q1, r1))


def _off_line(
    line: tuple[tuple[float, float], tuple[float, float]], point: tuple[float, float]
) -> float:
    """How far a point lies off a line, along the reference, in cells."""
    (q0, r0), (q1, r1) = line
    return abs(r0 + (r1 - r0) * (point[0] - q0) / max(q1 - q0, 1e-3) - point[1])


def _without_repeats(boxes: Boxes) -> Boxes:
    order = np.argsort(-boxes.scores, kind="stable")
    kept: list[int] = []
    for own in order.tolist():
        others = boxes.edges[kept]
        if not kept or (
            overlaps(boxes.edges[own], others).max() < SAME_OVERLAP
            and max(_inside(boxes.edges[[own]], other)[0] for other in others) < INSIDE_SHARE
        ):
            kept.append(own)
    return boxes.at(np.array(kept, np.intp))


def segments_of(boxes: Boxes, similarity: SimilarityMatrix) -> list[Segment]:
    """Boxes in seconds, inside both videos, best first."""
    ends = np.array(
        [similarity.query_duration_seconds, similarity.reference_duration_seconds] * 2, np.float64
    )
    edges = np.minimum(boxes.edges.astype(np.float64) * CELL_SECONDS, ends)
    found = [
        Segment(q0, q1, r0, r1, float(score), bool(turned > 0.5))
        for (q0, r0, q1, r1), score, turned in zip(
            edges.tolist(), boxes.scores, boxes.backwards, strict=True
        )
        if q1 > q0 and r1 > r0
    ]
    return sorted(found, key=lambda segment: -segment.score)[:MAX_BOXES]


def with_score(segment: Segment, score: float) -> Segment:
    """The same span, another score."""
    return replace(segment, score=score)
