"""The workers' publisher on a real Kafka: a refused event must not stand in the way of the next."""

import asyncio
import random

import pytest
from aiokafka.errors import MessageSizeTooLargeError

from stream.agents.publisher import Publisher
from stream.broker.client import Reader
from stream.broker.settings import KafkaSettings
from stream.contract.events import VideoUploaded
from stream.contract.topics import load_topics

LIMIT = next(topic.max_message_bytes for topic in load_topics() if topic.name == "video.uploaded")


def upload(owner_id: str, title: str | None = None) -> VideoUploaded:
    """Of one video: all on one partition, in order."""
    return VideoUploaded(video_id="v", uri="file:///v", owner_id=owner_id, title=title)


async def test_after_an_event_that_the_broker_refuses_the_next_one_is_published(
    kafka_settings: KafkaSettings,
) -> None:
    noise = random.Random(0).randbytes(2 * LIMIT).hex()  # the topic takes less than the client
    publisher = Publisher(kafka_settings)
    await publisher.start()
    try:
        await publisher.publish([upload("first")])
        with pytest.raises(MessageSizeTooLargeError):
            await publisher.publish([upload("large", noise)])
        await asyncio.wait_for(publisher.publish([upload("next"), upload("last")]), 20)
    finally:
        await publisher.stop()
    with Reader(kafka_settings, VideoUploaded.topic) as reader:
        owners = [
            VideoUploaded.from_bytes(found[1].value()).owner_id for found in reader.until_now()
        ]
    assert owners == ["first", "next", "last"]
