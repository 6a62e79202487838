"""Copies of a shard's snapshots in an object store, through fsspec.

A snapshot's manifest is put last: without it, the rest is not seen. Runs never change, so that
each is put once. What is damaged here is never put, and is fetched again.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fsspec
import orjson

from stream.errors import SnapshotError
from stream.index.files import aside, check_digests
from stream.index.manifests import MANIFEST

KEPT = 2  # snapshots: the newest may turn out damaged
RUNS = "segments"  # as on disk and in manifests, whose format stays


class RemoteSnapshots:
    """Snapshots of one shard under a URL, beside its own folder."""

    def __init__(self, url: str, folder: Path) -> None:
        """Open the store.

        Args:
            url: of any fsspec file system, such as `s3://bucket/library/shard-0-of-1`.
            folder: where the shard's snapshots lie on this machine.
        """
        self._files, self._root = fsspec.core.url_to_fs(url)
        self._folder = folder

    def names(self) -> list[str]:
        """Of the snapshots that are whole, oldest first.

        Raises:
            OSError: the store doesn't answer.
        """
        with _as_os_errors():
            found = self._files.glob(f"{self._root}/*/{MANIFEST}")
        return sorted(Path(path).parent.name for path in found)

    def push(self, name: str) -> None:
        """Copy a snapshot and the runs that it is made of, and drop all but the newest two.

        Raises:
            OSError: the store refuses; what it had is untouched.
            SnapshotError: a file here is damaged; as with `OSError`.
        """
        with _as_os_errors():
            manifest = orjson.loads((self._folder / name / MANIFEST).read_bytes())
            for run in manifest["segments"]:
                self._put_run(str(run["name"]), run["sha256"])
            check_digests(self._folder / name, manifest["sha256"])
            self._put(name)
            names = self.names()
            for old in names[:-KEPT]:
                # The manifest first: what is half removed then doesn't look like a snapshot.
                self._files.rm(f"{self._root}/{old}/{MANIFEST}")
                self._files.rm(f"{self._root}/{old}", recursive=True)
            if len(names) > KEPT:
                self._drop_runs(names[-KEPT:])

    def pull(self, name: str) -> None:
        """Fetch a snapshot, and what is missing or damaged here of its runs.

        Raises:
            SnapshotError: it can't be read.
        """
        try:
            with _as_os_errors():
                # Runs first, as they are written: a snapshot that is here has all of them.
                for run in self._runs_of(name):
                    self.pull_run(str(run["name"]), run["sha256"])
                self._get(name)
        except (OSError, ValueError, KeyError) as error:
            raise SnapshotError(f"{self._root}/{name} can't be fetched: {error}") from error

    def pull_run(self, name: str, sha256: dict[str, str]) -> None:
        """Fetch a run, unless it is here and whole.

        Raises:
            OSError: the store doesn't answer or has no such run, or the disk here is full.
        """
        try:
            check_digests(self._folder / RUNS / name, sha256)
        except SnapshotError:
            with _as_os_errors():
                self._get(f"{RUNS}/{name}")

    def _drop_runs(self, names: list[str]) -> None:
        """Drop the runs that none of these snapshots is made of."""
        if not self._files.exists(f"{self._root}/{RUNS}"):
            return
        kept = {run["name"] for each in names for run in self._runs_of(each)}
        for path in self._files.ls(f"{self._root}/{RUNS}", detail=False):
            if Path(path).name not in kept:
                self._files.rm(path, recursive=True)

    def _runs_of(self, name: str) -> list[dict[str, Any]]:
        manifest = orjson.loads(self._files.cat_file(f"{self._root}/{name}/{MANIFEST}"))
        runs: list[dict[str, Any]] = manifest["segments"]
        return runs

    def _put_run(self, name: str, sha256: dict[str, str]) -> None:
        """A run, unless the store has it already."""
        # By size alone: to read a run back would cost as much as putting it, and its name is never
        # used for another.
        there = (
            self._has(f"{self._root}/{RUNS}/{name}/{file}", path.stat().st_size)
            for file in sha256
            if (path := self._folder / RUNS / name / file).exists()
        )
        if sum(there) < len(sha256):
            check_digests(self._folder / RUNS / name, sha256)
            self._put(f"{RUNS}/{name}")

    def _put(self, part: str) -> None:
        """A folder, its manifest last."""
        files = [path for path in (self._folder / part).rglob("*") if path.is_file()]
        for path in sorted(files, key=lambda path: path.name == MANIFEST):
            target = f"{self._root}/{part}/{path.relative_to(self._folder / part).as_posix()}"
            self._files.makedirs(target.rpartition("/")[0], exist_ok=True)
            self._files.put_file(str(path), target)

    def _has(self, target: str, size: int) -> bool:
        return bool(self._files.exists(target)) and int(self._files.size(target)) == size

    def _get(self, part: str) -> None:
        """A folder, in place of what is here under its name."""
        files = self._files.find(f"{self._root}/{part}")
        if not files:
            raise OSError(f"{self._root}/{part} isn't there")
        with aside(self._folder / part) as unfinished:
            for path in files:
                inside = path.partition(f"{self._root}/{part}/")[2]
                (unfinished / inside).parent.mkdir(parents=True, exist_ok=True)
                self._files.get_file(path, str(unfinished / inside))


@contextmanager
def _as_os_errors() -> Iterator[None]:
    """What a store's client raises that is no `OSError`, such as botocore's, becomes one."""
    try:
        yield
    except (OSError, ValueError, KeyError, SnapshotError):
        raise
    except Exception as error:
        raise OSError(f"{type(error).__name__}: {error}") from error
