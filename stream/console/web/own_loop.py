"""An event loop in a thread of its own: a slow name server or store there holds up no page.

Serves `ranged.py`.
"""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


class OwnLoop:
    """Starts with the first that it runs; thread-safe but for `close`, which comes last."""

    def __init__(self, name: str, threads: int) -> None:
        """Nothing runs yet.

        Args:
            name: of its threads.
            threads: in which it does what blocks, such as looking up names.
        """
        self._name, self._threads = name, threads
        self._running: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        self._thread: threading.Thread | None = None

    async def run(self, doing: Coroutine[Any, Any, T]) -> T:
        """Do something there; it is cancelled with whoever waits for it."""
        if self._thread is None:
            self._thread = threading.Thread(
                target=asyncio.run, args=(self._run(),), name=self._name
            )
            self._thread.start()
        loop, _ = self._running.result()
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(doing, loop))

    async def _run(self) -> None:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        loop.set_default_executor(ThreadPoolExecutor(self._threads, self._name))
        self._running.set_result((loop, stop))
        await stop.wait()  # what is left is cancelled then

    def close(self) -> None:
        """End what runs, and wait until it has ended."""
        if self._thread is not None:
            loop, stop = self._running.result()
            loop.call_soon_threadsafe(stop.set)
            self._thread.join()
