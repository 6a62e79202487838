"""Places the turns of a loop in the reference, all as one; numpy only.

Turns of a few seconds are a cell or two high, and the boxes of one run into the next. But where a
query repeats itself, what it shows at a second is known but for two numbers: the reference is at
`reference_start + (query - first) mod period`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.aligners.base import Segment
from models.aligners.matrix import SimilarityMatrix
from models.detector.evidence import Examiner, Judge, lies_in
from models.detector.lines import LineFinder, on_cuts, spread
from models.detector.loops import SHORTEST_SECONDS, Loop
from models.video import motion

Floats = NDArray[np.float64]

# All set by hand, on loops made of training clips.
PLACE_STEP, FINE_PLACE_STEP = 0.1, 0.025  # seconds between two places in the reference
PHASES = 12  # places of the first turn's start that are tried, besides the stretch's start and cuts
NO_PHASE = 0.5  # seconds from the stretch's start, within which no other is tried
CUT_LOSS, PHASE_LOSS = 0.05, 0.2  # of a first turn that begins at a cut, or at neither
MOTION_WEIGHT = 0.5  # of full agreement, in units of similarity
CUT_WEIGHT = 0.2  # when all cuts inside of a turn meet
JUMP_SECONDS = 0.3  # on both sides of a turn's start, left out: codes mix its end and start there
MIN_MOMENTS = 8
MAX_COLUMNS = 24  # frames of the reference around which is looked
MAX_STARTS = 4000  # places that are tried: of hours they lie further apart
MAX_CUT_PHASES = 6
LINE_GAIN = 1.05  # times what straight lines explain that a loop must: they are the simpler answer
MIN_ALIKE = 0.6  # mean similarity of the turns of a copy
MOVES_ALIKE = 0.7  # agreement of the motion, at which part of a turn may be unlike: a blank, say
MATCH_SIMILARITY = 0.5  # of a frame that tells where to look, besides the boxes; half have it


@dataclass(frozen=True)
class Placed:
    """A loop's place in a reference.

    Attributes:
        first: where a turn begins in the query, seconds.
        reference_start: what it shows there, seconds.
        similarity: mean of the query's frames with what they would show.
        agreement: of the motion, in [-1, 1].
    """

    first: float
    reference_start: float
    similarity: float
    agreement: float

    @property
    def fit(self) -> float:
        """What speaks for it, in units of similarity."""
        return self.similarity + MOTION_WEIGHT * self.agreement

    @property
    def is_merely_alike(self) -> bool:
        """Whether these may be other pictures that are alike, which repeat themselves too."""
        return self.similarity < MIN_ALIKE and self.agreement < MOVES_ALIKE

    def shows(self, loop: Loop) -> Callable[[Floats], Floats]:
        """Seconds of the reference at seconds of the query, of all turns."""
        return lambda query: self.reference_start + (query - self.first) % loop.period

    def turns(self, loop: Loop, score: float) -> list[Segment]:
        """A span for each turn, by time; those that the loop's ends cut off are shorter."""
        whole = np.arange(self.first - loop.period, loop.end, loop.period)
        spans = []
        for begin in whole.tolist():
            start, end = max(begin, loop.start), min(begin + loop.period, loop.end)
            if end - start < SHORTEST_SECONDS / 2:
                continue
            there = self.reference_start - begin
            spans.append(Segment(start, end, start + there, end + there, score))
        return spans


