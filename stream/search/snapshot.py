"""Snapshots of a search view: all of it at one position in the topic, whole or not at all.

A folder named by its position: arrays, the lists, and `manifest.json` with the next offset of every
partition and a checksum of each file and of itself. Written aside, flushed and renamed; the last
two are kept. Vectors stay mapped from there.
"""

import fcntl
import logging
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream.errors import SnapshotError
from stream.index.files import aside, check_digests, digests_of
from stream.index.inverted import Codebook, FrameLists
from stream.index.manifests import read_manifest, write_manifest
from stream.search.index import VectorIndex
from stream.search.rows import NOTHING, VectorRows
from stream.search.settings import SearchSettings
from stream.search.state import ViewState
from stream.search.table import VideoTable
from stream.search.takedowns import Takedowns
from stream.search.view import SearchView

log = logging.getLogger(__name__)

FORMAT = 3  # one more with each change that an older reader would misread
KEPT = 2  # so that one that turns out damaged has one before it
LISTS, LOCK = "lists.faiss", ".lock"
CODES, SCALES, SECONDS, CODEBOOK = "codes.npy", "scales.npy", "seconds.npy", "codebook.npy"
TAKEDOWNS = "takedowns.npy"
TABLE = ("records", "ids", "hashes", "numbers")
DAY_SECONDS = 24 * 3600.0  # Kafka's retention of takedowns is stated in days, files carry seconds

Offsets = Mapping[int, int]


@dataclass(frozen=True)
class ViewSnapshot:
    """A restored view and the next offset to read of each partition."""

    view: SearchView
    offsets: dict[int, int]


