"""The worst day's plan, and its lanes where nothing runs."""

from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.chaos import verdict
from benchmarks.delivery.chaos_day import Day, Lanes, Work
from benchmarks.delivery.chaos_faults import KINDS, LIBRARY, Fault, plan
from benchmarks.delivery.chaos_site import ObjectStore, WorstSite
from benchmarks.delivery.workers import Ended, Workers
from stream.broker.local import LocalKafka
from stream.broker.settings import KafkaSettings
from stream.failpoints import FAILPOINTS


def test_the_same_seed_gives_the_same_faults_in_the_same_lanes() -> None:
    assert plan(300, seed=7) == plan(300, seed=7)
    assert plan(300, seed=7) != plan(300, seed=8)


def test_a_thousand_faults_are_of_every_kind_and_kill_at_every_point_many_times() -> None:
    planned = [fault for faults in plan(1000, seed=1).values() for fault in faults]
    kinds = Counter(fault.kind for fault in planned)
    assert 1000 <= len(planned) <= 1000 + len(KINDS)
    assert kinds.keys() == KINDS.keys()
    assert min(kinds[point] for point in FAILPOINTS) >= 20


def test_each_worker_is_hit_at_each_point_of_its_role() -> None:
    lanes = plan(1000, seed=1)
    for lane in LIBRARY:
        points = {fault.kind for fault in lanes[lane]} & {*FAILPOINTS}
        assert points == {one for one in FAILPOINTS if one.startswith(("library", "snapshot"))}


def test_what_came_again_is_no_progress() -> None:
    work = Work()
    compared = [{"shard": 1, "request_id": "a"}, {"shard": 1, "request_id": "a"}]
    answers: dict[str, list[dict[str, Any]]] = {
        "video.embedded": [], "video.compared": compared, "video.decided": [],
    }  # fmt: skip
    work.take_in(answers)
    compared.append({"shard": 1, "request_id": "b"})
    work.take_in(answers)
    assert work.of(LIBRARY[1]) == 2
    assert work.of(LIBRARY[0]) == work.of("decide-a") == work.of("broker") == 0


def test_faults_that_had_no_time_are_counted(tmp_path: Path) -> None:
    faults = [Fault("Kafka restart", "broker", seed) for seed in range(3)]
    lanes = Lanes(_site(tmp_path), {"broker": faults}, Work(), over=lambda: True)
    lanes.live_through("broker")
    assert lanes.day.left == {"broker": 3}
    assert not lanes.day.faults
    assert not lanes.open("broker")


def test_a_fault_that_cannot_be_caused_is_told_and_the_lane_goes_on(tmp_path: Path) -> None:
    class Undecided(Work):
        def of(self, lane: str) -> int:
            self.asked = getattr(self, "asked", 0) + 1
            return self.asked

    faults = [Fault("object store silent", "store", seed) for seed in range(2)]
    lanes = Lanes(_site(tmp_path), {"store": faults}, Undecided(decided={"a"}), over=lambda: False)
    lanes.live_through("store")  # it was never started
    assert len(lanes.day.failed) == 2
    assert "start() first" in lanes.day.failed[0]


def test_an_error_is_explained_by_a_fault_that_ends_processes_and_by_no_other() -> None:
    day = Day(start=100.0)
    day.faults = [
        (Fault("Kafka restart", "broker", 1), 10.0, 20.0),
        (Fault("clock step", "decide-a", 2), 300.0, 305.0),
        (Fault("SIGSTOP library", "library-0", 3), 600.0, 610.0),
    ]

    def explained(name: str, code: int, at: float) -> bool:
        return day.explains(Ended(name, code, 100.0 + at, "why"))

    assert explained("library-0", 1, 15.0) and explained("decide-a", 1, 100.0)
    assert not explained("library-0", 1, 5.0), "before it"
    assert not explained("library-0", -11, 15.0) and not explained("library-0", 0, 15.0)
    assert explained("decide-a", 1, 380.0)
    assert not explained("decide-b", 1, 380.0), "it is another's clock"
    assert not explained("library-0", 1, 605.0)


def test_the_verdict_tells_what_is_wrong_and_which_points_say_nothing() -> None:
    figures = {"points_never_reached": ["library.merging"]}
    assert (
        verdict(figures, []) == "nothing is wrong; nothing is known of library.merging: "
        "never reached"
    )
    assert verdict({"points_never_reached": []}, ["losses"]) == "wrong: losses"


def _site(folder: Path) -> WorstSite:
    """Where nothing runs."""
    kafka = LocalKafka(folder / "kafka", port=1)
    workers = Workers(KafkaSettings(), folder, {}, lambda _: {})
    return WorstSite(workers, kafka, {}, small=False, store=ObjectStore(folder), clocks={})