class LoopPlacer:
    """Places a query's loop in one reference."""

    def __init__(self, similarity: SimilarityMatrix, loop: Loop) -> None:
        self._matrix, self._loop, self._lines = similarity, loop, LineFinder(similarity)
        query = similarity.query_seconds.astype(np.float64)
        self._rows = np.flatnonzero((query >= loop.start) & (query < loop.end))
        self._rows = self._rows[spread(len(self._rows))]
        self._seconds = query[self._rows]
        moments = np.arange(loop.start, loop.end, 1 / motion.RATE) + 0.5 / motion.RATE
        self._moments = moments[spread(len(moments))]
        cuts = similarity.query_cuts_seconds.astype(np.float64)
        cuts = cuts[(cuts > loop.start) & (cuts < loop.end)]
        self._cuts = cuts[spread(len(cuts))]

    def place(self, near: list[tuple[float, float]]) -> Placed | None:
        """The best place; None where none is tried.

        Args:
            near: spans of the reference, seconds, in which to look.
        """
        period, end = self._loop.period, self._matrix.reference_duration_seconds
        tried = [
            np.arange(max(first - period, 0.0), min(last, end - period) + 1e-9, PLACE_STEP)
            for first, last in near
        ]
        starts = np.unique(np.round(np.concatenate([*tried, np.empty(0)]), 3))
        starts = starts[spread(len(starts), MAX_STARTS)]
        if not len(starts) or not len(self._rows):
            return None
        best = max((self._best(starts, *phase) for phase in self._phases()), key=_gain)
        around = np.arange(-PLACE_STEP, PLACE_STEP + 1e-9, FINE_PLACE_STEP)
        fine = np.clip(best[1].reference_start + around, 0.0, max(end - period, 0.0))
        return self._best(fine, best[1].first, 0.0)[1]

    def _phases(self) -> list[tuple[float, float]]:
        """Where the first turn may begin, and what each costs."""
        start, period = self._loop.start, self._loop.period
        own = [(start, 0.0)]
        # One cut of a turn comes again in each: as many as there are would be tried else.
        into, counts = np.unique(np.round((self._cuts - start) % period, 1), return_counts=True)
        most = into[np.argsort(-counts, kind="stable")[:MAX_CUT_PHASES]]
        own += [(start + cut, CUT_LOSS) for cut in most.tolist()]
        parts = [period * part / PHASES for part in range(1, PHASES)]
        own += [(start + part, PHASE_LOSS) for part in parts if min(part, period - part) > NO_PHASE]
        return own

    def _best(self, starts: Floats, first: float, loss: float) -> tuple[float, Placed]:
        """The best of some places in the reference, (S,), less the loss."""
        period = self._loop.period

        def reached(seconds: Floats) -> Floats:
            return starts[:, None] + ((seconds - first) % period)[None, :]

        shown = self._lines.shown(reached(self._seconds))
        similarity = self._matrix.values[self._rows, shown].mean(axis=1).astype(np.float64)
        agreement, met = np.zeros(len(starts)), np.zeros(len(starts))
        into = (self._moments - first) % period
        moments = self._moments[(into > JUMP_SECONDS) & (into < period - JUMP_SECONDS)]
        if len(self._matrix.reference_motion) and len(moments) >= MIN_MOMENTS:
            theirs = motion.at(self._matrix.reference_motion, reached(moments))
            agreement = _correlation(motion.at(self._matrix.query_motion, moments), theirs)
        into = (self._cuts - first) % period
        cuts = self._cuts[(into > JUMP_SECONDS) & (into < period - JUMP_SECONDS)]
        there = self._matrix.reference_cuts_seconds.astype(np.float64)
        if len(cuts) and len(there):
            met = on_cuts(reached(cuts), there).mean(axis=1)
        fits = similarity + MOTION_WEIGHT * agreement + CUT_WEIGHT * met - loss
        number = int(fits.argmax())
        return float(fits[number]), Placed(
            first, float(starts[number]), float(similarity[number]), float(agreement[number])
        )


def _gain(found: tuple[float, Placed]) -> float:
    return found[0]


def _correlation(own: Floats, others: Floats) -> Floats:
    """Of one curve (m,) with others (S, m), (S,); 0 where next to nothing moves."""
    ours = own - own.mean()
    theirs = others - others.mean(axis=1, keepdims=True)
    apart = np.sqrt((ours**2).mean() * (theirs**2).mean(axis=1))
    found: Floats = (ours * theirs).mean(axis=1) / (apart + 0.02)
    return found


def with_turns(
    similarity: SimilarityMatrix,
    loops: list[Loop],
    kept: list[Segment],
    judge: Judge,
) -> list[Segment]:
    """The spans of a pair, those that a loop explains better replaced by its turns; best first.

    Args:
        similarity: the matrix.
        loops: of the query, in any order.
        kept: the spans so far, with their probabilities.
        judge: of the pair.
    """
    best: tuple[float, Loop, Placed] | None = None
    for loop in loops:
        placed = LoopPlacer(similarity, loop).place(_near(similarity, loop, kept))
        if placed is None or placed.is_merely_alike:
            continue
        lines = sum(_explained(judge.examiner, span) for span in kept if _lies_in(span, loop))
        explained = placed.fit * (loop.end - loop.start)
        if explained > LINE_GAIN * lines and (best is None or explained > best[0]):
            best = explained, loop, placed
    if best is None:
        return kept
    _, loop, placed = best
    turns = placed.turns(loop, judge.sure(placed.shows(loop), loop.start, loop.end))
    others = [span for span in kept if not _lies_in(span, loop)]
    return sorted([*others, *turns], key=lambda span: -span.score)


def _near(
    similarity: SimilarityMatrix, loop: Loop, kept: list[Segment]
) -> list[tuple[float, float]]:
    """Where in the reference to look: at the boxes, and at what frames resemble most."""
    query = similarity.query_seconds
    rows = similarity.values[(query >= loop.start) & (query <= loop.end)]
    if not len(rows) or np.median(rows.max(axis=1)) < MATCH_SIMILARITY:
        return []
    matched = rows.argmax(axis=1)[rows.max(axis=1) >= MATCH_SIMILARITY]
    columns, counts = np.unique(matched, return_counts=True)
    columns = columns[np.argsort(-counts, kind="stable")[:MAX_COLUMNS]]
    near = [(float(at), float(at)) for at in similarity.reference_seconds[columns]]
    near += [
        (span.reference_start_seconds, span.reference_end_seconds)
        for span in kept
        if _lies_in(span, loop)
    ]
    return near


def _lies_in(span: Segment, loop: Loop) -> bool:
    """Whether most of a span's query is in a loop."""
    return lies_in(span, loop.start, loop.end)


def _explained(examiner: Examiner, span: Segment) -> float:
    """What speaks for a span's straight line, as `Placed.fit`, times its seconds."""
    fit = examiner.similarity(span) + MOTION_WEIGHT * examiner.motion_agreement(span)
    return fit * (span.query_end_seconds - span.query_start_seconds)
