"""Copies of a shard's snapshots in an object store, through fsspec.

A snapshot's manifest is put last: without it, the rest is not seen. Runs never change, so that
each is put once.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import fsspec
import orjson

from stream.errors import SnapshotError

KEPT = 2
SEGMENTS, MANIFEST = "segments", "manifest.json"


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

    def push(self, name: str, segments: list[str]) -> None:
        """Copy a snapshot and the runs that it is made of, and drop all but the newest two.

        Raises:
            OSError: the store refuses; what it had is untouched.
        """
        with _as_os_errors():
            for segment in segments:
                self._put(f"{SEGMENTS}/{segment}")
            self._put(name)
            names = self.names()
            for old in names[:-KEPT]:
                self._files.rm(f"{self._root}/{old}/{MANIFEST}")
                self._files.rm(f"{self._root}/{old}", recursive=True)
            if len(names) > KEPT:
                self._drop_segments(names[-KEPT:])

    def pull(self, name: str) -> None:
        """Fetch a snapshot and what is missing here of its runs.

        Raises:
            SnapshotError: it can't be read.
        """
        try:
            with _as_os_errors():
                for segment in self._segments_of(name):
                    if not (self._folder / SEGMENTS / segment).is_dir():
                        self._get(f"{SEGMENTS}/{segment}")
                self._get(name)
        except (OSError, ValueError, KeyError) as error:
            raise SnapshotError(f"{self._root}/{name} can't be fetched: {error}") from error

    def _drop_segments(self, names: list[str]) -> None:
        """Drop the runs that none of these snapshots is made of."""
        if not self._files.exists(f"{self._root}/{SEGMENTS}"):
            return
        kept = {segment for each in names for segment in self._segments_of(each)}
        for path in self._files.ls(f"{self._root}/{SEGMENTS}", detail=False):
            if Path(path).name not in kept:
                self._files.rm(path, recursive=True)

    def _segments_of(self, name: str) -> list[str]:
        manifest = orjson.loads(self._files.cat_file(f"{self._root}/{name}/{MANIFEST}"))
        return [str(segment["name"]) for segment in manifest["segments"]]

    def _put(self, part: str) -> None:
        """A folder, its manifest last; files that are there already are left."""
        files = [path for path in (self._folder / part).rglob("*") if path.is_file()]
        for path in sorted(files, key=lambda path: path.name == MANIFEST):
            target = f"{self._root}/{part}/{path.relative_to(self._folder / part).as_posix()}"
            if part.startswith(SEGMENTS) and self._has(target, path.stat().st_size):
                continue
            self._files.makedirs(target.rpartition("/")[0], exist_ok=True)
            self._files.put_file(str(path), target)

    def _has(self, target: str, size: int) -> bool:
        return bool(self._files.exists(target)) and int(self._files.size(target)) == size

    def _get(self, part: str) -> None:
        target = self._folder / part
        unfinished = target.with_name(f".{target.name}.part")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        for path in self._files.find(f"{self._root}/{part}"):
            inside = path.partition(f"{self._root}/{part}/")[2]
            (unfinished / inside).parent.mkdir(parents=True, exist_ok=True)
            self._files.get_file(path, str(unfinished / inside))
        unfinished.rename(target)


@contextmanager
def _as_os_errors() -> Iterator[None]:
    """What a store's client raises that is no `OSError`, such as botocore's, becomes one."""
    try:
        yield
    except (OSError, ValueError, KeyError):
        raise
    except Exception as error:
        raise OSError(f"{type(error).__name__}: {error}") from error
