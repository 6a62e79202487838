"""Dear questions: a few at a time, a few that wait, and whoever comes beyond is told at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from stream.console.web.problems import Problem
from stream.texts import Text


class Turns:
    """Of one kind of question, in this process."""

    def __init__(self, at_once: int, waiting: int) -> None:
        """Nobody asks yet.

        Args:
            at_once: that are answered.
            waiting: for it, besides.
        """
        self._free, self._most, self._there = asyncio.Semaphore(at_once), at_once + waiting, 0

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """One's turn, for the time of the block.

        Raises:
            Problem: 429, too many are there.
        """
        if self._there >= self._most:
            told = Text("{number} questions are being answered: ask again soon", number=self._there)
            raise Problem(429, told, {"Retry-After": "10"})
        self._there += 1
        try:
            async with self._free:
                yield
        finally:
            self._there -= 1
