"""Publishes messages and waits for the broker; serves commands and the console."""

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from stream.broker.clients import LOOK_SECONDS, partition_numbers, source_of, unreachable, writer
from stream.broker.settings import KafkaSettings
from stream.contract.message import Source
from stream.errors import BrokerError, UnreachableError

Headers = Sequence[tuple[str, bytes]]
DELIVERED_SECONDS = 35.0
"""More than `SEND_MILLISECONDS`: what isn't taken is reported by then, with the reason."""
BEYOND_HELP = frozenset(
    {KafkaError._MSG_TIMED_OUT, KafkaError._FATAL, KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER}
)
"""After these a producer is replaced: it knows no broker any more, or will never send again."""


class PartlySentError(BrokerError):
    """The broker took some of what was sent, and perhaps the rest.

    Attributes:
        taken: where those lie that it took.
    """

    def __init__(self, problem: str, taken: Sequence[Source]) -> None:
        super().__init__(problem)
        self.taken = tuple(taken)


class Sender:
    """Publishes messages, and waits until the broker has them, on one connection. Thread-safe.

    Who waits for an answer to what it sent holds on to it by `with`: a Ctrl-C that comes while a
    client of librdkafka is given back is lost.
    """

    def __init__(self, kafka: KafkaSettings) -> None:
        """Connect when the first message is sent."""
        self._kafka, self._producer = kafka, writer(kafka)
        self._known: set[str] = set()

    def __enter__(self) -> "Sender":
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is left to be sent."""

    def send(
        self, topic: str, messages: Iterable[tuple[bytes | None, bytes | None, Headers]]
    ) -> list[Source]:
        """Publish (key, value, headers) and wait until the broker has them all.

        Args:
            topic: the contract's name.
            messages: one without a value takes back what was said under its key, on a compacted
                topic.

        Returns:
            Where they lie, each partition's in order.

        Raises:
            PartlySentError: the broker took some of them.
            BrokerError: it took none, as far as is known.
        """
        failed: list[KafkaError] = []
        taken: list[Source] = []

        def delivered(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                failed.append(error)
            else:
                taken.append(source_of(message, topic))

        # What was sent by one producer is heard of by that one, whichever is the newest.
        producer, sent, problem, refused = self._producer, 0, None, None
        # Asked for first: for a topic that isn't there, a send would only fail at the end of its
        # time.
        if topic not in self._known:
            try:
                partition_numbers(self._kafka, producer, topic)
            except UnreachableError:
                self._renew(producer)
                raise
            self._known.add(topic)
        for key, value, headers in messages:
            try:
                self._produce(producer, topic, key, value, headers, delivered)
            except KafkaException as error:  # those before it may arrive, so they are waited for
                problem = f"{topic}: {error.args[0].str()}"
                refused = error.args[0].code()
                break
            sent += 1
            _hear(producer)
        deadline = time.monotonic() + DELIVERED_SECONDS
        # Not `flush`, which waits for what other threads send meanwhile.
        while len(failed) + len(taken) < sent and time.monotonic() < deadline:
            _hear(producer)
            time.sleep(LOOK_SECONDS)  # another thread may be told of it instead
        left = sent - len(failed) - len(taken)
        if left or not BEYOND_HELP.isdisjoint([refused, *(error.code() for error in failed)]):
            self._renew(producer)
        if problem is None and (failed or left):
            why = failed[0].str() if failed else f"{left} messages not sent"
            problem = unreachable(self._kafka, why)
        if problem is not None:
            raise PartlySentError(problem, taken) if taken else BrokerError(problem)
        return taken

    def _renew(self, silent: Producer) -> None:
        """Send what comes next by a new producer, unless another thread has seen to it.

        A cluster that just comes back knows of no broker for a moment; librdkafka (2.13 to 2.16,
        its issue 5301) then forgets all of them, and never asks again.
        """
        if self._producer is silent:
            self._producer = writer(self._kafka)
        silent.purge()  # its sender was told that they didn't arrive

    def _produce(
        self,
        producer: Producer,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Headers,
        delivered: Callable[[KafkaError | None, Message], None],
    ) -> None:
        while True:
            try:
                producer.produce(
                    self._kafka.topic(topic),
                    value=value,
                    key=key,
                    headers=list(headers),
                    on_delivery=delivered,
                )
                return
            except BufferError:  # its queue is full: let some of it go
                _hear(producer)
                time.sleep(LOOK_SECONDS)


def _hear(producer: Producer) -> None:
    """Hear what was delivered, which librdkafka tells in here only.

    An error that ends the producer is told to its messages as well.
    """
    with suppress(KafkaException):
        producer.poll(0)
