"""A takedown is two messages: half of one is never taken for a whole, and is mended by another."""

from collections.abc import Iterator
from typing import Any

import pytest

from stream.admin import takedown
from stream.admin.takedown import take_down
from stream.broker.client import Reader, send
from stream.broker.settings import KafkaSettings
from stream.errors import BrokerError, HalfTakenDownError, UnreachableError
from tests.stream.brokers import broker_with

VECTORS, LOG = "video.embedded", "video.fingerprinted"


@pytest.fixture
def kafka() -> Iterator[KafkaSettings]:
    with broker_with(("video.uploaded", VECTORS, LOG)) as settings:
        yield settings


def taken_down(kafka: KafkaSettings, topic: str) -> list[bytes | None]:
    """Keys of the takedowns on a topic."""
    with Reader(kafka, topic) as reader:
        found = [message for _, message in reader.until_now()]
    assert all(message.value() is None for message in found)
    return [message.key() for message in found]


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("ends", [Killed(), UnreachableError("Kafka at here: no answer")])
def test_what_is_cut_short_isnt_on_the_log_and_the_next_one_makes_it_whole(
    kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch, ends: BaseException
) -> None:
    def send_once(kafka: KafkaSettings, topic: str, messages: Any) -> None:
        if sent:
            raise ends
        sent.append(topic)
        send(kafka, topic, messages)

    sent: list[str] = []
    with monkeypatch.context() as patched:
        patched.setattr(takedown, "send", send_once)
        with pytest.raises((Killed, HalfTakenDownError)) as told:
            take_down(kafka, ["film"])
    assert (taken_down(kafka, VECTORS), taken_down(kafka, LOG)) == ([b"film"], [])
    if isinstance(ends, BrokerError):
        assert "Take them down once more" in str(told.value) and str(ends) in str(told.value)
    take_down(kafka, ["film"])
    assert (taken_down(kafka, VECTORS), taken_down(kafka, LOG)) == ([b"film"] * 2, [b"film"])
