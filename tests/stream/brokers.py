"""Embedded brokers with some of the contract's topics: fewer are made sooner."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from stream.broker.embedded import EmbeddedBroker
from stream.broker.settings import KafkaSettings
from stream.contract.topics import load_topics

PREFIX = "t."


@contextmanager
def broker_with(topics: Collection[str]) -> Iterator[KafkaSettings]:
    """A broker of the caller's own, with these topics of the contract."""
    needed = [topic for topic in load_topics() if topic.name in topics]
    with EmbeddedBroker(topic_prefix=PREFIX, topics=needed) as broker:
        yield KafkaSettings(
            broker="embedded", bootstrap_servers=broker.bootstrap_servers, topic_prefix=PREFIX
        )
