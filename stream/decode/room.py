"""Room on disk for decoded frames: who must wait for it, and who may try without a reservation.

Serves the decoder. A full folder, or a machine short of memory, is our trouble and not the
video's: it waits.
"""

import errno
import logging
import math
import os
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

log = logging.getLogger(__name__)

SHORTAGES = frozenset(
    {
        errno.ENOSPC,
        errno.EDQUOT,
        errno.ENOMEM,
        errno.EMFILE,
        errno.ENFILE,
        errno.EROFS,
        errno.EAGAIN,
    }
)
# Other programs free space without telling us, so it is looked at. Each look is one `statvfs`; a
# longer gap leaves a free disk idle. Set by hand.
POLL_SECONDS = 0.5
# Before the second try without a reservation, doubled with each: a video that failed alone would
# fill the disk again at once. Five minutes are the most: what a cleared disk then waits.
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 300.0  # set by hand
# For all that wait in one folder: a line a minute is seen and fills no log.
WARN_EVERY_SECONDS = 60.0
MARGIN_BYTES = 64 * 2**10  # of other writers between the look and the reservation; set by hand
ALONE = 2**62
"""More bytes than any disk has: whoever asks for them waits until nothing else is at work."""
VMSTAT = Path("/proc/vmstat")


class NoRoomError(Exception):
    """A disk, or memory, is full: try again later.

    Attributes:
        bytes: that may be needed.
    """

    def __init__(self, needed: int) -> None:
        super().__init__(needed)
        self.bytes = needed


class CrowdedError(NoRoomError):
    """There was no room, though nothing else was being decoded: what waits takes it."""


def is_shortage(error: BaseException) -> bool:
    """Whether an error says that this machine is short of something."""
    return isinstance(error, OSError) and error.errno in SHORTAGES


def free_bytes(folder: Path) -> int:
    """What may still be written to a folder's file system; 0 where it can't be said."""
    try:
        status = os.statvfs(folder)
    except OSError:
        return 0
    return status.f_bavail * status.f_frsize


def oom_kills() -> int:
    """Processes that the kernel has killed for want of memory; 0 where it doesn't say."""
    try:
        for line in VMSTAT.read_text().splitlines():
            name, _, value = line.partition(" ")
            if name == "oom_kill":
                return int(value)
    except (OSError, ValueError):
        pass
    return 0


class Room:
    """Lets those wait whom the disk has no room for. Thread-safe, one for each folder.

    A video that may need more than is free waits until there is as much. While nothing else of
    this process writes there, the smallest that waits may try without a reservation: most need
    less than they may need. If that fails, its next try comes later, and others come before.
    """

    def __init__(self, folder: Path | None, free: Callable[[Path], int] = free_bytes) -> None:
        """Make one.

        Args:
            folder: by default the system's folder for temporary files.
            free: bytes that are free in a folder.
        """
        self._folder = Path(tempfile.gettempdir()) if folder is None else folder
        self._free = free
        self._changed = threading.Condition()
        self._running = 0
        self._waiting: dict[int, tuple[int, float]] = {}
        self._closed = False
        self._warned = -math.inf

    def enter(self) -> "Turn":
        """One video's turn, which says how it may try; at work while its block lasts."""
        return Turn(self)

    def begin(self) -> None:
        """One video more is at work."""
        with self._changed:
            self._running += 1

    def close(self) -> None:
        """Let nobody wait any longer."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def leave(self) -> None:
        """One video less is at work."""
        with self._changed:
            self._running -= 1
            self._changed.notify_all()

    def wait(self, turn: "Turn", needed: int, pause_seconds: float) -> bool:
        """Wait, while not at work, until the turn may try again.

        Returns:
            Whether it must reserve what it may need; not where it is alone.

        Raises:
            NoRoomError: the room was closed.
        """
        key, begun = id(turn), time.monotonic()
        not_before = begun + pause_seconds
        soon = begun + min(pause_seconds, FIRST_PAUSE_SECONDS)
        with self._changed:
            self._waiting[key] = needed, not_before
            # Not at work while it waits: two that waited for each other would wait for ever.
            self._running -= 1
            self._changed.notify_all()
            try:
                while not self._closed:
                    now = time.monotonic()
                    free = self._free(self._folder)
                    # First what surely fits, and only then the one that tries its luck alone.
                    if now >= soon and free >= needed + MARGIN_BYTES:
                        return True
                    if now >= not_before and not self._running and self._is_first(key, now):
                        return False
                    if now - self._warned >= WARN_EVERY_SECONDS:
                        self._warned = now
                        self._warn(needed, free)
                    self._changed.wait(POLL_SECONDS)
            finally:
                del self._waiting[key]
                self._running += 1
        raise NoRoomError(needed)

    def _is_first(self, key: int, now: float) -> bool:
        """Whether no smaller one waits that may try."""
        ready = [(size, other) for other, (size, then) in self._waiting.items() if now >= then]
        return min(ready)[1] == key

    def _warn(self, needed: int, free: int) -> None:
        if needed == ALONE:
            log.warning("a decoder's child was killed for want of memory: its video waits")
            return
        log.warning(
            "a video waits for room in %s: up to %d MiB, %d MiB are free. Make room there, or name "
            "another folder with decode.spool_folder; a full folder of temporary files also stops "
            "what is fetched",
            self._folder,
            -(-needed // 2**20),
            free // 2**20,
        )


class Turn:
    """One video's way through a `Room`. A context manager, which may be entered again.

    Attributes:
        reserve: whether disk space must be reserved before anything is written.
    """

    def __init__(self, room: Room) -> None:
        self.reserve = True
        self._room = room
        self._pause_seconds = 0.0

    def wait(self, needed: int, *, or_leave: bool = False) -> None:
        """After a shortage: wait until it is worth another try.

        Args:
            needed: bytes; 0 where nobody can say.
            or_leave: rather than wait once more where it was alone: for one that takes room itself.

        Raises:
            CrowdedError: it shall leave.
            NoRoomError: the room was closed.
        """
        if or_leave and not self.reserve and 0 < needed < ALONE:  # short of disk
            raise CrowdedError(needed)
        pause, self._pause_seconds = (
            self._pause_seconds,
            max(FIRST_PAUSE_SECONDS, min(2 * self._pause_seconds, LONGEST_PAUSE_SECONDS)),
        )
        if not self.reserve or needed == 0:
            pause = max(pause, FIRST_PAUSE_SECONDS)
        self.reserve = self._room.wait(self, needed, pause)

    def __enter__(self) -> "Turn":
        self._room.begin()
        return self

    def __exit__(self, *raised: object) -> None:
        self._room.leave()
