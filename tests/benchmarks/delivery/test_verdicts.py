"""What a run's figures must be for its script to end with 0."""

from typing import Any

import pytest

from benchmarks import durability, mutated_videos
from benchmarks.delivery import decide_memory, kills
from benchmarks.delivery.decide_memory import Day

CALM: dict[str, Any] = {
    "alerts": 3, "differences": {}, "wrong": {"calm": [], "disturbed": []},
    "probes": {"gone_named": 0}, "ended_by_themselves": {}, "hung_at_sigterm": {},
}  # fmt: skip
KILLED: dict[str, Any] = {"alerts": 3, "missing": [], "ended_by_themselves": {}}


@pytest.mark.parametrize(
    "changed",
    [
        {"alerts": 0},
        {"differences": {"kill -9 decide": {}}},
        {"wrong": {"calm": [], "disturbed": ["1-2-3 has 0 outcomes, expected 1"]}},
        {"probes": {"gone_named": 1}},
        {"ended_by_themselves": {"decide-a with 1": 1}},
        {"hung_at_sigterm": {"decide-a": 1}},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_faults_may_change_nothing_end_nobody_and_leave_something_told(
    changed: dict[str, Any],
) -> None:
    assert not durability.is_wrong(CALM)
    assert durability.is_wrong(CALM | changed)


@pytest.mark.parametrize(
    "changed", [{"alerts": 0}, {"missing": ["film"]}, {"ended_by_themselves": {"decide with 1": 1}}]
)
def test_kills_may_lose_nothing_and_end_nobody_else(changed: dict[str, Any]) -> None:
    same = {"calm and killed": {"copies of references": list[str]()}}
    assert not kills.is_wrong([KILLED, KILLED], same)
    assert kills.is_wrong([KILLED, KILLED | changed], same)
    assert kills.is_wrong([KILLED, KILLED], {"calm and killed": {"copies": ["an alert"]}})


def test_what_decide_remembers_may_not_grow_when_as_much_is_forgotten() -> None:
    def days(*megabytes: float) -> list[Day]:
        return [Day(str(day), 1000, 0, size) for day, size in enumerate(megabytes, 1)]

    week = [float(day) for day in range(1, 8)]
    assert not decide_memory.grown(days(*week, 8.0, 8.5, 8.0))
    assert decide_memory.grown(days(*week, 8.0, 9.0, 8.0))
    assert decide_memory.grown(days(*week, 8.0)), "nothing is known of it yet"


@pytest.mark.parametrize(
    "figures",
    [
        {"internal": ["a.mp4: …"]}, {"touched": ["secret.ts"]}, {"down": ["decide"]},
        {"problems": ["a.mp4: not decided"]}, {"resident_mib": [90.0, 100.0, 105.0, 111.0]},
    ],
    ids=lambda figures: next(iter(figures)),
)  # fmt: skip
def test_damaged_videos_may_end_nothing_and_leave_memory_as_it_was(
    figures: dict[str, Any],
) -> None:
    assert not mutated_videos.is_bad({"resident_mib": [90.0, 100.0, 120.0, 109.0]})
    assert mutated_videos.is_bad(figures)
