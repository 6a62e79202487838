"""How sure a baseline aligner is of a box: a logistic regression on two figures of it."""

import numpy as np

Sure = tuple[float, float, float]

MIN_SECONDS = 1e-3  # keeps the logarithm finite; aligners drop boxes far longer than this


def confidence(sure: Sure, seconds: float, similarity: float) -> float:
    """In (0, 1): grows with how much is copied and with how alike it is.

    Args:
        sure: constant, weight of the logarithm of the seconds, weight of the similarity; fitted
            by `benchmarks/tuning/tune_aligners.py` on boxes that are right or wrong.
        seconds: of the box, on its shorter side.
        similarity: mean along the path.
    """
    constant, of_seconds, of_similarity = sure
    total = constant + of_seconds * np.log(max(seconds, MIN_SECONDS)) + of_similarity * similarity
    return float(1 / (1 + np.exp(-np.clip(total, -50, 50))))
