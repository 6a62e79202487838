"""Builds every client of aiokafka: for the workers and the search views.

Commands use confluent-kafka, see `stream/broker/clients.py`; the groups of Faust are Faust's own.
"""

import asyncio
from typing import Any

from aiokafka import AIOKafkaClient, AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from stream.broker.settings import KafkaSettings

FETCH_BYTES = 2**20
"""Of a partition at a time, aiokafka's own figure; a longer message comes all the same."""


def seeking_consumer(
    kafka: KafkaSettings,
    *,
    group_id: str | None = None,
    partition_bytes: int = FETCH_BYTES,
    **options: Any,
) -> AIOKafkaConsumer:
    """A consumer whose owner assigns partitions, seeks and commits; it does none of that itself.

    Args:
        kafka: the cluster.
        group_id: under which offsets are committed; none are without one.
        partition_bytes: fetched of each partition at a time.
        **options: aiokafka's.
    """
    return AIOKafkaConsumer(
        **kafka.aiokafka_options(),
        group_id=group_id,
        # By the clock, an offset would pass entries that nobody has answered yet.
        enable_auto_commit=False,
        # Where a position is gone from the log: what is left of it, not only what is new.
        auto_offset_reset="earliest",
        fetch_max_wait_ms=kafka.fetch_wait_ms,
        max_partition_fetch_bytes=partition_bytes,
        **options,
    )


def acknowledged_producer(kafka: KafkaSettings) -> AIOKafkaProducer:
    """A producer whose messages count once all in-sync replicas have them, each once and in order.

    Most bytes are base64, six bits in eight: gzip takes the other two back.
    """
    return AIOKafkaProducer(
        **kafka.aiokafka_options(),
        acks="all",
        enable_idempotence=True,
        compression_type="gzip",
        max_request_size=kafka.max_message_bytes,
    )


async def disconnect(client: AIOKafkaConsumer | AIOKafkaProducer) -> None:
    """Send what is buffered, leave the group, close all connections.

    As they come, the clients keep their connections where one of the steps before that fails or is
    cut short.

    Raises:
        CancelledError: who waits was cancelled.
    """
    try:
        await client.stop()
    except asyncio.CancelledError:
        # aiokafka's fetcher ends so, where it cancels what waits to try again: nobody meant us.
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
    finally:
        await connections_of(client).close()


def is_connected(client: AIOKafkaConsumer | AIOKafkaProducer) -> bool:
    """Whether any broker holds a connection; from any thread."""
    return any(each.connected() for each in [*connections_of(client)._conns.values()])


def positions_of(consumer: AIOKafkaConsumer) -> dict[TopicPartition, tuple[int, int | None]]:
    """Where a consumer reads of each partition that it was given, and where that ends.

    From any thread. The end is None until a fetch has told it. What has no position yet isn't in,
    nor is what nobody leads: that is Kafka's absence.
    """
    subscription = consumer._subscription.subscription
    assignment = None if subscription is None else subscription.assignment
    if assignment is None:
        return {}
    led_by = connections_of(consumer).cluster.leader_for_partition
    states = {partition: assignment.state_value(partition) for partition in assignment.tps}
    return {
        partition: (state._position, state.highwater)
        for partition, state in states.items()
        if state._position is not None and led_by(partition) not in (None, -1)
    }


def connections_of(client: AIOKafkaConsumer | AIOKafkaProducer) -> AIOKafkaClient:
    """What holds the connections of a consumer or producer."""
    return client.client if isinstance(client, AIOKafkaProducer) else client._client
