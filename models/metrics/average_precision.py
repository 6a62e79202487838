"""Micro average precision: how well scores rank copies before the rest, in one ranking of all.

As in VSC2022 (Pizzi et al., "The 2023 Video Similarity Dataset and Challenge", CVIU 2024): over
pairs of videos in its descriptor track, which takes it from ISC2021 (Douze et al., 2021); over
boxes, by the seconds that they cover, in its matching track.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.metrics.vcsl import Boxes, as_boxes, union_length


@dataclass(frozen=True)
class ScoredBox:
    """A predicted copy.

    Attributes:
        pair: of videos.
        box: [query_start, reference_start, query_end, reference_end] in seconds.
        score: higher is surer.
    """

    pair: str
    box: tuple[float, float, float, float]
    score: float


def micro_average_precision(scores: Mapping[str, float], labelled: Collection[str]) -> float:
    """The area below the precision-recall curve of one ranking of all pairs.

    µAP = Σ_i p(i) Δr(i), where p(i) is the precision of the i best pairs and Δr(i) is the share of
    the labelled pairs that the i-th adds. Pairs of equal score enter together, so that their
    order doesn't matter. A labelled pair without a score is never reached.

    Args:
        scores: by pair, of those that are predicted; higher is surer.
        labelled: pairs that hold a copy.

    Returns:
        In [0, 1]; 1 where every labelled pair is scored above every other one.

    Raises:
        ValueError: nothing is labelled, or a score is not finite.
    """
    wanted = set(labelled)
    if not wanted:
        raise ValueError("no labelled pairs to rank: expected at least one")
    values = np.fromiter(scores.values(), np.float64, len(scores))
    if not np.isfinite(values).all():
        wrong = next(pair for pair, score in scores.items() if not np.isfinite(score))
        raise ValueError(f"the score of {wrong!r} is {scores[wrong]}: expected a finite number")
    if len(values) == 0:
        return 0.0
    right = np.fromiter((pair in wanted for pair in scores), np.bool_, len(scores))
    order = np.argsort(-values, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(values[order])), len(order) - 1)  # of equal scores
    found = np.cumsum(right[order])[ends]
    gained = np.diff(found, prepend=0)
    return float((gained * (found / (ends + 1))).sum() / len(wanted))


def segment_average_precision(
    predicted: Sequence[ScoredBox], labelled: Mapping[str, ArrayLike]
) -> float:
    """The area below the precision-recall curve of one ranking of all boxes.

    AP = Σ_i P(i) ΔR(i), with P = √(P_query P_reference) and R = √(R_query R_reference): on each
    time axis, the seconds that predictions and labels share, summed over the pairs, as a share of
    the predicted or the labelled ones. Of a pair's labels those that no prediction overlaps on
    both axes share nothing. Boxes of equal score enter together.

    Args:
        predicted: in any order.
        labelled: boxes by pair.

    Returns:
        In [0, 1].

    Raises:
        ValueError: nothing is labelled, or not boxes.
    """
    truth = {pair: as_boxes(boxes) for pair, boxes in labelled.items()}
    wanted = sum((_lengths(boxes) for boxes in truth.values()), np.zeros(2))
    if not (wanted > 0).all():
        raise ValueError("no labelled boxes to find: expected at least one")
    taken: dict[str, list[tuple[float, ...]]] = {}
    of_pair: dict[str, NDArray[np.float64]] = {}
    total, recall, average = np.zeros((2, 2)), 0.0, 0.0
    ranked = sorted(predicted, key=lambda one: -one.score)
    for _, group in groupby(ranked, key=lambda one: one.score):
        boxes = list(group)
        for one in boxes:
            taken.setdefault(one.pair, []).append(one.box)
        # Only pairs that changed are measured anew, or each score would cost as much as all pairs.
        for pair in {one.pair for one in boxes}:
            now = _shared_and_covered(as_boxes(taken[pair]), truth.get(pair, np.empty((0, 4))))
            total += now - of_pair.get(pair, np.zeros((2, 2)))
            of_pair[pair] = now
        shared, covered = total
        precision = float(np.sqrt((shared / np.maximum(covered, 1e-12)).prod()))
        reached = float(np.sqrt((shared / wanted).prod()))
        average += precision * (reached - recall)
        recall = reached
    return average


def _lengths(boxes: Boxes) -> NDArray[np.float64]:
    """Seconds that boxes cover on each axis, (2,)."""
    return np.array([union_length(boxes[:, axis], boxes[:, 2 + axis]) for axis in (0, 1)])


def _shared_and_covered(predicted: Boxes, labelled: Boxes) -> NDArray[np.float64]:
    """Seconds on each axis, (2, 2): those also labelled, and all that are predicted."""
    starts = np.maximum(predicted[:, None, :2], labelled[None, :, :2])  # (N, M, 2)
    ends = np.minimum(predicted[:, None, 2:], labelled[None, :, 2:])
    met = labelled[np.all(ends > starts, axis=2).any(axis=0)]
    covered = _lengths(predicted)
    shared = covered + _lengths(met) - _lengths(np.concatenate((predicted, met)))
    return np.stack((np.maximum(shared, 0.0), covered))