class ViewSnapshots:
    """Saves and loads the snapshots of a view.

    `log_id` names the topic that it was read from: a snapshot of another one is never restored,
    nor one of another model. Several processes may share the folder.
    """

    def __init__(
        self,
        settings: SearchSettings,
        *,
        log_id: str,
        model_version: str,
        dimension: int,
        max_days: float,
    ) -> None:
        """Name what the snapshots are of.

        Args:
            settings: name the folder.
            log_id: of cluster and topic.
            model_version: of the view.
            dimension: of the view.
            max_days: for so long the topic remembers takedowns: older snapshots are of no use.
        """
        self._settings, self._folder = settings, settings.snapshot_folder
        self._max_days = max_days
        self._passed_over: set[str] = set()
        self._identity = {
            "format": FORMAT,
            "log_id": log_id,
            "model_version": model_version,
            "dimension": dimension,
            # What is in the rows depends on both.
            "moments": settings.moments,
            "moment_margin": settings.moment_margin,
        }

    def save(self, view: SearchView, offsets: Offsets) -> Path | None:
        """Write a snapshot, and drop all but the newest two.

        By the thread that changes the view; it may be searched meanwhile.

        Args:
            view: what is written.
            offsets: the next to read of each partition.

        Returns:
            Its folder; None where another process is writing one.

        Raises:
            SnapshotError: the disk is full or not writable; earlier snapshots are untouched.
        """
        # Offsets only grow, so that their sum puts snapshots in order.
        final = self._folder / f"{sum(offsets.values()):020d}"
        try:
            with self._locked(fcntl.LOCK_EX | fcntl.LOCK_NB):
                # Of a process that was killed: who has the lock is the only one that writes.
                for unfinished in self._folder.glob(".*.part"):
                    shutil.rmtree(unfinished)
                with aside(final) as unfinished:
                    self._write(view, offsets, unfinished)
                self._passed_over.discard(final.name)
                self._drop_old(final.name)
        # Another process writes one of the same topic, which serves this one as well.
        except BlockingIOError:
            return None
        except OSError as error:
            raise SnapshotError(
                f"the snapshot {final} can't be written ({error}): free or mend the disk; until "
                "then a start reads more of the topic"
            ) from error
        return final

    def load_latest(self) -> ViewSnapshot | None:
        """The newest usable snapshot; None means: read the topic from its start.

        A damaged, foreign or outdated one is named in a warning and passed over.
        """
        if not self._folder.is_dir():
            return None
        try:
            # Shared with other readers; a writer would drop what is being read.
            with self._locked(fcntl.LOCK_SH):
                return self._first_usable()
        except OSError as error:  # a folder that may only be read
            log.warning("%s can't be locked (%s)", self._folder, error)
            return self._first_usable()

    def _first_usable(self) -> ViewSnapshot | None:
        for path in self._found():
            try:
                return self._load(path)
            except SnapshotError as error:
                log.warning("snapshot passed over: %s", error)
                self._passed_over.add(path.name)
        return None

    @contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        self._folder.mkdir(parents=True, exist_ok=True)
        # A lock on an open file ends with the process, however that ends.
        with (self._folder / LOCK).open("w") as file:
            fcntl.flock(file, how)
            yield

    def _found(self) -> list[Path]:
        """The folders of snapshots, the one with the largest offsets first."""
        found = (path for path in self._folder.iterdir() if path.name.isdigit())
        return sorted(found, reverse=True)

    def _drop_old(self, newest: str) -> None:
        """Keep the two newest that are usable; unusable ones go once there are two."""
        usable = [
            path
            for path in self._found()
            if path.name <= newest and path.name not in self._passed_over
        ]
        kept = {path.name for path in usable[:KEPT]}
        for path in self._found():
            if path.name not in kept and len(kept) == KEPT:
                shutil.rmtree(path, ignore_errors=True)

    def _write(self, view: SearchView, offsets: Offsets, folder: Path) -> None:
        state = view.state
        for name, array in state.table.arrays().items():
            np.save(folder / f"{name}.npy", array)
        np.save(folder / TAKEDOWNS, state.takedowns.to_array())
        _write_rows(state.rows, folder)
        trained_on = None
        if state.index.codebook is not None and state.index.lists is not None:
            trained_on = state.index.codebook.trained_on
            np.save(folder / CODEBOOK, state.index.codebook.packed)
            state.index.lists.save(str(folder / LISTS))
        manifest = {
            **self._identity,
            "offsets": {str(partition): offset for partition, offset in sorted(offsets.items())},
            "written_at": time.time(),
            "models": state.models,
            "logs": state.logs,
            "trained_on": trained_on,
            "videos": len(view),
            "sha256": digests_of(folder),
        }
        write_manifest(folder, manifest)

    def _load(self, folder: Path) -> ViewSnapshot:
        try:
            manifest = self._checked_manifest(folder)
            state = self._state(folder, manifest)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise SnapshotError(
                f"{folder} can't be read: {type(error).__name__}: {error}"
            ) from error
        view = SearchView(self._settings, manifest["model_version"], manifest["dimension"], state)
        offsets = {int(number): int(next_) for number, next_ in manifest["offsets"].items()}
        return ViewSnapshot(view, offsets)

    def _state(self, folder: Path, manifest: dict[str, Any]) -> ViewState:
        table = VideoTable.of({name: np.load(folder / f"{name}.npy") for name in TABLE})
        codes: NDArray[np.int8] = np.load(folder / CODES, mmap_mode="r")
        rows = VectorRows.of(codes, np.load(folder / SCALES), np.load(folder / SECONDS))
        codebook = lists = None
        if manifest["trained_on"] is not None:
            codebook = Codebook(np.load(folder / CODEBOOK), int(manifest["trained_on"]))
            lists = FrameLists.read(str(folder / LISTS))
        index = VectorIndex(self._settings, rows, codebook=codebook, lists=lists)
        takedowns = Takedowns.of_array(np.load(folder / TAKEDOWNS))
        named = (list(manifest["models"]), list(manifest["logs"]))
        return ViewState(table, rows, index, *named, takedowns)

    def _checked_manifest(self, folder: Path) -> dict[str, Any]:
        manifest = read_manifest(folder, self._identity)
        # Before the digests, for which all of its files are read.
        days = (time.time() - manifest["written_at"]) / DAY_SECONDS
        if days > self._max_days:
            raise SnapshotError(
                f"{folder} is {days:.0f} days old: the topic remembers takedowns for "
                f"{self._max_days:.0f}"
            )
        check_digests(folder, manifest["sha256"])
        return manifest


def _write_rows(rows: VectorRows, folder: Path) -> None:
    """Codes, scales and seconds; of the codes a block in memory at a time."""
    count = len(rows)
    header = {"fortran_order": False, "shape": (count, rows.dimension), "descr": "|i1"}
    with (folder / CODES).open("wb") as file:
        np.lib.format.write_array_header_2_0(file, header)
        for codes, _, _ in rows.parts():
            file.write(np.ascontiguousarray(codes).data)
    for name, place in ((SCALES, 1), (SECONDS, 2)):
        np.save(folder / name, np.concatenate([NOTHING, *(part[place] for part in rows.parts())]))
