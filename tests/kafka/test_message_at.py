"""Single messages of a real Kafka, wherever they lie."""

import time

from stream.broker.message_at import MessageAt
from stream.broker.sender import Sender
from stream.broker.settings import KafkaSettings

TOPIC = "video.uploaded"
KEYS = [str(number).encode() for number in range(40)]


def test_a_look_at_each_of_many_partitions_takes_a_moment(kafka_settings: KafkaSettings) -> None:
    """Each took a second, so that a page's pictures came one a second."""
    sent = Sender(kafka_settings).send(TOPIC, [(key, b"{}", ()) for key in KEYS])
    places = sorted({(place.offset, place.partition) for place in sent})  # another one each time
    assert len(places) == len(KEYS)
    with MessageAt(kafka_settings) as messages:
        offset, partition = places[0]
        messages.read(TOPIC, partition, offset)  # connects
        began = time.monotonic()
        assert all(messages.read(TOPIC, partition, offset) for offset, partition in places)
    assert time.monotonic() - began < len(KEYS) / 4
