"""Edges of a detected span, refined on the matrix itself; numpy only.

The network sees cells of a second. Here the span's line is moved until cuts of the query fall on
cuts of the reference, and its ends go to where similarity along the line ends, to the cut that is
there if there is one: who pastes a span into a video makes a cut.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.align import Segment
from models.detector.grid import CELL_SECONDS
from models.similarity import SimilarityMatrix

Floats = NDArray[np.float64]

SHIFT_SECONDS = 1.6
CUT_SIGMA_SECONDS = 0.12
CUT_WEIGHT = 0.35
EVEN_OCTAVES = 0.16
EVEN_LOSS = 0.02
LOOK_SECONDS = 4.0
CUT_BONUS_SECONDS = 0.7
FAR_COST = 0.08
SHORTEST_SECONDS = 1.0
SHIFT_COST = 0.01
MOST_CUT_SHIFTS = 60
TURNS = (0.0, -0.12, 0.12, -0.3, 0.3)
MOST_WALKS = 8
BEYOND_SECONDS = 0.5  # a line is no surer than this at the ends of the reference
SHIFTS = np.arange(-SHIFT_SECONDS, SHIFT_SECONDS + 1e-9, 0.2)


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


class Refiner:
    """Refines the spans of one pair."""

    def __init__(self, similarity: SimilarityMatrix) -> None:
        self._matrix = similarity
        self._query = similarity.query_seconds.astype(np.float64)
        self._reference = similarity.reference_seconds.astype(np.float64)
        self._query_cuts = similarity.query_cuts_seconds.astype(np.float64)
        self._reference_cuts = similarity.reference_cuts_seconds.astype(np.float64)
        self._usual = np.median(similarity.values, axis=1)  # (Nq,)
        self._shots = np.searchsorted(self._reference_cuts, self._reference, side="right")

    def refine(self, segment: Segment) -> Segment:
        """The span with its line and its ends where the matrix and the cuts put them.

        A span that would vanish is left as it is.
        """
        line = self._line(segment)
        start = self._walked(segment, line, segment.query_start_seconds, 1.0)
        end = self._walked(segment, line, segment.query_end_seconds, -1.0)
        return self._boxed(segment, line, start, end) or segment

    def path_similarity(self, segment: Segment) -> float:
        """Mean similarity along a span's line; 0 where no frame of the query lies in it."""
        values = self._along(_line_of(segment), self._inside(segment))
        return float(values.mean()) if len(values) else 0.0

    def _line(self, segment: Segment) -> Line:
        """The line of the box, moved to where it fits best."""
        first = _line_of(segment)
        lines = [replace(first, pace=first.pace * 2.0**turn) for turn in TURNS]
        if abs(np.log2(abs(first.pace))) < EVEN_OCTAVES:
            lines.insert(0, replace(first, pace=float(np.sign(first.pace))))
        inside, cuts = self._inside(segment), self._cuts_inside(segment)
        best, best_fit = first, -np.inf
        for number, line in enumerate(lines):
            shifts = self._shifts(line, cuts)
            fits = self._fits(line, shifts, inside, cuts) - SHIFT_COST * np.abs(shifts)
            most = int(fits.argmax())
            fit = fits[most] - (EVEN_LOSS if number else 0.0)
            if fit > best_fit:
                best, best_fit = line.shifted(shifts[most]), fit
        return best

    def _shifts(self, line: Line, cuts: Floats) -> Floats:
        """Shifts worth trying: an even few, and those that bring two cuts together."""
        off = (self._reference_cuts[None, :] - line.at(cuts)[:, None]).ravel()
        return np.concatenate([SHIFTS, off[np.abs(off) <= SHIFT_SECONDS][:MOST_CUT_SHIFTS]])

    def _fits(self, line: Line, shifts: Floats, inside: NDArray[np.intp], cuts: Floats) -> Floats:
        """Of each shift: mean similarity, and how many of the query's cuts are the reference's.

        Args:
            line: to be shifted.
            shifts: (S,) seconds in the reference.
            inside: (n,) frames of the span.
            cuts: (c,) seconds, cuts of the query inside the span.

        Returns:
            (S,) float64.
        """
        at = line.at(self._query[inside])[None, :] + shifts[:, None]  # (S, n)
        fits = np.zeros(len(shifts))
        if len(inside):
            values = self._matrix.values[inside[None, :], self._shown(at.ravel()).reshape(at.shape)]
            end = self._matrix.reference_duration_seconds
            fits = np.where((at < -0.5) | (at > end + 0.5), 0.0, values).mean(axis=1)
        if len(cuts) and len(self._reference_cuts):
            places = line.at(cuts)[None, :] + shifts[:, None]  # (S, c)
            after = np.searchsorted(self._reference_cuts, places)
            last = len(self._reference_cuts) - 1
            near = [np.clip(after - back, 0, last) for back in (0, 1)]
            off = np.minimum(*(np.abs(self._reference_cuts[one] - places) for one in near))
            met = np.exp(-((off / CUT_SIGMA_SECONDS) ** 2) / 2)
            fits = fits + CUT_WEIGHT * met.sum(axis=1) / (len(cuts) + 1)
        return fits

    def _cuts_inside(self, segment: Segment) -> Floats:
        start, end = segment.query_start_seconds + 0.8, segment.query_end_seconds - 0.8
        return self._query_cuts[(self._query_cuts > start) & (self._query_cuts < end)]

    def _inside(self, segment: Segment) -> NDArray[np.intp]:
        start, end = segment.query_start_seconds, segment.query_end_seconds
        return np.flatnonzero((self._query >= start) & (self._query <= end))

    def _along(self, line: Line, rows: NDArray[np.intp]) -> Floats:
        """Similarity of query frames with what the reference shows on a line; 0 beyond its ends."""
        at = line.at(self._query[rows])
        values = self._matrix.values[rows, self._shown(at)].astype(np.float64)
        outside = (at < -0.5) | (at > self._matrix.reference_duration_seconds + 0.5)
        return np.where(outside, 0.0, values)

    def _shown(self, at: Floats) -> NDArray[np.intp]:
        """The reference frame that is nearest in time, of the same shot where there is one."""
        after = np.clip(np.searchsorted(self._reference, at), 0, len(self._reference) - 1)
        before = np.maximum(after - 1, 0)
        near = self._reference[after] - at < at - self._reference[before]
        shot = np.searchsorted(self._reference_cuts, at, side="right")
        own_after, own_before = self._shots[after] == shot, self._shots[before] == shot
        return np.where(np.where(own_after == own_before, near, own_after), after, before)

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
        inside = self._inside(segment)
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


def _line_of(segment: Segment) -> Line:
    """The diagonal of a box, forward or backward."""
    query = segment.query_end_seconds - segment.query_start_seconds
    reference = segment.reference_end_seconds - segment.reference_start_seconds
    pace = reference / query * (-1.0 if segment.reversed else 1.0)
    return Line(
        middle=(segment.query_start_seconds + segment.query_end_seconds) / 2,
        at_middle=(segment.reference_start_seconds + segment.reference_end_seconds) / 2,
        pace=pace,
    )
