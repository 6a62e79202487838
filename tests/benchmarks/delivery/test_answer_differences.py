"""What two runs told is compared by id: order and repeats don't count, everything else does."""

import copy
from typing import Any

import pytest

from benchmarks.delivery.answer_differences import (
    IDS,
    NOWHERE,
    compare,
    probe_figures,
    wrong_by_themselves,
)
from benchmarks.delivery.made_log import Entry, LogMaker, Probe
from benchmarks.delivery.outside_client import Answers

WINDOWS = {"r1": "one", "r2": "two", "0": "one", "1": "two"}


def answer(request: str, *references: str, shard: int = 0) -> dict[str, Any]:
    matches = [{"reference_id": name} for name in references]
    return {"request_id": request, "video_id": f"v{request}", "shard": shard, "matches": matches}


def decision(request: str, outcome: str, *alerts: str) -> dict[str, Any]:
    return {
        "request_id": request,
        "outcome": outcome,
        "alert_ids": [*alerts],
        "decided_at": f"then {request}",
    }


def told() -> Answers:
    answers: Answers = {topic: [] for topic in IDS}
    answers["video.compared"] = [answer("r1"), answer("r2", "vr1")]
    answers["video.decided"] = [decision("r1", "clear"), decision("r2", "matched", "a")]
    answers["alert.raised"] = [{"alert_id": "a", "library_offset": 1, "raised_at": "then"}]
    return answers


def test_order_repeats_and_the_time_of_day_are_no_difference() -> None:
    second = told()
    for events in second.values():
        events.reverse()
    second["alert.raised"].append({"alert_id": "a", "library_offset": 1, "raised_at": "later"})
    found = compare(told(), second, WINDOWS)
    assert not any(found.values())
    assert (found["one"].twice, found["two"].twice) == (0, 1)


def test_what_only_the_first_run_told_is_missing_in_its_window() -> None:
    for topic in ("alert.raised", "video.decided", "video.compared"):
        second = told()
        lost = second[topic].pop()
        found = compare(told(), second, WINDOWS)
        assert not found["one"]
        (name,) = found["two"].missing
        assert name.split()[:2] == [topic, lost[IDS[topic][0]]]


def test_what_only_the_second_run_told_differs() -> None:
    second = told()
    second["alert.raised"].append({"alert_id": "b", "library_offset": 0})
    second["video.rejected"].append({"request_id": "r9", "source_topic": "t"})
    found = compare(told(), second, WINDOWS)
    assert found["one"].alerts == ["alert.raised b"]
    assert found[NOWHERE].answers == ["video.rejected r9 t"]


@pytest.mark.parametrize("instead", [True, False])
def test_other_content_differs_beside_the_right_one_or_in_its_place(instead: bool) -> None:
    second = told()
    other = copy.deepcopy(second["video.decided"][0]) | {"outcome": "rejected"}
    if instead:
        second["video.decided"][0] = other
    else:
        second["video.decided"].append(other)
    assert compare(told(), second, WINDOWS)["one"].decisions == ["video.decided r1"]


def made() -> tuple[list[Entry], str, str]:
    """Two videos, of which the first is taken down before the second comes."""
    first, second = LogMaker(1).entries(2)
    assert first.event is not None
    assert second.event is not None
    log = [first, Entry(first.key, None), second]
    return log, first.event.request_id, second.event.request_id


def test_a_run_is_wrong_by_itself_without_exactly_one_outcome_or_with_a_name_taken_down() -> None:
    log, one, two = made()
    answers: Answers = {topic: [] for topic in IDS}
    answers["video.decided"] = [decision(one, "clear"), decision(two, "clear")]
    assert wrong_by_themselves(answers, log) == []
    answers["video.compared"] = [answer(two, log[0].key)]
    answers["video.decided"] = [decision(one, "clear"), decision(one, "matched", "a")]
    assert wrong_by_themselves(answers, log) == [
        f"{one} has 2 outcomes, expected 1",
        f"{two} has 0 outcomes, expected 1",
        f"{two} is told to copy ['{log[0].key}'], which were taken down",
    ]


def test_probes_are_counted_by_what_their_answers_name() -> None:
    entry = Entry("vr1", None)
    probes = [Probe(entry, frozenset({"x", "y"}), frozenset({"z"}))]
    answers: Answers = {"video.compared": [answer("r1", "x", shard=0), answer("r1", "z", shard=1)]}
    assert probe_figures(answers, probes) == {
        "kept": 2,
        "kept_named": 1,
        "gone": 1,
        "gone_named": 1,
    }
