"""Score biases of a pair: how much nearer than most a vector is to whatever there is.

Some pictures are near to every sentence and some sentences to every picture; they stand before
those that fit. Half of each side's mean similarity to its nearest of the other side is taken off
(cross-domain similarity local scaling, Conneau et al., "Word translation without parallel data",
ICLR 2018, equation 3), where the other side is what training had of it, as middles of clusters;
of several kinds of texts, such as captions and keywords, each counts alike.

What is taken off lies in the vectors, so who compares them needn't know of it. A text t with bias
a and a video v with bias b are, with c for `LIFT`,

    (t, c, -a/c, 0, sqrt(c² - (a/c)²)) and (v, -b/c, c, sqrt(c² - (b/c)²), 0)

brought to unit length: all have the same, and the product is t·v - a - b.
"""

from collections.abc import Sequence
from math import sqrt
from typing import NamedTuple

import faiss
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.errors import BrokenDataError

# Set by hand; twice or half as many of either change little.
MIDDLES = 256  # of a kind, or as many as there are
NEAREST = 4  # whose mean similarity counts
WEIGHT = 0.5  # of that: half for each side, as in the paper
LIFT = 0.3  # as large as a vector's own largest numbers, so that all are rounded as finely
NUMBERS = 4  # that a vector has more
ITERATIONS, SEED = 20, 1  # of k-means

Vectors = NDArray[np.float32]


class ScoreBiases(nn.Module):
    """Unit rows to rows that hold their biases."""

    middles: Tensor
    average: Tensor

    def __init__(self, own: Vectors, others: Sequence[Vectors], *, of_texts: bool) -> None:
        """Measure one side against the other.

        Args:
            own: (M, D) float32, unit rows of this side: on the whole they have no bias.
            others: of each kind of the other side (P, D), `NEAREST` or more.
            of_texts: whether this side is that of texts.

        Raises:
            BrokenDataError: fewer.
        """
        super().__init__()
        self.of_texts = of_texts
        middles = [_middles(rows) for rows in others]
        self.kinds = [len(rows) for rows in middles]
        self.register_buffer("middles", torch.from_numpy(np.concatenate(middles)))
        self.register_buffer("average", self._nearness(torch.from_numpy(own)).mean())

    def forward(self, rows: Tensor) -> Tensor:
        """(N, D) unit rows to (N, D + NUMBERS) unit rows."""
        bias = WEIGHT * (self._nearness(rows) - self.average)  # (N, 1)
        held = (-bias / LIFT).clamp(-LIFT, LIFT)
        none, level = torch.zeros_like(held), torch.full_like(held, LIFT)
        rest = (LIFT**2 - held**2).clamp_min(0).sqrt()
        more = [level, held, none, rest] if self.of_texts else [held, level, rest, none]
        return torch.cat([rows, *more], dim=1) / sqrt(1 + 2 * LIFT**2)

    def _nearness(self, rows: Tensor) -> Tensor:
        """(N, 1) mean similarity of rows to their nearest middles of each kind."""
        kinds = torch.split(rows @ self.middles.T, self.kinds, dim=1)
        nearest = [similarity.topk(NEAREST, dim=1).values for similarity in kinds]
        mean: Tensor = torch.cat(nearest, dim=1).mean(dim=1, keepdim=True)
        return mean


def _middles(rows: Vectors) -> Vectors:
    """(K, D) unit rows, of the clusters of unit rows."""
    if len(rows) < NEAREST:
        raise BrokenDataError(
            f"{len(rows)} photos, captions or keywords to take score biases from, expected "
            f"{NEAREST} or more of each: name the whole of what the pair learned from"
        )
    clusters = faiss.Kmeans(
        rows.shape[1], min(MIDDLES, len(rows)), niter=ITERATIONS, seed=SEED, spherical=True,
        min_points_per_centroid=1,
    )  # fmt: skip
    clusters.train(np.ascontiguousarray(rows))
    assert clusters.centroids is not None
    return clusters.centroids


class PairBiases(NamedTuple):
    """Those of both sides."""

    video: ScoreBiases
    text: ScoreBiases


def make_biases(videos: Vectors, texts: Sequence[Vectors]) -> PairBiases:
    """Measure both sides of a pair against each other.

    Args:
        videos: (P, D) float32, unit rows: what it says of pictures that it learned from.
        texts: of each kind, in all languages, (M, D): the first is of captions.

    Raises:
        BrokenDataError: fewer than `NEAREST` of a kind.
    """
    return PairBiases(
        ScoreBiases(videos, texts, of_texts=False), ScoreBiases(texts[0], [videos], of_texts=True)
    )
