"""What every index must do, whichever it is, and that another one is a line in the store."""

from collections.abc import Callable
from pathlib import Path

import faiss
import numpy as np
import pytest
from numpy.typing import NDArray

from stream.index.exact import FrameIndex
from stream.index.gpu import GpuFrames
from stream.index.inverted import Codebook, FrameLists
from stream.index.protocol import Floats, Index, Nearest, Serials
from stream.library.snapshot import SnapshotStore
from stream.library.store import FrameStore
from stream.library.upkeep import Upkeep
from tests.stream.library_log import content, fingerprint, look, shard

COUNT, DIMENSION, PROBES = 2000, 32, 64


def frames(seed: int, count: int = COUNT) -> Floats:
    """Whole-number rows, unit but for their rounding."""
    rows = np.random.default_rng(seed).standard_normal((count, DIMENSION))
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(np.rint(unit * 127), np.float32)


ROWS, SERIALS = frames(0), 5 + 3 * np.arange(COUNT)
CODEBOOK = Codebook.train(ROWS, COUNT)


class NumpyIndex(Index):
    """An index as somebody else writes it: all rows, compared by numpy."""

    def __init__(self) -> None:
        self._rows, self._serials = np.empty((0, DIMENSION), np.float32), np.empty(0, np.int64)

    def __len__(self) -> int:
        return len(self._serials)

    def add(self, rows: Floats, serials: Serials) -> None:
        """Append frames."""
        self._rows = np.concatenate((self._rows, rows))
        self._serials = np.concatenate((self._serials, serials))

    def search(self, queries: Floats, most: int, probes: int, *, below: int | None) -> Nearest:
        """The nearest frames."""
        there = slice(None) if below is None else self._serials < below
        rows, serials = self._rows[there], self._serials[there]
        values = queries @ rows.T
        best = np.argsort(-values, axis=1)[:, :most]
        return Nearest(serials[best], np.take_along_axis(values, best, axis=1))


INDEXES: dict[str, Callable[[], Index]] = {
    "exact": lambda: FrameIndex(DIMENSION),
    "lists": CODEBOOK.new_lists,
    "codes": CODEBOOK.new_codes,
    "gpu": lambda: GpuFrames(DIMENSION, faiss.IndexFlatIP(DIMENSION)),
    "another": NumpyIndex,
}


def filled(name: str) -> Index:
    index = INDEXES[name]()
    index.add(ROWS[:700], SERIALS[:700])
    index.add(ROWS[700:], SERIALS[700:])
    return index


def found(index: Index, queries: Floats, below: int | None = None) -> list[set[int]]:
    """All that it says of each query, in either way."""
    biases = np.zeros(len(queries), np.int8)
    hits = index.hits(queries.astype(np.int8), biases, 0.8, below=below)
    near = index.search(queries, 20, PROBES, below=below)
    sets: list[set[int]] = [set(row[row >= 0].tolist()) for row in near.serials]
    for query, serial in zip(hits.queries.tolist(), hits.serials.tolist(), strict=True):
        sets[query].add(serial)
    return sets


@pytest.mark.parametrize("name", INDEXES)
def test_an_index_finds_each_of_its_frames_by_its_serial(name: str) -> None:
    index = filled(name)
    assert len(index) == COUNT
    chosen: NDArray[np.int64] = np.arange(0, COUNT, 97)
    for serial, others in zip(SERIALS[chosen], found(index, ROWS[chosen]), strict=True):
        assert serial in others and others <= set(SERIALS.tolist())


@pytest.mark.parametrize("name", INDEXES)
def test_an_index_leaves_out_what_came_later(name: str) -> None:
    chosen, below = np.arange(0, COUNT, 97), int(SERIALS[1000])
    answers = found(filled(name), ROWS[chosen], below)
    assert all(serial < below for one in answers for serial in one)
    for place, others in zip(chosen.tolist(), answers, strict=True):
        assert (int(SERIALS[place]) in others) is (place < 1000)
    assert not any(found(filled(name), ROWS[chosen], int(SERIALS[0])))


@pytest.mark.parametrize("name", INDEXES)
def test_an_empty_index_finds_nothing(name: str) -> None:
    assert len(INDEXES[name]()) == 0
    assert not any(found(INDEXES[name](), ROWS[:3]))


@pytest.mark.parametrize("name", INDEXES)
def test_an_index_that_says_that_it_was_saved_or_merged_is_there_again(
    name: str, tmp_path: Path
) -> None:
    index, file = filled(name), tmp_path / "index"
    assert index.save(str(file)) is file.exists() is (name == "lists")
    merged = INDEXES[name]()
    if merged.merge([index]):
        assert found(merged, ROWS[:50]) == found(index, ROWS[:50])
        assert found(FrameLists.read(str(file)), ROWS[:50]) == found(index, ROWS[:50])
    else:
        assert len(merged) == 0


def test_another_index_is_a_line_in_the_store_and_changes_no_answer(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    log = [
        fingerprint(f"v{n}", np.concatenate((look(n), look(n // 2)[5:20]))) for n in range(2, 12)
    ]
    plain = shard()
    expected = [content(plain.apply(video, offset)) for offset, video in enumerate(log)]
    monkeypatch.setattr(FrameStore, "new_lists", lambda self, codebook=None: NumpyIndex())
    other = shard(snapshot_folder=tmp_path, run_rows=100)
    snapshots = SnapshotStore(other.settings, shard=0, log_id="log")
    upkeep = Upkeep(snapshots)
    for offset, video in enumerate(log):
        assert content(other.apply(video, offset)) == expected[offset]
        upkeep.step(other.state, wait=True)
    upkeep.close()
    assert other.state.store is not None and len(other.state.store.runs) == 1
    assert type(other.state.store.runs[0].lists) is NumpyIndex
    snapshots.save(other.state, len(log))
    restored = snapshots.load_latest()
    assert restored is not None
    probe = fingerprint("probe", look(5))
    again = shard(restored.state, snapshot_folder=tmp_path, run_rows=100)
    assert content(again.apply(probe, len(log))) == content(plain.apply(probe, len(log)))
