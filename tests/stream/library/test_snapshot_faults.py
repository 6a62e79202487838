"""Disks and object stores that fail: no answer changes, nothing half is read, all mends itself."""

import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import fsspec
import orjson
import pytest

from models.aligners.base import Aligner
from models.all_aligners import make_aligner
from stream.errors import SnapshotError
from stream.library import upkeep as upkeep_module
from stream.library.settings import LibrarySettings
from stream.library.shard import LibraryShard
from stream.library.snapshot import SnapshotStore
from stream.library.state import ShardState
from stream.library.upkeep import Upkeep
from tests.stream.library_log import content, fingerprint, look

TINY: dict[str, Any] = {"exact_rows": 64, "run_rows": 40, "keep_replaced": 3}
LOG = [fingerprint(f"v{number}", look(number % 9)) for number in range(16)]
PROBE = fingerprint("probe", look(4))


@pytest.fixture
def url() -> Iterator[str]:
    """A place in a store."""
    place = f"memory://{uuid.uuid4().hex}"
    yield place
    fsspec.filesystem("memory").rm(place, recursive=True) if _stored(place) else None


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 192 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=192k", "none", str(disk)]
    if subprocess.run(mount, capture_output=True, timeout=10, check=False).returncode:
        pytest.skip("no right to mount a disk here")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], timeout=10, check=True)


class Service:
    """A shard that reads the log, with its upkeep, as the worker calls it."""

    def __init__(self, folder: Path, url: str | None = None) -> None:
        settings = LibrarySettings(snapshot_folder=folder, snapshot_store=url, **TINY)
        self.snapshots = SnapshotStore(settings, shard=0, log_id="log")
        self.upkeep = Upkeep(self.snapshots)
        found = self.snapshots.load_latest()
        self.library = shard(found.state if found else None)
        self.offset = self.saved = found.next_offset if found else 0

    def read(self, entries: int) -> None:
        """Take entries; a snapshot is due behind each."""
        for event in LOG[self.offset : self.offset + entries]:
            self.library.absorb(event, self.offset)
            self.offset += 1
            if not self.upkeep.step(self.library.state, wait=True):
                self.save()
                self.upkeep.finish()

    def save(self) -> None:
        """Begin a snapshot."""
        offset = self.offset

        def saved() -> None:
            self.saved = offset

        self.upkeep.snapshot(self.library.state, offset, saved)

    def settle(self) -> None:
        """Do all that is due."""
        self.upkeep.finish()
        self.upkeep.step(self.library.state, wait=True)

    def stop(self) -> None:
        """As a worker does."""
        self.upkeep.finish()
        self.save()
        self.upkeep.finish()
        self.upkeep.close()


def shard(state: ShardState | None = None) -> LibraryShard:
    return LibraryShard(LibrarySettings(**TINY), 0, aligner(), state)


@cache
def aligner() -> Aligner:
    return make_aligner(LibrarySettings().aligner)


def served(folder: Path, url: str | None = None) -> Path:
    """What a worker leaves behind that stopped twice: its folder, two snapshots and runs in it."""
    for entries in (10, 6):
        service = Service(folder, url)
        service.read(entries)
        service.settle()
        service.stop()
    return folder / "shard-0-of-1"


@cache
def undisturbed() -> dict[str, Any]:
    """What is said of a probe by a shard that had no trouble."""
    library = shard()
    for offset, event in enumerate(LOG):
        library.absorb(event, offset)
    return content(library.apply(PROBE, len(LOG)))


def said(library: LibraryShard) -> dict[str, Any]:
    return content(library.apply(PROBE, len(LOG)))


def _stored(url: str) -> list[str]:
    system, root = fsspec.core.url_to_fs(url)
    return sorted(system.find(root)) if system.exists(root) else []


def _newest(folder: Path) -> Path:
    return max(path for path in folder.iterdir() if path.name.isdigit())


def _rows(folder: Path) -> Path:
    manifest = orjson.loads((_newest(folder) / "manifest.json").read_bytes())
    return folder / "segments" / str(manifest["segments"][0]["name"]) / "rows.npy"


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def emptied(path: Path) -> None:
    for inside in path.iterdir():
        inside.unlink()


