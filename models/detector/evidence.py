"""What speaks for a span of being a copy, and what of it is merely alike; numpy only.

The network's score says how much a box looks like those that it learned from. The rest is read off
the matrix, where the refined span lies.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from models.aligners.base import Segment
from models.detector.lines import LineFinder, line_of, on_cuts
from models.video import motion

Floats = NDArray[np.float64]

# All set by hand on sets of training clips; docs/experiments.md has what each feature brings.
LONG_SECONDS = 30.0  # beyond it length makes a span no surer
BESIDE_SECONDS = np.array([-6.0, -4.0, -3.0, 3.0, 4.0, 6.0])  # to lines that a copy doesn't run on
HIGH = 0.8  # mean similarity along a span, above which it says more than in proportion
ON_CUT_SECONDS = 0.3  # between an end and a cut; ends are found to within that
MOST_CUTS = 4.0  # more that meet make a span no surer
MOVING = 1.5  # mean of the motion curve, beyond which footage moves; stills have less than 0.5
UNBOXED_SCORE = 0.05  # of a span without a box: below any that the network's boxes are read from
PATHLESS = -4.0  # logit of a box without a path: about that of the least sure paths
# Of a block without a line.
VERY_ALIKE = 0.7  # mean similarity along a span: other words on one template are less alike
STANDING_OUT = 0.2  # of the line, above what the query's frames usually resemble in the reference
STILL_STANDING_OUT = 0.3  # the same of a still upload, which has no motion to speak for it either
STILL_SECONDS = 1.6  # between searching frames, more where repeats of a still picture are left out
LINE_CONTRAST = 0.06  # of the line, above the mean of its box
FEWEST_COLUMNS = 3  # frames of the reference in the box
MOVES = 1.0  # mean of the motion curve from which its agreement means something
MOVES_ALIKE = 0.6  # agreement of the motion, at which a block is a copy all the same


@dataclass(frozen=True)
class Evidence:
    """What a span's probability is computed from.

    Attributes:
        score: logit of the network's score.
        similarity: mean along the span's line.
        beside: mean along lines some seconds off: where a scene goes on, they are alike as well,
            and a chance match stands alone.
        very_alike: by how much the similarity is above `HIGH`, as a share of what is left to 1.
        length: of the span in the query, as a share of `LONG_SECONDS`, at most 1.
        on_cuts: share of its two ends at which the query has a cut, begins or ends.
        better_elsewhere: how much more its frames resemble what is most like each of them.
        cuts_met: the query's cuts on cuts of the reference, as a share of `MOST_CUTS`, at most 1.
        frames: logarithm of how many frames of the reference lie on the line.
        moving: mean of the query's motion curve, at most `MOVING`, which also stands for unknown.
        path: logit of the surest path that means the same span.
    """

    score: float
    similarity: float
    beside: float
    very_alike: float
    length: float
    on_cuts: float
    better_elsewhere: float
    cuts_met: float
    frames: float
    moving: float
    path: float = PATHLESS

    def features(self, count: int) -> Floats:
        """1 and the attributes in their order, (`count`,) float64.

        Args:
            count: `FEATURES`, or `FEATURES_WITH_PATHS`, whose last is the path.
        """
        return np.array([1.0, *(getattr(self, field.name) for field in fields(self))][:count])


FEATURES_WITH_PATHS = 1 + len(fields(Evidence))
FEATURES = FEATURES_WITH_PATHS - 1


class Examiner:
    """Examines the spans of one pair."""

    def __init__(self, lines: LineFinder) -> None:
        self._matrix, self._lines = lines.matrix, lines
        self._query = self._matrix.query_seconds.astype(np.float64)
        cuts, ends = self._matrix.query_cuts_seconds, [0.0, self._matrix.query_duration_seconds]
        self._edges = np.concatenate([cuts.astype(np.float64), ends])

    def evidence(self, segment: Segment, path: float = PATHLESS) -> Evidence:
        """What speaks for a span.

        Args:
            segment: scored by the network.
            path: logit of the surest path that means the same span.
        """
        start, end = segment.query_start_seconds, segment.query_end_seconds
        return self.evidence_along(line_of(segment).at, start, end, logit(segment.score), path)

    def evidence_along(
        self,
        shows: Callable[[Floats], Floats],
        start: float,
        end: float,
        score: float,
        path: float = PATHLESS,
    ) -> Evidence:
        """What speaks for a stretch of the query that shows the reference in some order.

        Args:
            shows: seconds of the reference at seconds of the query.
            start: of the stretch, seconds.
            end: of the stretch.
            score: logit of the network's score.
            path: logit of the surest path that means the same.
        """
        rows = self._lines.between(start, end)
        at = shows(self._query[rows])
        similarity = _mean(self._lines.along(at, rows))
        moving = self._moving(start, end)
        return Evidence(
            score=score,
            similarity=similarity,
            beside=self._beside(at, rows),
            very_alike=max(similarity - HIGH, 0.0) / (1 - HIGH),
            length=min((end - start) / LONG_SECONDS, 1.0),
            on_cuts=self._on_cuts(start, end),
            better_elsewhere=_mean(self._matrix.values[rows].max(axis=1)) - similarity,
            cuts_met=self._cuts_met(shows, start, end),
            frames=float(np.log(max(len(np.unique(self._lines.shown(at))), 1))),
            moving=MOVING if moving is None else min(moving, MOVING),
            path=path,
        )

    def similarity(self, segment: Segment) -> float:
        """Mean similarity along a span's line; 0 where no frame of the query lies in it."""
        rows = self._lines.inside(segment)
        return _mean(self._lines.along(line_of(segment).at(self._query[rows]), rows))

    def motion_agreement(self, segment: Segment) -> float:
        """How alike both videos move along a span's line, in [-1, 1]; 0 where unknown."""
        return self._lines.motion_agreement(segment)

    def is_merely_alike(self, segment: Segment) -> bool:
        """Whether a span is a block of pictures that are alike, and no copy.

        Slides of one template are all as alike as each other; what was copied is most alike along a
        line, or, where it stands still, very alike, or, where it moves, moves alike.
        """
        return self._is_block(segment) and not self._moves_alike(segment)

    def _is_block(self, segment: Segment) -> bool:
        reference = self._matrix.reference_seconds
        start, end = segment.reference_start_seconds, segment.reference_end_seconds
        columns = np.flatnonzero((reference >= start) & (reference <= end))
        rows = self._lines.inside(segment)
        along = self.similarity(segment)
        if not len(rows) or along >= VERY_ALIKE:
            return False
        above = along - float(self._lines.usual[rows].mean())
        if above < STANDING_OUT:
            return True
        if len(columns) < FEWEST_COLUMNS:  # too few frames to tell a line from a block
            seconds = segment.query_end_seconds - segment.query_start_seconds
            return above < STILL_STANDING_OUT and seconds > STILL_SECONDS * len(rows)
        around = float(self._matrix.values[np.ix_(rows, columns)].mean())
        return along - around < LINE_CONTRAST

    def _moves_alike(self, segment: Segment) -> bool:
        """Whether the same moves on both sides: of footage that moves, chance seldom agrees."""
        moving = self._moving(segment.query_start_seconds, segment.query_end_seconds)
        known = moving is not None and moving >= MOVES
        return known and self.motion_agreement(segment) >= MOVES_ALIKE

    def _beside(self, at: Floats, rows: NDArray[np.intp]) -> float:
        """Mean similarity beside a line; what is usual where nothing of the reference is there."""
        if not len(rows):
            return 0.0
        at = at + BESIDE_SECONDS[:, None]  # (S, n)
        inside = (at >= 0) & (at <= self._matrix.reference_duration_seconds)
        values = self._matrix.values[rows, self._lines.shown(at)] * inside
        counts = inside.sum(axis=1)
        if not counts.any():
            return _mean(self._lines.usual[rows])
        return _mean(values.sum(axis=1)[counts > 0] / counts[counts > 0])

    def _on_cuts(self, start: float, end: float) -> float:
        ends = np.array([start, end])
        near = np.abs(self._edges[None, :] - ends[:, None]).min(axis=1) < ON_CUT_SECONDS
        return float(near.mean())

    def _cuts_met(self, shows: Callable[[Floats], Floats], start: float, end: float) -> float:
        cuts = self._lines.cuts_inside(start, end)
        there = self._matrix.reference_cuts_seconds.astype(np.float64)
        if not len(cuts) or not len(there):
            return 0.0
        met = float(on_cuts(shows(cuts), there).sum())
        return min(met / MOST_CUTS, 1.0)

    def _moving(self, start: float, end: float) -> float | None:
        """Mean of the query's motion curve; None where it is unknown."""
        curve, step = self._matrix.query_motion, 1 / motion.RATE
        if not len(curve):
            return None
        return float(motion.at(curve, np.arange(start, end, step) + step / 2).mean())


