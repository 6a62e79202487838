"""A sender that lives long, and the message that lies at a place."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from confluent_kafka import KafkaError

from stream.broker import clients, message_at
from stream.broker.client import Reader
from stream.broker.embedded import embedded_kafka
from stream.broker.message_at import MessageAt
from stream.broker.sender import Headers, PartlySentError, Sender
from stream.broker.settings import KafkaSettings
from stream.errors import BrokerError
from tests.stream.faulty_broker import FaultyBroker

TOPIC = "video.uploaded"
SLOW_MILLISECONDS = 200


@pytest.fixture
def slow() -> Iterator[FaultyBroker]:
    with FaultyBroker() as broker:
        broker.slow_down(SLOW_MILLISECONDS)
        yield broker


@pytest.fixture(scope="module")
def kafka() -> Iterator[KafkaSettings]:
    with embedded_kafka(KafkaSettings(topic_prefix="t.")) as settings:
        yield settings


def test_what_was_sent_lies_where_it_says(kafka: KafkaSettings) -> None:
    sender = Sender(kafka)
    with MessageAt(kafka) as messages:
        for value in (b"one", b"two", None):
            (place,) = sender.send(TOPIC, [(b"key", value, ())])
            found = messages.read(TOPIC, place.partition, place.offset)
            assert found is not None and (found.key, found.value) == (b"key", value)


def test_threads_share_a_sender(kafka: KafkaSettings) -> None:
    sender = Sender(kafka)

    def send(number: int) -> list[bytes | None]:
        keys = [f"{number}-{each}".encode() for each in range(20)]
        sent = sender.send(TOPIC, [(key, b"{}", ()) for key in keys])
        assert {place.key for place in sent} == set(keys)
        return [place.key for place in sent]

    with ThreadPoolExecutor(8) as threads:
        assert sum(len(each) for each in threads.map(send, range(8))) == 160


def test_where_there_is_no_message_none_is_found(kafka: KafkaSettings) -> None:
    (place,) = Sender(kafka).send(TOPIC, [(b"key", b"{}", ())])
    with MessageAt(kafka) as messages:
        assert messages.read(TOPIC, place.partition, place.offset + 1) is None
        assert messages.read(TOPIC, place.partition, place.offset + 1000) is None
        assert messages.read(TOPIC, place.partition, place.offset) is not None


def test_a_topic_that_is_missing_is_told(kafka: KafkaSettings) -> None:
    other = kafka.model_copy(update={"topic_prefix": "other."})
    with pytest.raises(BrokerError, match=r"no topic other\.video\.uploaded"):
        Sender(other).send(TOPIC, [(b"key", b"{}", ())])


def test_what_was_taken_before_a_message_that_cant_be_sent_is_told(kafka: KafkaSettings) -> None:
    sender, long = Sender(kafka), bytes(200 * 2**20)
    with pytest.raises(PartlySentError, match="too large") as told:
        sender.send(TOPIC, [(b"one", b"{}", ()), (b"two", long, ()), (b"three", b"{}", ())])
    assert [place.key for place in told.value.taken] == [b"one"]
    with pytest.raises(BrokerError) as none:
        sender.send(TOPIC, [(b"two", long, ())])
    assert not isinstance(none.value, PartlySentError)


def test_what_is_refused_at_first_keeps_its_place(slow: FaultyBroker) -> None:
    sender = Sender(slow.kafka)
    sender.send("alert.reviewed", [(b"key", b"connected", ())])
    slow.refuse(KafkaError.NOT_LEADER_FOR_PARTITION)
    sender.send(TOPIC, at_intervals(4))
    assert values_on(slow.kafka) == [b"0", b"1", b"2", b"3"]


def at_intervals(count: int) -> Iterator[tuple[bytes, bytes, Headers]]:
    """So that each is in a request of its own, and all are on their way before an answer comes."""
    for number in range(count):
        yield b"key", str(number).encode(), ()
        time.sleep(SLOW_MILLISECONDS / 1000 / count / 2)


def values_on(kafka: KafkaSettings) -> list[bytes | None]:
    with Reader(kafka, TOPIC) as reader:
        return [message.value() for _, message in reader.until_now()]


def test_a_producer_that_gave_up_is_replaced(slow: FaultyBroker) -> None:
    sender = Sender(slow.kafka)
    sender.send(TOPIC, [(b"key", b"0", ())])
    slow.refuse(KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER)
    with pytest.raises(BrokerError, match="out of order"):
        sender.send(TOPIC, [(b"key", b"refused", ())])
    sender.send(TOPIC, [(b"key", b"1", ())])
    assert values_on(slow.kafka) == [b"0", b"1"]


def test_clients_that_know_no_broker_any_more_are_replaced(
    kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender, lost = Sender(kafka), kafka.model_copy(update={"bootstrap_servers": "127.0.0.1:1"})
    (place,) = sender.send(TOPIC, [(b"key", b"{}", ())])
    with monkeypatch.context() as soon:
        soon.setattr(clients, "SEND_MILLISECONDS", 1000)
        sender._producer = clients.writer(lost)
    with pytest.raises(BrokerError, match="timed out"):
        sender.send(TOPIC, [(b"key", b"lost", ())])
    (later,) = sender.send(TOPIC, [(b"key", b"there", ())])
    assert later.offset == place.offset + 1, "what was said to be lost never came"
    with MessageAt(kafka) as messages:
        there, messages._consumer = messages._consumer, clients.reader(lost)
        there.close()
        with monkeypatch.context() as soon, pytest.raises(BrokerError, match="no answer"):
            soon.setattr(message_at, "ANSWER_SECONDS", 1)
            messages.read(TOPIC, later.partition, later.offset)
        found = messages.read(TOPIC, later.partition, later.offset)
        assert found is not None and found.value == b"there"
