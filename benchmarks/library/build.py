"""Makes the library that `benchmarks/library_size.py` measures, and the exact answers beside it."""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.library.rows import FRAMES_PER_VIDEO, RowMaker, run_of
from stream.contract.hashes import version_hash
from stream.contract.packed import quantise
from stream.index.inverted import Codebook, FrameLists
from stream.library.head import fill
from stream.library.rows import RowCodes
from stream.library.run import Run
from stream.library.settings import LibrarySettings
from stream.library.snapshot import SnapshotStore
from stream.library.state import ShardState
from stream.library.store import SEALED_SHARE, FrameStore
from stream.library.upkeep import sample_of

SEED = 20261125  # any; fixed, so that a library that was built is found again
QUERIES_PER_UPLOAD = 60  # a minute of video
UPLOADS = 8
NEAREST = 10  # neighbours whose recall is told
LOG_ID = "benchmark"
# Made and searched at a time: some hundred megabytes. Another number makes other rows, and the
# libraries built before can't be compared.
BLOCK_ROWS = 10_000 * FRAMES_PER_VIDEO

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Built:
    """What was made.

    Attributes:
        build_seconds: training and filling lists; making the rows isn't counted.
        snapshot_seconds: of a second snapshot, when all runs are written.
    """

    rows: int
    kind: str
    build_seconds: float
    snapshot_seconds: float


class Exact:
    """The nearest rows of some queries, among all that were shown."""

    def __init__(self, queries: Floats) -> None:
        self._queries, self._seen = queries, 0
        self._best = np.full((len(queries), NEAREST), -np.inf, np.float32)
        self.rows = np.full((len(queries), NEAREST), -1, np.int64)

    def see(self, block: Floats, group: int = 1) -> None:
        """More rows, (N, D); of so many in a row, which count as one, the nearest."""
        values = (self._queries @ block.T).reshape(len(self._queries), -1, group).max(axis=2)
        order = np.argpartition(-values, NEAREST, axis=1)[:, :NEAREST]
        both = np.concatenate((self._best, np.take_along_axis(values, order, axis=1)), axis=1)
        numbers = np.concatenate((self.rows, order + self._seen), axis=1)
        kept = np.argsort(-both, axis=1)[:, :NEAREST]
        self._best = np.take_along_axis(both, kept, axis=1)
        self.rows = np.take_along_axis(numbers, kept, axis=1)
        self._seen += len(block) // group


def settings_in(folder: Path) -> LibrarySettings:
    """The defaults, with snapshots in a folder."""
    return LibrarySettings(snapshot_folder=folder, min_similarity=0.4)


def build(maker: RowMaker, rows: int, folder: Path) -> Built:
    """Make a library of so many rows, write its snapshot, and the exact answers beside it."""
    settings, codes = settings_in(folder), RowCodes(maker.real.shape[1], 4)
    runs = _runs(maker, rows, codes, folder)
    made = sum(len(run.rows) for run in runs)
    before = time.perf_counter()
    if rows >= settings.exact_rows:
        store = _listed(runs, settings, codes)
    else:
        store = FrameStore(settings, codes, head=_one(runs), next_serial=made)
    build_seconds = time.perf_counter() - before
    snapshot_seconds = _snapshots(store, made)
    if store.codebook is not None:
        _write_plain(store.codebook, runs, codes, folder / "plain.faiss")
    return Built(made, _kind(store), build_seconds, snapshot_seconds)


def _runs(maker: RowMaker, rows: int, codes: RowCodes, folder: Path) -> list[Run]:
    """The large run and the head's; what an exact search finds is written on the way."""
    random = np.random.default_rng((SEED, rows))
    queries = _queries(maker, rows)
    exact, whole = Exact(queries), Exact(queries)
    runs, made = [], 0
    for size in _sizes(rows):
        blocks = []
        for start in range(0, size, BLOCK_ROWS):
            block = maker.rows(min(BLOCK_ROWS, size - start), random)
            whole.see(block)
            exact.see(codes.whole(codes.pack(quantise(block))))
            blocks.append(run_of(block, codes, made // FRAMES_PER_VIDEO))
            made += len(block)
        runs.append(_one(blocks))
    np.savez(folder / "exact.npz", queries=queries, exact=exact.rows, whole=whole.rows)
    return runs


def _listed(runs: list[Run], settings: LibrarySettings, codes: RowCodes) -> FrameStore:
    """A store whose large run is in lists."""
    whole = FrameStore(settings, codes)
    whole.runs = tuple(runs)
    rows = sum(len(run.rows) for run in runs)
    codebook = Codebook.train(sample_of(whole, whole.runs, rows), rows)
    for run in runs:
        run.lists = codebook.new_lists()
        fill(run.lists, run, codes)
    return FrameStore(
        settings, codes, runs=tuple(runs[:-1]), head=runs[-1], codebook=codebook, next_serial=rows
    )


def _snapshots(store: FrameStore, made: int) -> float:
    """Write two snapshots; seconds of the second."""
    state = ShardState("encoder", store.codes.dimension, store)
    for held in range(made // FRAMES_PER_VIDEO):
        state.seen.put(version_hash(f"v{held}", 1), held)
    snapshots = SnapshotStore(store.settings, shard=0, log_id=LOG_ID)
    snapshots.save(state, made)  # writes the runs
    before = time.perf_counter()
    snapshots.save(state, made + 1)
    return time.perf_counter() - before


def _write_plain(codebook: Codebook, runs: list[Run], codes: RowCodes, file: Path) -> None:
    """The same rows in one index of Faiss."""
    lists = [run.lists for run in runs if isinstance(run.lists, FrameLists)]
    plain = codebook.new_lists()
    if not plain.merge(lists):
        for run in runs:
            fill(plain, run, codes)
    plain.save(str(file))


def _kind(store: FrameStore) -> str:
    if store.codebook is None:
        return "exact"
    return f"{store.codebook.lists} lists, and a head"


def _sizes(rows: int) -> list[int]:
    """The large run and the head, half grown."""
    head = max(LibrarySettings().run_rows, rows // SEALED_SHARE) // 2
    return [size // FRAMES_PER_VIDEO * FRAMES_PER_VIDEO for size in (rows - head, head)]


def _one(parts: list[Run]) -> Run:
    """Consecutive runs in memory as one."""
    entries = np.concatenate([part.entries for part in parts])
    row = byte = place = 0
    for part in parts:
        own = entries[place : place + len(part)]
        own["row"] += row
        own["payload"] += byte
        row, byte, place = row + len(part.rows), byte + len(part.payload), place + len(part)
    return Run(
        entries,
        np.concatenate([part.rows for part in parts]),
        np.concatenate([part.payload for part in parts]),
    )


def _queries(maker: RowMaker, rows: int) -> Floats:
    """Edited copies of rows that will be in the library: its first block, drawn again."""
    size = min(45 * 10_000, _sizes(rows)[0])
    block = maker.rows(size, np.random.default_rng((SEED, rows)))
    random = np.random.default_rng((SEED, 1))
    chosen = block[random.integers(0, len(block), UPLOADS * QUERIES_PER_UPLOAD)]
    return maker.near(chosen, 0.75, 0.95, random)
