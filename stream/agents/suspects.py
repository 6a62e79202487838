"""Takes a message that was in hand at a crash alone, so that a second crash names one culprit.

Serves the fingerprint worker, which has many messages in hand at a time.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from stream.agents.deaths import Deaths
from stream.contract.message import Source

MAX_ALONE_SECONDS = 600.0
"""An upload may wait for a full disk as long as that is full, and would stop all others. Longer
than nearly all uploads take, and well below `worker.stalled_seconds`; set by hand."""


class Suspects:
    """Messages at work side by side, but for suspects: each begins when no other is at work.

    Who waits isn't noted: a death meanwhile is not held against it. After `MAX_ALONE_SECONDS` of
    waiting and work the others go on beside it.
    """

    def __init__(self, deaths: Deaths) -> None:
        """Nothing is at work; `deaths` is open by then."""
        self._deaths = deaths
        self._door = asyncio.Lock()  # first come, first in: neither kind starves the other
        self._at_work = 0
        self._empty = asyncio.Event()
        self._empty.set()

    @asynccontextmanager
    async def at_work(self, source: Source) -> AsyncIterator[None]:
        """As `Deaths.at_work`, when it is the message's turn."""
        placed = self._alone() if self._deaths.suspects(source) else self._beside()
        async with placed:
            with self._deaths.at_work(source):
                yield

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        await self._door.acquire()
        is_held = True

        def open_door() -> None:
            nonlocal is_held
            if is_held:
                is_held = False
                self._door.release()

        timer = asyncio.get_running_loop().call_later(MAX_ALONE_SECONDS, open_door)
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), MAX_ALONE_SECONDS)
            yield
        finally:
            timer.cancel()
            open_door()

    @asynccontextmanager
    async def _beside(self) -> AsyncIterator[None]:
        async with self._door:
            self._at_work += 1
            self._empty.clear()
        try:
            yield
        finally:
            self._at_work -= 1
            if self._at_work == 0:
                self._empty.set()
