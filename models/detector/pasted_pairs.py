"""Pairs of made videos as descriptors, one with spans of the other: what the detector learns from.

`models.detector.pair_plans` says what plays in both; here it becomes frames as an upload searches
with them, and frames as a library stores them.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.aligners.matrix import DescribedVideo, SimilarityMatrix
from models.detector.pair_plans import PairPlan, PairPlanner, PairRecipe, Random
from models.detector.timelines import Timeline
from models.encoder.serve import EncodedFrames
from models.keyframes.pooling import owners_of, pool_description
from models.keyframes.shot_numbers import shot_numbers
from models.keyframes.spans import span_costs
from models.training.descriptor_pool import Footage
from models.video.motion import as_stored


@dataclass(frozen=True)
class PastedPair:
    """A matrix and the true boxes.

    Attributes:
        boxes: as in `PairPlan`.
        reversed: as in `PairPlan`.
    """

    similarity: SimilarityMatrix
    boxes: NDArray[np.float32]
    reversed: NDArray[np.bool_]


class PairMaker:
    """Pair `i` is a function of the seed and `i`: workers and resumed runs agree."""

    def __init__(self, pool: list[Footage], recipe: PairRecipe, seed: int) -> None:
        """Prepare plans.

        Raises:
            ValueError: as `PairPlanner`.
        """
        self._pool, self._recipe, self._seed = pool, recipe, seed
        self._planner = PairPlanner(pool, recipe)

    def pair(self, index: int) -> PastedPair:
        """Make pair `index`."""
        random = np.random.default_rng((self._seed, index))
        plan = self.plan(random)
        query, reference = self.queried(random, plan.query), self._stored(random, plan.reference)
        # The library keeps four bits of motion, the upload a byte: so does training.
        reference = replace(reference, motion=as_stored(reference.motion))
        if random.random() < self._recipe.motionless_share:
            query = replace(query, motion=query.motion[:0])
        return PastedPair(
            similarity=SimilarityMatrix.of(query, reference),
            boxes=plan.boxes,
            reversed=plan.reversed,
        )

    def plan(self, random: Random) -> PairPlan:
        """Draw what plays in both videos of a pair."""
        return self._planner.plan(random)

    def queried(self, random: Random, query: Timeline) -> DescribedVideo:
        """The query's frames, at one of the recipe's distances."""
        return self.sampled(random, query, self._query_seconds(random, query.seconds))

    def _query_seconds(self, random: Random, seconds: float) -> NDArray[np.float32]:
        step = float(random.choice(self._recipe.query_steps_seconds))
        times = np.arange(random.uniform(0, step / 2), seconds, step)
        if random.random() < 0.3:
            extra = random.uniform(0, seconds, int(seconds / 5) + 1)
            times = np.unique(np.concatenate([times, extra]))
        return times.astype(np.float32)

    def _stored(self, random: Random, reference: Timeline) -> DescribedVideo:
        """What a library holds of a video: single frames, or means over what they stand for."""
        recipe = self._recipe
        times = self._stored_seconds(random, reference)
        if random.random() >= recipe.pooled_share:
            return self.sampled(random, reference, times)
        dense = np.arange(random.uniform(0, 0.5), reference.seconds, 1.0).astype(np.float32)
        encoded = self.sampled(random, reference, dense)
        if random.random() < recipe.span_share:
            keys = self._medoids(random, encoded)
        else:
            keys = np.unique(np.abs(dense[None, :] - times[:, None]).argmin(axis=1))
        biases = encoded.score_biases
        described = EncodedFrames(
            encoded.descriptors, np.zeros(len(dense), np.float32) if biases is None else biases
        )
        owners = owners_of(dense, encoded.cut_seconds, keys)
        kept = pool_description(described, owners, len(keys))
        return replace(
            encoded,
            seconds=dense[keys],
            descriptors=kept.descriptors,
            score_biases=kept.score_biases,
        )

    def _medoids(self, random: Random, encoded: DescribedVideo) -> NDArray[np.intp]:
        """Key frames as the learned selector chooses them, at some density."""
        costs = span_costs(
            encoded.descriptors,
            shot_numbers(encoded.seconds, encoded.cut_seconds),
            encoded.seconds,
            np.clip(random.normal(0.85, 0.06, len(encoded)), 0, 1).astype(np.float32),
            longest_seconds=10.0,
        )
        budget = encoded.duration_seconds * random.uniform(*self._recipe.frames_per_hour) / 3600
        return costs.at_most(max(round(budget), 1))

    def _stored_seconds(self, random: Random, timeline: Timeline) -> NDArray[np.float32]:
        """Times of stored frames: even, with jitter, often with one of each shot besides."""
        step = float(random.choice(self._recipe.gaps_seconds))
        times = np.arange(random.uniform(0, step), timeline.seconds, step)
        if step > 1:
            times = times + random.uniform(-0.3, 0.3, len(times)) * step
        if step > 1 and random.random() < self._recipe.per_shot_share:
            cuts = np.concatenate([[0.0], timeline.cuts(self._pool), [timeline.seconds]])
            shot = np.searchsorted(cuts, times, side="right") - 1
            bare = np.setdiff1d(np.arange(len(cuts) - 1), shot)
            own = cuts[bare] + (cuts[bare + 1] - cuts[bare]) * random.uniform(0.2, 0.8, len(bare))
            times = np.concatenate([times, own])
        # Just before the end at the latest: at the end itself nothing plays.
        times = np.unique(np.clip(times, 0, timeline.seconds - 1e-3))
        return (times if len(times) else np.array([0.0])).astype(np.float32)

    def sampled(
        self, random: Random, timeline: Timeline, times: NDArray[np.float32]
    ) -> DescribedVideo:
        """Frames of a made video at these times; some of its cuts are missed, some are false."""
        rows, biases = timeline.describe(self._pool, times, random)
        cuts = timeline.cuts(self._pool)
        # Cuts as a detector finds them, missed, false and jittered: the network mustn't trust them.
        kept = cuts[random.random(len(cuts)) > 0.12]
        false = random.uniform(0, timeline.seconds, random.poisson(timeline.seconds / 90))
        noted = np.sort(np.concatenate([kept + random.normal(0, 0.02, len(kept)), false]))
        if random.random() < 0.1:
            noted = noted[:0]
        return DescribedVideo(
            times,
            rows,
            timeline.seconds,
            biases,
            np.maximum(noted, 0).astype(np.float32),
            timeline.motion(self._pool, random),
        )
