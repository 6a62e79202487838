"""A service with every kind of fault at once tells the same as an undisturbed one."""

import json
from pathlib import Path

from benchmarks.delivery.faults import AT_ONCE, plan
from benchmarks.delivery.faulty_run import make_windows
from benchmarks.durability import is_wrong, measure
from stream.broker.local import LocalKafka

FAULTS, SEED = 12, 5


def test_nothing_is_lost_and_nothing_told_otherwise_whatever_happens(tmp_path: Path) -> None:
    windows = make_windows(plan(FAULTS, SEED, [AT_ONCE]), SEED)
    with LocalKafka(tmp_path / "kafka") as broker:  # of its own: it is killed as well
        figures = measure(broker, tmp_path, windows, mount=False)
    assert not is_wrong(figures), json.dumps(figures, indent=1)
    assert figures["faults"] >= FAULTS - 4, figures  # a point may not be reached in time
    probes = figures["probes"]
    assert probes["kept_named"] == probes["kept"] > 0
    assert probes["gone_named"] == 0 < probes["gone"]
