"""Work that is done once for all who wait for it."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from stream.console.web.matches import BusyError

Result = TypeVar("Result")


class SharedWork(Generic[Result]):
    """What is being done, each piece by a key. Of one event loop."""

    def __init__(self, name: str, most: int | None = None, full: str = "") -> None:
        """Nothing is done yet.

        Args:
            name: of the tasks.
            most: pieces at a time, those that wait among them; any number if None.
            full: what is said to whoever asks for one more.
        """
        self._name, self._most, self._full = name, most, full
        self._tasks: dict[object, asyncio.Task[Result]] = {}

    async def once(self, key: object, work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        """What the work gives; if a piece with this key is being done already, what that gives.

        It goes on when some or all of those who wait go away.

        Args:
            key: of the piece.
            work: begins it. What it raises, all who wait are told.

        Raises:
            BusyError: there are too many already.
        """
        task = self._tasks.get(key)
        if task is None:
            if self._most is not None and len(self._tasks) >= self._most:
                raise BusyError(self._full)
            task = asyncio.create_task(work(), name=self._name)
            self._tasks[key] = task
            task.add_done_callback(lambda done: self._done(key, done))
        return await asyncio.shield(task)

    def _done(self, key: object, task: "asyncio.Task[Result]") -> None:
        del self._tasks[key]
        if not task.cancelled():
            task.exception()  # who waited was told of it, and may be gone
