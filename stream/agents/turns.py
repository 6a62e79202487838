"""Lets what belongs to one video happen in the order of its uploads.

Serves the fingerprint worker.
"""

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager


class Turns:
    """Who comes later waits for who came earlier, under the same name; others don't wait."""

    def __init__(self) -> None:
        self._last: dict[Hashable, asyncio.Event] = {}

    @asynccontextmanager
    async def queued(self, name: Hashable) -> AsyncIterator["Turn"]:
        """Take a place behind all that have one; it is given up when the block ends, in any way."""
        turn = Turn(self._last.get(name))
        self._last[name] = turn.over
        try:
            yield turn
        finally:
            turn.over.set()
            # Nobody stands behind: without this there would be an entry for every video there ever
            # was.
            if self._last.get(name) is turn.over:
                del self._last[name]


class Turn:
    """A place in the queue of one key; it is left when the block ends."""

    def __init__(self, earlier: asyncio.Event | None) -> None:
        self._earlier, self.over = earlier, asyncio.Event()

    async def come(self) -> None:
        """Wait until those before have given up theirs."""
        if self._earlier is not None:
            await self._earlier.wait()
