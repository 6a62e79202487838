"""What joint training learns from: a query, and a reference with all its candidate frames.

Pairs are planned as `models.detector.pair_plans` plans them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from models.aligners.matrix import DescribedVideo
from models.detector.pasted_pairs import PairMaker
from models.detector.recipe import with_length
from models.joint.recipe import JointRecipe
from models.keyframes.footage import SeenFootage

CANDIDATES_PER_SECOND = 2.0  # of a reference, as the service decodes them


@dataclass(frozen=True)
class JointPair:
    """A query, and all candidate frames of a reference.

    Attributes:
        query: as the service would search with it.
        rows: (N, D) float32, unit descriptors of the reference's candidates.
        edited: (N, D) float32, the same of an edited view.
        biases: (N,) float32, their score biases.
        small: (N, 32, 32, 3) uint8, their thumbnails.
        seconds: (N,) float32.
        cut_seconds: (C,) float32, of the reference.
        motion: (M,) float32, of the reference.
        duration_seconds: of the reference.
        boxes: (M, 4) float32, seconds.
        reversed: (M,) bool.
    """

    query: DescribedVideo
    rows: NDArray[np.float32]
    edited: NDArray[np.float32]
    biases: NDArray[np.float32]
    small: NDArray[np.uint8]
    seconds: NDArray[np.float32]
    cut_seconds: NDArray[np.float32]
    motion: NDArray[np.float32]
    duration_seconds: float
    boxes: NDArray[np.float32]
    reversed: NDArray[np.bool_]


class JointPairs(Dataset[list[JointPair]]):
    """Item `i` is batch `i`, a function of the seed and `i`."""

    def __init__(self, pool: list[SeenFootage], recipe: JointRecipe) -> None:
        self._pool, self._recipe = pool, recipe
        self._footage = [one.footage for one in pool]
        self._makers = {
            length: PairMaker(
                self._footage, with_length(recipe.detector.made, length), recipe.seed + int(length)
            )
            for length in set(recipe.lengths_seconds)
        }

    def __len__(self) -> int:
        return self._recipe.steps

    def __getitem__(self, index: int) -> list[JointPair]:
        """Batch `index`."""
        recipe = self._recipe
        drawn = np.random.default_rng((recipe.seed, 3, index)).choice(recipe.lengths_seconds)
        maker, first = self._makers[float(drawn)], index * recipe.pairs
        return [self._pair(maker, first + number) for number in range(recipe.pairs)]

    def _pair(self, maker: PairMaker, number: int) -> JointPair:
        random = np.random.default_rng((self._recipe.seed, number))
        plan = maker.plan(random)
        start, step = random.uniform(0, 0.4), 1 / CANDIDATES_PER_SECOND
        times = np.arange(start, plan.reference.seconds, step).astype(np.float32)
        known = maker.sampled(random, plan.reference, times)
        shown = plan.reference.locate(self._footage, times)
        small, edited = [], []
        for piece, frame in zip(shown.piece.tolist(), shown.frame.tolist(), strict=True):
            one = self._pool[plan.reference.pieces[piece].clip]
            small.append(one.small[0, frame])
            variant = 1 + (piece + number) % max(len(one.small) - 1, 1)
            edited.append(one.footage.descriptors[min(variant, len(one.small) - 1), frame])
        return JointPair(
            query=maker.queried(random, plan.query),
            rows=known.descriptors,
            edited=np.stack(edited),
            biases=np.zeros(len(times), np.float32)
            if known.score_biases is None
            else known.score_biases,
            small=np.stack(small),
            seconds=times,
            cut_seconds=known.cut_seconds,
            motion=known.motion,
            duration_seconds=plan.reference.seconds,
            boxes=plan.boxes,
            reversed=plan.reversed,
        )
