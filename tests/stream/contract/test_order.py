"""What was submitted last holds, in whatever order and however often it arrives."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from stream.admin.reshard import reshard
from stream.admin.restore import absorb, closing_upkeep
from stream.admin.verify import verify
from stream.agents.library import library_step
from stream.contract.events import Submission, VideoCompared
from stream.contract.message import Source
from stream.contract.order import (
    RESTATED_HEADER,
    SUBMISSION_HEADER,
    TAKEDOWN_HEADER,
    Takedown,
    before,
    submission_headers,
    submission_of,
)
from stream.library.remembered import MAX_TAKEDOWNS, Remembered
from stream.library.shard import Truth
from stream.library.snapshot import SnapshotStore
from stream.library.snapshot_reader import SnapshotReader
from tests.stream.library_log import content, fingerprint, look, shard, submitted
from tests.stream.list_log import LOG_ID, ListLog
from tests.stream.submissions import World, held, library, rebuilt

VIDEOS = st.integers(0, 2).map(lambda number: f"v{number}")
STEPS = st.one_of(
    st.tuples(st.just("submit"), VIDEOS, st.integers(1, 3), st.integers(0, 1)),
    st.tuples(st.just("deliver"), st.integers(0, 20)),
    st.tuples(st.just("deliver"), st.integers(0, 20)),
    st.tuples(st.just("take down"), VIDEOS, st.booleans()),
    st.tuples(st.just("read"), st.integers(0, 1)),
)
Step = tuple[object, ...]


def play(world: World, steps: list[Step]) -> None:
    for kind, *rest in steps:
        if kind == "submit":
            world.submit(*rest)  # type: ignore[arg-type]
        elif kind == "deliver" and world.submitted:
            world.deliver(int(str(rest[0])) % len(world.submitted))
        elif kind == "take down":
            world.take_down(str(rest[0]), by_hand=bool(rest[1]))
        elif kind == "read":
            world.read(int(str(rest[0])))
    world.settle()


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    steps=st.lists(STEPS, max_size=30),
    saved=st.integers(0, 60),
    compacted=st.integers(0, 60),
    again=st.lists(st.integers(0, 20), max_size=4),
)
@example(  # removed; its worker, killed after its fingerprint was sent, sends it again
    steps=[("submit", "v0", 1, 0), ("deliver", 0), ("take down", "v0", False), ("deliver", 0)],
    saved=1, compacted=3, again=[0],
)  # fmt: skip
@example(  # the short second version is there before the long first
    steps=[("submit", "v0", 1, 0), ("submit", "v0", 2, 0), ("deliver", 1), ("deliver", 0)],
    saved=1, compacted=2, again=[0],
)  # fmt: skip
@example(  # removed, submitted again, and what comes late is all that compaction leaves of before
    steps=[
        ("submit", "v1", 3, 0), ("deliver", 0), ("deliver", 0), ("deliver", 0),
        ("take down", "v1", False), ("deliver", 0), ("submit", "v1", 3, 0),
    ],
    saved=5, compacted=5, again=[],
)  # fmt: skip
def test_any_order_of_arrival_cut_and_compaction_leaves_what_was_submitted_last(
    tmp_path: Path, steps: list[Step], saved: int, compacted: int, again: list[int]
) -> None:
    shutil.rmtree(tmp_path, ignore_errors=True)
    world = World(library(tmp_path))
    play(world, steps)
    assert held(one.state for one in world.shards) == world.holds
    left = world.log.compacted(compacted)
    numbers = range(world.settings.shards)
    states = [rebuilt(world.settings, left.sources, None, number) for number in numbers]
    assert held(states) == world.holds
    saved = min(saved, len(world.log.sources))
    for number in numbers:
        world.log.snapshot(world.settings, number, saved)
        for log in (world.log, left):
            if log is left and compacted > saved:
                continue  # a snapshot older than the uncompacted tail is of no use
            found = verify(world.settings, number, log)
            assert found.holds, [str(one) for one in found.comparison.differences]
    for number in again:  # what comes again after all that changes nothing either
        if world.submitted:
            world.deliver(number % len(world.submitted))
    world.settle()
    assert held(one.state for one in world.shards) == world.holds
    last = world.log.compacted(len(world.log.sources))
    states = [rebuilt(world.settings, last.sources, None, number) for number in numbers]
    assert held(states) == world.holds
    restored = []
    for number in numbers:
        found_one = SnapshotReader(world.settings, shard=number, log_id=LOG_ID).newest()
        assert found_one is not None
        rest = world.log.sources[saved:]
        restored.append(rebuilt(world.settings, rest, found_one.state, number))
    assert held(restored) == world.holds


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    steps=st.lists(STEPS, max_size=25),
    cut=st.integers(1, 40),
    from_log=st.booleans(),
    again=st.lists(st.integers(0, 20), min_size=1, max_size=6),
)
def test_shards_of_another_number_keep_the_order(
    tmp_path: Path, steps: list[Step], cut: int, from_log: bool, again: list[int]
) -> None:
    shutil.rmtree(tmp_path, ignore_errors=True)
    world = World(library(tmp_path))
    world.submit("v0", 1)
    play(world, steps)
    cut = min(cut, len(world.log.sources))
    for number in range(2):
        world.log.snapshot(world.settings, number, cut)
    assert reshard(world.settings, 3, world.log, lambda text: None, from_log=from_log) == cut
    three = library(tmp_path, 3)
    for number in again:
        world.deliver(number % len(world.submitted))
    world.settle()
    states = []
    for number in range(3):
        found = SnapshotReader(three, shard=number, log_id=LOG_ID).newest()
        assert found is not None
        states.append(rebuilt(three, world.log.sources[cut:], found.state, number))
        told = verify(three, number, world.log)
        assert told.holds, [str(one) for one in told.comparison.differences]
    assert held(states) == world.holds


def test_a_late_upload_is_answered_and_never_kept_and_the_takedown_is_said_again() -> None:
    library = shard()
    first = fingerprint("film", look(1), submission=submitted(3))
    library.apply(first, 0)
    library.remove("film", 1, Takedown("uploads", (4,)))
    assert library.truth == Truth("film", Takedown("uploads", (4,)), of_vector=True)
    library.remove("film", 1, Takedown("uploads", (4,)))  # nothing is left, not even a vector
    assert library.truth is None
    answer = library.apply(first, 2)
    assert (answer.video_id, answer.matches) == ("film", [])
    assert library.truth == Truth("film", Takedown("uploads", (4,)))
    copy = fingerprint("copy", look(1), submission=submitted(4))
    assert library.apply(copy, 3).matches == []
    assert library.truth is None
    library.apply(fingerprint("film", look(1), submission=submitted(5)), 4)
    assert library.truth is None
    assert held([library.state]) == {"copy": 1, "film": 1}


def test_an_older_version_that_comes_late_is_answered_and_the_newer_is_said_again() -> None:
    library = shard()
    library.apply(fingerprint("film", look(2), content_version=2, submission=submitted(8)), 0)
    again = fingerprint("film", look(2), content_version=2, submission=submitted(8))
    library.absorb(again, 1)
    late = fingerprint("film", look(1), submission=submitted(7))
    assert library.apply(late, 2).library_offset == 2
    assert library.truth == Truth("film", offset=1)  # the one that compaction leaves
    assert held([library.state]) == {"film": 2}


def test_a_takedown_that_another_program_wrote_covers_what_it_took_whatever_clocks_say() -> None:
    library = shard()
    film = fingerprint("film", look(1), submission=submitted(500))  # its clock is ahead
    library.absorb(film, 0)
    tombstone = Source("video.fingerprinted", 0, 1, 4000, None, b"film")
    library_step(library, tombstone, answered=False)
    assert held([library.state]) == {}
    assert library.truth is not None and library.truth.takedown is not None
    library.absorb(film, 2)
    assert held([library.state]) == {}
    library.absorb(replace(film, submission=submitted(501)), 3)
    assert held([library.state]) == {"film": 1}


def test_a_takedown_said_again_takes_nothing_that_was_submitted_after_it() -> None:
    library, takedown = shard(), Takedown("uploads", (4,))
    library.absorb(fingerprint("film", look(1), submission=submitted(4)), 0)
    again = Source(
        "video.fingerprinted", 0, 1, 9, None, b"film",
        headers=tuple(takedown.headers(restated=True)),
    )  # fmt: skip
    library_step(library, again, answered=False)
    assert held([library.state]) == {"film": 1}
    assert library.truth == Truth("film", offset=0)


def test_what_is_said_again_isnt_answered_again() -> None:
    library = shard()
    event = fingerprint("film", look(1), submission=submitted(1)).to_event()
    plain = Source("video.fingerprinted", 0, 0, 0, event.to_bytes(), b"film")
    again = Source(
        "video.fingerprinted", 0, 1, 0, event.to_bytes(), b"film",
        headers=((RESTATED_HEADER, b"1"),),
    )  # fmt: skip
    assert len(library_step(library, plain, answered=False)) == 1
    assert library_step(library, again, answered=False) == []
    unknown = shard()
    (answer,) = library_step(unknown, again, answered=False)  # the first copy is gone: answered
    assert isinstance(answer, VideoCompared)


def test_without_a_place_what_is_read_later_wins() -> None:
    library = shard()
    library.absorb(fingerprint("film", look(1), submission=submitted(9)), 0)
    library.absorb(fingerprint("film", look(2), content_version=2), 1)
    assert (held([library.state]), library.truth) == ({"film": 2}, None)
    library.remove("film", 2)
    library.absorb(fingerprint("film", look(2), content_version=2), 3)
    assert held([library.state]) == {"film": 2}


@pytest.mark.parametrize(
    ("one", "other", "earlier"),
    [
        (submitted(1), submitted(2), True),
        (submitted(2), submitted(1), False),
        (submitted(2), submitted(2), False),
        (submitted(7, partition=1), submitted(3), False),
        (submitted(3), submitted(7, partition=1), True),
        (submitted(3, log_id="anew"), submitted(1000), True),
        (None, submitted(1), False),
        (submitted(1), None, False),
    ],
)
def test_offsets_order_within_a_partition_and_timestamps_beyond(
    one: Submission | None, other: Submission | None, earlier: bool
) -> None:
    assert before(one, other) == earlier


def test_a_takedown_travels_in_headers_and_joins_with_others() -> None:
    said = Takedown("uploads", (3, 5), others_ms=9000, all_ms=100)
    source = Source("t", 0, 0, 7, None, b"v", headers=tuple(said.headers()))
    assert Takedown.of(source) == said
    assert said.joined(Takedown("uploads", (4,), all_ms=200)) == Takedown(
        "uploads", (4, 5), others_ms=9000, all_ms=200
    )
    later = Takedown("anew", (1,), others_ms=9001)
    assert said.joined(later) == later.joined(said) == Takedown("anew", (1,), 9001, all_ms=100)
    assert not said.covers(submitted(3))
    assert said.covers(submitted(4, partition=1))
    assert said.covers(submitted(8, partition=2))  # by its timestamp, 9000
    assert not said.covers(submitted(9, partition=2))


@pytest.mark.parametrize(
    ("said", "counts"),
    [
        (submitted(3), submitted(3)),
        (submitted(8, partition=1), submitted(8, partition=1)),
        (submitted(9), submitted(9)),  # its own
        (submitted(10), submitted(9)),  # later than itself
        (submitted(10, partition=1), submitted(9)),
        (None, submitted(9)),
    ],
)
def test_a_replay_counts_from_when_its_original_was_submitted(
    said: Submission | None, counts: Submission
) -> None:
    own = submitted(9)
    headers = () if said is None else tuple(submission_headers(said))
    source = Source("video.uploaded", 0, 9, own.timestamp_ms, b"{}", headers=headers)
    assert submission_of(source, own.log_id) == counts
    assert submission_of(source, None) is None


@pytest.mark.parametrize("value", [None, b"", b"words", b"{}", b"\xff", b"[" * 2000, b"9" * 9999])
def test_a_replay_that_says_nothing_readable_counts_by_its_own_place(value: bytes | None) -> None:
    source = Source("t", 0, 9, 9000, b"{}", headers=((SUBMISSION_HEADER, value),))
    assert submission_of(source, "uploads") == source.submission("uploads")


@pytest.mark.parametrize(
    "value", [None, b"", b"words", b"[]", b"{}", b'{"log_id": 3, "ends": [1]}', b"[" * 2000]
)
def test_a_header_that_says_nothing_readable_counts_as_none(value: bytes | None) -> None:
    source = Source("t", 0, 0, 70, None, b"v", headers=((TAKEDOWN_HEADER, value),))
    assert Takedown.of(source) == Takedown(all_ms=70)


def test_what_is_remembered_is_bounded_and_the_last_stay() -> None:
    remembered = Remembered()
    for key in range(MAX_TAKEDOWNS + 10):
        remembered.take_down(key, Takedown())
    assert len(remembered.takedowns) == MAX_TAKEDOWNS
    assert min(remembered.takedowns) == 10


def test_a_shard_goes_on_from_a_snapshot_as_if_nothing_had_happened(tmp_path: Path) -> None:
    world = World(library(tmp_path, 1))
    first, second = world.submit("v0", 1), world.submit("v1", 1)
    for number in (first, second):
        world.deliver(number)
    world.take_down("v0", by_hand=True)
    world.submit("v1", 2)
    world.deliver(second)
    world.read(0)
    snapshots = SnapshotStore(world.settings, shard=0, log_id=LOG_ID)
    for cut in range(len(world.log.sources) + 1):
        state = rebuilt(world.settings, world.log.sources[:cut], None, 0)
        snapshots.save(state, cut)
        found = snapshots.load_latest()
        assert found is not None
        assert found.state.remembered == state.remembered
        log = ListLog()
        log.sources = [*world.log.sources]
        with closing_upkeep(snapshots) as upkeep:
            running = shard(found.state)
            absorb(running, log.read(cut, 99), upkeep)
        late = world.submitted[first].fingerprint()
        assert content(running.apply(late, 50))["library_offset"] in range(51)
        assert held([running.state]) == {"v1": 1}
