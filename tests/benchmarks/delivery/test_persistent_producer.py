"""The client that judges the service from outside believes no delivery that didn't come to pass."""

import time

from confluent_kafka import KafkaError

from benchmarks.delivery.persistent_producer import PersistentProducer
from stream.broker.client import Reader
from tests.stream.faulty_broker import FaultyBroker

TOPIC = "video.fingerprinted"
SLOW_SECONDS = 0.2


def test_what_is_refused_at_first_is_there_in_its_place() -> None:
    with FaultyBroker() as broker:
        broker.slow_down(round(SLOW_SECONDS * 1000))
        producer = PersistentProducer(broker.bootstrap_servers)
        producer.produce("alert.reviewed", b"connected", b"key")
        producer.flush()
        producer._producer.list_topics(TOPIC)
        broker.refuse(KafkaError.NOT_LEADER_FOR_PARTITION)
        sent = [str(number).encode() for number in range(4)]
        for value in sent:  # all are on their way before the first answer comes
            producer.produce(TOPIC, value, b"key")
            time.sleep(SLOW_SECONDS / 8)
        producer.flush()
        with Reader(broker.kafka, TOPIC) as reader:
            assert [message.value() for _, message in reader.until_now()] == sent
