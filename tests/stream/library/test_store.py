"""A library that grows, merges and restores holds what a plain dictionary would."""

import shutil
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.aligners.base import Segment
from models.aligners.matrix import SimilarityMatrix
from stream.contract.fingerprint import Fingerprint
from stream.contract.hashes import shard_of
from stream.errors import SettingsError
from stream.index import gpu
from stream.index.exact import FrameIndex
from stream.index.hash_map import HashMap
from stream.index.inverted import Codebook, FrameCodes, FrameLists, list_count
from stream.index.protocol import nearest_of
from stream.library.frame_search import ascending
from stream.library.rows import RowCodes
from stream.library.run import NEVER
from stream.library.settings import LibrarySettings
from stream.library.shard import LibraryShard, ShardState
from stream.library.snapshot import SnapshotStore
from stream.library.upkeep import Upkeep, merging
from tests.stream.library_log import content, fingerprint, look, shard

TINY: dict[str, Any] = {"exact_rows": 64, "run_rows": 40, "keep_replaced": 3}
EXACT: dict[str, Any] = {"exact_rows": 10**6, "run_rows": 40, "keep_replaced": 3}


class Everything:
    """An aligner that takes every pair for a copy: what it is shown is what was found."""

    version = "everything-1"

    def align(self, similarity: SimilarityMatrix) -> list[Segment]:
        """One whole segment, as sure as the matrix is similar."""
        score = float(np.round(similarity.values.max(), 4))
        return [Segment(0, similarity.query_duration_seconds, 0, 1, max(0.0, min(score, 1.0)))]


class Service:
    """A shard with its upkeep, that can be stopped and started anew."""

    def __init__(self, folder: Path, **changed: Any) -> None:
        changed = (
            {"snapshot_folder": folder, "candidate_hits": 1, "least_score": 0}
            | {"min_similarity": 0.8}
            | changed
        )
        self.settings = LibrarySettings(**changed)
        self.offset = 0
        self.start(ShardState())

    def start(self, state: ShardState) -> None:
        """With a state."""
        self.library = LibraryShard(self.settings, 0, Everything(), state)
        self.snapshots = SnapshotStore(self.settings, shard=0, log_id="log")
        self.upkeep = Upkeep(self.snapshots)

    def restart(self) -> None:
        """Save, forget everything and restore."""
        self.upkeep.finish()
        self.upkeep.snapshot(self.library.state, self.offset, lambda: None)
        self.upkeep.finish()
        self.upkeep.close()
        found = self.snapshots.load_latest()
        assert found is not None and found.next_offset == self.offset
        self.start(found.state)

    def read(self, event: Fingerprint) -> set[str]:
        """Answer about a video, keep it, and say which videos it resembles."""
        answer = self.library.apply(event, self.offset)
        self.offset += 1
        self.upkeep.step(self.library.state)
        return {match.reference_id for match in answer.matches}

    def remove(self, video_id: str) -> None:
        """Take a video down."""
        self.library.remove(video_id, self.offset)
        self.offset += 1

    def held(self) -> dict[str, Any]:
        """The version that holds, of each video."""
        found = (one for one in self.library.state.held() if one.replaced_at == NEVER)
        return {one.entry.video_id: one.entry.content_version for one in found}


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
    service = Service(tmp_path / "snapshots", **settled)
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
        library = LibraryShard(LibrarySettings(), 0, Everything())
        found = set()
        for offset, number in enumerate(numbers):
            for match in library.apply(events[number], offset).matches:
                found.add(frozenset((events[number].video_id, match.reference_id)))
        return found

    assert pairs(list(range(len(events)))) == pairs(order)


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
    service = Service(tmp_path, **TINY)
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
    service = Service(tmp_path / "full", **TINY)
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
    service = Service(tmp_path, **TINY)
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


def test_the_best_of_several_searches_is_that_of_all() -> None:
    random = np.random.default_rng(0)
    rows = random.standard_normal((3000, 32)).astype(np.float32)
    codebook = Codebook.train(rows, len(rows))
    whole, parts = codebook.new_lists(), [codebook.new_lists() for _ in range(3)]
    serials = np.arange(3000)
    whole.add(rows, serials)
    for number, part in enumerate(parts):
        part.add(rows[number::3], serials[number::3])
    queries = rows[:20]
    expected = whole.search(queries, 15, 64, below=None)
    found = nearest_of([part.search(queries, 15, 64, below=None) for part in parts], 15)
    merged = codebook.new_lists()
    assert merged.merge(parts)
    again = merged.search(queries, 15, 64, below=None)
    for one in (found, again):  # the last places may be shared by equal estimates
        for ours, theirs in zip(one.serials.tolist(), expected.serials.tolist(), strict=True):
            assert len(set(ours) & set(theirs)) >= 14
    assert (len(merged), len(parts[0])) == (3000, 1000)
    earlier = whole.search(queries, 15, 64, below=1000)
    assert earlier.serials.max() < 1000
    assert list_count(3000) == 64


