"""Snapshots of a view: whole or passed over, two of them, written by one process."""

import fcntl
import os
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stream.errors import SnapshotError
from stream.index.manifests import MANIFEST
from stream.search.snapshot import ViewSnapshots
from stream.search.table import Place
from tests.stream.search_views import (
    OTHER,
    event,
    found,
    new_view,
    snapshots,
    vector_of,
)


def saved_twice(folder: Path) -> tuple[ViewSnapshots, list[Path]]:
    store, made, paths = snapshots(folder), new_view(), []
    for number in range(3):
        made.add(event(f"v{number}", number), Place(0, number))
        path = store.save(made, {0: number + 1, 1: 4})
        assert path is not None
        paths.append(path)
    return store, paths[1:]


def test_the_last_two_snapshots_are_kept_and_the_newest_restored(tmp_path: Path) -> None:
    store, paths = saved_twice(tmp_path)
    assert sorted(path for path in tmp_path.iterdir() if path.is_dir()) == paths
    restored = store.load_latest()
    assert restored is not None
    assert (restored.offsets, len(restored.view)) == ({0: 3, 1: 4}, 3)


@pytest.mark.parametrize("name", ["records.npy", "codes.npy", "ids.npy", MANIFEST])
@pytest.mark.parametrize("how", ["flip", "cut", "gone"])
def test_a_damaged_snapshot_falls_back_to_the_one_before_and_then_to_the_topic(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, how: str
) -> None:
    store, paths = saved_twice(tmp_path)
    damage(paths[1] / name, how)
    restored = store.load_latest()
    assert restored is not None and restored.offsets == {0: 2, 1: 4}
    assert "snapshot passed over" in caplog.text
    damage(paths[0] / name, how)
    assert store.load_latest() is None


def damage(path: Path, how: str) -> None:
    if how == "gone":
        path.unlink()
        return
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data if how == "flip" else data[: len(data) // 2])


@pytest.mark.parametrize(
    "changed", [{"log_id": "other"}, {"model_version": OTHER}, {"dimension": 9}]
)
def test_a_snapshot_of_another_topic_or_model_is_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, changed: dict[str, Any]
) -> None:
    saved_twice(tmp_path)
    assert snapshots(tmp_path, **changed).load_latest() is None
    assert "is foreign" in caplog.text


def test_a_snapshot_older_than_the_topics_memory_of_takedowns_is_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, _ = saved_twice(tmp_path)
    late = time.time() + 91 * 86400
    monkeypatch.setattr("stream.search.snapshot.time.time", lambda: late)
    assert store.load_latest() is None
    assert "days old" in caplog.text


def test_a_full_disk_costs_the_new_snapshot_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, paths = saved_twice(tmp_path)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(SnapshotError, match="No space left"):
        store.save(new_view(), {0: 9, 1: 9})
    assert sorted(path for path in tmp_path.iterdir() if path.is_dir()) == paths


def test_while_another_process_writes_nothing_is_written(tmp_path: Path) -> None:
    store, _ = saved_twice(tmp_path)
    with (tmp_path / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert store.save(new_view(), {0: 50}) is None


def test_vectors_of_a_snapshot_that_is_dropped_can_still_be_searched(tmp_path: Path) -> None:
    store, paths = saved_twice(tmp_path)
    restored = store.load_latest()
    assert restored is not None
    shutil.rmtree(paths[1])
    assert len(found(restored.view, vector_of(1), 5)) == 3
    assert not os.path.exists(paths[1])
