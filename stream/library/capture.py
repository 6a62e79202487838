"""A shard's state as arrays and numbers, and back: what a snapshot writes down.

`capture` and `restore` are each other's inverse. Serves `snapshot_files.py`, which knows the files.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream.index.hash_map import HashMap
from stream.index.inverted import Codebook
from stream.library.remembered import Remembered
from stream.library.rows import RowCodes
from stream.library.run import ENTRY, NEVER, Run
from stream.library.settings import LibrarySettings
from stream.library.state import ShardState
from stream.library.store import FrameStore

MAPS = ("seen", "removed")


@dataclass(frozen=True)
class Capture:
    """A state as it was at one offset, that the shard may go on from while it is written.

    Attributes:
        runs: that grow no more; those without files are written with the snapshot.
        arrays: the head and all that is small, by the name in `state.npz`.
        numbers: for the manifest.
    """

    next_offset: int
    runs: tuple[Run, ...]
    arrays: dict[str, NDArray[Any]]
    numbers: dict[str, Any]
    remembered: Remembered


def capture(state: ShardState, next_offset: int) -> Capture:
    """Take a state's picture, on the thread that changes it: cheap, whatever its size."""
    arrays: dict[str, NDArray[Any]] = {}
    for name in MAPS:
        arrays[f"{name}_keys"], arrays[f"{name}_values"] = getattr(state, name).arrays()
    remembered = state.remembered.copy()
    numbers: dict[str, Any] = {
        "model_version": state.model_version,
        "dimension": state.dimension,
        "entries": 0,
        "frames": state.frames,
        "next_serial": 0,
        "trained_on": None,
    }
    store = state.store
    if store is None:
        return Capture(next_offset, (), arrays, numbers, remembered)
    head, runs = store.head.run, store.runs
    # Copied, as `replaced_at` changes on while the snapshot is written; rows and payload only grow.
    arrays |= {"entries": head.entries.copy(), "rows": head.rows, "payload": head.payload}
    # Files of runs never change: what was replaced in them since is the snapshot's to say.
    replaced = np.concatenate(
        [np.empty(0, np.int64), *(run.entries["replaced_at"] for run in runs)]
    )
    arrays["replaced"] = np.flatnonzero(replaced != NEVER)
    arrays["replaced_at"] = replaced[arrays["replaced"]]
    numbers |= {
        "entries": len(head) + sum(len(run) for run in runs),
        "next_serial": store.next_serial,
    }
    if store.codebook is not None:
        arrays["codebook"] = store.codebook.packed
        numbers["trained_on"] = store.codebook.trained_on
    return Capture(next_offset, runs, arrays, numbers, remembered)


def restore(taken: Capture, settings: LibrarySettings) -> ShardState:
    """The state that was captured; its runs' files are mapped already.

    Raises:
        KeyError: an array or a number is missing.
    """
    arrays, numbers = taken.arrays, taken.numbers
    maps = {name: HashMap(arrays[f"{name}_keys"], arrays[f"{name}_values"]) for name in MAPS}
    state = ShardState(
        numbers["model_version"], int(numbers["dimension"]), seen=maps["seen"],
        removed=maps["removed"], remembered=taken.remembered,
    )  # fmt: skip
    if state.model_version is None:
        return state
    replaced = np.full(sum(len(run) for run in taken.runs), NEVER, np.int64)
    replaced[arrays["replaced"]] = arrays["replaced_at"]
    for run in taken.runs:
        run.entries["replaced_at"], replaced = replaced[: len(run)], replaced[len(run) :]
    head = Run(arrays["entries"], arrays["rows"], arrays["payload"])
    codebook = None
    if "codebook" in arrays:
        codebook = Codebook(arrays["codebook"], int(numbers["trained_on"]))
    codes = RowCodes(state.dimension, settings.code_bits)
    state.store = FrameStore(
        settings, codes, runs=taken.runs, head=head, codebook=codebook,
        next_serial=int(numbers["next_serial"]),
    )  # fmt: skip
    # Not written down, as it follows from the entries: two sayings could differ.
    state.current = HashMap(*_current(state.store.all_runs()))
    return state


def _current(runs: tuple[Run, ...]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Hash and serial of the videos that are neither replaced nor removed, by ascending hash."""
    entries = np.concatenate([np.empty(0, ENTRY), *(run.entries for run in runs)])
    # At most one of each video: a version that takes another's place marks it before it comes.
    entries = entries[entries["replaced_at"] == NEVER]
    entries = entries[np.argsort(entries["hash"])]
    return entries["hash"].copy(), entries["serial"].copy()
