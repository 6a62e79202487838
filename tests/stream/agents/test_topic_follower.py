"""A topic follower: all that was there before `start` returns, then what comes, whatever fails."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError, TopicAuthorizationFailedError

from stream.agents import reading as stream_reading
from stream.agents import topic_follower
from stream.agents.clients import seeking_consumer
from stream.agents.topic_follower import TopicFollower
from stream.broker.client import send
from stream.broker.settings import KafkaSettings
from stream.errors import WorkerError
from tests.stream.brokers import broker_with

pytestmark = pytest.mark.asyncio
TOPICS = ("alert.reviewed", "policy.updated")


@pytest.fixture
def kafka() -> Iterator[KafkaSettings]:
    with broker_with(TOPICS) as settings:
        yield settings


class Reader:
    """Keeps the keys that a follower gives it."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self.keys: list[bytes] = []
        self.looks = 0
        self.failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.consumer = seeking_consumer(kafka)
        self.follower = TopicFollower(
            kafka, TOPICS, self.consumer, what="the keys", take=self.take, failure=self.failure,
            after_each=self.count,
        )  # fmt: skip

    async def take(self, messages: Sequence[Any]) -> None:
        """Fails at a poison."""
        assert messages, "never nothing"
        self.keys += [message.key for message in messages]
        if b"poison" in self.keys:
            raise RuntimeError("can't be taken")

    async def count(self) -> None:
        """One more look."""
        self.looks += 1

    async def until(self, keys: set[bytes]) -> None:
        """Wait until these are known; the test fails when that takes long."""
        async with asyncio.timeout(30):
            while {*self.keys} != keys:
                await asyncio.sleep(0.02)


@asynccontextmanager
async def reading(kafka: KafkaSettings, *, follow: bool = True) -> AsyncIterator[Reader]:
    reader = Reader(kafka)
    await reader.follower.start(follow=follow)
    try:
        yield reader
    finally:
        await reader.follower.stop()


async def say(kafka: KafkaSettings, *keys: bytes) -> None:
    for topic in TOPICS:
        await asyncio.to_thread(
            send, kafka, topic, [(topic[:6].encode() + key, b"x", []) for key in keys]
        )


def both(*keys: bytes) -> set[bytes]:
    return {topic[:6].encode() + key for topic in TOPICS for key in keys}


async def test_what_is_there_is_given_before_start_returns_and_what_comes_soon_after(
    kafka: KafkaSettings,
) -> None:
    keys = [b"%d" % number for number in range(100)]
    await say(kafka, *keys)
    async with reading(kafka) as reader:
        assert {*reader.keys} == both(*keys)
        await say(kafka, b"late")
        await reader.until(both(*keys, b"late"))
        assert reader.looks > 0
        assert not reader.failure.done()


async def test_one_that_does_not_follow_has_read_to_the_end_and_stays_there(
    kafka: KafkaSettings,
) -> None:
    await say(kafka, b"early")
    async with reading(kafka, follow=False) as reader:
        await say(kafka, b"late")
        await asyncio.sleep(0.5)
        assert {*reader.keys} == both(b"early")
        assert (reader.looks, reader.follower.follows) == (0, False)


def fails_once(reader: Reader, monkeypatch: pytest.MonkeyPatch, error: KafkaError) -> None:
    real, errors = reader.consumer.getmany, [error]

    async def getmany(**options: Any) -> Any:
        if errors:
            raise errors.pop()
        return await real(**options)

    monkeypatch.setattr(reader.consumer, "getmany", getmany)


async def test_a_kafka_that_is_away_is_asked_again(
    kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(topic_follower, "PAUSE_SECONDS", 0.05)
    async with reading(kafka) as reader:
        fails_once(reader, monkeypatch, KafkaConnectionError("away"))
        await say(kafka, b"late")
        await reader.until(both(b"late"))
        assert "the keys can't be followed (KafkaConnectionError: away)" in caplog.text
        assert not reader.failure.done()


async def test_a_kafka_that_refuses_for_good_ends_the_worker_with_what_it_refused(
    kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with reading(kafka) as reader:
        fails_once(reader, monkeypatch, TopicAuthorizationFailedError("t.alert.reviewed"))
        with pytest.raises(WorkerError, match="refuses to read the keys for good"):
            await asyncio.wait_for(reader.failure, 30)


@pytest.mark.logs_errors
async def test_what_cannot_be_taken_ends_the_worker(kafka: KafkaSettings) -> None:
    async with reading(kafka) as reader:
        await asyncio.to_thread(send, kafka, TOPICS[0], [(b"poison", b"x", [])])
        with pytest.raises(WorkerError, match="following the keys crashed: RuntimeError"):
            await asyncio.wait_for(reader.failure, 30)


async def stands_still(reader: Reader, seconds: float) -> None:
    async with asyncio.timeout(30):
        while reader.follower.stands_still_seconds(away=False) < seconds:
            await asyncio.sleep(0.02)


async def test_what_is_taken_without_an_end_is_a_standstill_and_what_is_waited_for_is_none(
    kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with reading(kafka) as reader:
        for _ in range(20):
            assert reader.follower.stands_still_seconds(away=False) < 0.5, "it is idle"
            await asyncio.sleep(0.05)
        goes_on = asyncio.Event()

        async def waits(messages: Sequence[Any]) -> None:
            await goes_on.wait()
            reader.keys += [message.key for message in messages]

        monkeypatch.setattr(reader.follower, "_take", waits)
        await say(kafka, b"late")
        await stands_still(reader, 1)
        assert reader.follower.stands_still_seconds(away=True) < 0.1
        await stands_still(reader, 1)
        goes_on.set()
        await reader.until(both(b"late"))
        assert reader.follower.stands_still_seconds(away=False) < 0.5


async def test_messages_that_are_not_fetched_are_a_standstill_unless_kafka_is_gone(
    kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with reading(kafka) as reader:
        stops = asyncio.Event()

        async def nothing(**options: Any) -> dict[TopicPartition, Any]:
            await stops.wait()
            return {}

        await say(kafka, b"early")
        await reader.until(both(b"early"))
        monkeypatch.setattr(reader.consumer, "getmany", nothing)
        await asyncio.sleep(0.001 * topic_follower.POLL_MILLISECONDS + 0.5)  # the last look is over
        await say(kafka, b"late")
        await stands_still(reader, 1)
        monkeypatch.setattr(stream_reading, "is_connected", lambda consumer: False)
        assert reader.follower.stands_still_seconds(away=False) < 0.1
        stops.set()
