"""Reads single messages by where they lie: what a read model points at and doesn't hold itself.

Serves the console, whose evidence is made of fingerprints and thumbnails.
"""

from threading import Lock
from typing import Self

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from stream.broker.clients import (
    ANSWER_SECONDS,
    AT_END,
    closed,
    offsets_at,
    partition_numbers,
    polled,
    reader,
    source_of,
)
from stream.broker.settings import KafkaSettings
from stream.contract.message import Source
from stream.errors import BrokerError, UnreachableError

GONE = (KafkaError._PARTITION_EOF, KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._AUTO_OFFSET_RESET)


class MessageAt:
    """One consumer that looks up one message after the other. Thread-safe."""

    def __init__(self, kafka: KafkaSettings) -> None:
        """Connect when the first message is asked for."""
        self._kafka, self._lock = kafka, Lock()
        options = {
            "enable.partition.eof": True,
            # Any other policy would answer a place that is gone with another message.
            "auto.offset.reset": "error",
            # One message is wanted, whatever lies behind it.
            "queued.min.messages": 1,
        }
        self._options = options
        self._consumer = reader(kafka, options)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self, topic: str, partition: int, offset: int) -> Source | None:
        """The message at a place; None where it was compacted away or is too old.

        Args:
            topic: the contract's name.
            partition: of the topic.
            offset: of the message.

        Raises:
            BrokerError: the broker doesn't answer.
        """
        place = TopicPartition(self._kafka.topic(topic), partition, offset)
        with self._lock:
            try:
                self._consumer.assign([place])
                message = polled(self._consumer, ANSWER_SECONDS)
                # Or librdkafka goes on fetching what lies behind it, for nobody.
                self._consumer.unassign()
            except KafkaException as error:
                raise self._failure(error.args[0].str()) from error
            if message is None:
                self._renew()
        if message is None:
            raise self._failure(f"no answer for {ANSWER_SECONDS:g} s")
        problem = message.error()
        if problem is not None and problem.code() in GONE:
            return None
        if problem is not None:
            raise self._failure(problem.str())
        source = source_of(message, topic)
        # In place of a message that was compacted away Kafka gives the next that is left.
        return source if source.offset == offset else None

    def ends(self, topic: str) -> dict[int, int]:
        """The offset behind the last message of each partition.

        Raises:
            BrokerError: the broker doesn't answer, or has no such topic.
        """
        name = self._kafka.topic(topic)
        with self._lock:
            try:
                numbers = partition_numbers(self._kafka, self._consumer, topic)
                places = [TopicPartition(name, number) for number in numbers]
                found = offsets_at(self._consumer, places, AT_END)
            except KafkaException as error:
                raise self._failure(error.args[0].str()) from error
            except UnreachableError:
                self._renew()
                raise
        return dict(zip(numbers, found, strict=True))

    def _renew(self) -> None:
        """Ask another consumer the next time: this one may have forgotten its brokers for good.

        Why it would is told at `Sender._renew`.
        """
        closed(self._consumer)
        self._consumer = reader(self._kafka, self._options)

    def close(self) -> None:
        """Disconnect."""
        with self._lock:
            closed(self._consumer)

    def _failure(self, problem: str) -> BrokerError:
        return BrokerError(f"Kafka at {self._kafka.bootstrap_servers}: {problem}")
