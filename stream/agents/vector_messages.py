"""Fetches single messages of `video.embedded` by their places; serves search, for the pictures."""

import time
from collections.abc import Iterable

from confluent_kafka import Consumer, TopicPartition

from stream.broker.clients import ANSWER_SECONDS, closed, polled, reader
from stream.broker.settings import KafkaSettings
from stream.contract.events import VideoEmbedded
from stream.errors import BadEventError
from stream.search.table import Place

FETCH_BYTES = 2**20
"""As much as one message of the topic may have: what lies behind it is fetched for nothing."""


def embedded_at(kafka: KafkaSettings, places: Iterable[Place]) -> list[VideoEmbedded | None]:
    """The messages at some places, in their order.

    Args:
        kafka: the cluster.
        places: what the hits of a search name.

    Returns:
        None where the message is gone, since a newer one has replaced it, or doesn't come in time.
    """
    options = {"enable.partition.eof": True, "fetch.message.max.bytes": FETCH_BYTES}
    consumer = reader(kafka, options)
    deadline = time.monotonic() + ANSWER_SECONDS
    try:
        return [
            _at(consumer, kafka.topic(VideoEmbedded.topic), place, deadline) for place in places
        ]
    finally:
        closed(consumer)


def _at(consumer: Consumer, topic: str, place: Place, deadline: float) -> VideoEmbedded | None:
    consumer.assign([TopicPartition(topic, *place)])
    while (left := deadline - time.monotonic()) > 0:
        message = polled(consumer, left)
        if message is None or message.error() is not None:
            return None
        # What is of another partition was fetched for the place before; a later offset of this one
        # means that compaction has taken the message.
        if (message.partition(), message.offset()) == place:
            try:
                return VideoEmbedded.from_bytes(message.value())
            except BadEventError:
                return None
        if message.partition() == place.partition:
            return None
    return None
