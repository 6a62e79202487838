"""The line of a copied span: what speaks for each place where it may lie; numpy only.

Three things do: frames on the line resemble each other, cuts of the query fall on cuts of the
reference, and what moves in the query moves in the reference.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.aligners.base import Segment
from models.aligners.matrix import SimilarityMatrix
from models.video import motion

Floats = NDArray[np.float64]

# All set by hand; docs/results.md measures what comes of them together. Weights and costs are in
# units of mean similarity, whose own weight is 1.
GRID_SECONDS = 0.025  # less than a frame lasts at 30 a second: rounding to it loses no frame
SHIFT_SECONDS = 5.0  # to both sides of the box's own line; further off is another place, not it
STEP_SECONDS = 0.2  # below the quarter of a second that motion tells apart
CUT_SHIFT_SECONDS = 1.6  # cuts further from each other than the network's error don't belong
CUT_SIGMA_SECONDS = 0.12  # three frames at 25 a second: cuts further off hardly count as met
CUT_WEIGHT = 0.35  # when all of many cuts meet: decides between frames that are alike
MOTION_WEIGHT = 0.8  # of full agreement: inside a shot it is all that tells the second
MOTION_EDGE_SECONDS = 0.3  # left out at both ends, where a code mixes two shots
MOTION_SECONDS = 6.0  # shorter spans count in proportion: short curves agree by chance
STILL = 0.02  # beside the deviations: where next to nothing moves the agreement goes to 0
MAX_MOMENTS = 96  # 24 s of codes; of longer spans evenly chosen ones, which bounds the time
MIN_MOMENTS = 8  # two seconds: fewer agree with too much by chance
EVEN_OCTAVES = 0.16  # boxes within 12 % of pace 1 are tried at 1 too: most copies keep their pace
FAR_LOSS = 0.15  # of a pace far from the box's: right ones gain more, wrong ones mostly less
EVEN_LOSS = 0.02  # what another pace must gain over 1: of so many, one fits noise a little better
SHIFT_COST = 0.01  # for each second: of lines as good as each other the network's own stays
MAX_CUT_SHIFTS = 60  # for each pace: footage of many cuts would be slow
TURNS = (0.0, -0.12, 0.12, -0.3, 0.3)  # octaves: paces up to 23 % off the box's, closely
FAR_TURNS = np.concatenate([np.arange(-10, -2), np.arange(3, 11)]) * 0.15  # and further off
MAX_OCTAVES = 1.7  # paces from a bit under a third to a bit over three times; copies stay within
BEYOND_SECONDS = 0.5  # a line is no surer than this at the ends of the reference
SHIFTS = np.arange(-SHIFT_SECONDS, SHIFT_SECONDS + 1e-9, STEP_SECONDS)

_Candidates = tuple[Floats, Floats, Floats]
"""Paces, shifts in seconds and losses of the lines that are tried, (C,) each."""


@dataclass(frozen=True)
class Line:
    """Where a span runs: reference = `at_middle` + `pace` * (query - `middle`), in seconds."""

    middle: float
    at_middle: float
    pace: float

    def at(self, query: Floats | float) -> Floats:
        """Reference seconds at query seconds."""
        return np.asarray(self.at_middle + self.pace * (np.asarray(query) - self.middle))

    def query_at(self, reference: Floats | float) -> Floats:
        """Query seconds at reference seconds."""
        return np.asarray(self.middle + (np.asarray(reference) - self.at_middle) / self.pace)

    def shifted(self, seconds: float) -> "Line":
        """The same line, later in the reference."""
        return replace(self, at_middle=self.at_middle + seconds)


def line_of(segment: Segment) -> Line:
    """The diagonal of a box, forward or backward."""
    query = segment.query_end_seconds - segment.query_start_seconds
    reference = segment.reference_end_seconds - segment.reference_start_seconds
    pace = reference / query * (-1.0 if segment.reversed else 1.0)
    return Line(
        middle=(segment.query_start_seconds + segment.query_end_seconds) / 2,
        at_middle=(segment.reference_start_seconds + segment.reference_end_seconds) / 2,
        pace=pace,
    )


@dataclass(frozen=True)
class _Table:
    """What the reference shows, at every `GRID_SECONDS` of a stretch.

    Attributes:
        start: seconds at which the stretch begins.
        frames: (G,) the frame that stands for that moment.
        inside: (G,) 0 more than `BEYOND_SECONDS` before the video's start or after its end, else 1.
        near_cut: (G,) 1 on a cut, falling off around it.
        curve: (G,) motion; empty when unknown.
    """

    start: float
    frames: NDArray[np.intp]
    inside: Floats
    near_cut: Floats
    curve: Floats

    def places(self, seconds: Floats) -> NDArray[np.intp]:
        """Which entry tells of each moment."""
        found: NDArray[np.intp] = np.rint((seconds - self.start) / GRID_SECONDS).astype(np.intp)
        return found


class LineFinder:
    """Finds the lines of one pair's spans."""

    def __init__(self, similarity: SimilarityMatrix) -> None:
        self._matrix = similarity
        self._query = similarity.query_seconds.astype(np.float64)
        self._reference = similarity.reference_seconds.astype(np.float64)
        self._query_cuts = similarity.query_cuts_seconds.astype(np.float64)
        self._reference_cuts = similarity.reference_cuts_seconds.astype(np.float64)
        self._shots = np.searchsorted(self._reference_cuts, self._reference, side="right")
        self._moves = len(similarity.query_motion) > 0 and len(similarity.reference_motion) > 0

    def find(self, segment: Segment) -> Line:
        """The diagonal of a box, moved and turned to where most speaks for it.

        The network is all but blind to pace, so others than the box's are tried as well.
        """
        first, cuts = line_of(segment), self._cuts_inside(segment)
        fit, line = self._best(segment, first, cuts, self._near(first, cuts))
        octaves = np.log2(abs(first.pace)) + FAR_TURNS
        paces = first.pace * 2.0 ** FAR_TURNS[np.abs(octaves) <= MAX_OCTAVES]
        if not len(paces):  # a box that is a sliver, of a pace that no copy has
            return line
        others = self._shifted(first, cuts, paces, np.full(len(paces), FAR_LOSS))
        far_fit, far = self._best(segment, first, cuts, others)
        return far if far_fit > fit else line

    def _best(
        self, segment: Segment, first: Line, cuts: Floats, candidates: _Candidates
    ) -> tuple[float, Line]:
        """The best line of some, and what speaks for it."""
        paces, shifts, losses = candidates
        middles = first.at_middle + shifts  # (C,)
        table = self._table(segment, middles, paces)
        rows, moments = self.inside(segment), self._moments(segment)

        def reached(seconds: Floats) -> NDArray[np.intp]:
            return table.places(middles[:, None] + paces[:, None] * (seconds - first.middle))

        fits = -SHIFT_COST * np.abs(shifts) - losses
        if len(rows):
            rows = rows[spread(len(rows))]
            at = reached(self._query[rows])  # (C, n)
            shown = self._matrix.values[rows, table.frames[at]] * table.inside[at]
            fits += shown.mean(axis=1)
        if len(cuts) and len(self._reference_cuts):
            met = table.near_cut[reached(cuts)]  # (C, c)
            # One more than there are: a single cut that meets may be chance, several are not.
            fits += CUT_WEIGHT * met.sum(axis=1) / (len(cuts) + 1)
        if len(moments):
            at = reached(moments)
            own = motion.at(self._matrix.query_motion, moments)
            fits += MOTION_WEIGHT * _agreement(own, table.curve[at], table.inside[at], segment)
        best = int(fits.argmax())
        return float(fits[best]), Line(first.middle, float(middles[best]), float(paces[best]))

    def motion_agreement(self, segment: Segment) -> float:
        """How alike both videos move along a span's own diagonal, in [-1, 1]; 0 if unknown."""
        moments = self._moments(segment)
        if not len(moments):
            return 0.0
        at = line_of(segment).at(moments)
        inside = (at >= 0) & (at <= self._matrix.reference_duration_seconds)
        own = motion.at(self._matrix.query_motion, moments)
        other = motion.at(self._matrix.reference_motion, at)
        weights = inside.astype(np.float64)
        return float(_agreement(own, other[None], weights[None], segment)[0])

    def inside(self, segment: Segment) -> NDArray[np.intp]:
        """(n,) the query's frames that lie in a span."""
        start, end = segment.query_start_seconds, segment.query_end_seconds
        return np.flatnonzero((self._query >= start) & (self._query <= end))

    def shown(self, at: Floats) -> NDArray[np.intp]:
        """The reference frame that is nearest in time, of the same shot where there is one."""
        after = np.clip(np.searchsorted(self._reference, at), 0, len(self._reference) - 1)
        before = np.maximum(after - 1, 0)
        near = self._reference[after] - at < at - self._reference[before]
        shot = np.searchsorted(self._reference_cuts, at, side="right")
        own_after, own_before = self._shots[after] == shot, self._shots[before] == shot
        return np.where(np.where(own_after == own_before, near, own_after), after, before)

    def _near(self, first: Line, cuts: Floats) -> _Candidates:
        """A line's own pace, and those beside it."""
        paces = [first.pace * 2.0**turn for turn in TURNS]
        losses = [EVEN_LOSS] * len(paces)
        if abs(np.log2(abs(first.pace))) < EVEN_OCTAVES:
            paces.append(float(np.sign(first.pace)))
            losses.append(0.0)
        return self._shifted(first, cuts, np.array(paces), np.array(losses))

    def _shifted(self, first: Line, cuts: Floats, paces: Floats, losses: Floats) -> _Candidates:
        """Paces at even shifts, and at those that bring two cuts together."""
        shifts = []
        for pace in paces.tolist():
            at = replace(first, pace=pace).at(cuts)
            off = (self._reference_cuts[None, :] - at[:, None]).ravel()
            met = off[np.abs(off) <= CUT_SHIFT_SECONDS][:MAX_CUT_SHIFTS]
            shifts.append(np.concatenate([SHIFTS, met]))
        counts = [len(one) for one in shifts]
        return np.repeat(paces, counts), np.concatenate(shifts), np.repeat(losses, counts)

    def _table(self, segment: Segment, middles: Floats, paces: Floats) -> _Table:
        """Of the stretch of the reference that any of the lines may touch."""
        half = (segment.query_end_seconds - segment.query_start_seconds) / 2
        far = float(np.abs(paces).max()) * half + 2 * GRID_SECONDS
        start = float(middles.min()) - far
        count = int(np.ceil((float(middles.max()) + far - start) / GRID_SECONDS)) + 1
        grid = start + np.arange(count, dtype=np.float64) * GRID_SECONDS
        end = self._matrix.reference_duration_seconds
        inside = (grid >= -BEYOND_SECONDS) & (grid <= end + BEYOND_SECONDS)
        near = np.zeros(count)
        if len(self._reference_cuts):
            after = np.searchsorted(self._reference_cuts, grid)
            last = len(self._reference_cuts) - 1
            off = np.minimum(
                *(
                    np.abs(self._reference_cuts[np.clip(after - back, 0, last)] - grid)
                    for back in (0, 1)
                )
            )
            near = np.exp(-((off / CUT_SIGMA_SECONDS) ** 2) / 2)
        curve = self._matrix.reference_motion
        moved = motion.at(curve, grid) if self._moves else np.empty(0)
        return _Table(start, self.shown(grid), inside.astype(np.float64), near, moved)

    def _moments(self, segment: Segment) -> Floats:
        """Moments of the query at which the motion is compared; none where too few."""
        if not self._moves:
            return np.empty(0)
        start = segment.query_start_seconds + MOTION_EDGE_SECONDS
        moments = np.arange(start, segment.query_end_seconds - MOTION_EDGE_SECONDS, 1 / motion.RATE)
        return moments[spread(len(moments))] if len(moments) >= MIN_MOMENTS else np.empty(0)

    def _cuts_inside(self, segment: Segment) -> Floats:
        # Cuts at the ends are where the span was pasted in: the reference may have none there.
        start, end = segment.query_start_seconds + 0.8, segment.query_end_seconds - 0.8
        return self._query_cuts[(self._query_cuts > start) & (self._query_cuts < end)]


