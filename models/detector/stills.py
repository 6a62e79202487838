"""Stretches of a query that stand still: their pieces become one span; numpy only.

A still picture that is shown for minutes runs along no diagonal: the network sees a block far
wider than what it was taken from, and boxes pieces of it. One span says it: all of the stretch
copies the shot that its picture is of.
"""

from dataclasses import replace
from functools import partial

import numpy as np

from models.aligners.base import Segment
from models.aligners.matrix import SimilarityMatrix
from models.aligners.picture import shown_seconds
from models.detector.boxes import with_score
from models.detector.evidence import Judge
from models.detector.lines import BEYOND_SECONDS
from models.video import motion

# All set by hand.
LONG_SECONDS = 10.0  # shorter stretches are boxed as one
SAME_PICTURE = 0.06  # by which similarities of two frames of a still picture may differ
STANDING = 0.7  # motion below which nothing moves: two thirds of it are what codecs leave of noise
FEWEST_PIECES = 2


def joined_stills(
    similarity: SimilarityMatrix, spans: list[Segment], judge: Judge
) -> list[Segment]:
    """The spans of a pair, the pieces of each still stretch joined; best first.

    Args:
        similarity: the matrix.
        spans: best first.
        judge: of the pair.
    """
    if len(spans) < FEWEST_PIECES:
        return spans
    for start, end in _still_stretches(similarity):
        pieces = [span for span in spans if _inside(span, start, end)]
        if len(pieces) < FEWEST_PIECES:
            continue
        others = [span for span in spans if span not in pieces]
        whole = _joined(similarity, pieces[0], start, end)
        middle = (whole.reference_start_seconds + whole.reference_end_seconds) / 2
        sure = judge.sure(partial(np.full_like, fill_value=middle), start, end)
        spans = sorted(
            [*others, with_score(whole, max(whole.score, sure))], key=lambda span: -span.score
        )
    return spans


def _still_stretches(similarity: SimilarityMatrix) -> list[tuple[float, float]]:
    """Where the query's picture stays the same for `LONG_SECONDS`, seconds."""
    seconds = similarity.query_seconds.astype(np.float64)
    if len(seconds) < 2:
        return []
    same = np.abs(np.diff(similarity.values, axis=0)).max(axis=1) <= SAME_PICTURE
    cuts = similarity.query_cuts_seconds
    same &= np.searchsorted(cuts, seconds[1:]) == np.searchsorted(cuts, seconds[:-1])
    if len(similarity.query_motion):
        same &= motion.at(similarity.query_motion, (seconds[1:] + seconds[:-1]) / 2) <= STANDING
    edges = np.flatnonzero(np.diff(np.concatenate([[False], same, [False]])))
    stretches = []
    for first, last in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        start = 0.0 if first == 0 else float(seconds[first])
        whole = last == len(seconds) - 1
        end = similarity.query_duration_seconds if whole else float(seconds[last])
        if end - start >= LONG_SECONDS:
            stretches.append((start, end))
    return stretches


def _inside(span: Segment, start: float, end: float) -> bool:
    slack = BEYOND_SECONDS
    return span.query_start_seconds >= start - slack and span.query_end_seconds <= end + slack


def _joined(similarity: SimilarityMatrix, best: Segment, start: float, end: float) -> Segment:
    """One span for a stretch: the shot, or what resembles it as much, around the best piece's."""
    inside = (similarity.query_seconds >= start) & (similarity.query_seconds <= end)
    alike = similarity.values[inside].mean(axis=0)
    times = similarity.reference_seconds.astype(np.float64)
    near = (times >= best.reference_start_seconds) & (times <= best.reference_end_seconds)
    number = int(np.where(near, alike, -1.0).argmax()) if near.any() else int(alike.argmax())
    bounds = shown_seconds(similarity, alike, number)
    return replace(
        best,
        query_start_seconds=start,
        query_end_seconds=end,
        reference_start_seconds=bounds[0],
        reference_end_seconds=bounds[1],
        reversed=False,
    )
