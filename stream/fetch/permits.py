"""Permits of large downloads: fewer than there are in all, so that a small one always finds one.

Serves the fingerprint worker: threads that download take them, its event loop waits for them.
"""

import asyncio
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from stream.errors import NoPermitError

POLL_SECONDS = 0.25  # between looks for a permit; short beside what a large download takes


class LargeDownloads:
    """A number of permits for large downloads, first come, first served.

    Thread-safe, but for `Permit.come`, which is of one event loop.

    Attributes:
        waiting: uploads that wait for a permit.
    """

    def __init__(self, count: int, small_bytes: int) -> None:
        """All are free.

        Args:
            count: how many large downloads there may be at a time.
            small_bytes: a download of so many at the most needs no permit.
        """
        self.waiting = 0
        self._free, self._small_bytes = count, small_bytes
        self._mutex = threading.Lock()
        self._line = asyncio.Lock()

    def permit(self) -> "Permit":
        """One upload's, which is taken when its download turns out to be large."""
        return Permit(self)

    def is_large(self, size_bytes: int | None) -> bool:
        """Whether a download of that size needs a permit; None where nobody knows."""
        return size_bytes is None or size_bytes > self._small_bytes

    def take(self, *, past_others: bool) -> bool:
        """Take a free permit, if there is one, and nobody waits whom that would pass."""
        with self._mutex:
            if self._free == 0 or (self.waiting and not past_others):
                return False
            self._free -= 1
            return True

    def give_back(self) -> None:
        """One of those that were taken is free again."""
        with self._mutex:
            self._free += 1

    async def come(self, check: Callable[[], None]) -> None:
        """Wait for a permit behind all that wait, and take it; see `Permit.come`."""
        self.waiting += 1
        try:
            async with self._line:
                check()
                while not self.take(past_others=True):
                    await asyncio.sleep(POLL_SECONDS)
                    check()
        finally:
            self.waiting -= 1


class Permit:
    """One upload's permit among the large downloads. A context manager that gives it back."""

    def __init__(self, downloads: LargeDownloads) -> None:
        self._downloads, self._is_taken = downloads, False

    def expect(self, size_bytes: int | None) -> None:
        """Take the permit, where a download is large and hasn't got it.

        Args:
            size_bytes: that will come; None where nobody knows.

        Raises:
            NoPermitError: none is free, or others wait.
        """
        if self._is_taken or not self._downloads.is_large(size_bytes):
            return
        if not self._downloads.take(past_others=False):
            raise NoPermitError("all permits of large downloads are taken")
        self._is_taken = True

    async def come(self, check: Callable[[], None]) -> None:
        """Wait until it can be taken, and take it.

        Args:
            check: called again and again; what it raises ends the wait.
        """
        await self._downloads.come(check)
        self._is_taken = True

    def leave(self) -> None:
        """Give it back, if it was taken."""
        if self._is_taken:
            self._is_taken = False
            self._downloads.give_back()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.leave()
