"""Starts and stops workers in this process: one role in production, all of them in the demo."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Literal, Protocol, get_args

from aiokafka.errors import KafkaError
from prometheus_client import start_http_server

from stream.errors import BrokerError
from stream.settings import Settings
from stream.topics import require_topics

Role = Literal["fingerprint", "library", "decide"]
ROLES: tuple[Role, ...] = get_args(Role)


class Worker(Protocol):
    """What every role offers."""

    @property
    def failure(self) -> asyncio.Future[None]:
        """Holds the error of a worker that must end."""
        ...

    async def start(self) -> None:
        """Connect and begin to read."""
        ...

    async def stop(self) -> None:
        """Finish what is in flight, then disconnect."""
        ...


def make_workers(
    settings: Settings, roles: Sequence[Role], shards: Sequence[int] | None
) -> list[Worker]:
    """The workers of the roles; all shards of the library unless some are named."""
    workers: list[Worker] = []
    if "decide" in roles:
        from stream.agents.decide import DecideWorker

        workers.append(DecideWorker(settings))
    if "library" in roles:
        from stream.agents.library import LibraryWorker

        chosen = range(settings.library.shards) if shards is None else shards
        workers.extend(LibraryWorker(settings, shard) for shard in chosen)
    if "fingerprint" in roles:
        from stream.agents.fingerprint import FingerprintWorker

        workers.append(FingerprintWorker(settings))
    return workers


@asynccontextmanager
async def running_workers(
    settings: Settings,
    roles: Sequence[Role] = ROLES,
    shards: Sequence[int] | None = None,
) -> AsyncIterator[asyncio.Future[None]]:
    """Run workers for the time of the block.

    Yields:
        A future that fails when a worker fails; the block should end then.

    Raises:
        BrokerError: the cluster doesn't answer, or lacks topics of the contract.
    """
    await asyncio.to_thread(require_topics, settings.kafka)
    workers = make_workers(settings, roles, shards)
    try:
        try:
            await asyncio.gather(*(worker.start() for worker in workers))
        except KafkaError as error:
            raise BrokerError(
                f"no Kafka at {settings.kafka.bootstrap_servers} ({error}): start one with "
                "`samesource broker start`, or set SAMESOURCE_KAFKA__BOOTSTRAP_SERVERS"
            ) from error
        yield _first_failure(workers)
    finally:
        await asyncio.gather(*(worker.stop() for worker in reversed(workers)))


async def run_until_stopped(
    settings: Settings,
    roles: Sequence[Role],
    shards: Sequence[int] | None,
    started: Callable[[], None],
) -> None:
    """Run workers until SIGTERM or SIGINT; then drain and stop.

    Raises:
        Exception: what made a worker fail.
    """
    stop: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def end() -> None:
        if not stop.done():
            stop.set_result(None)

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end)
    if settings.worker.metrics_port is not None:
        start_http_server(settings.worker.metrics_port)
    async with running_workers(settings, roles, shards) as failure:
        started()
        await asyncio.wait((stop, failure), return_when=asyncio.FIRST_COMPLETED)
        if failure.done():
            failure.result()


def _first_failure(workers: Sequence[Worker]) -> asyncio.Future[None]:
    first: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def report(failed: asyncio.Future[None]) -> None:
        error = None if failed.cancelled() else failed.exception()
        if error is not None and not first.done():
            first.set_exception(error)

    for worker in workers:
        worker.failure.add_done_callback(report)
    return first
