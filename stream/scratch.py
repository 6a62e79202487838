"""A folder of this process's own for files that it needs for a while.

Serves the decoder's spools, the fingerprint step's downloads and the console's copies of videos. A
process that is killed leaves its files behind, and would fill the disk in time: the next one clears
them away.
"""

import fcntl
import os
import shutil
import tempfile
import threading
import uuid
from contextlib import suppress
from pathlib import Path

PREFIX, FOLDER, LOCK = "samesource-", ".scratch", ".lock"


class Scratch:
    """A folder that is made when it is first asked for. Thread-safe; close it.

    For as long as its process lives it holds a lock beside the folder, which the system releases
    however the process ends. Folders whose lock nobody holds are removed.
    """

    def __init__(self, root: Path | None) -> None:
        """Nothing is made yet.

        Args:
            root: where the folder will be; by default the system's folder for temporary files.
        """
        self._root = root
        self._mutex = threading.Lock()
        self._folder: Path | None = None
        self._lock: int | None = None

    @property
    def folder(self) -> Path:
        """The folder.

        Raises:
            OSError: it can't be made; asking again is safe.
        """
        with self._mutex:
            if self._folder is None:
                root = Path(tempfile.gettempdir()) if self._root is None else self._root
                _clear(root)
                self._folder = self._made(root / f"{PREFIX}{uuid.uuid4().hex}")
            return self._folder

    def _made(self, stem: Path) -> Path:
        """The lock comes first: a folder without one is a dead process's."""
        lock, folder = stem.with_suffix(LOCK), stem.with_suffix(FOLDER)
        self._lock = os.open(lock, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            folder.mkdir(mode=0o700)
        except BaseException:
            self._release(lock)
            raise
        return folder

    def close(self) -> None:
        """Remove the folder and what is in it."""
        with self._mutex:
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
                self._release(self._folder.with_suffix(LOCK))
                self._folder = None

    def _release(self, lock: Path) -> None:
        lock.unlink(missing_ok=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _clear(root: Path) -> None:
    """Remove what dead processes left; what can't be removed stays for the next."""
    for folder in root.glob(f"{PREFIX}*{FOLDER}"):
        lock = folder.with_suffix(LOCK)
        with suppress(OSError):
            # Made where it is missing: a folder without a lock is a dead process's as well.
            held = os.open(lock, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
                lock.unlink(missing_ok=True)
            finally:
                os.close(held)
