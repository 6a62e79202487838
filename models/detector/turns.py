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
from models.detector.lines import LineFinder
from models.detector.loops import SHORTEST_SECONDS, Loop
from models.detector.places import (
    FINE_PLACE_STEP,
    JUMP_SECONDS,
    MOTION_WEIGHT,
    PLACE_STEP,
    Stretch,
    near_frames,
    places_in,
)

Floats = NDArray[np.float64]

# All set by hand, on loops made of training clips.
PHASES = 12  # places of the first turn's start that are tried, besides the stretch's start and cuts
NO_PHASE = 0.5  # seconds from the stretch's start, within which no other is tried
CUT_LOSS, PHASE_LOSS = 0.05, 0.2  # of a first turn that begins at a cut, or at neither
MAX_CUT_PHASES = 6
LINE_GAIN = 1.05  # times what straight lines explain that a loop must: they are the simpler answer
MIN_ALIKE = 0.6  # mean similarity of the turns of a copy
MOVES_ALIKE = 0.7  # agreement of the motion, at which part of a turn may be unlike: a blank, say


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
        self._matrix, self._loop = similarity, loop
        self._stretch = Stretch(LineFinder(similarity), loop.start, loop.end)

    def place(self, near: list[tuple[float, float]]) -> Placed | None:
        """The best place; None where none is tried.

        Args:
            near: spans of the reference, seconds, in which to look.
        """
        period, end = self._loop.period, self._matrix.reference_duration_seconds
        starts = places_in(
            [(max(first - period, 0.0), min(last, end - period)) for first, last in near]
        )
        if not len(starts) or self._stretch.is_empty:
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
        into, counts = np.unique(
            np.round((self._stretch.cuts - start) % period, 1), return_counts=True
        )
        most = into[np.argsort(-counts, kind="stable")[:MAX_CUT_PHASES]]
        own += [(start + cut, CUT_LOSS) for cut in most.tolist()]
        parts = [period * part / PHASES for part in range(1, PHASES)]
        own += [(start + part, PHASE_LOSS) for part in parts if min(part, period - part) > NO_PHASE]
        return own

    def _best(self, starts: Floats, first: float, loss: float) -> tuple[float, Placed]:
        """The best of some places in the reference, (S,), less the loss."""
        period = self._loop.period

        def into(seconds: Floats) -> Floats:
            return (seconds - first) % period

        def counts(seconds: Floats) -> NDArray[np.bool_]:
            return (into(seconds) > JUMP_SECONDS) & (into(seconds) < period - JUMP_SECONDS)

        fits = self._stretch.fits(starts, into, counts)
        number = int(fits.fit.argmax())
        return float(fits.fit[number]) - loss, Placed(
            first,
            float(starts[number]),
            float(fits.similarity[number]),
            float(fits.agreement[number]),
        )


def _gain(found: tuple[float, Placed]) -> float:
    return found[0]


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
    near = near_frames(similarity, loop.start, loop.end)
    if not near:
        return []
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
