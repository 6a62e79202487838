"""What speaks for a stretch of a query showing the reference in some order; numpy only.

Serves loops and boomerangs, whose turns and ways are placed all as one: many places at a time.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.aligners.matrix import SimilarityMatrix
from models.detector.lines import LineFinder, on_cuts, spread
from models.video import motion

Floats = NDArray[np.float64]
Offsets = Callable[[Floats], Floats]
"""Seconds behind a place of the reference that are shown at seconds of the query."""
Counts = Callable[[Floats], NDArray[np.bool_]]
"""Which of some seconds of the query are far enough from where it jumps or turns."""

# All set by hand, on loops made of training clips.
MOTION_WEIGHT = 0.5  # of full agreement, in units of similarity
CUT_WEIGHT = 0.2  # when all cuts inside of a turn meet
JUMP_SECONDS = 0.3  # on both sides of a jump, left out: codes mix what is before and behind it
MIN_MOMENTS = 8
MAX_COLUMNS = 24  # frames of the reference around which is looked
MAX_STARTS = 4000  # places that are tried: of hours they lie further apart
MATCH_SIMILARITY = 0.5  # of a frame that tells where to look, besides the boxes; half have it
PLACE_STEP, FINE_PLACE_STEP = 0.1, 0.025  # seconds between two places in the reference


@dataclass(frozen=True)
class Fits:
    """What speaks for each of some places, (S,) each.

    Attributes:
        similarity: mean of the query's frames with what they would show.
        agreement: of the motion, in [-1, 1]; 0 where unknown.
        cuts: mean of how nearly the query's cuts fall on the reference's, in [0, 1].
    """

    similarity: Floats
    agreement: Floats
    cuts: Floats

    @property
    def fit(self) -> Floats:
        """All of it, in units of similarity."""
        return self.similarity + MOTION_WEIGHT * self.agreement + CUT_WEIGHT * self.cuts


class Stretch:
    """A stretch of a query, looked at beside one reference.

    Attributes:
        start: seconds of the query.
        end: the same.
        is_empty: whether no frame of the query lies in it.
        cuts: (C,) the query's inside of it, as many as are looked at.
    """

    def __init__(self, lines: LineFinder, start: float, end: float) -> None:
        self._matrix, self._lines, self.start, self.end = lines.matrix, lines, start, end
        query = self._matrix.query_seconds.astype(np.float64)
        self._rows = np.flatnonzero((query >= start) & (query < end))
        self._rows = self._rows[spread(len(self._rows))]
        self._seconds = query[self._rows]
        moments = np.arange(start, end, 1 / motion.RATE) + 0.5 / motion.RATE
        self._moments = moments[spread(len(moments))]
        cuts = self._matrix.query_cuts_seconds.astype(np.float64)
        cuts = cuts[(cuts > start) & (cuts < end)]
        self.cuts = cuts[spread(len(cuts))]
        self.is_empty = not len(self._rows)

    def fits(self, starts: Floats, offsets: Offsets, counts: Counts) -> Fits:
        """What speaks for each of some places in the reference, (S,)."""

        def reached(seconds: Floats) -> Floats:
            return starts[:, None] + offsets(seconds)[None, :]

        shown = self._lines.shown(reached(self._seconds))
        similarity = self._matrix.values[self._rows, shown].mean(axis=1).astype(np.float64)
        agreement, met = np.zeros(len(starts)), np.zeros(len(starts))
        moments = self._moments[counts(self._moments)]
        if len(self._matrix.reference_motion) and len(moments) >= MIN_MOMENTS:
            theirs = motion.at(self._matrix.reference_motion, reached(moments))
            agreement = _correlation(motion.at(self._matrix.query_motion, moments), theirs)
        cuts = self.cuts[counts(self.cuts)]
        there = self._matrix.reference_cuts_seconds.astype(np.float64)
        if len(cuts) and len(there):
            met = on_cuts(reached(cuts), there).mean(axis=1)
        return Fits(similarity, agreement, met)


def near_frames(
    similarity: SimilarityMatrix, start: float, end: float
) -> list[tuple[float, float]]:
    """Where in the reference to look for a stretch of the query: spans, seconds.

    Its frames resemble most what is there; none where few of them resemble anything.
    """
    query = similarity.query_seconds
    rows = similarity.values[(query >= start) & (query <= end)]
    if not len(rows):
        return []
    most = rows.max(axis=1)
    if np.median(most) < MATCH_SIMILARITY:
        return []
    matched = rows.argmax(axis=1)[most >= MATCH_SIMILARITY]
    columns, counts = np.unique(matched, return_counts=True)
    columns = columns[np.argsort(-counts, kind="stable")[:MAX_COLUMNS]]
    return [(float(at), float(at)) for at in similarity.reference_seconds[columns]]


def places_in(spans: list[tuple[float, float]]) -> Floats:
    """Places of the reference that are tried, ascending, (S,), `PLACE_STEP` apart.

    Args:
        spans: of the reference, seconds.
    """
    tried = [np.arange(first, last + 1e-9, PLACE_STEP) for first, last in spans]
    places: Floats = np.unique(np.round(np.concatenate([*tried, np.empty(0)]), 3))
    return places[spread(len(places), MAX_STARTS)]


def _correlation(own: Floats, others: Floats) -> Floats:
    """Of one curve (m,) with others (S, m), (S,); 0 where next to nothing moves."""
    ours = own - own.mean()
    theirs = others - others.mean(axis=1, keepdims=True)
    apart = np.sqrt((ours**2).mean() * (theirs**2).mean(axis=1))
    found: Floats = (ours * theirs).mean(axis=1) / (apart + 0.02)
    return found
