"""How far an F1 may be off by chance: the percentile bootstrap over a set's queries.

Efron, "Bootstrap Methods: Another Look at the Jackknife", Annals of Statistics, 1979. Queries are
drawn and not pairs, as the pairs of one query are right or wrong together. Two results on one set
that are drawn alike can be held against each other: see `draw_f1`.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.metrics.vcsl import score_pair

DRAWS = 2000
SEED = 1
COVERED = 0.95  # of the draws

Draws = NDArray[np.float64]


def draw_f1(
    predicted: Mapping[str, ArrayLike],
    labelled: Mapping[str, ArrayLike],
    pairs: Sequence[str],
    queries: Sequence[str],
) -> Draws:
    """F1, as `score_pairs` has it, of `DRAWS` sets whose queries are drawn with replacement.

    The draws depend on `queries` alone: the difference of two results' draws is that of one set.

    Args:
        predicted: boxes by pair; a pair that is missing has none.
        labelled: boxes by pair; a pair that is missing holds no copy.
        pairs: N that count.
        queries: (N,) the query of each.

    Returns:
        (DRAWS,) in [0, 1].

    Raises:
        ValueError: no pairs, or not boxes.
    """
    if not pairs:
        raise ValueError("no pairs to draw from: expected at least one")
    names, of_pair = np.unique(np.asarray(queries), return_inverse=True)
    sums = np.zeros((len(names), 4))  # precision, its pairs, recall, its pairs
    for query, pair in zip(of_pair, pairs, strict=True):
        score = score_pair(predicted.get(pair, ()), labelled.get(pair, ()))
        for place, value in ((0, score.precision), (2, score.recall)):
            if value is not None:
                sums[query, place : place + 2] += value, 1
    random = np.random.default_rng(SEED)
    drawn = random.multinomial(len(names), np.full(len(names), 1 / len(names)), DRAWS) @ sums
    precision = drawn[:, 0] / np.maximum(drawn[:, 1], 1)
    recall = drawn[:, 2] / np.maximum(drawn[:, 3], 1)
    total = precision + recall
    return 2 * precision * recall / np.where(total > 0, total, 1)


def interval(draws: Draws) -> tuple[float, float]:
    """Least and most of the middle 95 % of the draws."""
    beside = 100 * (1 - COVERED) / 2
    low, high = np.percentile(draws, [beside, 100 - beside])
    return float(low), float(high)
