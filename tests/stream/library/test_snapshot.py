"""A snapshot is whole or passed over, and a restored shard answers as if nothing had happened."""

import shutil
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stream.contract.packed import pack_codes, pack_motion, pack_times
from stream.errors import SnapshotError
from stream.library.settings import LibrarySettings
from stream.library.snapshot import SnapshotStore
from stream.library.snapshot_files import FILES, STATE
from tests.stream.library_log import content, fingerprint, look, shard

LOG = [
    fingerprint("a", look(1), role="reference"),
    fingerprint("b", np.concatenate((look(2), look(1)[5:20]))),
    fingerprint("a", look(1)),
    fingerprint("none", look(1)[:0]),
    fingerprint("a", look(3), content_version="2"),
    fingerprint(
        "c",
        np.concatenate((look(3)[:15], look(1)[10:])),
        motion=pack_motion(np.arange(0, 242, 2, dtype=np.uint8)),
    ),
    fingerprint("b", np.concatenate((look(2), look(1)[5:20]))),
    fingerprint(
        "d",
        np.concatenate((look(2)[10:], look(3)[5:15])),
        cut_seconds=pack_times(np.array([20.04], np.float32)),
        score_offsets=pack_codes(np.arange(-15, 15).astype(np.int8)),
        motion=pack_motion(np.arange(200, 80, -1).astype(np.uint8)),
    ),
    fingerprint("e", np.concatenate((look(2)[5:], look(3)[:15]))),
]


def store(folder: Path, **identity: object) -> SnapshotStore:
    fields: dict[str, Any] = {"shard": 0, "log_id": "cluster/log"} | identity
    own = {name: fields.pop(name) for name in ("shard", "log_id")}
    return SnapshotStore(LibrarySettings(snapshot_folder=folder, **fields), **own)


def saved(folder: Path, *offsets: int) -> list[Path]:
    """Snapshots of a shard at some offsets of the log."""
    library, paths = shard(), []
    for offset, event in enumerate(LOG):
        library.absorb(event, offset)
        if offset + 1 in offsets:
            paths.append(store(folder).save(library.state, offset + 1))
    return paths


@cache
def undisturbed_answers(number: int, shards: int) -> list[dict[str, Any]]:
    """Of a shard that is never cut off, to the whole log."""
    library = shard(number=number, shards=shards)
    return [content(library.apply(event, offset)) for offset, event in enumerate(LOG)]


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(cuts=st.sets(st.integers(0, len(LOG))), number=st.integers(0, 1), shards=st.integers(1, 2))
def test_any_cut_of_the_log_gives_the_same_answers(
    tmp_path: Path, cuts: set[int], number: int, shards: int
) -> None:
    number = min(number, shards - 1)
    expected = undisturbed_answers(number, shards)
    folder = tmp_path / "snapshots"
    shutil.rmtree(folder, ignore_errors=True)
    snapshots = store(folder, shard=number, shards=shards)
    library, answers = shard(number=number, shards=shards), []
    for offset, event in enumerate(LOG):
        if offset in cuts:
            snapshots.save(library.state, offset)
            found = snapshots.load_latest()
            assert found is not None and found.next_offset == offset
            library = shard(found.state, number=number, shards=shards)
        answers.append(content(library.apply(event, offset)))
    assert answers == expected


def test_what_an_entry_knows_of_its_video_comes_back(tmp_path: Path) -> None:
    library = shard()
    for offset, event in enumerate(LOG):
        library.absorb(event, offset)
    snapshots = store(tmp_path)
    snapshots.save(library.state, len(LOG))
    found = snapshots.load_latest()
    assert found is not None
    before, after = library.state.held(), found.state.held()
    for held, kept in zip(before, after, strict=True):
        for one, other in ((held, kept), (held.entry, kept.entry)):
            for name, value in vars(one).items():
                if name != "run":
                    np.testing.assert_array_equal(getattr(other, name), value, err_msg=name)
    entries = [held.entry for held in after]
    lengths = {entry.video_id: len(entry.motion_levels) for entry in entries}
    assert (lengths["b"], lengths["c"], lengths["d"]) == (0, 121, 120)
    assert all(entry.motion_levels.dtype == np.uint8 for entry in entries)


def test_nothing_saved_means_the_start_of_the_log(tmp_path: Path) -> None:
    assert store(tmp_path / "none").load_latest() is None


