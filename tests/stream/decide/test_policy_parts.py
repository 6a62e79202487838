"""The parts of a policy: spans without what is excluded, verdicts on pairs, counts of an hour."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.contract.events import AlertReviewed
from stream.decide.floods import HOUR_MS, Floods
from stream.decide.spans import Span, covered_seconds, outside, remainder
from stream.decide.verdicts import Verdicts, pair_of
from tests.stream.answers import segment
from tests.stream.answers import verdict as verdict_event

spans = st.tuples(st.integers(0, 40), st.integers(1, 20)).map(lambda span: (span[0], sum(span)))
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


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


def said(alert_id: str, verdict: Any, minute: int, *pair: str) -> AlertReviewed:
    named: dict[str, Any] = dict(zip(("video_id", "reference_id"), pair, strict=False))
    at = NOON + timedelta(minutes=minute)
    return verdict_event(alert_id, verdict, reviewed_at=at, **named)


def verdict_of(verdicts: Verdicts, *alert_ids: str, pair: str = "vr") -> str | None:
    found = verdicts.about(alert_ids, pair_of(*pair))
    return None if found is None else found.verdict


def test_a_verdict_is_on_the_alert_and_on_the_pair_in_either_order() -> None:
    verdicts = Verdicts()
    verdicts.take(said("a", "dismissed", 0, "v", "r"))
    assert verdict_of(verdicts, "a", pair="xy") == "dismissed"
    assert verdict_of(verdicts, "another", pair="rv") == "dismissed"
    assert verdict_of(verdicts, "another", pair="vx") is None


def test_a_verdict_without_a_pair_is_on_the_alert_only_unless_an_earlier_one_named_it() -> None:
    verdicts = Verdicts()
    verdicts.take(said("a", "dismissed", 0))
    assert verdict_of(verdicts, "a") == "dismissed"
    assert verdict_of(verdicts, "another") is None
    verdicts.take(said("a", "dismissed", 1, "v", "r"))
    verdicts.take(said("a", "confirmed", 2))
    assert verdict_of(verdicts, "another") == "confirmed"


def test_of_two_verdicts_at_the_same_time_the_later_read_holds() -> None:
    verdicts = Verdicts()
    verdicts.take(said("a", "dismissed", 0, "v", "r"))
    verdicts.take(said("a", "confirmed", 0, "v", "r"))
    assert verdict_of(verdicts, "another") == "confirmed"


def test_a_verdict_that_is_taken_back_leaves_the_others_of_the_pair() -> None:
    verdicts = Verdicts()
    verdicts.take(said("a", "dismissed", 0, "v", "r"))
    verdicts.take(said("b", "confirmed", 1, "v", "r"))
    verdicts.remove("b")
    verdicts.remove("never said")
    assert verdict_of(verdicts, "b") == "dismissed"
    verdicts.remove("a")
    assert verdict_of(verdicts, "a") is None


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(["confirmed", "dismissed"])), min_size=1
    ),
    st.data(),
)
def test_the_newest_verdict_on_a_pair_holds_in_whatever_order_they_are_read(
    given_verdicts: list[tuple[str, str]], data: st.DataObject
) -> None:
    events = [
        said(alert_id, word, minute, "v", "r")
        for minute, (alert_id, word) in enumerate(given_verdicts)
    ]
    verdicts = Verdicts()
    for event in data.draw(st.permutations(events + events[:3])):
        verdicts.take(event)
    assert verdict_of(verdicts, "new") == events[-1].verdict


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
