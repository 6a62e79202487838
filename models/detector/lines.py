"""The line of a copied span: what speaks for each place where it may lie; numpy only.

Three things do: frames on the line resemble each other, cuts of the query fall on cuts of the
reference, and what moves in the query moves in the reference.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from models.aligners.base import Segment
from models.aligners.matrix import SimilarityMatrix
from models.video import motion

Floats = NDArray[np.float64]

# All set by hand, on clips at other paces (`benchmarks/copies/repeats.py`) and two sets of training
# clips; docs/experiments.md has what comes of it. What speaks for a line is counted in nats, as
# logarithms of likelihoods, so that more frames and longer curves say more.
GRID_SECONDS = 0.025  # less than a frame lasts at 30 a second: rounding to it loses no frame
SHIFT_SECONDS = 5.0  # to both sides of the box's own line; further off is another place, not it
STEP_SECONDS = 0.2  # below the quarter of a second that motion tells apart
CUT_SHIFT_SECONDS = 1.6  # cuts further from each other than the network's error don't belong
CUT_SIGMA_SECONDS = 0.12  # three frames at 25 a second: cuts further off hardly count as met
FRAME_NATS = 9.0  # of a query frame, for each unit of similarity
CUT_NATS = 3.0  # of a cut that meets another: decides between frames that are alike
MOTION_EDGE_SECONDS = 0.3  # left out at both ends, where a code mixes two shots
MOTION_SECONDS = 6.0  # shorter spans agree in proportion: short curves are alike by chance
MOST_EXPLAINED = 0.95  # of a curve by another: both are rounded, one of them to 16 levels
STILL = 0.02  # beside the deviations: where next to nothing moves the correlation goes to 0
MAX_MOMENTS = 96  # 24 s of codes; of longer spans evenly chosen ones, which bounds the time
MIN_MOMENTS = 8  # two seconds: fewer agree with too much by chance
EVEN_OCTAVES = 0.6  # boxes from two thirds to three halves of pace 1 are tried at 1 too
PACE_COST = 1.0  # nats, of any pace other than 1: most copies keep theirs
SLOWER_COST = 3.0  # and for each octave below it: few frames, shown for long, fit the better
FASTER_COST = 1.0
SHIFT_COST = 0.2  # for each second: of lines as good as each other the network's own stays
MAX_CUT_SHIFTS = 60  # for each pace: footage of many cuts would be slow
TURNS = (0.0, *(way * turn for turn in (0.12, *np.arange(0.3, 1.6, 0.15)) for way in (-1, 1)))
"""Octaves by which lines are turned from the box's own: closely, and up to three times its pace."""
MAX_OCTAVES = 1.7  # paces from a bit under a third to a bit over three times; copies stay within
CLOSER = ((0.05, 0.1), (0.025, 0.05))  # octaves and seconds between lines around the best so far
BEYOND_SECONDS = 0.5  # a line is no surer than this at the ends of the reference
SHIFTS = np.arange(-SHIFT_SECONDS, SHIFT_SECONDS + 1e-9, STEP_SECONDS)


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
class _Lines:
    """Lines that are tried: the box's own, turned and shifted.

    Attributes:
        paces: (C,).
        shifts: (C,) seconds, in the reference at the middle.
    """

    paces: Floats
    shifts: Floats

    @property
    def costs(self) -> Floats:
        """What speaks against each beforehand, (C,) nats."""
        octaves = np.log2(np.abs(self.paces))
        slower = SLOWER_COST * np.maximum(-octaves, 0)
        of_pace = np.where(
            octaves == 0, 0.0, PACE_COST + slower + FASTER_COST * np.maximum(octaves, 0)
        )
        cost: Floats = of_pace + SHIFT_COST * np.abs(self.shifts)
        return cost

    def around(self, number: int, octaves: float, seconds: float) -> "_Lines":
        """Lines close to one of them; of pace 1 the pace stays."""
        pace = self.paces[number]
        turns = np.zeros(1) if abs(pace) == 1 else np.arange(-2, 3) * octaves
        shifts = self.shifts[number] + np.arange(-3, 4) * seconds
        paces = np.repeat(pace * 2.0**turns, len(shifts))
        return _Lines(paces, np.tile(shifts, len(turns)))


