"""Retrieval between texts and videos: recall at 1, 5 and 10, median rank, R@sum."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DEPTHS = (1, 5, 10)  # what the literature reports, and what R@sum adds up


@dataclass(frozen=True)
class Recall:
    """How far down the right answer is, in one direction.

    Attributes:
        r1: percent of queries whose first answer is right.
        r5: percent with a right one among the first five.
        r10: percent with a right one among the first ten.
        median_rank: of the first right answer, 1 is the top.
    """

    r1: float
    r5: float
    r10: float
    median_rank: float


@dataclass(frozen=True)
class Retrieval:
    """Both directions.

    Attributes:
        text_to_video: each caption asks for its video.
        video_to_text: each video asks for any of its captions.
    """

    text_to_video: Recall
    video_to_text: Recall

    @property
    def r_sum(self) -> float:
        """Sum of the six recalls, at most 600."""
        return sum(r.r1 + r.r5 + r.r10 for r in (self.text_to_video, self.video_to_text))


def retrieval(
    videos: NDArray[np.float32], texts: NDArray[np.float32], owners: NDArray[np.int64]
) -> Retrieval:
    """Rank every video for every caption, and every caption for every video.

    Args:
        videos: (N, D) float32, unit rows.
        texts: (M, D) float32, unit rows.
        owners: (M,) int64, the video that each caption describes.

    Raises:
        ValueError: a caption without a video, or a video without a caption.
    """
    if len(owners) != len(texts) or set(owners.tolist()) != set(range(len(videos))):
        raise ValueError(f"{len(texts)} captions, {len(videos)} videos: {owners.shape = }")
    return retrieval_of(texts @ videos.T, owners)


def retrieval_of(similarities: NDArray[np.float32], owners: NDArray[np.int64]) -> Retrieval:
    """The same of a matrix of similarities.

    An equal similarity of a wrong answer counts against the right one, so that vectors that say
    nothing score nothing.

    Args:
        similarities: (M, N) float32, row i is caption i, column j is video j.
        owners: (M,) int64, the column that each row describes.
    """
    own = similarities[np.arange(len(owners)), owners]  # (M,)
    ranks = (similarities >= own[:, None]).sum(axis=1)
    best = np.full(similarities.shape[1], -np.inf, similarities.dtype)
    np.maximum.at(best, owners, own)  # (N,)
    wrong = owners[:, None] != np.arange(similarities.shape[1])
    return Retrieval(_recall(ranks), _recall(1 + ((similarities >= best) & wrong).sum(axis=0)))


def _recall(ranks: NDArray[np.int64]) -> Recall:
    r1, r5, r10 = (100 * float((ranks <= depth).mean()) for depth in DEPTHS)
    return Recall(r1, r5, r10, float(np.median(ranks)))
