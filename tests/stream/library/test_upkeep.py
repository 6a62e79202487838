"""What upkeep does to the files changes no answer, and stops at nothing."""

from pathlib import Path

import numpy as np
import pytest

from stream.index.inverted import FrameLists
from stream.library.snapshot import SnapshotStore
from stream.library.upkeep import Upkeep, merging
from tests.stream.kept_library import TINY, KeptLibrary
from tests.stream.library_log import content, fingerprint, look, shard


def test_lists_merges_and_restores_change_no_answer(tmp_path: Path) -> None:
    log = [
        fingerprint(f"v{n}", np.concatenate((look(n), look(n // 2)[5:20]))) for n in range(2, 30)
    ]
    plain = shard(exact_rows=10**6)
    expected = [content(plain.apply(event, offset)) for offset, event in enumerate(log)]
    library = shard(snapshot_folder=tmp_path, **TINY)
    upkeep = Upkeep(SnapshotStore(library.settings, shard=0, log_id="log"))
    answers = []
    for offset, event in enumerate(log):
        answers.append(content(library.apply(event, offset)))
        upkeep.step(library.state, wait=offset % 3 == 0)
    upkeep.step(library.state, wait=True)
    assert answers == expected
    store = library.state.store
    assert store is not None and store.codebook is not None
    assert all(isinstance(run.lists, FrameLists) for run in store.runs)
    sizes = [len(run.rows) for run in store.runs]
    assert len(sizes) <= 5 and sum(sizes) + len(store.head.run.rows) == 28 * 45
    upkeep.close()


def test_removed_videos_are_dropped_from_the_files(tmp_path: Path) -> None:
    service = KeptLibrary(tmp_path, **TINY)
    for number in range(8):
        service.read(fingerprint(f"v{number}", look(number)))
    service.upkeep.step(service.library.state, wait=True)
    before = service.library.state.frames
    for number in range(4):
        service.remove(f"v{number}")
    service.upkeep.step(service.library.state, wait=True)
    assert service.library.state.frames <= before - 60
    service.restart()
    assert service.held().keys() == {f"v{number}" for number in range(4, 8)}
    assert service.read(fingerprint("q", np.concatenate((look(1), look(6))))) == {"v6"}
    kept = {path.name for path in service.snapshots.runs_folder.iterdir()}
    store = service.library.state.store
    assert store is not None
    assert {run.folder.name for run in store.runs if run.folder} <= kept
    service.upkeep.close()


def test_a_disk_that_refuses_stops_no_answer_and_is_not_tried_all_the_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    service = KeptLibrary(tmp_path / "full", **TINY)
    (tmp_path / "full").write_text("a file where a folder must be")
    for number in range(8):
        service.read(fingerprint(f"v{number}", look(number)))
        service.upkeep.step(service.library.state, wait=True)
    assert caplog.text.count("Not a directory") == 1
    caplog.clear()
    assert service.read(fingerprint("q", look(3))) == {"v3"}
    service.upkeep.snapshot(service.library.state, service.offset, lambda: None)
    service.upkeep.finish()
    assert "can't be written" in caplog.text
    caplog.clear()
    service.upkeep.close()


def test_a_video_that_is_replaced_during_a_merge_stays_replaced(tmp_path: Path) -> None:
    service = KeptLibrary(tmp_path, **TINY)
    for number in range(6):
        service.read(fingerprint(f"v{number}", look(number)))
    service.upkeep.step(service.library.state, wait=True)
    service.upkeep.step(service.library.state)
    service.remove("v1")
    service.read(fingerprint("v2", look(20), content_version=2))
    service.upkeep.step(service.library.state, wait=True)
    assert service.held() == {"v0": 1, "v2": 2, "v3": 1, "v4": 1, "v5": 1}
    service.upkeep.close()


@pytest.mark.parametrize(
    ("sizes", "merged"),
    [([], 0), ([9], 0), ([320, 10], 2), ([330, 10], 0), ([330, 5, 5], 2), ([198, 5, 5], 3)],
)
def test_runs_are_merged_when_the_newer_are_a_thirty_second_of_the_older(
    sizes: list[int], merged: int
) -> None:
    library = shard(run_rows=10**6)
    for number, size in enumerate(sizes):
        library.absorb(fingerprint(f"v{number}", look(number, size)), number)
        assert library.state.store is not None
        library.state.store.seal()
    runs = library.state.store.runs if library.state.store else ()
    assert len(merging(runs, 0)) == merged
