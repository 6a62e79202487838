"""Starts and stops workers in this process: one role in production, all of them in the demo."""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
    nullcontext,
)
from pathlib import Path
from typing import Literal, Protocol, get_args

from aiokafka.errors import KafkaError

from models.errors import ModelError
from models.runtime.heap import give_free_pages_back, give_large_blocks_back
from stream.agents.disks import DISK_METRICS, folders_of
from stream.agents.endpoints import HealthPage, serving
from stream.agents.health import Health
from stream.agents.leaving import Leaving
from stream.agents.lifetime import Failure, fail, gone_after, supervised
from stream.agents.topic_watch import TopicWatch
from stream.errors import BrokerError, SamesourceError, WorkerError
from stream.loading import loading, settled
from stream.settings import Settings
from stream.traces import tracing

log = logging.getLogger(__name__)

MEMORY_BACK_EVERY_SECONDS = 10.0
"""Between returns of free pages to the system: a burst of large events fills memory in seconds."""
AFTERWARDS_SECONDS = 2.0  # for the process to end, once its workers have stopped

Role = Literal["fingerprint", "library", "decide"]
ROLES: tuple[Role, ...] = get_args(Role)
Make = Callable[[Settings], "Worker"]
"""What makes a worker beside those of the roles; called on the event loop."""


class Worker(Protocol):
    """What every role offers, so that all are started, watched and stopped alike."""

    @property
    def failure(self) -> Failure:
        """Holds the error of a worker that must end."""
        ...

    async def start(self) -> None:
        """Connect and begin to read."""
        ...

    async def stop(self) -> None:
        """Finish what is in flight, then disconnect, within the drain time."""
        ...

    def health(self) -> Health:
        """How it is now; asked from another thread."""
        ...


def make_workers(
    settings: Settings, roles: Sequence[Role], shards: Sequence[int] | None
) -> list[Worker]:
    """The workers of the roles; all shards of the library unless some are named."""
    workers: list[Worker] = []
    # Imported by role: a decide worker takes no memory for networks, and a shard none for codecs.
    if "decide" in roles:
        with loading():
            from stream.agents.decide import DecideWorker

        workers.append(DecideWorker(settings))
    if "library" in roles:
        with loading():
            from stream.agents.library import LibraryWorker

        chosen = range(settings.library.shards) if shards is None else shards
        workers.extend(LibraryWorker(settings, shard) for shard in chosen)
    if "fingerprint" in roles:
        with loading():
            from stream.agents.fingerprint import FingerprintWorker

        workers.append(FingerprintWorker(settings))
    return workers


@asynccontextmanager
async def running_workers(
    settings: Settings,
    roles: Sequence[Role] = ROLES,
    shards: Sequence[int] | None = None,
    page: HealthPage | None = None,
    others: Sequence[Make] = (),
) -> AsyncIterator[Failure]:
    """Run workers for the time of the block.

    Args:
        settings: of the service.
        roles: to run.
        shards: of the library; all when left out.
        page: is told of the workers when they start, and when they run.
        others: make workers beside those of the roles: the console, which knows more than they do.

    Yields:
        A future that fails when a worker fails; the block should end then.

    Raises:
        BrokerError: the cluster doesn't answer, or its topics can't serve.
    """
    topics = TopicWatch(settings.kafka)
    await asyncio.to_thread(topics.look)
    workers = [*make_workers(settings, roles, shards), *(make(settings) for make in others)]
    failure = _first_failure(workers)
    watching = supervised(topics.run(), "looking at the topics", failure)
    try:
        if page is not None:
            page.starts(workers)
        await _start(settings, workers, failure)
        if page is not None:
            page.started(workers)
        yield failure
    finally:
        watching.cancel()
        ends = [worker.stop() for worker in reversed(workers)]
        for error in await asyncio.gather(*ends, return_exceptions=True):
            if isinstance(error, BaseException):
                log.error("a worker didn't stop cleanly", exc_info=error)