DAMAGES: dict[str, Callable[[Path], None]] = {
    "a bit of the state": lambda folder: flip(_newest(folder) / "state.npz"),
    "a bit of the manifest": lambda folder: flip(_newest(folder) / "manifest.json"),
    "a bit of a run": lambda folder: flip(_rows(folder)),
    "the end of the state": lambda folder: cut(_newest(folder) / "state.npz"),
    "the end of the manifest": lambda folder: cut(_newest(folder) / "manifest.json"),
    "the end of a run": lambda folder: cut(_rows(folder)),
    "no state": lambda folder: (_newest(folder) / "state.npz").unlink(),
    "no manifest": lambda folder: (_newest(folder) / "manifest.json").unlink(),
    "no rows": lambda folder: _rows(folder).unlink(),
    "no run": lambda folder: shutil.rmtree(_rows(folder).parent),
    "an empty snapshot": lambda folder: emptied(_newest(folder)),
    "an empty run": lambda folder: emptied(_rows(folder).parent),
    "no runs": lambda folder: shutil.rmtree(folder / "segments"),
    "a run that is a file": lambda folder: _as_file(_rows(folder).parent),
}


def _as_file(path: Path) -> None:
    shutil.rmtree(path)
    path.write_text("what a repair of the file system left")


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_here_is_fetched_again_at_the_start(
    tmp_path: Path, url: str, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    folder = served(tmp_path, url)
    caplog.clear()
    DAMAGES[damage](folder)
    found = Service(tmp_path, url)
    assert found.offset == len(LOG)
    assert said(found.library) == undisturbed()
    assert caplog.text.count("fetched again from memory://") == 1
    caplog.clear()
    again = Service(tmp_path, url)
    assert (again.offset, caplog.text) == (len(LOG), "")
    for service in (found, again):
        service.upkeep.close()


@pytest.mark.parametrize("damage", DAMAGES)
def test_without_a_store_what_is_damaged_is_passed_over_and_the_rest_is_read_from_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    folder = served(tmp_path)
    DAMAGES[damage](folder)
    service = Service(tmp_path)
    assert service.offset < len(LOG)
    assert "passed over" in caplog.text
    service.read(len(LOG))
    service.settle()
    assert said(service.library) == undisturbed()
    service.stop()
    assert Service(tmp_path).offset == len(LOG)


@pytest.mark.parametrize(
    "damage", ["a bit of a run", "no rows", "an empty run", "a bit of the state", "no manifest"]
)
def test_what_is_found_damaged_later_is_fetched_again_while_the_shard_goes_on(
    tmp_path: Path,
    url: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    damage: str,
) -> None:
    folder = served(tmp_path, url)
    service = Service(tmp_path, url)
    DAMAGES[damage](folder)
    service.settle()
    assert caplog.text == ""
    monkeypatch.setattr(service.upkeep, "_checks_at", 0.0)
    service.settle()
    assert caplog.text.count("fetched again from memory://") == 1
    assert said(service.library) == undisturbed()
    service.upkeep.close()
    caplog.clear()
    again = Service(tmp_path, url)
    assert (again.offset, caplog.text) == (len(LOG), "")
    assert said(again.library) == undisturbed()
    again.upkeep.close()


def test_damage_that_no_store_can_mend_is_told_with_what_to_do(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = served(tmp_path)
    service = Service(tmp_path)
    flip(_rows(folder))
    monkeypatch.setattr(service.upkeep, "_checks_at", 0.0)
    service.settle()
    assert "rows.npy is damaged" in caplog.text and "away and start it" in caplog.text
    service.upkeep.close()


def test_what_is_damaged_here_is_never_put_into_the_store(
    tmp_path: Path, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = served(tmp_path)
    flip(_rows(folder))
    settings = LibrarySettings(snapshot_folder=tmp_path, snapshot_store=url, **TINY)
    snapshots = SnapshotStore(settings, shard=0, log_id="log")
    snapshots._uncopied = _newest(folder).name
    with pytest.raises(SnapshotError, match=r"rows\.npy is damaged"):
        snapshots.copy()
    assert not [path for path in _stored(url) if path.endswith(("rows.npy", "manifest.json"))]
    assert snapshots.to_copy


def test_on_a_full_disk_the_shard_goes_on_warns_once_a_minute_and_saves_when_there_is_room(
    tiny_disk: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Service(tiny_disk)
    service.read(4)
    service.settle()
    before = service.saved
    folder = tiny_disk / "shard-0-of-1"
    whole = {path.name for path in folder.iterdir() if path.name.isdigit()}
    assert before == 4 and caplog.text == ""
    ballast = tiny_disk / "ballast"
    with ballast.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
        while True:
            file.write(b"x" * 4096)
    service.read(8)
    assert service.offset == 12 and service.saved == before
    assert caplog.text.count("No space left") == 1
    assert whole <= {path.name for path in folder.iterdir()}
    left = Service(tiny_disk)  # what a death would leave behind
    assert left.offset == before
    left.upkeep.close()
    monkeypatch.setattr(service.upkeep, "_rests_until", 0.0)
    service.read(1)
    assert caplog.text.count("No space left") == 2
    ballast.unlink()
    monkeypatch.setattr(service.upkeep, "_rests_until", 0.0)
    service.read(3)
    service.settle()
    service.stop()
    assert service.saved == len(LOG)
    assert said(service.library) == undisturbed()
    assert not [*folder.rglob("*.part")]
    again = Service(tiny_disk)
    assert again.offset == len(LOG)
    again.upkeep.close()


def test_from_a_read_only_disk_a_shard_is_restored_and_goes_on(
    tiny_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    service = Service(tiny_disk)
    service.read(4)
    service.settle()
    service.stop()
    subprocess.run(["mount", "-o", "remount,ro", str(tiny_disk)], timeout=10, check=True)
    again = Service(tiny_disk)
    assert again.offset == 4
    again.read(12)
    assert caplog.text.count("Read-only file system") == 1
    assert said(again.library)["matches"] == undisturbed()["matches"]
    again.upkeep.close()


def test_while_the_store_is_away_snapshots_go_on_and_are_copied_when_it_is_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "store"
    store.write_text("a file where a folder must be")
    service = Service(tmp_path / "here", store.as_uri())
    caplog.clear()
    service.read(8)
    service.settle()
    assert service.saved == 8
    assert caplog.text.count("it will be copied later") == 1
    store.unlink()
    service.settle()
    assert not store.exists()  # it rests
    monkeypatch.setattr(service.upkeep, "_copy_rests_until", 0.0)
    service.settle()
    assert sorted(store.glob("*/*/manifest.json")) != []
    service.upkeep.close()
    elsewhere = Service(tmp_path / "elsewhere", store.as_uri())
    assert elsewhere.offset == 8
    elsewhere.upkeep.close()


def test_what_wasnt_copied_before_a_stop_is_copied_after_the_next_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = tmp_path / "store"
    store.write_text("a file where a folder must be")
    service = Service(tmp_path / "here", store.as_uri())
    service.read(8)
    service.stop()
    store.unlink()
    again = Service(tmp_path / "here", store.as_uri())
    again.settle()
    again.upkeep.close()
    elsewhere = Service(tmp_path / "elsewhere", store.as_uri())
    assert elsewhere.offset == 8
    elsewhere.upkeep.close()


def test_a_fetch_that_breaks_off_leaves_nothing_that_is_read(
    tmp_path: Path, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    served(tmp_path / "a", url)
    system, root = fsspec.core.url_to_fs(url)
    lost = max(system.glob(f"{root}/shard-0-of-1/segments/*/payload.npy"))
    system.rm_file(lost)
    service = Service(tmp_path / "b", url)
    assert service.offset < len(LOG)
    assert "passed over" in caplog.text
    assert not [*(tmp_path / "b").rglob("*.part")]
    service.upkeep.close()
    assert upkeep_module.REST_SECONDS == 60
