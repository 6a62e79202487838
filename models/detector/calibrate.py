"""Probabilities from the detector's scores: a logistic regression fitted on held-out made pairs.

Serves the export; needs no torch beyond the network that it is given.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from models.aligners.base import Segment
from models.detector.boxes import Run
from models.detector.evidence import FEATURES
from models.detector.pasted_pairs import PastedPair
from models.detector.serve import one_place_each
from models.detector.spans import SpanFinder
from models.errors import ModelError

MIN_SCORE = 0.12  # below what the service refines, so that wrong spans are learned from; by hand
RIGHT_OVERLAP = 0.3  # intersection over union, as benchmarks/tuning/calibrate.py counts boxes
RIDGE = 1e-2  # a hundredth of it for each row: only keeps weights finite; set by hand
STEPS = 50  # a bound; Newton's method ends by itself once a step is below 1e-8

Floats = NDArray[np.float64]


def is_right(segment: Segment, boxes: NDArray[np.float32]) -> bool:
    """Whether a span overlaps a true box (M, 4) by `RIGHT_OVERLAP` on both axes."""
    own = np.array(
        [
            segment.query_start_seconds,
            segment.reference_start_seconds,
            segment.query_end_seconds,
            segment.reference_end_seconds,
        ]
    )
    shared = np.minimum(own[2:], boxes[:, 2:]) - np.maximum(own[:2], boxes[:, :2])  # (M, 2)
    both = np.maximum(own[2:], boxes[:, 2:]) - np.minimum(own[:2], boxes[:, :2])
    return bool((shared / np.maximum(both, 1e-6) >= RIGHT_OVERLAP).all(axis=1).any())


def calibrate(run: Run, pairs: Iterable[PastedPair]) -> Floats:
    """Weights of `models.detector.evidence.Evidence`, (F,) float64.

    Args:
        run: the network, as `models.detector.boxes` takes it.
        pairs: made of footage that the network didn't learn from.

    Raises:
        ModelError: it finds no span there, or all are right, or all are wrong.
    """
    rows: list[Floats] = []
    right: list[bool] = []
    finder = SpanFinder(run, MIN_SCORE)
    for pair in pairs:
        found = finder.spans(pair.similarity)
        kept = one_place_each([span for span, _ in found])
        for span, own in found:
            if span in kept:
                rows.append(own.features(FEATURES))
                right.append(is_right(span, pair.boxes))
    if len(set(right)) < 2:
        raise ModelError(
            f"the network finds {len(right)} spans, {sum(right)} of them right, in held-out "
            "footage: scores are calibrated on right and wrong ones; train it longer, "
            "or on more footage"
        )
    return fit_logistic(np.array(rows), np.array(right, np.float64))


def fit_logistic(rows: Floats, right: Floats) -> Floats:
    """Newton's method with a little ridge on all weights but the first.

    Args:
        rows: (N, F) float64, the first column 1.
        right: (N,) 0 or 1.

    Returns:
        (F,) weights.
    """
    weights = np.zeros(rows.shape[1])
    ridge = RIDGE * len(rows) * np.eye(rows.shape[1]) / 100
    # The constant is free: it says how many spans are right, whatever their features.
    ridge[0, 0] = 1e-9
    for _ in range(STEPS):
        # Beyond 30 it is certain as it is, and the exponential of much more would overflow.
        sure = 1 / (1 + np.exp(-np.clip(rows @ weights, -30, 30)))
        slope = rows.T @ (sure - right) + ridge @ weights
        bend = (rows * (sure * (1 - sure))[:, None]).T @ rows + ridge + 1e-9 * np.eye(len(weights))
        step = np.linalg.solve(bend, slope)
        # Clipped: far from the optimum Newton's step overshoots where all rows are sure.
        weights = weights - np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-8:
            break
    return weights
