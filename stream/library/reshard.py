"""The shards of one number made into those of another, without the log.

All are at one offset of the log. Entries go over in log order, packed as they are: what comes out
is what a shard that read the log would hold, but for replaced versions that were dropped already.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream.errors import SnapshotError
from stream.index.hash_map import HashMap
from stream.library.remembered import Remembered
from stream.library.rows import RowCodes
from stream.library.run import NEVER, Run
from stream.library.settings import LibrarySettings
from stream.library.state import ShardState
from stream.library.store import FrameStore
from stream.library.upkeep import Upkeep


@dataclass(frozen=True)
class Part:
    """What a present shard gives: its runs without lists, and what it knows of the log."""

    model_version: str | None
    dimension: int
    runs: tuple[Run, ...]
    seen: HashMap
    removed: HashMap
    remembered: Remembered

    @classmethod
    def of(cls, state: ShardState) -> "Part":
        """Of a shard that changes no more; its lists may be freed then."""
        runs = state.store.all_runs() if state.store is not None else ()
        bare = tuple(Run(run.entries, run.rows, run.payload) for run in runs)
        known = (state.seen, state.removed, state.remembered)
        return cls(state.model_version, state.dimension, bare, *known)


def joined(
    parts: Sequence[Part], settings: LibrarySettings, shard: int, upkeep: Upkeep
) -> ShardState:
    """The state of shard `shard` of `settings.shards`.

    Args:
        parts: all shards of another number, at one offset of the log.
        settings: of the new shards.
        shard: which of them.
        upkeep: of the new shard; keeps what is sealed out of memory.

    Raises:
        SnapshotError: the parts are of different models.
    """
    state = ShardState(
        # First read and last taken down: what a shard that read all of the log would know.
        seen=_merged([part.seen for part in parts], last=False),
        removed=_merged([part.removed for part in parts], last=True),
        remembered=Remembered.joined([part.remembered for part in parts], settings.shards, shard),
    )
    models = {(p.model_version, p.dimension) for p in parts if p.model_version is not None}
    if len(models) > 1:
        raise SnapshotError(f"the shards hold descriptors of several models: {sorted(models)}")
    if not models:
        return state
    ((state.model_version, state.dimension),) = models
    store = FrameStore(settings, RowCodes(state.dimension, settings.code_bits))
    state.store = store
    runs = [run for part in parts for run in part.runs]
    sealed = 0
    for run, place in _in_order(runs, settings.shards, shard):
        _append(state, store, run, place)
        if len(store.runs) != sealed:
            upkeep.step(state, wait=True)
            sealed = len(store.runs)
    upkeep.step(state, wait=True)
    return state


def _in_order(runs: Sequence[Run], shards: int, shard: int) -> list[tuple[Run, int]]:
    """Where the videos of a shard are, in log order; those that were removed are left out."""
    numbers, places, offsets = [], [], []
    for number, run in enumerate(runs):
        entries = run.entries
        ours = entries["hash"] % np.uint64(shards) == np.uint64(shard)
        chosen = np.flatnonzero(ours & (entries["replaced_at"] != entries["offset"]))
        numbers.append(np.full(len(chosen), number))
        places.append(chosen)
        offsets.append(entries["offset"][chosen])
    if not numbers:
        return []
    order = np.argsort(np.concatenate(offsets), kind="stable")
    ordered = (np.concatenate(numbers)[order].tolist(), np.concatenate(places)[order].tolist())
    return [(runs[number], place) for number, place in zip(*ordered, strict=True)]


def _append(state: ShardState, store: FrameStore, run: Run, place: int) -> None:
    """Take a video over, packed as it is."""
    entry = run.entries[place]
    row, count, begin = int(entry["row"]), int(entry["count"]), int(entry["payload"])
    last = place + 1 == len(run)
    end = len(run.payload) if last else int(run.entries["payload"][place + 1])
    # Serials are given anew: they count the frames of one shard.
    serial = store.append_packed(
        int(entry["hash"]),
        int(entry["offset"]),
        run.rows[row : row + count],
        run.payload[begin:end].tobytes(),
    )
    if entry["replaced_at"] == NEVER:
        state.current.put(int(entry["hash"]), serial)
    else:
        store.replace(serial, int(entry["replaced_at"]))


def _merged(maps: Sequence[HashMap], *, last: bool) -> HashMap:
    """All keys, with the largest or else the smallest of their values.

    Shards that read the whole log agree; one that was rebuilt after a compaction knows a version
    by a later repeat.
    """
    arrays: list[tuple[NDArray[Any], NDArray[Any]]] = [one.arrays() for one in maps]
    keys = np.concatenate([np.empty(0, np.uint64), *(pair[0] for pair in arrays)])
    values = np.concatenate([np.empty(0, np.int64), *(pair[1] for pair in arrays)])
    order = np.lexsort((-values if last else values, keys))
    keys, values = keys[order], values[order]
    first = np.ones(len(keys), bool)
    first[1:] = keys[1:] != keys[:-1]
    return HashMap(keys[first], values[first])