class Judge:
    """How sure the spans of a pair are that are one, such as turns of a loop.

    Attributes:
        examiner: of the pair.
    """

    def __init__(
        self,
        examiner: Examiner,
        found: list[tuple[Segment, Evidence]],
        probability: Callable[[Evidence], float],
    ) -> None:
        """Judge by what was found.

        Args:
            examiner: of the pair.
            found: all its spans.
            probability: of a span with such evidence.
        """
        self.examiner = examiner
        self._found, self._probability = found, probability

    def sure(self, shows: Callable[[Floats], Floats], start: float, end: float) -> float:
        """The probability of all spans in a stretch of the query as one.

        Args:
            shows: seconds of the reference at seconds of the query.
            start: of the stretch, seconds.
            end: of the stretch.
        """
        inside = [own for span, own in self._found if lies_in(span, start, end)]
        score = max((own.score for own in inside), default=logit(UNBOXED_SCORE))
        path = max((own.path for own in inside), default=PATHLESS)
        return self._probability(self.examiner.evidence_along(shows, start, end, score, path))


def lies_in(span: Segment, start: float, end: float) -> bool:
    """Whether most of a span's query is in a stretch."""
    shared = min(span.query_end_seconds, end) - max(span.query_start_seconds, start)
    return shared > (span.query_end_seconds - span.query_start_seconds) / 2


def _mean(values: NDArray[np.floating]) -> float:
    """The mean; 0 of none."""
    return float(values.mean()) if len(values) else 0.0


def logit(score: float) -> float:
    """Of a score in [0, 1]: its log odds, finite."""
    score = min(max(score, 1e-4), 1 - 1e-4)  # a float of 0 or 1 has none
    return float(np.log(score / (1 - score)))
