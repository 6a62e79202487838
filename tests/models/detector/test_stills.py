"""Stills: the pieces of a picture that stands still for long are one span."""

import numpy as np
import pytest
from numpy.typing import NDArray

from models.aligners.base import Segment
from models.aligners.matrix import SimilarityMatrix
from models.detector.evidence import Examiner, Judge
from models.detector.lines import LineFinder
from models.detector.stills import joined_stills

Array = NDArray[np.float32]
LENGTH = 120.0


def still(*, cuts: tuple[float, ...] = (), moving: bool = False) -> SimilarityMatrix:
    """A picture of the reference's second shot, 4 to 8 s, shown for two minutes."""
    random = np.random.default_rng(0)
    seconds = np.arange(0, LENGTH, 5, dtype=np.float32)
    times = np.array([2, 5, 7, 10, 14], np.float32)
    values = np.tile(np.array([0.2, 0.95, 0.93, 0.1, 0.2], np.float32), (len(seconds), 1))
    values += random.uniform(-0.01, 0.01, values.shape).astype(np.float32)
    curve = np.full(round(LENGTH * 4), 3.0 if moving else 0.2, np.float32)
    return SimilarityMatrix(
        values,
        seconds,
        times,
        LENGTH,
        16.0,
        query_cuts_seconds=np.array(cuts, np.float32),
        reference_cuts_seconds=np.array([4, 8, 12], np.float32),
        query_motion=curve,
    )


def joined(pair: SimilarityMatrix, spans: list[Segment], sure: float = 0.0) -> list[Segment]:
    judge = Judge(Examiner(LineFinder(pair)), [], lambda own: sure)
    return joined_stills(pair, spans, judge)


PIECES = [
    Segment(60.0, 66.0, 3.5, 8.2, 0.9),
    Segment(3.0, 9.0, 4.1, 7.7, 0.8),
    Segment(100.0, 104.0, 3.0, 8.0, 0.7),
]


def test_the_pieces_of_a_still_are_one_span_and_its_shot() -> None:
    assert joined(still(), PIECES) == [Segment(0.0, LENGTH, 4.0, 8.0, 0.9)]


def test_all_of_a_still_may_be_surer_than_its_surest_piece_and_is_never_less_sure() -> None:
    assert [span.score for span in joined(still(), PIECES, sure=0.97)] == [0.97]
    assert [span.score for span in joined(still(), PIECES, sure=0.3)] == [0.9]


def test_other_spans_stay_and_order_is_by_score() -> None:
    elsewhere = Segment(50.0, 119.0, 9.0, 15.0, 0.95)
    cut = still(cuts=(50.0,))
    found = joined(cut, [elsewhere, *PIECES])
    assert found[0] == elsewhere or found[0].score <= 0.95
    assert [span.score for span in found] == sorted((s.score for s in found), reverse=True)


def test_one_span_stays_as_it_is() -> None:
    assert joined(still(), PIECES[:1]) == PIECES[:1]


@pytest.mark.parametrize(
    "pair", [still(moving=True), still(cuts=tuple(np.arange(4.0, LENGTH, 8.0)))]
)
def test_what_moves_or_is_cut_is_no_still(pair: SimilarityMatrix) -> None:
    assert joined(pair, PIECES) == PIECES


def test_a_long_reference_of_one_picture_is_copied_whole() -> None:
    seconds = np.arange(0, LENGTH, 5, dtype=np.float32)
    pair = SimilarityMatrix(
        np.full((len(seconds), len(seconds)), 0.9, np.float32), seconds, seconds, LENGTH, LENGTH
    )
    assert joined(pair, PIECES) == [Segment(0.0, LENGTH, 0.0, LENGTH, 0.9)]
