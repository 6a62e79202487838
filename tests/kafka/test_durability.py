"""A service with every kind of fault at once tells the same as an undisturbed one."""

from pathlib import Path

from benchmarks.durability import is_wrong, measure
from benchmarks.faults import AT_ONCE, KINDS, plan
from benchmarks.faulty_run import make_windows
from stream.broker.local import LocalKafka


def test_nothing_is_lost_and_nothing_told_otherwise_whatever_happens(tmp_path: Path) -> None:
    windows = make_windows(plan(len(KINDS), 1, [AT_ONCE]), 1)
    with LocalKafka(tmp_path / "kafka") as broker:  # of its own: it is killed as well
        figures = measure(broker, tmp_path, windows, mount=False)
    assert not is_wrong(figures), figures
    assert figures["faults"] >= 10, figures
    probes = figures["probes"]
    assert probes["kept_named"] == probes["kept"] > 0
    assert probes["gone_named"] == 0 < probes["gone"]
