"""How a worker's life ends: a crash in it is seen at once, and nothing can hold up its stop.

Kafka's clients and Faust run tasks of their own, whose crash nobody awaits: the process would live
on and do nothing.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from typing import Any

from stream.errors import SamesourceError, WorkerError

log = logging.getLogger(__name__)

Failure = asyncio.Future[None]

LOOK_EVERY_SECONDS = 0.2  # for crashed tasks: dictionaries are looked at, nothing is asked
REFUSED_LOOKS = 10  # 2 s: a consumer that fetches has read its error by then, and raised it
CLOSING_SECONDS = 5.0  # of the drain time, for leaving Kafka
LAST_SECONDS = 1.0  # and for the process to end
PARTS = ("_client", "_fetcher", "_coordinator", "_sender", "client")  # of an aiokafka client


def gone_after(drain_seconds: float) -> float:
    """The seconds after which a worker that stops is gone; there is always time to disconnect."""
    return max(drain_seconds, CLOSING_SECONDS + LAST_SECONDS)


class Deadline:
    """When a stop has to be over: first the events in flight, then the connections."""

    def __init__(self, seconds: float) -> None:
        """Begin.

        Args:
            seconds: of `worker.drain_seconds`.
        """
        self._end = time.monotonic() + gone_after(seconds) - LAST_SECONDS

    def for_events(self) -> float:
        """The seconds that events in flight may still take."""
        return max(0.0, self.for_closing() - CLOSING_SECONDS)

    def for_closing(self) -> float:
        """The seconds until everything has to be closed."""
        return max(0.1, self._end - time.monotonic())


async def within(seconds: float, what: str, awaited: Awaitable[Any]) -> bool:
    """Wait for something that ends a worker; whether it was done in time.

    What fails or takes longer is a line in the log: the process ends all the same. It is
    cancelled and not waited for, since some of Faust's tasks are deaf to that.
    """
    task = asyncio.ensure_future(awaited)
    await asyncio.wait([task], timeout=seconds)
    if not task.done():
        task.cancel()
        log.warning("%s took longer than %.1f s, and is left behind", what, seconds)
        return False
    if not task.cancelled() and (error := task.exception()) is not None:
        log.warning("%s failed: %s: %s", what, type(error).__name__, error)
    return True


def fail(failure: Failure, error: BaseException) -> None:
    """Let the worker end with this error, if it doesn't end already."""
    if not failure.done():
        failure.set_exception(error)


def supervised(coroutine: Coroutine[Any, Any, None], name: str, failure: Failure) -> Any:
    """A task that has to live as long as the worker: its end, unless cancelled, ends that too."""
    task = asyncio.create_task(coroutine, name=name)
    task.add_done_callback(lambda ended: _report(ended, name, failure))
    return task


def _report(task: asyncio.Task[None], name: str, failure: Failure) -> None:
    if task.cancelled():
        return
    error = task.exception()
    if isinstance(error, SamesourceError):
        fail(failure, error)
    elif error is not None:
        log.error("%s crashed", name, exc_info=error)
        fail(failure, crash(name, error))


def crash(what: str, error: BaseException | None) -> WorkerError:
    """The error of a worker one of whose parts crashed; the text names what it began with."""
    while error is not None and error.__cause__ is not None:
        error = error.__cause__
    return WorkerError(f"{what} crashed: {type(error).__name__}: {error}")


async def watch_clients(clients: Callable[[], Iterable[object]], failure: Failure) -> None:
    """End the worker when a background task of an aiokafka client has crashed, or stands still.

    Args:
        clients: consumers and producers that are in use now.
        failure: is given the error.
    """
    refused: dict[object, int] = {}
    while not failure.done():
        for client in clients():
            for name, error in crashed_tasks(client):
                fail(failure, crash(f"Kafka's {type(client).__name__} ({name})", error))
            refusal = refusal_of(client)
            refused[client] = refused.get(client, 0) + 1 if refusal else 0
            if refused[client] >= REFUSED_LOOKS:
                fail(
                    failure, crash(f"Kafka's {type(client).__name__} (joining its group)", refusal)
                )
        await asyncio.sleep(LOOK_EVERY_SECONDS)


def refusal_of(client: object) -> BaseException | None:
    """The error with which the group refused an aiokafka consumer, until somebody has read it.

    Its coordinator hands such an error to whoever fetches next, and waits. Without partitions
    nobody fetches: the member would stay in the group, idle, for ever.
    """
    coordinator = getattr(client, "_coordinator", None)
    error = getattr(coordinator, "_pending_exception", None)
    return error if isinstance(error, BaseException) else None


def crashed_tasks(client: object) -> Iterator[tuple[str, BaseException]]:
    """The background tasks of an aiokafka client that ended with an error, and the error."""
    for part in (client, *(getattr(client, name, None) for name in PARTS)):
        # A copy: Faust's consumer lives in a thread of its own, and changes meanwhile.
        for name, task in list(getattr(part, "__dict__", {}).items()):
            if isinstance(task, asyncio.Task) and task.done() and not task.cancelled():
                error = task.exception()
                if error is not None:
                    yield name.strip("_"), error
