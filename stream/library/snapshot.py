"""Snapshots of a shard: its state at one log offset, whole or not at all.

A snapshot is a folder named by its offset; `stream.library.snapshot_files` says what is in it. Runs
lie beside it under `segments/`, written once and shared by snapshots. All is written aside, flushed
and renamed; the last two snapshots are kept. `stream.library.remote` copies them to an object
store.
"""

import logging
import shutil
from pathlib import Path

from stream.errors import SnapshotError
from stream.index.files import aside, check_digests
from stream.library.capture import Capture, capture
from stream.library.remote import KEPT, RUNS, RemoteSnapshots
from stream.library.run import Run
from stream.library.run_files import new_name, write_run
from stream.library.settings import LibrarySettings
from stream.library.snapshot_files import (
    FORMAT,
    Snapshot,
    checked_manifest,
    read_snapshot,
    runs_of,
    write_snapshot,
)
from stream.library.state import ShardState

log = logging.getLogger(__name__)


class SnapshotStore:
    """Saves and loads the snapshots of one shard in `folder/shard-i-of-S`.

    `log_id` names the log that the state was read from (cluster and topic): a snapshot of another
    log is never restored, nor one of other `code_bits`. One process at a time.
    """

    def __init__(self, settings: LibrarySettings, *, shard: int, log_id: str) -> None:
        self._settings = settings
        name = f"shard-{shard}-of-{settings.shards}"
        self._folder = settings.snapshot_folder / name
        self._passed_over: set[str] = set()
        self._uncopied: str | None = None
        self._remote = None
        if settings.snapshot_store is not None:
            self._remote = RemoteSnapshots(f"{settings.snapshot_store}/{name}", self._folder)
        # In other bits a row would be misread, of another shard or log all would be wrong.
        self._identity = {
            "format": FORMAT,
            "shard": shard,
            "shards": settings.shards,
            "log_id": log_id,
            "code_bits": settings.code_bits,
        }

    @property
    def runs_folder(self) -> Path:
        """Where runs lie."""
        return self._folder / RUNS

    def save(self, state: ShardState, next_offset: int) -> Path:
        """Write a snapshot at once, and copy it; as `write` and `copy`."""
        path = self.write(capture(state, next_offset))
        self.copy()
        return path

    def write(self, taken: Capture) -> Path:
        """Write a snapshot, and drop all but the newest two and what only they shared.

        Raises:
            SnapshotError: the disk is full or not writable; earlier snapshots are untouched.
        """
        # Padded with zeros: names then sort as offsets do.
        final = self._folder / f"{taken.next_offset:020d}"
        try:
            # Of a process that was killed: nobody else writes here.
            self._clear_unfinished()
            # Runs first: no manifest ever names a run that isn't whole on the disk.
            for run in taken.runs:
                if run.folder is None:
                    write_run(run, self.runs_folder / new_name(run))
            with aside(final) as unfinished:
                write_snapshot(unfinished, taken, self._identity)
        except OSError as error:
            raise SnapshotError(
                f"the snapshot {final} can't be written ({error}): free or mend the disk; "
                "until then a restart reads more of the log"
            ) from error
        self._passed_over.discard(final.name)
        # Behind the rename: until then the older ones are all there is.
        self._drop_old(taken.next_offset)
        runs = {run.folder.name for run in taken.runs if run.folder is not None}
        self._drop_runs(set(runs))
        self._uncopied = final.name if self._remote is not None else None
        return final

    @property
    def to_copy(self) -> bool:
        """Whether the object store lacks the newest snapshot."""
        return self._uncopied is not None

    def copy(self) -> None:
        """Copy the newest snapshot to the object store, if it isn't there yet.

        Raises:
            SnapshotError: the store refuses; on disk the snapshot is whole.
        """
        if self._remote is None or self._uncopied is None:
            return
        try:
            self._remote.push(self._uncopied)
        except (OSError, ValueError, KeyError, SnapshotError) as error:
            raise SnapshotError(
                f"the snapshot {self._folder / self._uncopied} can't be copied to "
                f"{self._settings.snapshot_store} ({error}): it is in its folder alone"
            ) from error
        self._uncopied = None

    def load_latest(self) -> Snapshot | None:
        """The newest usable snapshot; None means: read the log from its start.

        A damaged or foreign one is named in a warning; it is fetched again from the object store,
        or passed over where that doesn't have it. One that only the store has is fetched.
        """
        local = {path.name for path in self._found()}
        stored = self._remote_names()
        # The newest first, from either place: each offset that is won back is log that isn't read
        # again.
        for name in sorted(local | stored, reverse=True):
            try:
                found = self._restored(name, here=name in local, stored=name in stored)
            except SnapshotError as error:
                log.warning("snapshot passed over: %s", error)
                self._passed_over.add(name)
                continue
            # Its copy failed, or the process ended before it: made up for.
            if self._remote is not None and name not in stored:
                self._uncopied = name
            return found
        return None

    def _restored(self, name: str, *, here: bool, stored: bool) -> Snapshot:
        """A snapshot from its folder, or else from the object store."""
        if here:
            try:
                return self._load(self._folder / name)
            except SnapshotError as error:
                if not stored:
                    raise
                log.warning("snapshot fetched again from %s: %s", self._store_url, error)
        assert self._remote is not None
        self._remote.pull(name)
        return self._load(self._folder / name)

    def mend(self, run: Run) -> bool:
        """Check a run's files, and the snapshots beside it; fetch again what is damaged.

        Returns:
            Whether the run's files were replaced, so that they must be mapped anew.

        Raises:
            SnapshotError: something is damaged, and the object store doesn't have it.
        """
        for path in self._found():
            try:
                checked_manifest(path, self._identity)
            except (SnapshotError, OSError, ValueError, KeyError, TypeError) as error:
                if path.name not in self._passed_over:
                    self._fetch_again(path.name, error)
        assert run.folder is not None
        try:
            check_digests(run.folder, run.sha256)
        except SnapshotError as error:
            if self._remote is None:
                raise self._lost(error) from error
            try:
                # Looked at once more behind it: the store may have the damage as well.
                self._remote.pull_run(run.folder.name, run.sha256)
                check_digests(run.folder, run.sha256)
            except (OSError, ValueError, KeyError, SnapshotError) as missing:
                raise self._lost(error) from missing
            log.warning("fetched again from %s: %s", self._store_url, error)
            return True
        return False

    def _fetch_again(self, name: str, damage: Exception) -> None:
        """A snapshot that lies here damaged; where that fails, it won't be used."""
        self._passed_over.add(name)
        if self._remote is None or name not in self._remote_names():
            raise SnapshotError(f"{damage}: a restart will pass {name} over. Look at the disk")
        self._remote.pull(name)
        self._passed_over.discard(name)
        log.warning("snapshot fetched again from %s: %s", self._store_url, damage)

    def _lost(self, damage: Exception) -> SnapshotError:
        return SnapshotError(
            f"{damage}, and no store has it whole: stop the shard, look at the disk, move "
            f"{self._folder} away and start it: it reads the log"
        )

    @property
    def _store_url(self) -> str | None:
        return self._settings.snapshot_store

    def _remote_names(self) -> set[str]:
        """What the object store has; nothing where there is none or it doesn't answer."""
        try:
            return set(self._remote.names() if self._remote is not None else ())
        except OSError as error:
            log.warning("%s can't be listed: %s", self._settings.snapshot_store, error)
            return set()

    def _found(self) -> list[Path]:
        """The folders of snapshots, damaged ones too, the newest first."""
        if not self._folder.is_dir():
            return []
        found = (path for path in self._folder.iterdir() if path.name.isdigit())
        return sorted(found, reverse=True)

    def _clear_unfinished(self) -> None:
        for folder in (self._folder, self.runs_folder):
            for unfinished in folder.glob(".*.part"):
                shutil.rmtree(unfinished)

    def _drop_old(self, offset: int) -> None:
        """Keep the two newest that are usable, and what is newer; drop what is older than both."""
        found = self._found()
        usable = [
            path
            for path in found
            if path.name not in self._passed_over and int(path.name) <= offset
        ]
        for path in found:
            if path.name < usable[:KEPT][-1].name:
                shutil.rmtree(path, ignore_errors=True)

    def _drop_runs(self, kept: set[str]) -> None:
        """Forget runs that neither the newest state nor a kept snapshot is made of."""
        for path in self._found():
            kept |= runs_of(path)
        for folder in self.runs_folder.iterdir() if self.runs_folder.is_dir() else ():
            if folder.name not in kept:
                shutil.rmtree(folder, ignore_errors=True)

    def _load(self, folder: Path) -> Snapshot:
        return read_snapshot(folder, self.runs_folder, self._identity, self._settings)
