"""One snapshot's folder: `state.npz` with the head and what is small, and `manifest.json`.

The manifest has a checksum of that file, of the files of all sealed runs, and of itself. Serves
`stream.library.snapshot`, which knows which snapshots there are.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from stream.errors import SnapshotError
from stream.failpoints import failpoint
from stream.index.files import check_digests, digests_of
from stream.index.manifests import MANIFEST, read_manifest, write_manifest
from stream.library.capture import Capture, restore
from stream.library.remembered import Remembered
from stream.library.run_files import read_run
from stream.library.settings import LibrarySettings
from stream.library.state import ShardState

FORMAT = 6  # of another one the snapshot is foreign: it is passed over, and the log is read
STATE = "state.npz"
FILES = (STATE, MANIFEST)
REMEMBERED = "remembered"


@dataclass(frozen=True)
class Snapshot:
    """A restored state.

    Attributes:
        next_offset: of the log, to read.
        written_at: seconds since 1970.
    """

    state: ShardState
    next_offset: int
    written_at: float


def write_snapshot(folder: Path, taken: Capture, identity: Mapping[str, Any]) -> None:
    """Fill a snapshot's folder; the runs that it names are on the disk already."""
    arrays = {**taken.arrays, REMEMBERED: taken.remembered.to_array()}
    np.savez_compressed(folder / STATE, **arrays)  # type: ignore[arg-type]
    failpoint("snapshot.writing")
    manifest = {
        **identity,
        "next_offset": taken.next_offset,
        "written_at": time.time(),
        **taken.numbers,
        "segments": [
            {"name": run.folder.name, "sha256": run.sha256}
            for run in taken.runs
            if run.folder is not None
        ],
        # Of what lies there by now; the manifest gets a checksum of its own.
        "sha256": digests_of(folder),
    }
    write_manifest(folder, manifest)


def read_snapshot(
    folder: Path, runs_folder: Path, identity: Mapping[str, Any], settings: LibrarySettings
) -> Snapshot:
    """Restore a state from a snapshot's folder and the runs that it names.

    Raises:
        SnapshotError: it is damaged or of something else.
    """
    try:
        manifest = checked_manifest(folder, identity)
        with np.load(folder / STATE) as file:
            arrays = {name: file[name] for name in file.files}
        remembered = Remembered.of_array(arrays.pop(REMEMBERED))
        runs = [read_run(runs_folder / run["name"], run["sha256"]) for run in manifest["segments"]]
        offset = int(manifest["next_offset"])
        taken = Capture(offset, tuple(runs), arrays, manifest, remembered)
        state = restore(taken, settings)
        return Snapshot(state, offset, float(manifest.get("written_at", 0.0)))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SnapshotError(f"{folder} can't be read: {type(error).__name__}: {error}") from error


def checked_manifest(folder: Path, identity: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest of a snapshot whose files are as it says.

    Raises:
        SnapshotError: they aren't, or it is of something else.
        OSError, ValueError, KeyError, TypeError: a file isn't there or can't be read.
    """
    manifest = read_manifest(folder, identity)
    check_digests(folder, manifest["sha256"])
    return manifest


def runs_of(snapshot: Path) -> set[str]:
    """Names of the runs that a snapshot is made of; none where it can't be read."""
    try:
        manifest = orjson.loads((snapshot / MANIFEST).read_bytes())
        return {str(run["name"]) for run in manifest["segments"]}
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError):
        return set()
