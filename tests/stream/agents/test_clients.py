"""However a client of Kafka ends, it leaves no connection."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from stream.agents import publisher as publishing
from stream.agents.clients import (
    acknowledged_producer,
    connections_of,
    disconnect,
    seeking_consumer,
)
from stream.agents.lifetime import within
from stream.agents.publisher import Publisher
from stream.broker.settings import KafkaSettings


async def hang(*_: object) -> None:
    await asyncio.sleep(3600)


async def fail(*_: object) -> None:
    raise RuntimeError("a part broke")


async def producer(kafka: KafkaSettings) -> tuple[AIOKafkaConsumer | AIOKafkaProducer, Any]:
    client = acknowledged_producer(kafka)
    await client.start()
    await client.send_and_wait(kafka.topic("video.uploaded"), b"{}")
    return client, client._sender


async def consumer(kafka: KafkaSettings) -> tuple[AIOKafkaConsumer | AIOKafkaProducer, Any]:
    """One that also talks to the coordinator of its group, over a connection of its own."""
    client = seeking_consumer(kafka, group_id="readers")
    await client.start()
    client.assign([TopicPartition(kafka.topic("video.uploaded"), 0)])
    await client.committed(TopicPartition(kafka.topic("video.uploaded"), 0))
    return client, client._fetcher


@pytest.mark.parametrize("broken", [hang, fail])
@pytest.mark.parametrize("made", [producer, consumer])
async def test_a_stop_that_fails_or_is_cut_short_closes_all_connections(
    kafka: KafkaSettings,
    made: Callable[[KafkaSettings], Awaitable[tuple[AIOKafkaConsumer | AIOKafkaProducer, Any]]],
    broken: Callable[..., Awaitable[None]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client, part = await made(kafka)
    held = [*connections_of(client)._conns.values()]
    assert held
    assert all(connection.connected() for connection in held)
    close = part.close
    monkeypatch.setattr(part, "close", broken)
    try:
        await within(0.2, "disconnecting", disconnect(client))
        async with asyncio.timeout(5):
            while any(connection.connected() for connection in held):
                await asyncio.sleep(0.01)
    finally:
        # What fetches may wait to try again; aiokafka cancels it, and is cancelled by that itself.
        with contextlib.suppress(asyncio.CancelledError):
            await close()


async def test_a_stop_while_a_fetch_waits_to_try_again_is_nobodys_cancellation(
    kafka: KafkaSettings,
) -> None:
    client, fetcher = await consumer(kafka)
    retry = asyncio.create_task(asyncio.sleep(3600))
    await asyncio.sleep(0)  # it waits
    fetcher._pending_tasks.add(retry)
    await disconnect(client)
    assert retry.cancelled()
    assert not any(one.connected() for one in connections_of(client)._conns.values())


async def test_a_stop_that_is_cancelled_is_cancelled(
    kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, fetcher = await consumer(kafka)
    close = fetcher.close
    monkeypatch.setattr(fetcher, "close", hang)
    stopping = asyncio.create_task(disconnect(client))
    await asyncio.sleep(0.1)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    assert not any(one.connected() for one in connections_of(client)._conns.values())
    with contextlib.suppress(asyncio.CancelledError):
        await close()


async def test_a_start_that_is_cut_off_closes_all_connections(
    kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[AIOKafkaProducer] = []

    def hanging(settings: KafkaSettings) -> AIOKafkaProducer:
        made.append(acknowledged_producer(settings))
        monkeypatch.setattr(made[0]._sender, "start", hang)
        return made[0]

    monkeypatch.setattr(publishing, "acknowledged_producer", hanging)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(Publisher(kafka).start(), 1)
    assert made[0]._closed
    assert not any(one.connected() for one in connections_of(made[0])._conns.values())
