"""Places the two ways of a boomerang, there and back, in the reference, both as one; numpy only.

Ways of a few seconds are a few cells high, and the box of one runs on into the other. But where a
query runs back the way it came, what it shows at a second is known but for one number and a
direction: the reference is at `at_turn` plus or minus the distance from the turn.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.aligners.base import Segment
from models.aligners.matrix import SimilarityMatrix
from models.detector.evidence import Judge
from models.detector.lines import LineFinder, line_of, spread
from models.detector.palindromes import SHORTEST_SECONDS, Palindrome, around
from models.detector.places import (
    FINE_PLACE_STEP,
    JUMP_SECONDS,
    PLACE_STEP,
    Floats,
    Stretch,
    near_frames,
    places_in,
)

# All set by hand, on boomerangs made of training clips.
MIN_FIT = 1.05  # of each way: what merely looks alike, or merely moves alike, has less
LINE_GAIN = 1.05  # times what straight lines explain that both ways must: they are simpler
MAX_UNLIKE = 0.04  # between similarities of a frame and of its mirror image, by the median
MIRRORED_CUT_SECONDS = 0.3  # by which a cut and its mirror image may be off
MAX_LENGTHS = 4  # of the ways that are tried: up to cuts that have a mirror image
BEYOND_SECONDS = 1.0  # by which a span may be longer than the boomerang that explains it better


@dataclass(frozen=True)
class Ways:
    """A boomerang's place in a reference.

    Attributes:
        stretch: of the query.
        at_turn: second of the reference that it shows at the turn.
        back_first: whether it runs backwards first, and then forward.
    """

    stretch: Palindrome
    at_turn: float
    back_first: bool

    def shows(self, seconds: Floats) -> Floats:
        """Seconds of the reference at seconds of the query."""
        away = np.abs(seconds - self.stretch.turn)
        return self.at_turn + (away if self.back_first else -away)

    def spans(self, score: float) -> tuple[Segment, Segment]:
        """The first way and the second."""
        start, turn, end = self.stretch.start, self.stretch.turn, self.stretch.end
        return self._span(start, turn, score), self._span(turn, end, score)

    def _span(self, start: float, end: float, score: float) -> Segment:
        first, last = np.sort(self.shows(np.array([start, end]))).tolist()
        is_first = end <= self.stretch.turn
        return Segment(start, end, first, last, score, reversed=is_first == self.back_first)


def with_ways(
    similarity: SimilarityMatrix, palindromes: list[Palindrome], kept: list[Segment], judge: Judge
) -> list[Segment]:
    """The spans of a pair, those that a boomerang explains better replaced by its ways; best first.

    Args:
        similarity: the matrix.
        palindromes: of the query, in any order.
        kept: the spans so far, with their probabilities.
        judge: of the pair.
    """
    lines = LineFinder(similarity)
    best: tuple[float, Ways, list[Segment]] | None = None
    for whole in palindromes:
        near = near_frames(similarity, whole.start, whole.end)
        near += [
            (span.reference_start_seconds, span.reference_end_seconds)
            for span in kept
            if span.query_start_seconds < whole.end and span.query_end_seconds > whole.start
        ]
        if not near:
            continue
        for stretch in _lengths(similarity, whole):
            if not _is_mirrored(similarity, stretch):
                continue
            found = _Placer(lines, stretch).place(near, kept)
            if found is None:
                continue
            gain, ways = found
            # Of pages of one template all rows are alike, and any order of them fits as well.
            if any(judge.examiner.is_merely_alike(span) for span in ways.spans(0.0)):
                continue
            others = _others(ways, kept)
            if others is not None and (best is None or gain > best[0]):
                best = gain, ways, others
    if best is None:
        return kept
    _, ways, others = best
    score = judge.sure(ways.shows, ways.stretch.start, ways.stretch.end)
    return sorted([*others, *ways.spans(score)], key=lambda span: -span.score)


def _lengths(similarity: SimilarityMatrix, whole: Palindrome) -> Iterator[Palindrome]:
    """A palindrome, and shorter ones between two cuts: what is around a boomerang may be alike."""
    yield whole
    edges = around(similarity.query_cuts_seconds.astype(np.float64), whole.turn)
    edges = np.append(edges, [0.0, similarity.query_duration_seconds])
    before = edges[(edges > whole.start) & (edges < whole.turn - SHORTEST_SECONDS)]
    after = edges[(edges < whole.end) & (edges > whole.turn + SHORTEST_SECONDS)]
    before, after = np.append(before, whole.start), np.append(after, whole.end)
    off = np.abs(before[:, None] + after[None, :] - 2 * whole.turn)
    for first, last in np.argwhere(off <= MIRRORED_CUT_SECONDS)[:MAX_LENGTHS].tolist():
        shorter = replace(whole, start=float(before[first]), end=float(after[last]))
        if shorter != whole:
            yield shorter


def _is_mirrored(similarity: SimilarityMatrix, stretch: Palindrome) -> bool:
    """Whether what comes behind the turn resembles the reference as what came before it does."""
    seconds = similarity.query_seconds.astype(np.float64)
    behind = np.flatnonzero(
        (seconds > stretch.turn + JUMP_SECONDS) & (seconds < stretch.end - JUMP_SECONDS)
    )
    if not len(behind):
        return False
    behind = behind[spread(len(behind))]
    images = 2 * stretch.turn - seconds[behind]
    after = np.clip(np.searchsorted(seconds, images), 0, len(seconds) - 1)
    before = np.maximum(after - 1, 0)
    nearest = np.where(seconds[after] - images < images - seconds[before], after, before)
    apart = np.abs(similarity.values[behind] - similarity.values[nearest]).mean(axis=1)
    return float(np.median(apart)) <= MAX_UNLIKE  # beside a cut the nearest may be another shot's


class _Placer:
    """Places one palindrome of a query in one reference."""

    def __init__(self, lines: LineFinder, stretch: Palindrome) -> None:
        self._lines, self._stretch = lines, stretch
        self._whole = Stretch(lines, stretch.start, stretch.end)
        self._halves = (
            Stretch(lines, stretch.start, stretch.turn),
            Stretch(lines, stretch.turn, stretch.end),
        )

    def place(
        self, near: list[tuple[float, float]], kept: list[Segment]
    ) -> tuple[float, Ways] | None:
        """What it explains more than lines do, times its seconds; None where it isn't plain."""
        if any(each.is_empty for each in self._halves):
            return None
        found = [self._best(near, back_first=back_first) for back_first in (False, True)]
        fit, ways = max(found, key=lambda each: each[0])
        if fit < MIN_FIT or min(_fit(half, ways.shows) for half in self._halves) < MIN_FIT:
            return None
        lines = max(self._lines_fit(kept), self._straight_fit(near))
        seconds = self._stretch.end - self._stretch.start
        return None if fit < LINE_GAIN * lines else ((fit - lines) * seconds, ways)

    def _best(self, near: list[tuple[float, float]], *, back_first: bool) -> tuple[float, Ways]:
        turn, end = self._stretch.turn, self._lines.matrix.reference_duration_seconds
        way = max(turn - self._stretch.start, self._stretch.end - turn)
        if back_first:
            low, high, tried = 0.0, end - way, [(first - way, last) for first, last in near]
        else:
            low, high, tried = way, end, [(first, last + way) for first, last in near]
        sign = 1.0 if back_first else -1.0

        def offsets(seconds: Floats) -> Floats:
            return sign * np.abs(seconds - turn)

        starts = places_in([(max(first, low), min(last, high)) for first, last in tried])
        ways = Ways(self._stretch, 0.0, back_first)
        if not len(starts):
            return 0.0, ways
        closer = np.arange(-PLACE_STEP, PLACE_STEP + 1e-9, FINE_PLACE_STEP)
        fits = self._whole.fits(starts, offsets, self._counts).fit
        starts = np.clip(starts[int(fits.argmax())] + closer, low, max(low, high))
        fits = self._whole.fits(starts, offsets, self._counts).fit
        number = int(fits.argmax())
        return float(fits[number]), replace(ways, at_turn=float(starts[number]))

    def _counts(self, seconds: Floats) -> NDArray[np.bool_]:
        return np.asarray(np.abs(seconds - self._stretch.turn) > JUMP_SECONDS)

    def _lines_fit(self, kept: list[Segment]) -> float:
        """What the spans so far explain of the stretch together, or one of them if it went on."""
        start, end = self._stretch.start, self._stretch.end
        together, alone = 0.0, 0.0
        for span in kept:
            first, last = max(span.query_start_seconds, start), min(span.query_end_seconds, end)
            part = Stretch(self._lines, first, max(first, last))
            if part.is_empty:
                continue
            shows = line_of(span).at
            together += _fit(part, shows) * (last - first)
            alone = max(alone, _fit(self._whole, shows))
        return max(together / (end - start), alone)

    def _straight_fit(self, near: list[tuple[float, float]]) -> float:
        """What the best straight line explains of the stretch, wherever it lies."""
        start, end = self._stretch.start, self._stretch.end
        seconds = end - start
        last_start = self._lines.matrix.reference_duration_seconds - seconds
        starts = places_in(
            [(max(first - seconds, 0.0), min(last, last_start)) for first, last in near]
        )
        if not len(starts):
            return 0.0
        fits = self._whole.fits(starts, lambda query: query - start, _all)
        return float(fits.fit.max())


def _fit(part: Stretch, shows: Callable[[Floats], Floats]) -> float:
    return float(part.fits(np.zeros(1), shows, _all).fit[0])


def _all(seconds: Floats) -> NDArray[np.bool_]:
    return np.ones(len(seconds), np.bool_)


def _others(ways: Ways, kept: list[Segment]) -> list[Segment] | None:
    """The spans that a boomerang leaves; None where one goes on beyond it: it says otherwise."""
    start, end = ways.stretch.start, ways.stretch.end
    others = []
    for span in kept:
        if span.query_start_seconds >= end or span.query_end_seconds <= start:
            others.append(span)
        elif (
            span.query_start_seconds < start - BEYOND_SECONDS
            or span.query_end_seconds > end + BEYOND_SECONDS
        ):
            return None
    return others
