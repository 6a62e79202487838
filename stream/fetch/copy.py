"""The local copy of a remote video: limited in size while it grows, tried again from the start."""

import asyncio
import io
from collections.abc import Awaitable, Callable
from pathlib import Path
from threading import Event

from stream.errors import TooLargeError

POLL_SECONDS = 0.25  # between looks at a download's rate, and at whether it shall stop


class LimitedFile(io.FileIO):
    """A new file that refuses to grow past a limit.

    Attributes:
        written: bytes so far.
        version: of the video, where its source tells it; see `stream.fetch.parts.version_of`.
    """

    version: str | None = None

    def __init__(
        self, path: Path, max_bytes: int, announced: Callable[[int | None], None] | None = None
    ) -> None:
        """Empty it, or make it.

        Args:
            path: of the file.
            max_bytes: that it takes.
            announced: told the size, or None where the server doesn't say, before the body is read.
        """
        # Without a buffer: a full disk is noticed at the write that fills it, not at the end.
        super().__init__(path, "w")
        self._max_bytes, self._announced = max_bytes, announced
        self.written = 0

    def write(self, data: "bytes | bytearray | memoryview") -> int:  # type: ignore[override]
        """Append.

        Raises:
            TooLargeError: the file would pass the limit.
            DiskError: this machine's disk is full, say.
        """
        # Before the write, so that the disk never holds more, whatever size a server announced.
        self._check(self.written + len(data))
        rest = memoryview(data)
        while rest:
            try:
                taken = super().write(rest)  # less than all of it on a disk that fills up
            except OSError as error:
                raise DiskError(error.errno, error.strerror, self.name) from error
            self.written += taken
            rest = rest[taken:]
        return len(data)

    def expect(self, size_bytes: int | None) -> None:
        """Refuse early where a server announces the size.

        Raises:
            TooLargeError: the size passes the limit.
            NoPermitError: as `announced` raised it.
        """
        self._check(size_bytes or 0)
        if self._announced is not None:
            self._announced(size_bytes)

    def _check(self, size_bytes: int) -> None:
        if size_bytes > self._max_bytes:
            raise too_large(size_bytes, self._max_bytes)


def too_large(size_bytes: int, max_bytes: int) -> TooLargeError:
    """The error of a file over the limit."""
    return TooLargeError(
        f"the video has {size_bytes} bytes or more, over fetch.max_bytes = {max_bytes}"
    )


async def paced(
    copying: Awaitable[None],
    file: LimitedFile,
    *,
    min_bytes_per_second: float,
    window_seconds: float,
    stop: Event,
) -> None:
    """Wait for a copy as long as it makes headway.

    Args:
        copying: fills the file.
        file: that it fills.
        min_bytes_per_second: on the average of each window; whatever it is where 0.
        window_seconds: looked back at a time. What is there sooner is never too slow.
        stop: ends the copy when it is set.

    Raises:
        TooSlowError: fewer bytes came in a window.
        CancelledError: stopped.
    """
    clock = asyncio.get_running_loop().time
    task = asyncio.ensure_future(copying)
    began, before = clock(), 0
    try:
        # `wait` and not `wait_for`, which would cancel the copy when a look is due.
        while not (await asyncio.wait({task}, timeout=min(POLL_SECONDS, window_seconds)))[0]:
            if stop.is_set():
                raise asyncio.CancelledError
            if (seconds := clock() - began) < window_seconds:
                continue
            if (file.written - before) / seconds < min_bytes_per_second:
                raise too_slow(file.written - before, seconds, min_bytes_per_second)
            began, before = clock(), file.written
        # For what the copy raised: `wait` keeps it to itself.
        task.result()
    finally:
        # Waited for: the caller closes the file next, and a copy that still runs would write to it.
        task.cancel()
        await asyncio.wait({task})


class TransientError(Exception):
    """A failure of the network or the server that may be gone at the next try."""


class TooSlowError(TransientError):
    """The server sends too little."""


def too_slow(count: int, seconds: float, min_bytes_per_second: float) -> TooSlowError:
    """The error of a server that has sent so many bytes in a window."""
    return TooSlowError(
        f"{count / seconds:.0f} bytes/s came in {seconds:.1f} s, under "
        f"fetch.min_bytes_per_second = {min_bytes_per_second:g}"
    )


class DiskError(OSError):
    """The copy can't be written here: the trouble is ours, and nothing is said about the video."""
