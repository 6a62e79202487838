"""Shards of another number, built beside the present ones, answer as if they had read the log."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.aligners.base import Aligner
from models.all_aligners import make_aligner
from stream.admin.reshard import reshard
from stream.admin.verify import verify
from stream.agents.library import library_step
from stream.contract.events import VideoCompared
from stream.contract.fingerprint import Fingerprint
from stream.errors import SettingsError
from stream.library.run import NEVER
from stream.library.settings import LibrarySettings
from stream.library.shard import LibraryShard
from stream.library.snapshot_reader import SnapshotReader
from stream.library.state import ShardState
from tests.stream.library_log import content, fingerprint, look, submitted
from tests.stream.list_log import LOG_ID, ListLog

TINY: dict[str, Any] = {"exact_rows": 64, "run_rows": 40}


def pasted(number: int) -> Fingerprint:
    rows = np.concatenate((look(number), look(number // 2)[5:20]))
    role = "reference" if number % 3 else "upload"
    return fingerprint(f"v{number}", rows, role=role)  # type: ignore[arg-type]


LOG: list[Fingerprint | str | bytes] = [
    *(pasted(number) for number in range(2, 14)),
    fingerprint("v3", look(40), content_version="2", submission=submitted(12)),
    "v5",
    b"not JSON",
    pasted(4),
    fingerprint("none", look(1)[:0]),
    pasted(5),
    "v7",
    fingerprint("v6", look(41), content_version=2),
    "never there",
]
LATER: list[Fingerprint | str | bytes] = [
    *(pasted(number) for number in range(14, 27)),
    replace(pasted(3), submission=submitted(1)),  # was submitted before version 2
    pasted(7),
    "v9",
    pasted(18),
    fingerprint("w", np.concatenate((look(40)[:20], look(41)[5:]))),
]


@cache
def aligner() -> Aligner:
    return make_aligner(LibrarySettings().aligner)


def library(folder: Path, shards: int, **changed: Any) -> LibrarySettings:
    return LibrarySettings(snapshot_folder=folder, shards=shards, **changed)


def restored(held: LibrarySettings, shard: int) -> tuple[ShardState, int]:
    found = SnapshotReader(held, shard=shard, log_id=LOG_ID).newest()
    assert found is not None
    return found.state, found.next_offset


def answers(
    held: LibrarySettings, shard: int, log: ListLog, state: ShardState | None, start: int
) -> list[dict[str, Any]]:
    """What a shard says of each upload from `start` on."""
    running = LibraryShard(held, shard, aligner(), state)
    position = start if state is not None else 0
    found = []
    for source in log.read(position, log.ends()[1]):
        for event in library_step(running, source, answered=source.offset < start):
            found += [content(event)] if isinstance(event, VideoCompared) else []
    return found


def told(state: ShardState) -> list[dict[str, Any]]:
    """All that a state holds, in its order."""
    return [
        {"offset": held.offset, "replaced_at": held.replaced_at, "hash": held.video_hash}
        | {name: str(value) for name, value in vars(held.entry).items()}
        | {"rows": held.run.rows[held.run.rows_of(np.arange(held.serial, held.serial + count))]}
        for held in state.held()
        if held.replaced_at != held.offset
        for count in [int(held.run.entries["count"][held.place])]
    ]


@pytest.mark.parametrize(
    ("before", "after", "from_log"),
    [(1, 2, False), (2, 1, False), (1, 4, False), (3, 2, False), (4, 3, False), (3, 2, True)],
)
def test_new_shards_hold_and_answer_what_a_build_from_the_log_does(
    tmp_path: Path, before: int, after: int, from_log: bool
) -> None:
    log, present = ListLog([*LOG, *LATER]), library(tmp_path, before, **TINY)
    for shard in range(before):
        log.snapshot(present, shard, 5 + 3 * shard)
        log.groups[shard, before] = len(LOG) + 2 * shard
    said: list[str] = []
    assert reshard(present, after, log, said.append, from_log=from_log) == len(LOG)
    assert any("reads the log" in text for text in said) == from_log
    new = library(tmp_path, after, **TINY)
    for shard in range(after):
        assert log.answered(shard, after) == len(LOG)
        state, offset = restored(new, shard)
        assert offset == len(LOG)
        built = LibraryShard(new, shard, aligner())
        for source in log.read(0, offset):
            library_step(built, source, answered=True)
        for ours, theirs in zip(told(state), told(built.state), strict=True):
            np.testing.assert_equal(ours, theirs)
        for name in ("seen", "removed"):
            for one, other in zip(
                getattr(state, name).arrays(), getattr(built.state, name).arrays(), strict=True
            ):
                np.testing.assert_array_equal(one, other)
        assert state.current.arrays()[0].tolist() == built.state.current.arrays()[0].tolist()
        undisturbed = answers(new, shard, log, None, offset)
        assert answers(new, shard, log, state, offset) == undisturbed
        assert len(undisturbed) == 17
        assert verify(new, shard, log).holds
    assert not list(tmp_path.glob(".scratch-*"))


def test_some_of_these_answers_are_matches(tmp_path: Path) -> None:
    log, held = ListLog([*LOG, *LATER]), library(tmp_path, 1)
    matches = {
        (answer["video_id"], match["reference_id"])
        for answer in answers(held, 0, log, None, len(LOG))
        for match in answer["matches"]
    }
    assert {("v18", "v9"), ("w", "v3"), ("w", "v6"), ("v20", "v10")} <= matches
    assert not {pair for pair in matches if pair[1] == "v7" and pair[0] != "v15"}


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    plan=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 3)), min_size=1, max_size=15),
    cuts=st.lists(st.integers(1, 15), min_size=3, max_size=3),
    numbers=st.lists(st.integers(1, 4), min_size=2, max_size=4),
)
def test_any_log_resharded_at_any_offsets_verifies(
    tmp_path_factory: pytest.TempPathFactory,
    plan: list[tuple[int, int]],
    cuts: list[int],
    numbers: list[int],
) -> None:
    folder = tmp_path_factory.mktemp("snapshots")
    log = ListLog(
        fingerprint(f"v{number}", look(10 * number + version), content_version=version)
        if version
        else f"v{number}"
        for number, version in plan
    )
    first = library(folder, numbers[0], **TINY)
    for shard in range(numbers[0]):
        offset = min(len(plan), cuts[shard % 3])
        log.snapshot(first, shard, offset)
    present = first
    for shards in numbers[1:]:
        if shards == present.shards:
            continue
        reshard(present, shards, log, lambda text: None)
        present = library(folder, shards, **TINY)
        for shard in range(shards):
            assert verify(present, shard, log).comparison.differences == []
        for shard in range(shards):  # they go on, and stop somewhere
            log.snapshot(present, shard, log.groups[shard, shards])


def test_shards_built_one_by_one_at_several_offsets_answer_all_that_the_old_ones_dont(
    tmp_path: Path,
) -> None:
    log, present = ListLog([*LOG, *LATER]), library(tmp_path, 2)
    new, begins = library(tmp_path, 3), [12, 15, len(LOG)]
    for shard, answered in zip((1, 0, 2), begins, strict=True):
        for old in range(2):
            log.snapshot(present, old, answered)
        assert reshard(present, 3, log, lambda text: None, only=[shard]) == answered
        assert {number for number, of in log.groups if of == 3} >= {shard}
        assert (tmp_path / f"shard-{shard}-of-3").is_dir()
        assert verify(new, shard, log).holds
    assert not (tmp_path / "shard-2-of-2").exists()
    undisturbed = {
        (answer["video_id"], answer["content_version"], answer["shard"]): answer
        for shard in range(3)
        for answer in answers(new, shard, log, None, len(LOG))
    }
    found = {}
    for shard in range(3):
        begin = log.answered(shard, 3)
        assert begin is not None and begin <= len(LOG)
        for answer in answers(new, shard, log, restored(new, shard)[0], begin):
            found[answer["video_id"], answer["content_version"], answer["shard"]] = answer
    assert undisturbed.items() <= found.items()


def test_only_the_named_shards_are_built(tmp_path: Path) -> None:
    log, present = ListLog(LOG), library(tmp_path, 1)
    log.snapshot(present, 0, len(LOG))
    reshard(present, 3, log, lambda text: None, only=[1])
    assert [path.name for path in sorted(tmp_path.glob("shard-*-of-3"))] == ["shard-1-of-3"]
    assert [*log.groups] == [(0, 1), (1, 3)]
    with pytest.raises(SettingsError, match="shard 3: expected 0 to 2"):
        reshard(present, 3, log, lambda text: None, only=[3])


def test_what_broke_off_goes_on_when_it_is_repeated(tmp_path: Path) -> None:
    log, present = ListLog([*LOG, *LATER]), library(tmp_path, 2, **TINY)
    for shard in range(2):
        log.snapshot(present, shard, 12)
    said: list[str] = []

    def dies(text: str) -> None:
        said.append(text)
        if text.startswith("shard 1/3"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reshard(present, 3, log, dies)
    for shard in range(2):
        log.snapshot(present, shard, len(LOG))
    said.clear()
    assert reshard(present, 3, log, said.append) == len(LOG)
    assert "shard 0/3: goes on from its snapshot at 12" in said
    assert "shard 1/3: goes on from its snapshot at 12" in said
    new = library(tmp_path, 3, **TINY)
    for shard in range(3):
        assert log.answered(shard, 3) == len(LOG)
        assert verify(new, shard, log).holds
        expected = answers(new, shard, log, None, len(LOG))
        assert answers(new, shard, log, restored(new, shard)[0], len(LOG)) == expected


def test_a_snapshot_beyond_what_all_have_answered_isnt_used(tmp_path: Path) -> None:
    log, present = ListLog(LOG), library(tmp_path, 2)
    log.snapshot(present, 0, 4)
    log.snapshot(present, 0, 15)
    log.snapshot(present, 1, 9)
    said: list[str] = []
    assert reshard(present, 3, log, said.append) == 9
    assert said[0] == "shard 0/2: from its snapshot at 4"
    for shard in range(3):
        assert verify(library(tmp_path, 3), shard, log).holds


def test_without_a_snapshot_that_is_old_enough_the_log_is_read(tmp_path: Path) -> None:
    log, present = ListLog(LOG), library(tmp_path, 2)
    log.snapshot(present, 0, 15)
    log.groups[1, 2] = 9
    said: list[str] = []
    assert reshard(present, 1, log, said.append) == 9
    assert "shard 0/2 has no snapshot at offset 9 or before it" in said
    assert verify(library(tmp_path, 1), 0, log).snapshot_offset == 9


def test_where_kafka_forgot_the_offsets_the_snapshots_say_what_is_answered(tmp_path: Path) -> None:
    log, present = ListLog(LOG), library(tmp_path, 2)
    log.snapshot(present, 0, 11)
    log.snapshot(present, 1, 9)
    log.groups.clear()
    assert reshard(present, 1, log, lambda text: None) == 9
    assert log.groups == {(0, 1): 9}


def test_there_and_back_again_nothing_is_set_back(tmp_path: Path) -> None:
    log, two, three = ListLog([*LOG, *LATER]), library(tmp_path, 2), library(tmp_path, 3)
    for shard in range(2):
        log.snapshot(two, shard, 6)
    reshard(two, 3, log, lambda text: None)
    for shard in range(3):
        log.snapshot(three, shard, 20 + shard)
    said: list[str] = []
    assert reshard(two, 3, log, said.append) == 6
    assert said[-1] == "shard 2/3: keeps its snapshot at 22"
    assert [log.answered(shard, 3) for shard in range(3)] == [20, 21, 22]
    assert reshard(three, 2, log, said.append) == 20
    assert [log.answered(shard, 2) for shard in range(2)] == [20, 20]
    assert verify(two, 1, log).snapshot_offset == 20


def test_a_number_that_is_no_change_or_nothing_answered_is_refused(tmp_path: Path) -> None:
    log, present = ListLog(LOG), library(tmp_path, 2)
    with pytest.raises(SettingsError, match="is 2 already"):
        reshard(present, 2, log, print)
    log.snapshot(present, 0, 5)
    with pytest.raises(SettingsError, match="have not all answered an upload yet"):
        reshard(present, 3, log, print)
    assert not list(tmp_path.glob("shard-*-of-3"))


def test_the_last_version_of_each_video_holds(tmp_path: Path) -> None:
    log, present = ListLog(LOG), library(tmp_path, 1)
    log.snapshot(present, 0, len(LOG))
    reshard(present, 2, log, lambda text: None)
    versions = {}
    for shard in range(2):
        for held in restored(library(tmp_path, 2), shard)[0].held():
            if held.replaced_at == NEVER:
                versions[held.entry.video_id] = held.entry.content_version
    assert (versions["v3"], versions["v6"], versions["v5"]) == ("2", 2, 1)
    assert "v7" not in versions