def test_the_newest_is_loaded_and_two_are_kept(tmp_path: Path) -> None:
    paths = saved(tmp_path, 2, 4, 6)
    assert not paths[0].exists() and paths[1].exists() and paths[2].exists()
    found = store(tmp_path).load_latest()
    assert found is not None and found.next_offset == 6
    assert len(found.state.held()) == 5


def test_newer_ones_that_are_unusable_cost_no_usable_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for path in saved(tmp_path, 6, 7):
        (path / STATE).unlink()
    snapshots, library = store(tmp_path), shard()
    assert snapshots.load_latest() is None
    for offset in (2, 3, 4):
        library.absorb(LOG[offset], offset)
        snapshots.save(library.state, offset)
    found = store(tmp_path).load_latest()
    assert found is not None and found.next_offset == 4
    assert sorted(int(path.name) for path in path.parent.iterdir() if path.name.isdigit()) == [
        3, 4, 6, 7,
    ]  # fmt: skip
    assert "passed over" in caplog.text


def test_saving_the_same_offset_again_replaces_it(tmp_path: Path) -> None:
    saved(tmp_path, 3)
    saved(tmp_path, 3)
    found = store(tmp_path).load_latest()
    assert found is not None and found.next_offset == 3


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("place", [0.0, 0.3, 0.5, 0.9, 1.0])
def test_a_flipped_bit_anywhere_falls_back_to_the_one_before(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, place: float
) -> None:
    older, newer = saved(tmp_path, 5, 8)
    file = newer / name
    data = bytearray(file.read_bytes())
    data[round(place * (len(data) - 1))] ^= 0x01
    file.write_bytes(data)
    found = store(tmp_path).load_latest()
    assert found is not None and found.next_offset == 5
    assert "passed over" in caplog.text and newer.name in caplog.text


@pytest.mark.parametrize("name", FILES)
def test_a_missing_or_cut_file_falls_back_to_the_one_before(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    _, newer = saved(tmp_path, 5, 8)
    (newer / name).write_bytes((newer / name).read_bytes()[:-1])
    found = store(tmp_path).load_latest()
    assert found is not None and found.next_offset == 5
    (newer / name).unlink()
    found = store(tmp_path).load_latest()
    assert found is not None and found.next_offset == 5
    assert name in caplog.text


def test_with_no_usable_one_left_the_log_is_read_from_its_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for path in saved(tmp_path, 5, 8):
        (path / STATE).unlink()
    assert store(tmp_path).load_latest() is None
    assert caplog.text.count("passed over") == 2


def test_a_write_that_was_interrupted_is_never_seen_and_cleared_away(tmp_path: Path) -> None:
    (older,) = saved(tmp_path, 5)
    unfinished = older.parent / ".00000000000000000008.part"
    shutil.copytree(older, unfinished)
    found = store(tmp_path).load_latest()
    assert found is not None and found.next_offset == 5
    saved(tmp_path, 7)
    assert not unfinished.exists()


@pytest.mark.parametrize(
    "other", [{"log_id": "another/log"}, {"code_bits": 8}, {"shards": 2}, {"shard": 1, "shards": 2}]
)
def test_a_snapshot_of_another_log_or_share_is_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, other: dict[str, object]
) -> None:
    (path,) = saved(tmp_path, 5)
    fields = {"shard": 0, "shards": 1} | other
    foreign = tmp_path / f"shard-{fields['shard']}-of-{fields['shards']}" / path.name
    if foreign != path:
        shutil.copytree(path, foreign)
    assert store(tmp_path, **other).load_latest() is None
    assert "is foreign" in caplog.text


def test_a_disk_that_refuses_is_a_clear_error_and_costs_no_earlier_snapshot(
    tmp_path: Path,
) -> None:
    (path,) = saved(tmp_path, 5)
    (path.parent / ".00000000000000000008.part").write_text("a file where a folder must be")
    with pytest.raises(SnapshotError, match="can't be written"):
        saved(tmp_path, 8)
    found = store(tmp_path).load_latest()
    assert found is not None and found.next_offset == 5


def test_the_manifest_says_what_is_inside(tmp_path: Path) -> None:
    (path,) = saved(tmp_path, 8)
    manifest = orjson.loads((path / "manifest.json").read_bytes())
    expected = {"next_offset": 8, "model_version": "encoder-1", "shard": 0, "shards": 1}
    assert expected.items() <= manifest.items()
    assert manifest["log_id"] == "cluster/log"
    assert (manifest["entries"], manifest["frames"]) == (6, 30 + 45 + 0 + 30 + 35 + 30)
    assert manifest["sha256"].keys() == {STATE}