async def _start(settings: Settings, workers: Sequence[Worker], failure: Failure) -> None:
    """Start all of them; what fails meanwhile ends that."""
    starting = asyncio.gather(*(worker.start() for worker in workers))
    try:
        await asyncio.wait((starting, failure), return_when=asyncio.FIRST_COMPLETED)
        # The error of the one that failed, rather than a wait for the others.
        if not starting.done():
            failure.result()
        await starting
    except KafkaError as error:
        raise BrokerError(
            f"no Kafka at {settings.kafka.bootstrap_servers} ({error}): start one with "
            "`samesource broker start`, or set SAMESOURCE_KAFKA__BOOTSTRAP_SERVERS"
        ) from error
    finally:
        # The error is looked at, or asyncio complains of one that nobody has seen.
        starting.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        starting.cancel()


async def run_until_stopped(
    settings: Settings,
    roles: Sequence[Role],
    shards: Sequence[int] | None,
    started: Callable[[], None],
    others: Sequence[Make] = (),
) -> None:
    """Run workers until SIGTERM or SIGINT; then drain and stop.

    The process is gone within `worker.drain_seconds`, whatever hangs in it, and at once on a
    second signal. It doesn't keep the memory of the largest events that it has read.

    Raises:
        SamesourceError: why the workers can't go on.
    """
    leaving, page = Leaving(), HealthPage(settings.worker)
    stop: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    workers = running_workers(settings, roles, shards, page, others)
    written = folders_of(settings, roles)
    serves = _served(settings, page, written, "+".join(roles))
    running = asyncio.create_task(_run(settings, serves, workers, started, stop, leaving))
    beating = asyncio.create_task(page.beat(), name="beat")
    frugal = asyncio.create_task(_give_memory_back(), name="giving memory back")
    _stop_on_signals(leaving, gone_after(settings.worker.drain_seconds), stop, running, page)
    try:
        await running
    except asyncio.CancelledError:
        if not stop.done():
            raise
    except Exception as error:
        if not stop.done():
            raise _as_line(error) from error
    finally:
        beating.cancel()
        frugal.cancel()
        leaving.stopped(AFTERWARDS_SECONDS)


async def _give_memory_back() -> None:
    """Don't keep what the largest events took, nor what is free among all that lives."""
    give_large_blocks_back()
    while True:
        await asyncio.sleep(MEMORY_BACK_EVERY_SECONDS)
        await asyncio.to_thread(give_free_pages_back)


@contextmanager
def _served(
    settings: Settings, page: HealthPage, written: Mapping[str, Path], roles: str
) -> Iterator[None]:
    """What the process tells of itself, for the time of the block."""
    # A console alone has nothing that is traced.
    traces = tracing(settings.traces, roles) if roles else nullcontext()
    with traces, serving(settings.worker, page), DISK_METRICS.of(written):
        yield


async def _run(
    settings: Settings,
    serves: AbstractContextManager[None],
    workers: AbstractAsyncContextManager[Failure],
    started: Callable[[], None],
    stop: asyncio.Future[None],
    leaving: Leaving,
) -> None:
    with serves:
        async with workers as failure:
            settled()
            started()
            await asyncio.wait((stop, failure), return_when=asyncio.FIRST_COMPLETED)
            if not stop.done():
                # Before anything else: whatever follows may hang.
                leaving.begin(1, gone_after(settings.worker.drain_seconds))
                log.error("the worker ends: %s", _as_line(failure.exception()))
                failure.result()


def _stop_on_signals(
    leaving: Leaving,
    seconds: float,
    stop: asyncio.Future[None],
    running: asyncio.Task[None],
    page: HealthPage,
) -> None:
    """Stop on the first signal; on the second, leave at once."""

    def end() -> None:
        if leaving.begun:
            leaving.begin(0, 0.0)
            return
        leaving.begin(0, seconds)
        stop.set_result(None)
        # A start waits for no signal; it is cut off.
        if not page.is_up:
            running.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end)


def _as_line(error: BaseException | None) -> SamesourceError | ModelError:
    """The error, as one that is told in one line."""
    if isinstance(error, SamesourceError | ModelError):
        return error
    return WorkerError(f"{type(error).__name__}: {error}")


def _first_failure(workers: Sequence[Worker]) -> Failure:
    first: Failure = asyncio.get_running_loop().create_future()

    def report(failed: Failure) -> None:
        error = None if failed.cancelled() else failed.exception()
        if error is not None:
            fail(first, error)

    for worker in workers:
        worker.failure.add_done_callback(report)
    return first
