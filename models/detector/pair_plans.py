"""Plans of pairs: what plays in two made videos, and where one copies the other.

Segment statistics follow real infringement (He et al., VCSL, CVPR 2022, section 3): about a quarter
of the copying pairs hold several spans, lengths are spread over orders of magnitude. Serves
`models.detector.pasted_pairs`, which makes descriptors of a plan.
"""

from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from models.detector.kin import siblings_of, twins_of
from models.detector.timelines import Piece, Timeline, sliced
from models.training.descriptor_pool import Footage
from models.training.pool_pictures import FRAMES_PER_SECOND

Random = np.random.Generator
# Set by hand, all four. Room in a query for each span that is still to be copied into it; one that
# is played fast may be shorter than what serving lets through,
# `PatternDetectorSettings.shortest_seconds`.
MIN_ROOM_SECONDS = 2.0
SHORT_SECONDS = (4.0, 20.0)  # of a reference that is copied whole
FAMILY_PART = 0.7  # of the pieces in a pair of one family are of that family
OTHER_SHOT_SIMILARITY = 0.5  # another shot is a negative only if no frame of it is more alike


@dataclass(frozen=True)
class PairPlan:
    """What plays in the two videos of a pair, and where one copies the other.

    Attributes:
        boxes: (M, 4) float32 [query_start, reference_start, query_end, reference_end], seconds.
        reversed: (M,) bool, whether the query plays the span backwards.
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
        max_noise: length of the noise that is added to a copied span's unit descriptors.
        max_mixed: weight of a foreign descriptor in a span that something lies over.
        motionless_share: pairs of which one side's motion is not known.
        family_share: pairs whose sides show drawn pages of one family, as two lectures of one
            template do; needs footage with families.
        still_share: pieces of footage that hold their first frame, and so make a block without a
            line on the matrix, copied or not.
        whole_share: pairs whose reference is short and is copied whole.
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
    max_noise: float = 0.8
    max_mixed: float = 0.45
    motionless_share: float = 0.1
    family_share: float = 0.0
    still_share: float = 0.0
    whole_share: float = 0.0


class PairPlanner:
    """Draws plans; each is a function of the pool, the recipe and the state of `random`."""

    def __init__(self, pool: list[Footage], recipe: PairRecipe) -> None:
        """Look once for clips that show one scene; they never meet in a pair.

        Raises:
            ValueError: fewer than four clips.
        """
        if len(pool) < 4:
            raise ValueError(f"{len(pool) = }, expected at least four clips")
        self._pool, self._recipe = pool, recipe
        self._twins = twins_of(pool)
        self._siblings = siblings_of(pool)

    def plan(self, random: Random) -> PairPlan:
        """Draw what plays in both videos of a pair."""
        recipe = self._recipe
        # A share of nothing draws nothing: pairs of older recipes stay what they were.
        whole = recipe.whole_share > 0 and random.random() < recipe.whole_share
        seconds = random.uniform(*(SHORT_SECONDS if whole else (20, recipe.longest_seconds)))
        left = self._twins[int(random.integers(len(self._pool)))]  # a scene for the query alone
        own, sibling = self._family(random)
        if sibling is not None:
            left = left | {sibling}
        reference = self._timeline(random, seconds, left, own)
        met = {number for piece in reference.pieces for number in self._twins[piece.clip]}
        if whole:
            query, boxes, backward = self._again(random, reference)
        else:
            query, boxes, backward = self._query(random, reference, met, sibling)
        return PairPlan(
            query,
            reference,
            np.array(boxes, np.float32).reshape(-1, 4),
            np.array(backward, bool),
        )

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
        start = float(random.uniform(0, whole - seconds))
        share = self._recipe.still_share
        return Piece(clip, 0, start, seconds, held=share > 0 and random.random() < share)

    def _again(
        self, random: Random, reference: Timeline
    ) -> tuple[Timeline, list[list[float]], list[bool]]:
        """All of a short video, uploaded again."""
        pieces, (start, end), turned = self._copy(random, reference, reference.seconds, whole=True)
        query = Timeline(pieces)
        return query, [[0.0, start, query.seconds, end]], [turned]

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
        left = recipe.longest_seconds - MIN_ROOM_SECONDS * copied
        # One more than the copies: other footage may come before, between and behind them.
        for number in range(max(copied, 1) + 1):
            if random.random() < (0.75 if copied else 1.0):
                length = min(left, random.uniform(2, 25))
                other = self._between(random, reference, met, length, sibling)
                pieces += other
                left -= sum(piece.played_seconds for piece in other)
            if number < copied and left > MIN_ROOM_SECONDS:
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
        self, random: Random, reference: Timeline, max_seconds: float, *, whole: bool = False
    ) -> tuple[list[Piece], tuple[float, float], bool]:
        """A span of the reference as the query plays it; where it is in the reference."""
        recipe = self._recipe
        speed = 1.0
        if random.random() < recipe.other_speed_share:
            speed = float(2.0 ** random.uniform(-1, 1))
        # As many spans of 3 to 6 s as of 20 to 40: real lengths spread over orders of magnitude.
        seconds = float(np.exp(random.uniform(np.log(2.5), np.log(45.0))))
        # Of the reference: played at its speed, the span fits into what is left of the query.
        seconds = min(seconds, max_seconds * speed, reference.seconds)
        start = float(random.uniform(0, reference.seconds - seconds))
        if whole:
            start, seconds = 0.0, reference.seconds
        else:
            start, seconds = _with_whole_stills(reference, start, seconds, max_seconds * speed)
        turned = bool(random.random() < recipe.reversed_share)
        noise = random.uniform(0, recipe.max_noise) if random.random() < 0.6 else 0.1
        mixed = random.uniform(0, recipe.max_mixed) if random.random() < 0.35 else 0.0
        # One edit for all pieces of a span: a copy is edited as a whole, across its cuts.
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


def _with_whole_stills(
    timeline: Timeline, start: float, seconds: float, max_seconds: float
) -> tuple[float, float]:
    """A span that ends within no piece that stands still: nobody could say where.

    Returns:
        Start and length in seconds; as they were where neither with nor without such pieces the
        length is possible.
    """
    firsts, ends = [start], [start + seconds]
    for piece, begin in zip(timeline.pieces, timeline.starts, strict=False):
        if piece.held and begin < start < begin + piece.seconds:
            firsts = [float(begin), float(begin + piece.seconds)]
        if piece.held and begin < start + seconds < begin + piece.seconds:
            ends = [float(begin + piece.seconds), float(begin)]
    for first, end in product(firsts, ends):
        if MIN_ROOM_SECONDS <= end - first <= max_seconds:
            return first, end - first
    return start, seconds
