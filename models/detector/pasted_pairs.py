"""Pairs of made videos as descriptors, one with spans of the other: what the detector learns from.

Segment statistics follow real infringement (He et al., VCSL, CVPR 2022, section 3): about a quarter
of the copying pairs hold several spans, lengths are spread over orders of magnitude.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.aligners.matrix import DescribedVideo, SimilarityMatrix
from models.detector.timelines import Piece, Timeline, sliced
from models.encoder.serve import EncodedFrames
from models.keyframes.pooling import owners_of, pool_description
from models.keyframes.shot_numbers import shot_numbers
from models.keyframes.spans import span_costs
from models.training.descriptor_pool import Footage
from models.training.pool_pictures import FRAMES_PER_SECOND
from models.video.motion import as_stored

Random = np.random.Generator
# Set by hand. A copy that no label names teaches the network to look away, so these are cautious.
# Room in a query for each span that is still to be copied into it. A span that is played fast may
# be shorter than what serving lets through, `PatternDetectorSettings.shortest_seconds`.
LEAST_ROOM_SECONDS = 2.0
TWIN_SIMILARITY = 0.72  # from here on two frames may show one scene; higher lets copies in
TWIN_SHARE = 0.2  # of a clip's frames: a few alike, as black or titles, make no twins
FAMILY_PART = 0.7  # of the pieces in a pair of one family are of that family
OTHER_SHOT_SIMILARITY = 0.5  # another shot is a negative only if no frame of it is more alike


@dataclass(frozen=True)
class PastedPair:
    """A matrix and the true boxes.

    Attributes:
        boxes: (M, 4) float32 [query_start, reference_start, query_end, reference_end], seconds.
        reversed: (M,) bool, whether the query plays the span backwards.
    """

    similarity: SimilarityMatrix
    boxes: NDArray[np.float32]
    reversed: NDArray[np.bool_]


@dataclass(frozen=True)
class PairPlan:
    """What plays in the two videos of a pair, and where one copies the other.

    Attributes:
        boxes: as in `PastedPair`.
        reversed: as in `PastedPair`.
    """

    query: Timeline
    reference: Timeline
    boxes: NDArray[np.float32]
    reversed: NDArray[np.bool_]


@dataclass(frozen=True)
class PairRecipe:
    """How pairs are made; all shares are probabilities.

    Set by hand, after what VCSL says of real copies and what a library stores.

    Attributes:
        longest_seconds: of either side.
        clear_share: pairs that share nothing.
        several_share: copying pairs with more than one span.
        reversed_share: of the spans.
        other_speed_share: of the spans; between half and double.
        gaps_seconds: distances of stored frames on the reference's side.
        per_shot_share: references that hold a frame of every shot besides.
        pooled_share: references whose stored descriptors are means over what they stand for.
        span_share: of those, the ones whose frames are chosen by content, not by time.
        frames_per_hour: least and most of what is chosen by content.
        query_steps_seconds: distances of the query's frames.
        most_noise: length of the noise that is added to a copied span's unit descriptors.
        most_mixed: weight of a foreign descriptor in a span that something lies over.
        motionless_share: pairs of which one side's motion is not known.
        family_share: pairs whose sides show drawn pages of one family, as two lectures of one
            template do; needs footage with families.
    """

    longest_seconds: float = 126.0
    clear_share: float = 0.3
    several_share: float = 0.3
    reversed_share: float = 0.06
    other_speed_share: float = 0.3
    gaps_seconds: tuple[float, ...] = (1.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)
    per_shot_share: float = 0.7
    pooled_share: float = 0.6
    span_share: float = 0.6
    frames_per_hour: tuple[float, float] = (400.0, 1500.0)
    query_steps_seconds: tuple[float, ...] = (1.0, 1.0, 1.0, 0.5)
    most_noise: float = 0.8
    most_mixed: float = 0.45
    motionless_share: float = 0.1
    family_share: float = 0.0


class PairMaker:
    """Pair `i` is a function of the seed and `i`: workers and resumed runs agree."""

    def __init__(self, pool: list[Footage], recipe: PairRecipe, seed: int) -> None:
        """Look once for clips that show one scene; they never meet in a pair.

        Raises:
            ValueError: fewer than four clips.
        """
        if len(pool) < 4:
            raise ValueError(f"{len(pool) = }, expected at least four clips")
        self._pool, self._recipe, self._seed = pool, recipe, seed
        self._twins = twins_of(pool)
        self._siblings = siblings_of(pool)

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
        seconds = random.uniform(20, self._recipe.longest_seconds)
        left = self._twins[int(random.integers(len(self._pool)))]  # a scene for the query alone
        own, sibling = self._family(random)
        if sibling is not None:
            left = left | {sibling}
        reference = self._timeline(random, seconds, left, own)
        met = {number for piece in reference.pieces for number in self._twins[piece.clip]}
        query, boxes, backward = self._query(random, reference, met, sibling)
        return PairPlan(
            query,
            reference,
            np.array(boxes, np.float32).reshape(-1, 4),
            np.array(backward, bool),
        )

    def queried(self, random: Random, query: Timeline) -> DescribedVideo:
        """The query's frames, at one of the recipe's distances."""
        return self.sampled(random, query, self._query_seconds(random, query.seconds))

    def _family(self, random: Random) -> tuple[int | None, int | None]:
        """In some pairs, two clips of one family: for the reference, and for the query."""
        if not self._siblings or random.random() >= self._recipe.family_share:
            return None, None
        one, other = random.permutation(self._siblings[int(random.integers(len(self._siblings)))])
        return int(one), int(other)

    def _timeline(
        self, random: Random, seconds: float, without: set[int], own: int | None
    ) -> Timeline:
        """Clips in a row until `seconds` are full, many of them of `own` if there is one."""
        pieces: list[Piece] = []
        total = 0.0
        while total < seconds:
            length = min(seconds - total, random.uniform(3, 30))
            shown = own if own is not None and random.random() < FAMILY_PART else None
            piece = self._stretch(random, without, length, shown)
            if random.random() < 0.04 and pieces:
                piece = pieces[int(random.integers(len(pieces)))]  # an opening, shown again
            pieces.append(piece)
            total += piece.played_seconds
        return Timeline(pieces)

    def _stretch(
        self, random: Random, without: set[int], seconds: float, clip: int | None = None
    ) -> Piece:
        """A stretch of a clip, or of some clip.

        Raises:
            ValueError: every clip shows a scene that may not be shown.
        """
        left = [number for number in range(len(self._pool)) if number not in without]
        if not left:
            raise ValueError(
                f"all {len(self._pool)} clips show the scenes of one video: footage of more scenes "
                "is needed"
            )
        if clip is None:
            clip = left[int(random.integers(len(left)))]
        whole = self._pool[clip].seconds
        seconds = float(np.clip(seconds, min(1.5, whole), whole))
        return Piece(clip, 0, float(random.uniform(0, whole - seconds)), seconds)

    def _query(
        self, random: Random, reference: Timeline, met: set[int], sibling: int | None
    ) -> tuple[Timeline, list[list[float]], list[bool]]:
        recipe = self._recipe
        copied = 0
        if random.random() >= recipe.clear_share:
            copied = int(random.integers(2, 5)) if random.random() < recipe.several_share else 1
        pieces: list[Piece] = []
        boxes: list[list[float]] = []
        backward: list[bool] = []
        left = recipe.longest_seconds - LEAST_ROOM_SECONDS * copied
        for number in range(max(copied, 1) + 1):
            if random.random() < (0.75 if copied else 1.0):
                length = min(left, random.uniform(2, 25))
                other = self._between(random, reference, met, length, sibling)
                pieces += other
                left -= sum(piece.played_seconds for piece in other)
            if number < copied and left > LEAST_ROOM_SECONDS:
                start = sum(piece.played_seconds for piece in pieces)
                span, at, turned = self._copy(random, reference, left)
                pieces += span
                played = sum(piece.played_seconds for piece in span)
                boxes.append([start, at[0], start + played, at[1]])
                backward.append(turned)
                left -= played
            if left < 3:
                break
        return Timeline(pieces), boxes, backward

    def _between(
        self,
        random: Random,
        reference: Timeline,
        met: set[int],
        seconds: float,
        sibling: int | None,
    ) -> list[Piece]:
        """Footage that copies nothing, edited or not; at times another shot of the same clip."""
        if sibling is not None and random.random() < FAMILY_PART:
            piece: Piece | None = self._stretch(random, met, max(seconds, 2.0), sibling)
        else:
            piece = self._other_shot(random, reference, seconds) if random.random() < 0.2 else None
        if piece is None:
            piece = self._stretch(random, met, max(seconds, 2.0))
        variants = len(self._pool[piece.clip].descriptors)
        return [replace(piece, variant=int(random.integers(variants)))]

    def _other_shot(self, random: Random, reference: Timeline, seconds: float) -> Piece | None:
        """What a clip of the reference shows before or after the part that is in the reference."""
        used = reference.pieces[int(random.integers(len(reference.pieces)))]
        footage = self._pool[used.clip]
        shown = [(p.start, p.start + p.seconds) for p in reference.pieces if p.clip == used.clip]
        before, after = min(s for s, _ in shown), max(e for _, e in shown)
        free = (0.0, before) if before > footage.seconds - after else (after, footage.seconds)
        if free[1] - free[0] < 2.0:
            return None
        rows = footage.descriptors[0]
        one = rows[int(free[0] * FRAMES_PER_SECOND) : int(free[1] * FRAMES_PER_SECOND)]
        other = rows[int(before * FRAMES_PER_SECOND) : int(after * FRAMES_PER_SECOND)]
        if not len(one) or not len(other) or (one @ other.T).max() > OTHER_SHOT_SIMILARITY:
            return None
        return Piece(used.clip, 0, free[0], min(seconds, free[1] - free[0]))

    def _copy(
        self, random: Random, reference: Timeline, max_seconds: float
    ) -> tuple[list[Piece], tuple[float, float], bool]:
        """A span of the reference as the query plays it; where it is in the reference."""
        recipe = self._recipe
        speed = 1.0
        if random.random() < recipe.other_speed_share:
            speed = float(2.0 ** random.uniform(-1, 1))
        # As many spans of 3 to 6 s as of 20 to 40: real lengths spread over orders of magnitude.
        seconds = float(np.exp(random.uniform(np.log(2.5), np.log(45.0))))
        seconds = min(seconds, max_seconds * speed, reference.seconds)
        start = float(random.uniform(0, reference.seconds - seconds))
        turned = bool(random.random() < recipe.reversed_share)
        noise = random.uniform(0, recipe.most_noise) if random.random() < 0.6 else 0.1
        mixed = random.uniform(0, recipe.most_mixed) if random.random() < 0.35 else 0.0
        choice = int(random.integers(1, 1 << 30)) if random.random() < 0.9 else 0
        pieces = []
        for piece in sliced(reference, start, start + seconds):
            variants = len(self._pool[piece.clip].descriptors)
            variant = 1 + choice % (variants - 1) if choice and variants > 1 else 0
            pieces.append(
                replace(
                    piece,
                    variant=variant,
                    speed=speed,
                    backwards=turned,
                    noise=float(noise),
                    mixed=float(mixed),
                )
            )
        return (pieces[::-1] if turned else pieces), (start, start + seconds), turned

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


def twins_of(pool: list[Footage]) -> list[set[int]]:
    """For each clip, itself and the clips that show the same scene.

    Pages of one family look alike and are no twins: to tell them apart is what they are for.
    """
    # Every clip is compared with every other: half of the frames tell as much in a quarter.
    looks = [footage.descriptors[0][::2] for footage in pool]
    found = [{number} for number in range(len(pool))]
    for one in range(len(pool)):
        for other in range(one + 1, len(pool)):
            if pool[one].family is not None or pool[other].family is not None:
                continue
            best = (looks[one] @ looks[other].T).max(axis=1)
            if (best > TWIN_SIMILARITY).mean() > TWIN_SHARE:
                found[one].add(other)
                found[other].add(one)
    return found


def siblings_of(pool: list[Footage]) -> list[list[int]]:
    """The clips of each family that has several."""
    families: dict[str, list[int]] = {}
    for number, footage in enumerate(pool):
        if footage.family is not None:
            families.setdefault(footage.family, []).append(number)
    return [clips for clips in families.values() if len(clips) > 1]
