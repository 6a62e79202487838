"""Excluded seconds of a reference are cut out of a match before it is judged."""

from stream.contract.events import (
    AlertRaised,
    AlertSuppressed,
)
from stream.decide.alert import alert_of
from tests.stream.answers import answer, match, segment
from tests.stream.decide.judging import excluding, judge, policies_of, why


def test_a_copy_of_nothing_but_excluded_spans_is_suppressed_whole() -> None:
    found = match("r", segments=[segment(0, 88.0)])
    judged = judge(policies_of(excluding((0, 90))), found)
    assert isinstance(judged, AlertSuppressed)
    assert (judged.reason, judged.segments) == ("excluded", found.segments)
    assert "excluded spans of r" in judged.detail


def test_a_segment_is_cut_down_to_what_is_outside_and_one_inside_is_dropped() -> None:
    found = match("r", segments=[segment(60, 120), segment(5, 30, video_start=70.0, score=0.95)])
    judged = judge(policies_of(excluding((0, 90))), found)
    assert isinstance(judged, AlertRaised)
    assert judged.segments == [segment(90, 120, video_start=30.0)]
    assert judged.score == 0.9
    assert judged.alert_id != alert_of(answer(0), found).alert_id


def test_minima_are_of_what_exclusions_leave() -> None:
    found = match("r", segments=[segment(60, 120)])
    policies = policies_of(excluding((0, 90), least_seconds=31.0))
    assert why(judge(policies, found)) == (
        "too_short",
        "30.0 s are copied, expected at least 31.0 s",
    )


def test_exclusions_are_of_the_named_reference_and_by_its_owner() -> None:
    found = match("r", segments=[segment(60, 80)])
    other_video = policies_of(excluding((0, 90), reference_id="s"))
    other_owner = policies_of(excluding((0, 90), owner_id="another"))
    assert why(judge(other_video, found)) is None
    assert why(judge(other_owner, found)) is None
