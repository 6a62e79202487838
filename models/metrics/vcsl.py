"""The VCSL protocol: segment-level precision and recall of boxed copies, aware of overlap.

He et al., "A Large-scale Comprehensive Dataset and Copy-overlap Aware Evaluation Protocol for
Segment-level Video Copy Detection", CVPR 2022. A box is [query_start, reference_start, query_end,
reference_end] in seconds.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from numpy.typing import ArrayLike, NDArray

EPSILON_SECONDS = 1e-6  # of the published protocol's denominators

Boxes = NDArray[np.float64]


@dataclass(frozen=True)
class PairScore:
    """One pair of videos.

    Attributes:
        precision: in [0, 1]; None where nothing is predicted.
        recall: in [0, 1]; None where nothing is labelled.
    """

    precision: float | None
    recall: float | None


@dataclass(frozen=True)
class CopyScore:
    """Micro averages over pairs of videos.

    Attributes:
        precision: mean over the pairs with a prediction; 0 where there is none.
        recall: mean over the pairs with a label; 0 where there is none.
        f1: harmonic mean of the two.
        missed_rate: share of the labelled pairs with no prediction (false rejection rate).
        false_alarm_rate: share of the unlabelled pairs with a prediction.
    """

    precision: float
    recall: float
    f1: float
    missed_rate: float
    false_alarm_rate: float


def as_boxes(boxes: ArrayLike) -> Boxes:
    """Boxes as (N, 4) float64.

    Raises:
        ValueError: another shape, not finite, or an end before its start.
    """
    found = np.asarray(boxes, dtype=np.float64)
    found = found.reshape(0, 4) if found.size == 0 else found
    if found.ndim != 2 or found.shape[1] != 4 or not np.isfinite(found).all():
        raise ValueError(
            f"{boxes!r}: expected finite rows of "
            "[query_start, reference_start, query_end, reference_end] in seconds"
        )
    if (found[:, 2:] < found[:, :2]).any():
        raise ValueError(f"{boxes!r}: a box ends before it starts")
    return found


def score_pair(predicted: ArrayLike, labelled: ArrayLike) -> PairScore:
    """Precision and recall of one pair: the product of those on the two time axes.

    Args:
        predicted: (N, 4) boxes.
        labelled: (M, 4) boxes.

    Raises:
        ValueError: not boxes.
    """
    ours, truth = as_boxes(predicted), as_boxes(labelled)
    return PairScore(
        precision=_covered(ours, truth) if len(ours) else None,
        recall=_covered(truth, ours) if len(truth) else None,
    )


def score_pairs(
    predicted: Mapping[str, ArrayLike], labelled: Mapping[str, ArrayLike], pairs: Sequence[str]
) -> CopyScore:
    """Micro averages over the pairs, as published.

    Args:
        predicted: boxes by pair; a pair that is missing has none.
        labelled: boxes by pair; a pair that is missing holds no copy.
        pairs: which pairs count; others are ignored.

    Raises:
        ValueError: no pairs, or not boxes.
    """
    if not pairs:
        raise ValueError("no pairs to score: expected at least one")
    scores = [score_pair(predicted.get(pair, ()), labelled.get(pair, ())) for pair in pairs]
    positive = [score for score in scores if score.recall is not None]
    negative = [score for score in scores if score.recall is None]
    # Pairs without a label count here too: a false alarm there has a precision of 0.
    precisions = [score.precision for score in scores if score.precision is not None]
    precision = fmean(precisions) if precisions else 0.0
    recall = fmean(score.recall or 0.0 for score in positive) if positive else 0.0
    return CopyScore(
        precision=precision,
        recall=recall,
        f1=2 * precision * recall / (precision + recall) if precision + recall else 0.0,
        missed_rate=_share(score.precision is None for score in positive),
        false_alarm_rate=_share(score.precision is not None for score in negative),
    )


def _covered(boxes: Boxes, others: Boxes) -> float:
    """How much of `boxes` the others cover on the query axis, times that on the reference's.

    Only others that overlap a box on both axes count for it, and what several of them cover
    counts once.
    """
    shares = []
    starts = np.maximum(boxes[:, None, :2], others[None, :, :2])  # (N, M, 2)
    ends = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    overlaps = np.all(ends > starts, axis=2)  # (N, M)
    for axis in (0, 1):
        covered = sum(
            union_length(start[found, axis], end[found, axis])
            for start, end, found in zip(starts, ends, overlaps, strict=True)
        )
        total = float((boxes[:, 2 + axis] - boxes[:, axis]).sum())
        shares.append(covered / (total + EPSILON_SECONDS))
    return shares[0] * shares[1]


def union_length(starts: NDArray[np.float64], ends: NDArray[np.float64]) -> float:
    """Length of the union of intervals; 0 of none."""
    order = np.argsort(starts, kind="stable")
    # An interval inside an earlier one ends before what is reached, and adds nothing.
    starts, reach = starts[order], np.maximum.accumulate(ends[order])
    fresh = np.maximum(starts, np.concatenate(([-np.inf], reach[:-1])))
    return float(np.maximum(reach - fresh, 0).sum())


def _share(flags: Iterable[bool]) -> float:
    """Share of true ones; 0 of none."""
    found = list(flags)
    return fmean(found) if found else 0.0