@dataclass(frozen=True)
class _Table:
    """What the reference shows, at every `GRID_SECONDS` of a stretch.

    Attributes:
        start: seconds at which the stretch begins.
        frames: (G,) the frame that stands for that moment.
        inside: (G,) 0 more than `BEYOND_SECONDS` before the video's start or after its end, else 1.
        near_cut: (G,) 1 on a cut, falling off around it.
        travelled: (G,) how much has moved until then; empty when unknown.
    """

    start: float
    frames: NDArray[np.intp]
    inside: Floats
    near_cut: Floats
    travelled: Floats

    def places(self, first: Line, lines: _Lines, query: Floats) -> NDArray[np.intp]:
        """Which entry tells what each line reaches at some query seconds, (C, n)."""
        starts = (first.at_middle - self.start + lines.shifts) / GRID_SECONDS
        steps = lines.paces / GRID_SECONDS
        at = steps[:, None] * (query - first.middle) + starts[:, None]
        return np.rint(at, out=at).astype(np.intp)

    def curve(self, at: NDArray[np.intp], paces: Floats) -> Floats:
        """Motion around entries as a video at other paces has it, (C, m).

        A code of a fast one stands for more than a quarter of a second of the reference.
        """
        half = np.rint(np.maximum(np.abs(paces), 1) / motion.RATE / 2 / GRID_SECONDS)
        half = half.astype(np.intp)[:, None]
        moved = self.travelled[at + half] - self.travelled[at - half]
        seen: Floats = np.log(np.maximum(moved / (2 * half * GRID_SECONDS), 1.0))
        return seen