def has_gpu() -> bool:
    return hasattr(faiss, "StandardGpuResources") and faiss.get_num_gpus() > 0


def test_rows_on_a_gpu_are_found_as_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a GPU the same steps run on an index of the CPU in its place."""
    if not has_gpu():
        monkeypatch.setattr(gpu, "_flat_on_gpu", faiss.IndexFlatIP)
    log = [
        fingerprint(f"v{n}", np.concatenate((look(n), look(n // 2)[5:20]))) for n in range(2, 12)
    ]
    plain, on_gpu = shard(exact_rows=10**6), shard(device="cuda", **TINY)
    for offset, event in enumerate(log):
        expected = content(plain.apply(event, offset))
        assert content(on_gpu.apply(event, offset)) == expected
    again = [content(one.apply(log[5], len(log))) for one in (plain, on_gpu)]
    assert again[0] == again[1]


def test_a_young_library_on_a_gpu_finds_frames_that_still_wait_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not has_gpu():
        monkeypatch.setattr(gpu, "_flat_on_gpu", faiss.IndexFlatIP)
    log = [fingerprint("a", look(1)), fingerprint("b", look(1))]
    plain, on_gpu = shard(), shard(device="cuda")
    for offset, event in enumerate(log):
        assert content(on_gpu.apply(event, offset)) == content(plain.apply(event, offset))
    assert on_gpu.state.store is not None and on_gpu.state.store.head.run.waiting == 60


@pytest.mark.skipif(has_gpu(), reason="there is a GPU")
def test_a_gpu_that_is_missing_is_named() -> None:
    with pytest.raises(SettingsError, match="sees no GPU"):
        shard(device="cuda").absorb(fingerprint("a", look(1)), 0)


def test_frames_are_found_before_and_after_they_are_put_into_lists(tmp_path: Path) -> None:
    service = Service(tmp_path, exact_rows=64, run_rows=10**6)
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


@pytest.mark.parametrize("below", [None, 0, 3, 700, 1197, 5000])
def test_codes_find_what_lists_find_when_all_are_looked_into(below: int | None) -> None:
    rows = np.random.default_rng(5).standard_normal((400, 32), np.float32)
    codebook = Codebook.train(rows, 400)
    lists, codes = codebook.new_lists(), codebook.new_codes()
    for start in (0, 7, 250):
        part = slice(start, {0: 7, 7: 250, 250: 400}[start])
        lists.add(rows[part], 3 * np.arange(400)[part])
        codes.add(rows[part], 3 * np.arange(400)[part])
    assert len(codes) == len(lists) == 400
    asked = np.random.default_rng(6).standard_normal((9, 32), np.float32)
    near = codes.search(asked, 50, 0, below=below)
    wanted = lists.search(asked, 50, codebook.lists, below=below)
    for ours, theirs in zip(near.serials, wanted.serials, strict=True):
        nearest = theirs[theirs >= 0]  # ordered; the last places may be ties
        assert set(nearest[:40]) <= set(ours[ours >= 0])
        assert below is None or (ours < below).all()


@pytest.mark.parametrize(("bits", "dimension"), [(4, 128), (4, 7), (8, 128), (8, 7)])
def test_packed_rows_are_multiplied_exactly(bits: int, dimension: int) -> None:
    random = np.random.default_rng(7)
    codes = RowCodes(dimension, bits)
    packed = codes.pack(random.integers(-127, 128, (50, dimension), dtype=np.int8))
    query = random.integers(-127, 128, dimension, dtype=np.int8)
    found = np.empty(50, np.float32)
    codes.multiply(packed, query, out=found)
    assert found.tolist() == (codes.whole(packed) @ query.astype(np.float32)).tolist()


@given(st.lists(st.integers(0, 2**40)))
def test_ascending_puts_values_in_order(values: list[int]) -> None:
    given_values = np.array(values, np.int64)
    assert given_values[ascending(given_values)].tolist() == sorted(values)


@pytest.mark.parametrize("sizes", [(256, 100), (256, 512), (100, 156, 40), (0, 256, 0)])
def test_lists_of_any_length_are_copied_whole_or_not_at_all(sizes: tuple[int, ...]) -> None:
    random = np.random.default_rng(0)
    codebook = Codebook.train(random.standard_normal((200, 32)).astype(np.float32), 100)
    look_alike = random.standard_normal(32).astype(np.float32)  # all in one list
    parts, first = [], 0
    for size in sizes:
        noise = 1e-3 * random.standard_normal((size, 32)).astype(np.float32)
        parts.append(codebook.new_lists())
        parts[-1].add(look_alike + noise, first + np.arange(size))
        first += size
    merged = codebook.new_lists()
    if merged.merge(parts):
        found = merged.search(look_alike[None], first, 1, below=None)
        assert sorted(found.serials[0].tolist()) == list(range(first))
    else:
        assert sizes == (256, 512) and len(merged) == 0


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(-1, 9)), max_size=200))
def test_a_hash_map_is_a_dictionary(changes: list[tuple[int, int]]) -> None:
    ours, theirs = HashMap(), dict[int, int]()
    for number, (key, value) in enumerate(changes):
        key = key << 58 | key
        if value < 0:
            ours.drop(key)
            theirs.pop(key, None)
        else:
            ours.put(key, value)
            theirs[key] = value
        if number % 17 == 0:
            ours = HashMap(*ours.arrays())
        assert ours.get(key) == theirs.get(key)
    keys, values = ours.arrays()
    assert dict(zip(keys.tolist(), values.tolist(), strict=True)) == theirs
    assert keys.tolist() == sorted(theirs)


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
    service = Service(tmp_path, exact_rows=100, run_rows=1000)
    service.read(fingerprint("a", look(1)))
    service.upkeep.step(service.library.state, wait=True)
    store = service.library.state.store
    assert store is not None and isinstance(store.head.run.lists, FrameIndex)
    for number in range(4):
        service.read(fingerprint(f"v{number}", look(number)))
    service.upkeep.step(service.library.state, wait=True)
    assert isinstance(store.head.run.lists, FrameCodes)
    service.upkeep.close()


def test_of_a_video_that_is_replaced_a_thousand_times_the_newest_versions_are_kept(
    tmp_path: Path,
) -> None:
    service = Service(tmp_path, **TINY | {"keep_replaced": 10**6, "keep_versions": 3})
    other = np.concatenate((look(7), look(8)))
    service.read(fingerprint("other", other))
    most = 0
    for version in range(1, 1001):
        rows = look(version % 50)[:5]
        service.library.absorb(fingerprint("v", rows, content_version=version), service.offset)
        service.offset += 1
        if version % 10 == 0:
            service.upkeep.step(service.library.state, wait=True)
            most = max(most, service.library.state.frames)
    assert most <= 60 + 2 * 40 + 4 * 5
    kept = [one for one in service.library.state.held() if one.replaced_at != one.offset]
    assert [one.entry.content_version for one in kept] == [1, 997, 998, 999, 1000]
    service.restart()
    service.read(fingerprint("v", look(3), content_version=1001))
    kept = [one for one in service.library.state.held() if one.replaced_at != one.offset]
    assert [one.entry.content_version for one in kept] == [1, 998, 999, 1000, 1001]
    service.upkeep.close()


@pytest.mark.parametrize("merged", [False, True])
def test_a_repeat_finds_the_versions_of_then_that_are_kept_and_no_other_whatever_was_merged(
    tmp_path: Path, merged: bool
) -> None:
    service = Service(tmp_path, **TINY | {"keep_replaced": 1000, "keep_versions": 2})

    def read(video_id: str, seed: int, version: int = 1) -> set[str]:
        found = service.read(fingerprint(video_id, look(seed), content_version=version))
        if merged:
            service.upkeep.step(service.library.state, wait=True)
        return found

    for version in range(1, 6):
        read("v", 100 + version, version)
        assert read(f"copy of {version}", 100 + version) == {"v"}
    for version, expected in ((1, set()), (2, set()), (3, {"v"}), (4, {"v"}), (5, {"v"})):
        assert read(f"copy of {version}", 100 + version) == expected
    service.restart()
    assert read("copy of 2", 102) == set()
    assert read("copy of 3", 103) == {"v"}
    service.upkeep.close()


@pytest.mark.parametrize("merged", [False, True])
def test_a_replaced_version_is_kept_for_exactly_so_many_entries(
    tmp_path: Path, merged: bool
) -> None:
    service = Service(tmp_path, **TINY | {"keep_replaced": 4})
    service.read(fingerprint("v", look(1)))
    service.read(fingerprint("copy", look(1)))
    service.read(fingerprint("v", look(2), content_version=2))  # at offset 2
    for number in range(4):
        service.read(fingerprint(f"w{number}", look(10 + number)))
        if merged:
            service.upkeep.step(service.library.state, wait=True)
    assert service.read(fingerprint("copy", look(1))) == {"v"}
    service.read(fingerprint("w5", look(15)))
    assert service.read(fingerprint("copy", look(1))) == set()
    service.upkeep.close()