def spread(count: int, most: int = MAX_MOMENTS) -> NDArray[np.intp]:
    """Numbers below `count`: all, or so many of them, evenly."""
    return np.linspace(0, count - 1, min(count, most)).astype(np.intp)


def _agreement(own: Floats, other: Floats, inside: Floats, segment: Segment) -> Floats:
    """Correlation of one curve with others, (C,) in [-1, 1].

    Near 0 where next to nothing moves, where most of it lies beyond the reference, and for spans
    too short to tell.

    Args:
        own: (m,) the query's.
        other: (C, m) the reference's along each line.
        inside: (C, m) 1 where the line is inside the reference, else 0.
        segment: the span.
    """
    count = np.maximum(inside.sum(axis=1), 1.0)  # (C,)
    ours = own - ((own * inside).sum(axis=1) / count)[:, None]
    theirs = other - ((other * inside).sum(axis=1) / count)[:, None]
    ours, theirs = ours * inside, theirs * inside
    together = (ours * theirs).sum(axis=1) / count
    apart = np.sqrt((ours**2).sum(axis=1) * (theirs**2).sum(axis=1)) / count
    share = count / inside.shape[1]
    seconds = share * (segment.query_end_seconds - segment.query_start_seconds)
    found: Floats = together / (apart + STILL) * np.minimum(1.0, seconds / MOTION_SECONDS)
    return np.where(share > 0.5, found, 0.0)
