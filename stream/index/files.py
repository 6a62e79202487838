"""Folders of files that appear whole or not at all, and whose damage is noticed."""

import hashlib
import os
import shutil
from pathlib import Path

from stream.errors import SnapshotError
from stream.failpoints import failpoint


class aside:  # noqa: N801  # reads as a verb: with aside(folder) as unfinished
    """A folder that is written under another name and gets its own when it is whole."""

    def __init__(self, final: Path) -> None:
        self._final = final
        self._unfinished = final.with_name(f".{final.name}.part")

    def __enter__(self) -> Path:
        # A process that was killed may have left half a folder under this name.
        shutil.rmtree(self._unfinished, ignore_errors=True)
        self._unfinished.mkdir(parents=True)
        return self._unfinished

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            shutil.rmtree(self._unfinished, ignore_errors=True)
            return
        # Content, then names, then the rename, then that of the parent: in another order a power
        # cut may leave the final name on a folder that isn't whole.
        for path in (*self._unfinished.rglob("*"), self._unfinished):
            flush(path)
        failpoint("snapshot.before_rename")
        # A rename takes the place of an empty folder only.
        if self._final.is_dir():
            shutil.rmtree(self._final)
        self._final.unlink(missing_ok=True)
        self._unfinished.rename(self._final)
        flush(self._final.parent)
        failpoint("snapshot.after_rename")


def digest_of(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def flush(path: Path) -> None:
    """Make a file, or the names in a folder, survive a power cut."""
    # A folder can't be opened to be written, and `fsync` asks for no more than this.
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def digests_of(folder: Path) -> dict[str, str]:
    """SHA-256 of each file of a folder, by its name."""
    return {path.name: digest_of(path) for path in sorted(folder.iterdir())}


def check_digests(folder: Path, expected: dict[str, str]) -> None:
    """Compare the files of a folder with their digests.

    Raises:
        SnapshotError: a file is missing or differs.
    """
    for name, digest in expected.items():
        try:
            found = digest_of(folder / name)
        except OSError as error:
            raise SnapshotError(f"{folder / name} can't be read: {error}") from error
        if found != digest:
            raise SnapshotError(f"{folder / name} is damaged: its checksum differs")
