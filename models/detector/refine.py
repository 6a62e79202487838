"""Edges of a detected span, refined on the matrix itself; numpy only.

The network sees cells of a second. Here the span's line is moved to where most speaks for it, and
its ends go to where similarity along the line ends, to the cut that is there if there is one: who
pastes a span into a video makes a cut.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from models.align import Segment
from models.detector.grid import CELL_SECONDS
from models.detector.lines import Line, LineFinder, line_of
from models.similarity import SimilarityMatrix

Floats = NDArray[np.float64]

LOOK_SECONDS = 4.0
CUT_BONUS_SECONDS = 0.7
FAR_COST = 0.08
SHORTEST_SECONDS = 1.0
MOST_WALKS = 8
BEYOND_SECONDS = 0.5  # a line is no surer than this at the ends of the reference


class Refiner:
    """Refines the spans of one pair."""

    def __init__(self, similarity: SimilarityMatrix) -> None:
        self._matrix = similarity
        self._lines = LineFinder(similarity)
        self._query = similarity.query_seconds.astype(np.float64)
        self._query_cuts = similarity.query_cuts_seconds.astype(np.float64)
        self._usual = np.median(similarity.values, axis=1)  # (Nq,)

    def refine(self, segment: Segment) -> Segment:
        """The span with its line and its ends where the matrix and the cuts put them.

        A span that would vanish is left as it is.
        """
        line = self._lines.find(segment)
        start = self._walked(segment, line, segment.query_start_seconds, 1.0)
        end = self._walked(segment, line, segment.query_end_seconds, -1.0)
        return self._boxed(segment, line, start, end) or segment

    def path_similarity(self, segment: Segment) -> float:
        """Mean similarity along a span's line; 0 where no frame of the query lies in it."""
        values = self._along(line_of(segment), self._lines.inside(segment))
        return float(values.mean()) if len(values) else 0.0

    def motion_agreement(self, segment: Segment) -> float:
        """How alike both videos move along a span's line, in [-1, 1]; 0 where unknown."""
        return self._lines.motion_agreement(segment)

    def _along(self, line: Line, rows: NDArray[np.intp]) -> Floats:
        """Similarity of query frames with what the reference shows on a line; 0 beyond its ends."""
        at = line.at(self._query[rows])
        values = self._matrix.values[rows, self._lines.shown(at)].astype(np.float64)
        outside = (at < -0.5) | (at > self._matrix.reference_duration_seconds + 0.5)
        return np.where(outside, 0.0, values)

    def _walked(self, segment: Segment, line: Line, predicted: float, inward: float) -> float:
        """An end, looked for again from where it was found, until it stays."""
        for _ in range(MOST_WALKS):
            found = self._end(segment, line, predicted, inward)
            if abs(found - predicted) < LOOK_SECONDS / 2:
                return found
            predicted = found
        return predicted

    def _end(self, segment: Segment, line: Line, predicted: float, inward: float) -> float:
        """Where the span begins (`inward` 1) or ends (-1), in query seconds."""
        half = (segment.query_end_seconds - segment.query_start_seconds) / 2
        look = (predicted - inward * LOOK_SECONDS, predicted + inward * min(LOOK_SECONDS, half))
        low, high = min(look), max(look)
        rows = np.flatnonzero((self._query >= low) & (self._query <= high))
        inside = self._lines.inside(segment)
        level = np.median(self._along(line, inside) - self._usual[inside]) if len(inside) else 0.0
        if level <= 0.05 or len(rows) == 0:
            return self._nearest_end(predicted)
        stands_out = self._along(line, rows) - self._usual[rows]
        vote = np.clip(stands_out / level - 0.5, -0.5, 0.5) * self._weights(rows)
        places, bonus = self._places(line, predicted, low, high)
        after = (self._query[rows][None, :] - places[:, None]) * inward >= 0
        score = np.where(after, vote, -vote).sum(axis=1) + bonus
        score -= FAR_COST * np.abs(places - predicted)
        return float(places[int(score.argmax())])

    def _nearest_end(self, predicted: float) -> float:
        """The video's own start or end if within a cell: the network sees no finer."""
        ends = (0.0, self._matrix.query_duration_seconds)
        return next((end for end in ends if abs(end - predicted) < CELL_SECONDS), predicted)

    def _weights(self, rows: NDArray[np.intp]) -> Floats:
        """Seconds that each query frame stands for."""
        times = self._query
        if len(times) < 2:
            return np.ones(len(rows))
        gaps = np.minimum(np.diff(times), 2.0)
        both = (np.append(gaps[:1], gaps) + np.append(gaps, gaps[-1:])) / 2
        weights: Floats = both[rows]
        return weights

    def _places(
        self, line: Line, predicted: float, low: float, high: float
    ) -> tuple[Floats, Floats]:
        """Where an end may be, and what speaks for it beforehand."""
        matrix = self._matrix
        hard = [*self._query_cuts.tolist(), 0.0, matrix.query_duration_seconds]
        hard += line.query_at(np.array([0.0, matrix.reference_duration_seconds])).tolist()
        middles = (self._query[1:] + self._query[:-1]) / 2
        soft = np.append(middles[(middles > low) & (middles < high)], predicted)
        strong = np.array([place for place in hard if low <= place <= high], np.float64)
        places = np.concatenate([strong, soft])
        return places, np.where(np.arange(len(places)) < len(strong), CUT_BONUS_SECONDS, 0.0)

    def _boxed(self, segment: Segment, line: Line, start: float, end: float) -> Segment | None:
        limits = np.sort(line.query_at(np.array([0.0, self._matrix.reference_duration_seconds])))
        start = max(start, float(limits[0]) - BEYOND_SECONDS, 0.0)
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
