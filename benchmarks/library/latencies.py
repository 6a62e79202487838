"""How long a search takes while nothing else goes on, and beside appends; serves `library_size`."""

import time

import numpy as np
from numpy.typing import NDArray

from benchmarks.library.build import LOG_ID, SEED, UPLOADS
from benchmarks.library.rows import FRAMES_PER_VIDEO, entry_of
from stream.contract.hashes import version_hash, video_hash
from stream.contract.packed import quantise
from stream.library.entry import Entry
from stream.library.settings import LibrarySettings
from stream.library.snapshot import SnapshotStore
from stream.library.state import ShardState
from stream.library.store import FrameStore
from stream.library.upkeep import Upkeep

VIDEOS_PER_SECOND = 100
LOADED_SECONDS = 30.0  # of searches beside a full stream of appends; set by hand


def ask_store(store: FrameStore, codes: NDArray[np.int8]) -> None:
    """Search as a shard does for an upload."""
    store.search(codes, np.zeros(len(codes), np.int8), 0.4, before=2**60)


def latencies(
    state: ShardState, settings: LibrarySettings, codes: NDArray[np.int8], *, load: bool
) -> dict[str, float]:
    """Milliseconds from when a search is due until it is answered.

    With load, `VIDEOS_PER_SECOND` videos are appended on the same thread, and merges and snapshots
    are made all the time on another.
    """
    store = state.store
    assert store is not None
    upkeep = Upkeep(SnapshotStore(settings, shard=0, log_id=LOG_ID))
    random = np.random.default_rng(SEED)
    uploads = np.split(codes, UPLOADS)
    for upload in uploads:  # a first time, not counted
        ask_store(store, upload)
    before = time.perf_counter()
    for upload in uploads:
        ask_store(store, upload)
    every = 5.0 * (time.perf_counter() - before) / UPLOADS  # a search is under way 20 %
    start, spent, appended = time.perf_counter(), [], 0
    due, number = start + every, 0
    while (now := time.perf_counter()) < start + LOADED_SECONDS:
        if load and appended < VIDEOS_PER_SECOND * (now - start):
            _append(state, random, appended)
            appended += 1
        elif now >= due:
            ask_store(store, uploads[number % UPLOADS])
            spent.append(1000 * (time.perf_counter() - due))
            number, due = number + 1, due + random.exponential(every)
        elif load and not upkeep.step(state):
            upkeep.snapshot(state, 10**9 + appended, lambda: None)
        else:
            time.sleep(0.0005)
    upkeep.finish()
    upkeep.close()
    p50, p99 = np.percentile(spent, (50, 99)).tolist()
    return {"searches": len(spent), "appended": appended, "p50": p50, "p99": p99}


def _append(state: ShardState, random: np.random.Generator, number: int) -> None:
    store = state.store
    assert store is not None
    entry: Entry = entry_of(10**8 + number)
    rows = random.standard_normal((FRAMES_PER_VIDEO, store.codes.dimension)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    offset = 10**9 + number
    state.seen.put(version_hash(entry.video_id, 1), offset)
    store.append(entry, quantise(rows), video_hash(entry.video_id), offset)
