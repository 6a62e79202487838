"""Edges of a detected span, refined on the matrix itself; numpy only.

The network sees cells of a second. Here the span's line is moved to where most speaks for it, and
its ends go to where similarity along the line ends, to the cut that is there if there is one: who
pastes a span into a video makes a cut.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.aligners.base import Segment
from models.detector.grid import CELL_SECONDS
from models.detector.lines import BEYOND_SECONDS, Line, LineFinder

Floats = NDArray[np.float64]

# All set by hand; docs/results.md measures what comes of them together.
LOOK_SECONDS = 4.0  # an end is looked for so far from where it is thought to be, in one walk
CUT_BONUS_SECONDS = 0.7  # a cut wins against so many seconds of frames that say otherwise
FAR_COST = 0.08  # for each second from the network's word, in seconds of frames
SHORTEST_SECONDS = 1.0  # of the query: what would become shorter is left as the network has it
MAX_WALKS = 8  # an end moves 32 s at the most; ends that never stay would walk for ever
MIN_LEVEL = 0.05  # spans that stand out less have no end that frames could tell
LEAD_SECONDS = 0.5  # a first frame up to here leaves no room for sound without pictures
REACH_SECONDS = LOOK_SECONDS * (MAX_WALKS + 1)  # what all walks together may look at


@dataclass(frozen=True)
class _Near:
    """The query's frames on and around a span.

    Attributes:
        seconds: (n,) ascending.
        excess: (n,) similarity along the span's line, less what is usual for the frame.
        weights: (n,) seconds that each stands for.
        level: the median excess inside the span.
    """

    seconds: Floats
    excess: Floats
    weights: Floats
    level: float


class Refiner:
    """Refines the spans of one pair."""

    def __init__(self, lines: LineFinder) -> None:
        self._matrix, self._lines = lines.matrix, lines
        self._query = self._matrix.query_seconds.astype(np.float64)
        self._query_cuts = self._matrix.query_cuts_seconds.astype(np.float64)
        self._begin = _begin(self._query, self._query_cuts)
        self._middles = (self._query[1:] + self._query[:-1]) / 2
        self._weights = _weights(self._query)

    def refine(self, segment: Segment) -> Segment:
        """The span with its line and its ends where the matrix and the cuts put them.

        A span that would vanish is left as it is.
        """
        line = self._lines.find(segment)
        near = self._stands_out(segment, line)
        start = self._walked(segment, line, near, 1.0)
        end = self._walked(segment, line, near, -1.0)
        return self._boxed(segment, line, start, end) or segment

    def _stands_out(self, segment: Segment, line: Line) -> _Near:
        """By how much each frame on and around the line is more similar than it usually is."""
        first, last = np.searchsorted(
            self._query,
            (
                segment.query_start_seconds - REACH_SECONDS,
                segment.query_end_seconds + REACH_SECONDS,
            ),
        ).tolist()
        rows = np.arange(first, last)
        times = self._query[rows]
        excess = self._lines.along(line.at(times), rows) - self._lines.usual[rows]
        inside = (times >= segment.query_start_seconds) & (times <= segment.query_end_seconds)
        level = float(np.median(excess[inside])) if inside.any() else 0.0
        return _Near(times, excess, self._weights[rows], level)

    def _walked(self, segment: Segment, line: Line, near: _Near, inward: float) -> float:
        """An end, looked for again from where it was found, until it stays."""
        predicted = segment.query_start_seconds if inward > 0 else segment.query_end_seconds
        for _ in range(MAX_WALKS):
            found = self._end(segment, line, near, predicted, inward)
            # Near the edge of what was seen the true end may lie beyond: look on from there.
            if abs(found - predicted) < LOOK_SECONDS / 2:
                return found
            predicted = found
        return predicted

    def _end(
        self, segment: Segment, line: Line, near: _Near, predicted: float, inward: float
    ) -> float:
        """Where the span begins (`inward` 1) or ends (-1), in query seconds."""
        half = (segment.query_end_seconds - segment.query_start_seconds) / 2
        look = (predicted - inward * LOOK_SECONDS, predicted + inward * min(LOOK_SECONDS, half))
        low, high = min(look), max(look)
        seen = (near.seconds >= low) & (near.seconds <= high)
        if near.level <= MIN_LEVEL or not seen.any():
            return self._nearest_end(predicted)
        # Half of the span's own level divides copy from no copy; clipped, so that one frame that
        # happens to be alike has no more than its seconds to say.
        vote = np.clip(near.excess[seen] / near.level - 0.5, -0.5, 0.5) * near.weights[seen]
        places, bonus = self._places(line, predicted, low, high)
        after = (near.seconds[seen][None, :] - places[:, None]) * inward >= 0
        score = np.where(after, vote, -vote).sum(axis=1) + bonus
        score -= FAR_COST * np.abs(places - predicted)
        return float(places[int(score.argmax())])

    def _nearest_end(self, predicted: float) -> float:
        """The video's own start or end if within a cell: the network sees no finer."""
        ends = (self._begin, self._matrix.query_duration_seconds)
        return next((end for end in ends if abs(end - predicted) < CELL_SECONDS), predicted)

    def _places(
        self, line: Line, predicted: float, low: float, high: float
    ) -> tuple[Floats, Floats]:
        """Where an end may be, and what speaks for it beforehand."""
        matrix = self._matrix
        first, last = np.searchsorted(self._query_cuts, (low, high)).tolist()
        hard = self._query_cuts[first : last + 1].tolist()
        hard += [self._begin, matrix.query_duration_seconds]
        hard += line.query_at(np.array([0.0, matrix.reference_duration_seconds])).tolist()
        first, last = np.searchsorted(self._middles, (low, high)).tolist()
        soft = np.append(self._middles[first:last], predicted)
        strong = np.array([place for place in hard if low <= place <= high], np.float64)
        places = np.concatenate([strong, soft])
        return places, np.where(np.arange(len(places)) < len(strong), CUT_BONUS_SECONDS, 0.0)

    def _boxed(self, segment: Segment, line: Line, start: float, end: float) -> Segment | None:
        limits = np.sort(line.query_at(np.array([0.0, self._matrix.reference_duration_seconds])))
        start = max(start, float(limits[0]) - BEYOND_SECONDS, self._begin)
        end = min(end, float(limits[1]) + BEYOND_SECONDS, self._matrix.query_duration_seconds)
        if end - start < SHORTEST_SECONDS:
            return None
        span = np.sort(line.at(np.array([start, end])))
        first = max(float(span[0]), 0.0)
        last = min(float(span[1]), self._matrix.reference_duration_seconds)
        if last - first < SHORTEST_SECONDS / 2:
            return None
        return replace(
            segment,
            query_start_seconds=start,
            query_end_seconds=end,
            reference_start_seconds=first,
            reference_end_seconds=last,
        )


def _begin(seconds: Floats, cuts: Floats) -> float:
    """Where the query's pictures begin, in seconds: sound may play before the first of them."""
    if len(seconds) == 0 or seconds[0] <= LEAD_SECONDS:
        return 0.0
    near = cuts[(cuts <= seconds[0]) & (cuts > seconds[0] - CELL_SECONDS)]
    return float(near[0]) if len(near) else 0.0


def _weights(seconds: Floats) -> Floats:
    """Seconds that each frame stands for, (N,): at most two."""
    if len(seconds) < 2:
        return np.ones(len(seconds))
    gaps = np.minimum(np.diff(seconds), 2.0)
    weights: Floats = (np.append(gaps[:1], gaps) + np.append(gaps, gaps[-1:])) / 2
    return weights
