"""The weakest pairs of a noisy collection are dropped before training (CNVid-3.5M)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class WeakPairs:
    """How much of a collection stays.

    Attributes:
        volume: share of the pairs kept. Published: 3.5 of 4.5 million.
    """

    volume: float = 3.5 / 4.5


def kept_pairs(similarities: ArrayLike, settings: WeakPairs | None = None) -> NDArray[np.bool_]:
    """Mark the pairs that a first model finds most alike.

    Weak-pair filtering (Gan et al., CNVid-3.5M, CVPR 2023, section on filtering). The paper
    thresholds the score; here the threshold follows from the volume kept, so that filters of
    different first models can be compared at equal volume. Equal scores: the earlier pair stays.

    Args:
        similarities: (N,) of a caption to its own clip, by a model trained before.
        settings: the default volume where None.

    Returns:
        (N,) bool, True for round(volume * N) pairs.

    Raises:
        ValueError: a volume outside [0, 1], not one row of numbers, or one that is not finite.
    """
    volume = (settings or WeakPairs()).volume
    scores = np.asarray(similarities, np.float64)
    if not 0 <= volume <= 1:
        raise ValueError(f"{volume = }, expected a share from 0 to 1")
    if scores.ndim != 1 or not np.isfinite(scores).all():
        raise ValueError(f"{scores.shape = }, expected one row of finite similarities")
    kept = np.zeros(len(scores), np.bool_)
    kept[np.argsort(-scores, kind="stable")[: round(volume * len(scores))]] = True
    return kept


def threshold(similarities: ArrayLike, settings: WeakPairs | None = None) -> float:
    """The lowest similarity that is kept.

    Args:
        similarities: (N,), as for `kept_pairs`.
        settings: the default volume where None.

    Returns:
        The similarity, or infinity where nothing is kept.
    """
    kept = np.asarray(similarities, np.float64)[kept_pairs(similarities, settings)]
    return float(kept.min(initial=np.inf))
