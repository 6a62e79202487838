"""Builds every client of confluent-kafka: for commands, and for what makes topics.

Workers use aiokafka, see `stream/agents/clients.py`. librdkafka's own log is off everywhere: what
goes wrong is raised, and said once.
"""

from collections.abc import Mapping
from typing import Any

from confluent_kafka import Consumer, Message, Producer
from confluent_kafka.admin import AdminClient

from stream.broker.settings import KafkaSettings
from stream.contract.message import Source, attempts_in, pairs

ANSWER_SECONDS = 10.0
"""For which a command waits for the cluster: an election of a new leader takes a few."""
FETCH_WAIT_MS = 50
"""Short, as a question for a partition's end waits behind a fetch on the same connection."""
SEND_MILLISECONDS = 30_000
"""After which a message that no broker took is reported: as long as a restart of a broker takes."""


def reader(kafka: KafkaSettings, options: Mapping[str, Any] | None = None) -> Consumer:
    """A consumer that assigns its partitions itself and commits nothing.

    librdkafka asks for a group's name all the same, and a user needs `Read` on it.

    Args:
        kafka: the cluster.
        options: librdkafka's; they win over those here.
    """
    return Consumer(
        {
            **_connection(kafka),
            "group.id": f"{kafka.topic_prefix}samesource-reader",
            "enable.auto.commit": False,
            "fetch.message.max.bytes": kafka.max_message_bytes,
            "fetch.wait.max.ms": FETCH_WAIT_MS,
            **(options or {}),
        }
    )


def writer(kafka: KafkaSettings) -> Producer:
    """A producer whose messages count when all in-sync replicas have them."""
    return Producer(
        {
            **_connection(kafka),
            "acks": "all",
            "partitioner": "murmur2_random",  # a key's partition is the same for all clients
            "message.max.bytes": kafka.max_message_bytes,
            "message.timeout.ms": SEND_MILLISECONDS,
        }
    )


def admin(kafka: KafkaSettings, options: Mapping[str, Any] | None = None) -> AdminClient:
    """A connection to ask about topics and groups, and to change them.

    Args:
        kafka: the cluster.
        options: as for `reader`.
    """
    return AdminClient({**_connection(kafka), **(options or {})})


def source_of(message: Message, topic: str) -> Source:
    """Where a message came from.

    Args:
        message: of a `reader`, without an error.
        topic: the contract's name.
    """
    return Source(
        topic=topic,
        partition=int(message.partition() or 0),
        offset=int(message.offset() or 0),
        timestamp_ms=int(message.timestamp()[1]),
        value=message.value(),
        key=message.key(),
        attempts=attempts_in(message.headers()),
        headers=pairs(message.headers()),
    )


def _connection(kafka: KafkaSettings) -> dict[str, Any]:
    return {**kafka.librdkafka_options(), "log_level": 0}