class LineFinder:
    """Finds the lines of one pair's spans.

    Attributes:
        matrix: the pair's.
    """

    def __init__(self, similarity: SimilarityMatrix) -> None:
        self.matrix = similarity
        self._query = similarity.query_seconds.astype(np.float64)
        self._reference = similarity.reference_seconds.astype(np.float64)
        self._query_cuts = similarity.query_cuts_seconds.astype(np.float64)
        self._reference_cuts = similarity.reference_cuts_seconds.astype(np.float64)
        self._shots = np.searchsorted(self._reference_cuts, self._reference, side="right")
        self._moves = len(similarity.query_motion) > 0 and len(similarity.reference_motion) > 0

    @cached_property
    def usual(self) -> Floats:
        """What each frame of the query usually resembles in the reference, (Nq,)."""
        usual: Floats = np.median(self.matrix.values, axis=1)
        return usual

    def find(self, segment: Segment) -> Line:
        """The diagonal of a box, moved and turned to where most speaks for it.

        The network is all but blind to pace, so others than the box's are tried as well.
        """
        first = line_of(segment)
        cuts = self.cuts_inside(segment.query_start_seconds, segment.query_end_seconds)
        lines = self._shifted(first, cuts, _paces(first.pace))
        table = self._table(segment, first, lines)
        fits = self._nats(segment, first, cuts, lines, table)
        for octaves, seconds in CLOSER:
            lines = lines.around(int(fits.argmax()), octaves, seconds)
            fits = self._nats(segment, first, cuts, lines, table)
        best = int(fits.argmax())
        middle = first.at_middle + float(lines.shifts[best])
        return Line(first.middle, middle, float(lines.paces[best]))

    def _nats(
        self, segment: Segment, first: Line, cuts: Floats, lines: _Lines, table: _Table
    ) -> Floats:
        """What speaks for each of some lines, (C,)."""
        fits = -lines.costs
        rows, moments = self.inside(segment), self.moments(segment)
        if count := len(rows):
            rows = rows[spread(count)]
            at = table.places(first, lines, self._query[rows])  # (C, n)
            shown = self.matrix.values[rows, table.frames[at]] * table.inside[at]
            fits += FRAME_NATS * count * shown.mean(axis=1)
        if len(cuts) and len(self._reference_cuts):
            fits += CUT_NATS * table.near_cut[table.places(first, lines, cuts)].sum(axis=1)
        if len(moments):
            at = table.places(first, lines, moments)
            own = motion.at(self.matrix.query_motion, moments)
            correlation, share = _correlation(own, table.curve(at, lines.paces), table.inside[at])
            codes = motion.RATE * (segment.query_end_seconds - segment.query_start_seconds)
            explained = MOST_EXPLAINED * np.maximum(correlation, 0) ** 2
            # Of two normal curves this is how much likelier they are together than unrelated.
            fits -= codes * share * np.log(1 - explained) / 2
        return fits

    def motion_agreement(self, segment: Segment) -> float:
        """How alike both videos move along a span's own diagonal, in [-1, 1]; 0 if unknown."""
        moments = self.moments(segment)
        if not len(moments):
            return 0.0
        at = line_of(segment).at(moments)
        inside = (at >= 0) & (at <= self.matrix.reference_duration_seconds)
        own = motion.at(self.matrix.query_motion, moments)
        other = motion.at(self.matrix.reference_motion, at)
        weights = inside.astype(np.float64)
        return float(_agreement(own, other[None], weights[None], segment)[0])

    def inside(self, segment: Segment) -> NDArray[np.intp]:
        """(n,) the query's frames that lie in a span."""
        return self.between(segment.query_start_seconds, segment.query_end_seconds)

    def between(self, start: float, end: float) -> NDArray[np.intp]:
        """(n,) the query's frames between two of its seconds."""
        return np.flatnonzero((self._query >= start) & (self._query <= end))

    def along(self, at: Floats, rows: NDArray[np.intp]) -> Floats:
        """Similarity of query frames with the reference at seconds, (n,); 0 beyond its ends."""
        values = self.matrix.values[rows, self.shown(at)].astype(np.float64)
        end = self.matrix.reference_duration_seconds
        outside = (at < -BEYOND_SECONDS) | (at > end + BEYOND_SECONDS)
        return np.where(outside, 0.0, values)

    def shown(self, at: Floats) -> NDArray[np.intp]:
        """The reference frame that is nearest in time, of the same shot where there is one."""
        after = np.clip(np.searchsorted(self._reference, at), 0, len(self._reference) - 1)
        before = np.maximum(after - 1, 0)
        near = self._reference[after] - at < at - self._reference[before]
        shot = np.searchsorted(self._reference_cuts, at, side="right")
        own_after, own_before = self._shots[after] == shot, self._shots[before] == shot
        return np.where(np.where(own_after == own_before, near, own_after), after, before)

    def _shifted(self, first: Line, cuts: Floats, paces: Floats) -> _Lines:
        """Paces at even shifts, and at those that bring two cuts together."""
        shifts = []
        for pace in paces.tolist():
            at = replace(first, pace=pace).at(cuts)
            off = (self._reference_cuts[None, :] - at[:, None]).ravel()
            met = off[np.abs(off) <= CUT_SHIFT_SECONDS][:MAX_CUT_SHIFTS]
            shifts.append(np.concatenate([SHIFTS, met]))
        counts = [len(one) for one in shifts]
        return _Lines(np.repeat(paces, counts), np.concatenate(shifts))

    def _table(self, segment: Segment, first: Line, lines: _Lines) -> _Table:
        """Of the stretch of the reference that any of the lines, or one close to it, may touch."""
        octaves, seconds = np.sum(CLOSER, axis=0).tolist()
        half = (segment.query_end_seconds - segment.query_start_seconds) / 2
        if len(self.moments(segment)):  # a sliver has none, and a pace beyond all bounds
            half += 1 / motion.RATE
        far = float(np.abs(lines.paces).max()) * 2 ** (2 * octaves) * half
        far += float(np.abs(lines.shifts).max()) + 3 * seconds
        start, count = first.at_middle - far, int(np.ceil(2 * far / GRID_SECONDS)) + 1
        grid = start + np.arange(count, dtype=np.float64) * GRID_SECONDS
        end = self.matrix.reference_duration_seconds
        inside = (grid >= -BEYOND_SECONDS) & (grid <= end + BEYOND_SECONDS)
        near = np.zeros(count)
        if len(self._reference_cuts):
            near = on_cuts(grid, self._reference_cuts)
        shown, within = self.shown(grid), inside.astype(np.float64)
        return _Table(start, shown, within, near, self._travelled(grid))

    def _travelled(self, seconds: Floats) -> Floats:
        """How much has moved in the reference until each moment; empty where unknown."""
        if not self._moves:
            return np.empty(0)
        moved = np.append(0.0, np.cumsum(np.exp(self.matrix.reference_motion.astype(np.float64))))
        reached: Floats = np.interp(seconds * motion.RATE, np.arange(len(moved)), moved)
        return reached / motion.RATE

    def moments(self, segment: Segment) -> Floats:
        """Moments of the query at which the motion is compared; none where too few."""
        if not self._moves:
            return np.empty(0)
        start = segment.query_start_seconds + MOTION_EDGE_SECONDS
        moments = np.arange(start, segment.query_end_seconds - MOTION_EDGE_SECONDS, 1 / motion.RATE)
        return moments[spread(len(moments))] if len(moments) >= MIN_MOMENTS else np.empty(0)

    def cuts_inside(self, start: float, end: float) -> Floats:
        """Cuts of the query inside a span of it, seconds, but for those near its ends."""
        # Cuts at the ends are where the span was pasted in: the reference may have none there.
        start, end = start + 0.8, end - 0.8
        return self._query_cuts[(self._query_cuts > start) & (self._query_cuts < end)]


