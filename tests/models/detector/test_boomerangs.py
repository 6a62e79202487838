"""The two spans of a boomerang meet at its turn."""

from dataclasses import astuple

import pytest

from models.aligners.base import Segment
from models.detector.boomerangs import cut_at_turns

THERE = Segment(0.0, 13.5, 2.0, 15.5, 0.9)  # a way of twelve seconds, from the second on
BACK = Segment(10.0, 24.0, 2.0, 16.0, 0.8, reversed=True)


@pytest.mark.parametrize("order", [1, -1])
def test_both_end_where_they_cross(order: int) -> None:
    there, back = cut_at_turns([THERE, BACK][::order])[::order]
    assert astuple(there) == pytest.approx((0, 12, 2, 14, 0.9, False))
    assert astuple(back) == pytest.approx((12, 24, 2, 14, 0.8, True))


def test_the_way_back_may_come_first() -> None:
    back, there = cut_at_turns(
        [Segment(0, 13, 1, 14, 0.9, reversed=True), Segment(11, 24, 1, 14, 0.8)]
    )
    assert astuple(back) == pytest.approx((0, 12, 2, 14, 0.9, True))
    assert astuple(there) == pytest.approx((12, 24, 2, 14, 0.8, False))


@pytest.mark.parametrize(
    "other",
    [
        Segment(12, 24, 2, 14, 0.8, reversed=True),  # they meet
        Segment(16, 24, 2, 10, 0.8, reversed=True),  # something else comes in between
        Segment(10, 24, 30, 44, 0.8, reversed=True),  # the same moments, another place
        Segment(10, 24, 12, 26, 0.8),  # both run forward
        Segment(6, 6, 8, 8, 0.8, reversed=True),  # of no length
    ],
)
def test_others_stay_as_they_are(other: Segment) -> None:
    one = Segment(0, 12, 2, 14, 0.9)
    assert cut_at_turns([one, other]) == [one, other]


def test_each_turn_of_a_longer_one_is_a_cut() -> None:
    spans = [
        Segment(0, 7, 0, 7, 0.9),
        Segment(5, 13, -1, 7, 0.9, reversed=True),
        Segment(11, 18, -1, 6, 0.9),
    ]
    found = [(span.query_start_seconds, span.query_end_seconds) for span in cut_at_turns(spans)]
    assert found == [pytest.approx(edges) for edges in ((0, 6), (6, 12), (12, 18))]
