"""A worker's progress: a standstill is work without an end, and never idleness."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka.consumer.fetcher import Fetcher
from faust.tables.recovery import Recovery

from stream.agents.faust_app import Drain, consumer_health, make_app, raw_topic
from stream.agents.health import Health, Progress
from stream.agents.library import LibraryWorker
from stream.agents.lifetime import within
from stream.agents.ordered_consumer import OrderedConsumer
from stream.agents.publisher import Publisher
from stream.agents.run import ROLES, make_workers
from stream.broker.client import send
from stream.broker.embedded import embedded_kafka
from stream.broker.settings import KafkaSettings
from stream.contract.events import VideoCompared, VideoFingerprinted
from stream.settings import Settings
from tests.stream.service import service_settings

PATIENCE_SECONDS = 60.0
STOPS = threading.Event()


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    with embedded_kafka(KafkaSettings()) as kafka:
        yield service_settings(kafka, tmp_path)


@asynccontextmanager
async def reading(settings: Settings) -> AsyncIterator[Callable[[], Health]]:
    """An app that reads answers; gives how it is."""
    drain, publisher = Drain(), Publisher(settings.kafka)
    app = make_app("decide", settings, drain, finish_before_rebalance=True)

    @app.agent(raw_topic(app, settings, VideoCompared.topic))
    async def agent(stream: Any) -> None:
        await drain.consume(stream, _taken)

    async def _taken(event: Any) -> None:
        pass

    starting = asyncio.create_task(app.start())  # until the group's first rebalance is over
    try:
        yield lambda: consumer_health("decide", app, drain, publisher)
    finally:
        STOPS.set()
        await asyncio.sleep(0.5)  # what stalled goes on: a stop in the midst of it is another story
        await within(5.0, "leaving the group", app.stop())
        starting.cancel()


async def until(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not done():
            await asyncio.sleep(0.05)


async def stands_still(health: Callable[[], Health], seconds: float) -> None:
    await until(lambda: health().stands_still_seconds > seconds)


@pytest.fixture
def stall(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[type, str], None]]:
    """Makes a method wait until the app is to stop."""

    def make(owner: type, name: str) -> None:
        real = getattr(owner, name)

        async def stalls(*arguments: Any, **more: Any) -> Any:
            while not STOPS.is_set():
                await asyncio.sleep(0.05)
            return await real(*arguments, **more)

        monkeypatch.setattr(owner, name, stalls)

    STOPS.clear()
    yield make


def test_idleness_is_no_standstill_and_work_without_end_is() -> None:
    progress = Progress(done_at=time.monotonic() - 100)
    assert progress.stands_still_seconds() < 1
    progress.done_at -= 100
    assert progress.stands_still_seconds(lag=3) > 99
    progress = Progress(done_at=time.monotonic() - 100)
    progress.begin()
    assert progress.stands_still_seconds() < 1, "it was idle before"
    progress.done_at -= 100
    assert progress.stands_still_seconds() > 99
    progress.end()
    assert progress.stands_still_seconds() < 1


async def test_a_rebalance_without_an_end_is_a_standstill(
    settings: Settings, stall: Callable[[type, str], None]
) -> None:
    stall(Recovery, "_resume_streams")
    async with reading(settings) as health:
        await stands_still(health, 2)


async def test_a_first_fetch_without_an_answer_is_a_standstill(
    settings: Settings, stall: Callable[[type, str], None]
) -> None:
    stall(Fetcher, "_proc_fetch_request")
    async with reading(settings) as health:
        await stands_still(health, 2)


async def test_a_partition_with_a_lag_from_which_nothing_comes_is_a_standstill(
    settings: Settings, stall: Callable[[type, str], None]
) -> None:
    send(settings.kafka, VideoCompared.topic, [(b"k", b"{}", [])] * 3)
    stall(OrderedConsumer, "_getmany")
    async with reading(settings) as health:
        await stands_still(health, 2)
        assert sum(lag.messages for lag in health().lags) == 3


async def test_a_reader_of_nothing_and_one_that_has_read_all_do_not_stand_still(
    settings: Settings,
) -> None:
    async with reading(settings) as health:
        await until(lambda: len(health().lags) == 8)
        for _ in range(20):
            assert health().stands_still_seconds < 0.5
            await asyncio.sleep(0.1)
        await asyncio.to_thread(send, settings.kafka, VideoCompared.topic, [(b"k", b"{}", [])] * 3)
        await asyncio.sleep(1)
        await until(lambda: not sum(lag.messages for lag in health().lags))
        for _ in range(20):
            assert health().stands_still_seconds < 0.5
            await asyncio.sleep(0.1)


async def test_kafkas_absence_is_no_standstill(
    settings: Settings,
    stall: Callable[[type, str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stall(Fetcher, "_proc_fetch_request")
    async with reading(settings) as health:
        await stands_still(health, 0.5)
        monkeypatch.setattr(OrderedConsumer, "is_connected", lambda consumer: False)
        for _ in range(20):
            assert health().stands_still_seconds < 0.5
            await asyncio.sleep(0.05)


@pytest.mark.logs_errors
async def test_a_shard_that_reads_its_log_does_not_stand_still_while_kafka_is_away(
    tmp_path: Path, stall: Callable[[type, str], None]
) -> None:
    with ExitStack() as there:
        kafka = there.enter_context(embedded_kafka(KafkaSettings()))
        send(kafka, VideoFingerprinted.topic, [(b"k", b"{}", [])] * 3)
        worker = LibraryWorker(service_settings(kafka, tmp_path), 0)
        stall(Fetcher, "_proc_fetch_request")
        await worker.start()
        try:
            await stands_still(worker.health, 0.5)
            await asyncio.to_thread(there.close)
            await until(lambda: worker.health().stands_still_seconds < 0.1)
            for _ in range(20):
                health = worker.health()
                assert health.stands_still_seconds < 0.5
                assert sum(lag.messages for lag in health.lags) == 3
                await asyncio.sleep(0.1)
        finally:
            STOPS.set()
            await worker.stop()


async def test_a_worker_that_has_not_begun_to_start_says_so(settings: Settings) -> None:
    for worker in make_workers(settings, ROLES, [0]):
        health = worker.health()
        assert health.stands_still_seconds < 1
        assert health.not_ready is not None
