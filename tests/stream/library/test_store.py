"""A library that grows, merges and restores holds what a plain dictionary would."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stream.contract.hashes import shard_of
from stream.index.exact import FrameIndex
from stream.index.inverted import FrameCodes
from stream.library.settings import LibrarySettings
from stream.library.shard import LibraryShard
from tests.stream.kept_library import EXACT, TINY, Everything, KeptLibrary
from tests.stream.library_log import fingerprint, look, shard

actions = st.one_of(
    st.tuples(st.just("add"), st.integers(0, 5), st.integers(1, 3)),
    st.tuples(st.just("remove"), st.integers(0, 5), st.just(0)),
    st.tuples(st.sampled_from(["restart", "wait"]), st.just(0), st.just(0)),
)


@pytest.mark.parametrize("settled", [TINY, EXACT])
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(plan=st.lists(actions, max_size=25))
def test_any_interleaving_gives_the_state_of_a_dictionary(
    tmp_path: Path, settled: dict[str, int], plan: list[tuple[str, int, int]]
) -> None:
    shutil.rmtree(tmp_path / "snapshots", ignore_errors=True)
    service = KeptLibrary(tmp_path / "snapshots", **settled)
    expected: dict[str, int] = {}
    for action, number, version in plan:
        video_id = f"v{number}"
        if action == "add":
            service.read(
                fingerprint(video_id, look(10 * number + version), content_version=version)
            )
            expected[video_id] = (
                version  # also one that had been replaced: submitted last, it holds
            )
        elif action == "remove":
            service.remove(video_id)
            expected.pop(video_id, None)
        elif action == "restart":
            service.restart()
        else:
            service.upkeep.step(service.library.state, wait=True)
        assert service.held() == expected
    everything = np.concatenate([look(10 * n + v)[::3] for n in range(6) for v in range(1, 4)])
    assert service.read(fingerprint("probe", everything)) == expected.keys()
    service.upkeep.finish()
    service.upkeep.close()


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 6), min_size=2, max_size=8), st.data())
def test_a_pair_is_found_forwards_and_in_reverse(seeds: list[int], data: st.DataObject) -> None:
    events = [fingerprint(f"v{n}", look(seed)) for n, seed in enumerate(seeds)]
    order = data.draw(st.permutations(range(len(events))))

    def pairs(numbers: list[int]) -> set[frozenset[str]]:
        library = LibraryShard(LibrarySettings(min_score=0.65), 0, Everything())
        found = set()
        for offset, number in enumerate(numbers):
            for match in library.apply(events[number], offset).matches:
                found.add(frozenset((events[number].video_id, match.reference_id)))
        return found

    assert pairs(list(range(len(events)))) == pairs(order)


def test_frames_are_found_before_and_after_they_are_put_into_lists(tmp_path: Path) -> None:
    service = KeptLibrary(tmp_path, exact_rows=64, run_rows=10**6)
    for number in range(3):
        service.read(fingerprint(f"old{number}", look(number)))
    service.upkeep.step(service.library.state, wait=True)
    store = service.library.state.store
    assert store is not None and store.codebook is not None
    waiting = []
    for number in range(10, 40):
        assert service.read(fingerprint(f"v{number}", look(number))) == set()
        waiting.append(store.head.run.waiting)
        assert service.read(fingerprint(f"q{number}", look(number)[::2])) == {f"v{number}"}
    assert min(waiting) < 30 and max(waiting) > 200
    assert service.read(fingerprint("v12", look(12))) == set(), "as the first time"
    service.upkeep.close()


@pytest.mark.parametrize("settled", [TINY, EXACT])
@pytest.mark.parametrize("bits", [1, 2, 8])
def test_rows_of_other_widths_are_found_and_kept(
    tmp_path: Path, settled: dict[str, int], bits: int
) -> None:
    service = KeptLibrary(tmp_path, code_bits=bits, **settled)
    for number in range(12):
        assert service.read(fingerprint(f"v{number}", look(number))) == set()
    service.upkeep.step(service.library.state, wait=True)
    for _ in range(2):
        for number in (0, 5, 11):
            asked = service.library.apply(fingerprint("probe", look(number)[::2]), service.offset)
            assert [match.reference_id for match in asked.matches] == [f"v{number}"]
            service.library.remove("probe", service.offset + 1)
            service.offset += 2
        service.restart()
    service.upkeep.close()


def test_shards_together_find_what_one_finds() -> None:
    log = [
        fingerprint(f"v{n}", np.concatenate((look(n), look(n // 2)[5:20]))) for n in range(2, 20)
    ]
    found = []
    for shards in (1, 2, 4):
        parts = [shard(number=number, shards=shards, **TINY) for number in range(shards)]
        pairs = set()
        for offset, event in enumerate(log):
            for number, part in enumerate(parts):
                for match in part.apply(event, offset).matches:
                    assert shard_of(match.reference_id, shards) == number
                    pairs.add((event.video_id, match.reference_id, repr(match.segments)))
        found.append(pairs)
    assert found[0] and found[0] == found[1] == found[2]


def test_an_exact_index_is_used_while_the_library_is_small(tmp_path: Path) -> None:
    service = KeptLibrary(tmp_path, exact_rows=100, run_rows=1000)
    service.read(fingerprint("a", look(1)))
    service.upkeep.step(service.library.state, wait=True)
    store = service.library.state.store
    assert store is not None and isinstance(store.head.run.lists, FrameIndex)
    for number in range(4):
        service.read(fingerprint(f"v{number}", look(number)))
    service.upkeep.step(service.library.state, wait=True)
    assert isinstance(store.head.run.lists, FrameCodes)
    service.upkeep.close()