def spread(count: int, most: int = MAX_MOMENTS) -> NDArray[np.intp]:
    """Numbers below `count`: all, or so many of them, evenly."""
    return np.linspace(0, count - 1, min(count, most)).astype(np.intp)


def on_cuts(seconds: Floats, cuts: Floats) -> Floats:
    """How nearly moments fall on the nearest of some cuts, in [0, 1], of the moments' shape.

    Args:
        seconds: of any shape.
        cuts: (C,) ascending, one at least.
    """
    after = np.searchsorted(cuts, seconds)
    there, before = np.minimum(after, len(cuts) - 1), np.maximum(after - 1, 0)
    off = np.minimum(np.abs(cuts[there] - seconds), np.abs(cuts[before] - seconds))
    near: Floats = np.exp(-((off / CUT_SIGMA_SECONDS) ** 2) / 2)
    return near


def _paces(own: float) -> Floats:
    """Paces that are tried of a box with its own, (P,)."""
    octaves = np.log2(abs(own))
    # A sliver of a box has a pace that no copy has, and keeps it.
    turns = np.array([turn for turn in TURNS if abs(octaves + turn) <= MAX_OCTAVES] or [0.0])
    paces: Floats = own * 2.0**turns
    return paces if abs(octaves) > EVEN_OCTAVES else np.append(paces, np.sign(own))


def _agreement(own: Floats, other: Floats, inside: Floats, segment: Segment) -> Floats:
    """Correlation of one curve with others, (C,) in [-1, 1], near 0 for spans too short to tell."""
    found, share = _correlation(own, other, inside)
    seconds = share * (segment.query_end_seconds - segment.query_start_seconds)
    agreed: Floats = found * np.minimum(1.0, seconds / MOTION_SECONDS)
    return agreed


def _correlation(own: Floats, other: Floats, inside: Floats) -> tuple[Floats, Floats]:
    """Of one curve with others, (C,) in [-1, 1], and the share of it that lies inside, (C,).

    Near 0 where next to nothing moves, and 0 where most of it lies beyond the reference.

    Args:
        own: (m,) the query's.
        other: (C, m) the reference's along each line.
        inside: (C, m) 1 where the line is inside the reference, else 0.
    """
    own = own - own.mean()  # sums of large numbers would lose what sums of small ones tell
    count = np.maximum(inside.sum(axis=1), 1.0)  # (C,)
    theirs = other * inside
    ours, all_theirs = np.vecdot(inside, own), theirs.sum(axis=1)
    together = (np.vecdot(theirs, own) - ours * all_theirs / count) / count
    spread_ours = np.maximum(np.vecdot(inside, own**2) - ours**2 / count, 0)
    spread_theirs = np.maximum(np.vecdot(theirs, other) - all_theirs**2 / count, 0)
    apart = np.sqrt(spread_ours * spread_theirs) / count
    share = count / inside.shape[1]
    return np.where(share > 0.5, together / (apart + STILL), 0.0), share
