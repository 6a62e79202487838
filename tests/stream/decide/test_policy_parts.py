"""The parts of a policy: spans without what is excluded, counts of an hour."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.decide.floods import HOUR_MS, Floods
from stream.decide.spans import Span, covered_seconds, outside, remainder
from tests.stream.answers import segment

spans = st.tuples(st.integers(0, 40), st.integers(1, 20)).map(lambda span: (span[0], sum(span)))


def whole_seconds(*found: Span) -> set[int]:
    """The slow way: each second that a span of whole seconds covers."""
    return {second for start, end in found for second in range(round(start), round(end))}


@given(st.lists(spans))
def test_covered_seconds_are_those_of_the_union(found: list[Span]) -> None:
    assert covered_seconds(found) == len(whole_seconds(*found))


@given(spans, st.lists(spans))
def test_the_remainder_is_what_no_exclusion_covers(span: Span, excluded: list[Span]) -> None:
    left = remainder(span, excluded)
    assert whole_seconds(*left) == whole_seconds(span) - whole_seconds(*excluded)
    assert all(start < end for start, end in left)
    assert left == sorted(left)


def test_a_segment_that_no_exclusion_meets_stays_to_the_last_digit() -> None:
    found = segment(10.0001, 12.0)
    assert outside(found, [(0.0, 10.0), (12.0, 20.0)], min_seconds=30.0) == [found]


@pytest.mark.parametrize(
    ("is_reversed", "spans"),
    [
        (False, [(100.0, 105.0, 10.0, 20.0), (115.0, 120.0, 40.0, 50.0)]),
        (True, [(115.0, 120.0, 10.0, 20.0), (100.0, 105.0, 40.0, 50.0)]),
    ],
)
def test_both_sides_are_cut_in_proportion_and_backwards_from_the_end(
    is_reversed: bool, spans: list[tuple[float, ...]]
) -> None:
    fast = segment(10.0, 50.0, video_start=100.0, video_end_seconds=120.0, reversed=is_reversed)
    parts = outside(fast, [(20.0, 40.0)], min_seconds=3.0)
    assert [
        (
            part.video_start_seconds,
            part.video_end_seconds,
            part.reference_start_seconds,
            part.reference_end_seconds,
        )
        for part in parts
    ] == spans
    assert all((part.score, part.reversed) == (0.9, is_reversed) for part in parts)


def test_what_remains_and_is_too_short_to_be_of_use_is_dropped() -> None:
    found = segment(0.0, 92.0)
    assert outside(found, [(0.0, 90.0)], min_seconds=3.0) == []
    assert len(outside(found, [(0.0, 89.0)], min_seconds=3.0)) == 1


def test_claims_of_an_hour_are_counted_once_by_reference_and_in_their_order() -> None:
    floods = Floods()
    for number in range(3):
        floods.claim("r", f"a{number}", 1_000 * number)
        floods.claim("r", f"a{number}", 1_000 * number)
        floods.claim("r", "a0", 1_000 * number)
    floods.claim("s", "b", 5_000)
    assert [floods.others("r", f"a{number}") for number in range(3)] == [0, 1, 2]
    assert (floods.others("s", "b"), floods.others("r", "b"), floods.others("t", "b")) == (
        0,
        None,
        None,
    )


def test_an_hour_later_they_count_no_more_and_a_repeat_is_another_claim() -> None:
    floods = Floods()
    floods.claim("r", "a", 0)
    floods.claim("r", "b", 1_000)
    floods.claim("r", "c", HOUR_MS)
    assert (floods.others("r", "a"), floods.others("r", "b"), floods.others("r", "c")) == (
        None, 1, 1,
    )  # fmt: skip
    floods.claim("r", "a", HOUR_MS)
    assert floods.others("r", "a") == 2


def test_a_clock_that_goes_back_opens_no_gap() -> None:
    floods = Floods()
    for number, minutes in enumerate((60, 1, 0, 61)):
        floods.claim("r", f"a{number}", minutes * 60_000)
    assert [floods.others("r", f"a{number}") for number in range(4)] == [0, 1, 2, 3]


def test_references_that_are_quiet_for_two_hours_are_forgotten() -> None:
    floods = Floods()
    for number in range(100):
        floods.claim(f"r{number}", "a", number)
    floods.claim("other", "c", 3 * HOUR_MS)
    assert [*floods._by_reference] == ["other"]


@given(
    claims=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 40)), min_size=1, max_size=60),
    limit=st.integers(1, 4),
)
def test_no_hour_has_more_than_the_limit_and_all_readers_agree(
    claims: list[tuple[int, int]], limit: int
) -> None:
    floods, minutes, raised = Floods(), 0, []
    for number, (alert, passed) in enumerate(claims):
        minutes += passed
        name = f"a{alert}"
        known = floods.others("r", name)
        floods.claim("r", name, minutes * 60_000)
        others = floods.others("r", name)
        assert others is not None
        if others < limit and known is None:
            raised.append(minutes)
        if number % 7 == 0:
            floods.claim("r", name, minutes * 60_000)  # said again
            assert floods.others("r", name) == others
    for minute in raised:
        assert sum(minute - 60 < other <= minute for other in raised) <= limit
