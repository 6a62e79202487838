"""Verifying finds every way in which a shard can hold something else than the log says."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from stream.admin.restore import silent_shard
from stream.admin.verify import verify
from stream.contract.fingerprint import Fingerprint
from stream.contract.hashes import video_hash
from stream.errors import SnapshotError
from stream.library.entry import Entry, pack_entry
from stream.library.expected import Expected, Offsets
from stream.library.settings import LibrarySettings
from stream.library.shard import LibraryShard
from stream.library.verify import compare
from tests.stream.library_log import fingerprint, look
from tests.stream.list_log import ListLog

LOG: list[Fingerprint | str | bytes] = [
    fingerprint("a", look(1), role="reference"),
    fingerprint("b", look(2)),
    fingerprint("a", look(1)),
    b"not JSON",
    fingerprint("c", look(3)),
    fingerprint("a", look(4), content_version=2),
    fingerprint("other", look(9), model_version="encoder-2"),
    "b",
    "nobody",
    fingerprint("d", look(5)[:0]),
    fingerprint("b", look(6)),
    fingerprint("e", look(7)),
]


def library(folder: Path, **changed: Any) -> LibrarySettings:
    return LibrarySettings(snapshot_folder=folder, **changed)


def says(settings: LibrarySettings, log: ListLog, shard: int = 0) -> list[str]:
    return [str(one) for one in verify(settings, shard, log).comparison.differences]


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("offset", [None, 0, 4, 7, 12])
def test_an_undisturbed_shard_holds_what_the_log_says(
    tmp_path: Path, offset: int | None, shards: int
) -> None:
    log, settings = ListLog(LOG), library(tmp_path, shards=shards)
    entries = 0
    for shard in range(shards):
        if offset is not None:
            log.snapshot(settings, shard, offset)
        found = verify(settings, shard, log)
        assert (found.comparison.differences, found.damaged) == ([], ())
        assert (found.holds, found.offset, found.snapshot_offset) == (True, 12, offset)
        entries += found.comparison.entries
    assert entries == 6  # a in two versions, b, c, d and e
    assert not list(tmp_path.glob(".scratch-*"))


ENTRIES = st.one_of(
    st.tuples(st.integers(0, 4), st.integers(1, 3)), st.tuples(st.integers(0, 4), st.just(0))
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    plan=st.lists(ENTRIES, max_size=20),
    offset=st.integers(0, 20),
    compacted=st.integers(0, 20),
    keep=st.sampled_from([2, 10**6]),
)
@example(
    plan=[(0, 1), (0, 1), (2, 2), (0, 0), (0, 1), (2, 1), (2, 2)], offset=6, compacted=6, keep=2
)
def test_what_compaction_took_away_is_no_difference(
    tmp_path: Path, plan: list[tuple[int, int]], offset: int, compacted: int, keep: int
) -> None:
    shutil.rmtree(tmp_path / "snapshots", ignore_errors=True)
    held = library(tmp_path / "snapshots", run_rows=40, exact_rows=64, keep_replaced=keep)
    log = ListLog(
        fingerprint(f"v{number}", look(10 * number + version), content_version=version)
        if version
        else f"v{number}"
        for number, version in plan
    )
    offset = min(offset, len(plan))
    log.snapshot(held, 0, offset)
    assert says(held, log.compacted(min(compacted, offset))) == []


Change = Callable[[LibraryShard], Any]


def entries_of(shard: LibraryShard) -> np.ndarray[Any, Any]:
    assert shard.state.store is not None
    return shard.state.store.head.run.entries


def flip_row(shard: LibraryShard) -> None:
    assert shard.state.store is not None
    shard.state.store.head.run.rows[3, 0] ^= 1


def other_owner(shard: LibraryShard) -> None:
    assert shard.state.store is not None
    head = shard.state.store.head.run
    packed = np.frombuffer(pack_entry(Entry.of(fingerprint("a", look(1)))), np.uint8)
    place = packed.tobytes().index(b"owner of a")
    head.payload[place] = ord("O")


def two_shards(shard: LibraryShard) -> None:
    shard.absorb(fingerprint("more", look(8)), 20)


BROKEN: list[tuple[Change, str]] = [
    (flip_row, "a: at offset 0: rows differ"),
    (other_owner, "a: at offset 0: owner_id 'Owner of a', expected 'owner of a'"),
    (two_shards, "more: at offset 20 it is held, and the log has nothing of this video"),
    (
        lambda shard: shard.remove("c", 11),
        "c: at offset 4 it is taken for removed, and the log has no takedown",
    ),
    (
        lambda shard: shard.state.seen.put(next(iter(shard.state.seen.arrays()[0].tolist())), 8),
        "was first read at 8, expected",
    ),
    (lambda shard: shard.state.removed.drop(video_hash("b")), "b: taken down at None, expected 7"),
    (
        lambda shard: shard.state.removed.put(video_hash("c"), 3),
        "a takedown is known at offset 3, where the log has none",
    ),
    (
        lambda shard: shard.state.current.drop(video_hash("c")),
        "c: the version of offset 4 isn't known as the one that holds",
    ),
    (
        lambda shard: shard.state.seen.put(12345, 4),
        "another version than the log's is known at offset 4",
    ),
    (lambda shard: entries_of(shard)["replaced_at"].__setitem__(0, 4), "replaced at 4, expected"),
    (
        lambda shard: entries_of(shard)["offset"].__setitem__(2, 3),
        "c: at offset 3 it is held, and the log has something else there",
    ),
]


@pytest.mark.parametrize(("change", "expected"), BROKEN)
def test_each_kind_of_harm_is_named_with_its_video(
    tmp_path: Path, change: Change, expected: str
) -> None:
    held, log = library(tmp_path), ListLog(LOG)
    shard, wanted = silent_shard(held, 0), Expected(held, 0)
    for source in log.sources:
        wanted.take(source)
        if isinstance(entry := LOG[source.offset], Fingerprint):
            if entry.model_version == "encoder-1":
                shard.absorb(entry, source.offset)
        elif isinstance(entry, str):
            shard.remove(entry, source.offset)
    assert compare(shard.state, wanted).differences == []
    change(shard)
    found = [str(one) for one in compare(shard.state, wanted).differences]
    assert any(expected in one for one in found), found


def test_a_takedown_that_the_shard_missed_is_found(tmp_path: Path) -> None:
    log, held = ListLog(LOG), library(tmp_path)
    log.snapshot(held, 0, 11)
    told = ListLog([*LOG[:10], "c"])  # at 10, where the log of the snapshot has b
    assert "c: taken down at None, expected 10" in says(held, told)
    told = told.compacted(11)
    assert "c: at offset 4 it is held, and was taken down at 10" in says(held, told)


def test_an_entry_that_the_shard_missed_is_found() -> None:
    wanted = Expected(LibrarySettings(), 0)
    for source in ListLog(LOG[:2]).sources:
        wanted.take(source)
    shard = silent_shard(LibrarySettings(), 0)
    shard.absorb(fingerprint("a", look(1), role="reference"), 0)
    found = [str(one) for one in compare(shard.state, wanted).differences]
    assert found == [
        "b: version 1 of offset 1 isn't held",
        "b: version 1 was first read at None, expected 1",
    ]


def test_a_damaged_snapshot_is_named_and_is_no_success(tmp_path: Path) -> None:
    log, held = ListLog(LOG), library(tmp_path)
    log.snapshot(held, 0, 4)
    log.snapshot(held, 0, 8)
    state = tmp_path / "shard-0-of-1" / f"{8:020d}" / "state.npz"
    data = bytearray(state.read_bytes())
    data[100] ^= 1
    state.write_bytes(data)
    found = verify(held, 0, log)
    assert (found.snapshot_offset, found.comparison.differences) == (4, [])
    assert not found.holds
    assert str(state) in found.damaged[0] and "is damaged" in found.damaged[0]


def test_a_log_that_was_made_anew_is_told(tmp_path: Path) -> None:
    held = library(tmp_path)
    ListLog(LOG).snapshot(held, 0, 12)
    with pytest.raises(SnapshotError, match="at offset 12, but the log ends at 3"):
        verify(held, 0, ListLog(LOG[:3]))


def test_offsets_are_kept_as_spans() -> None:
    offsets = Offsets()
    for offset in (0, 1, 2, 5, 9, 10):
        offsets.add(offset)
    assert [n for n in range(-1, 13) if n in offsets] == [0, 1, 2, 5, 9, 10]
