"""A worker tells how much room its disks have, by the setting that names each folder."""

from pathlib import Path

from prometheus_client import REGISTRY

from stream.agents.disks import DISK_METRICS, folders_of
from stream.settings import load_settings


def told(name: str, folder: str) -> float | None:
    return REGISTRY.get_sample_value(f"samesource_disk_{name}_bytes", {"folder": folder})


def test_free_and_all_of_a_disk_are_told_while_the_workers_run(tmp_path: Path) -> None:
    with DISK_METRICS.of({"library.snapshot_folder": tmp_path}):
        free, size = (
            told("free", "library.snapshot_folder"),
            told("size", "library.snapshot_folder"),
        )
        assert free is not None and size is not None
        assert 0 < free <= size
    assert told("free", "library.snapshot_folder") is None


def test_a_folder_that_is_not_there_has_no_figure_and_hides_no_other(tmp_path: Path) -> None:
    with DISK_METRICS.of({"worker.data_folder": tmp_path / "gone", "TMPDIR": tmp_path}):
        assert told("free", "worker.data_folder") is None
        assert told("free", "TMPDIR") is not None


def test_each_role_tells_of_what_it_writes_to(tmp_path: Path) -> None:
    settings = load_settings(
        decode={"spool_folder": tmp_path}, console={"database_url": f"sqlite:///{tmp_path}/c.db"}
    )
    assert folders_of(settings, ["decide"]).keys() == {"worker.data_folder"}
    assert folders_of(settings, ["library"]).keys() == {"library.snapshot_folder"}
    named = {"worker.data_folder", "TMPDIR", "decode.spool_folder"}
    assert folders_of(settings, ["fingerprint"]).keys() == named
    assert folders_of(settings, ["console"]) == {"console.database_url": tmp_path}
    elsewhere = load_settings(console={"database_url": "postgresql://db/console"})
    assert folders_of(elsewhere, ["console"]) == {}
