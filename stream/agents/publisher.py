"""The one way that workers write to Kafka: acknowledged by the broker, tried until it is."""

import asyncio
import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    AuthenticationFailedError,
    AuthenticationMethodNotSupported,
    BrokerResponseError,
    CorruptRecordException,
    InvalidProducerEpoch,
    InvalidTimestampError,
    KafkaError,
    MessageSizeTooLargeError,
    OutOfOrderSequenceNumber,
    ProducerFenced,
    RecordListTooLargeError,
    RecordTooLargeError,
    UnknownError,
)

from stream.agents.clients import acknowledged_producer, disconnect
from stream.agents.lifetime import within
from stream.broker.settings import KafkaSettings
from stream.contract.events import Event, Place, VideoRejected
from stream.errors import WorkerError
from stream.metrics import DEAD_LETTERS
from stream.traces import part, trace_headers

log = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.2, 10.0
"""Before a message is tried again, doubled each time: a new leader is there within a second or two,
and after a long outage nobody waits for more than ten."""
STOP_SECONDS = 5.0  # as much as a stop has for leaving Kafka, see `lifetime.CLOSING_SECONDS`

TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError, RecordTooLargeError)
LOST_COUNT = (InvalidProducerEpoch, OutOfOrderSequenceNumber, ProducerFenced)
PASSING = (CorruptRecordException, UnknownError)


def is_final(error: KafkaError) -> bool:
    """Whether Kafka refuses for good: to ask again can't help, whatever is written.

    What the client itself reports is taken for an outage; a lost count of messages is mended by
    another producer.
    """
    if isinstance(error, AuthenticationFailedError | AuthenticationMethodNotSupported):
        return True
    if isinstance(error, LOST_COUNT + PASSING + TOO_LARGE + (InvalidTimestampError,)):
        return False
    return isinstance(error, BrokerResponseError) and not error.retriable


def refusal(kafka: KafkaSettings, what: str, error: KafkaError) -> WorkerError:
    """The line with which a role ends that Kafka refuses something."""
    return WorkerError(
        f"Kafka at {kafka.bootstrap_servers} refuses {what} for good "
        f"({type(error).__name__}: {error}): check the user's rights and the broker's policies"
    )


class Publisher:
    """Publishes events and waits for all in-sync replicas.

    Delivery contract: when `publish` returns, every event is on the topic, in the order given;
    a broker that is away is waited for, however long. After a crash in the middle the caller's
    offset has not moved, so the same events come again, with the same ids. The trace of what is
    in hand travels with them.
    """

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._producer: AIOKafkaProducer | None = None
        self._replacing = asyncio.Lock()
        self._closing: set[asyncio.Task[None]] = set()
        self._waiting: dict[int, float] = {}

    @property
    def waits_seconds(self) -> float:
        """For how long Kafka has not taken something that is to be written; 0 where it does."""
        return max((time.monotonic() - since for since in self._waiting.values()), default=0.0)

    def clients(self) -> Iterator[object]:
        """The producer in use, for those who watch over its tasks."""
        if self._producer is not None:
            yield self._producer

    async def start(self) -> None:
        """Connect.

        Raises:
            KafkaError: the cluster doesn't answer.
        """
        self._producer = await self._connected()

    async def _connected(self) -> AIOKafkaProducer:
        producer = acknowledged_producer(self._kafka)
        try:
            await producer.start()
        except BaseException:  # also when the start is cut off, as another worker's failure does
            await disconnect(producer)
            raise
        return producer

    async def stop(self) -> None:
        """Send what is buffered and disconnect; what Kafka doesn't take by then is left."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await within(STOP_SECONDS, "disconnecting the publisher", disconnect(producer))
        if self._closing:
            # Short: nothing that they may still hold is acknowledged, so that it comes again.
            await within(1.0, "disconnecting former publishers", asyncio.wait(self._closing))

    async def _replace(self, refused: AIOKafkaProducer) -> None:
        """Take another producer: a refused message leaves a hole in this one's sequence numbers.

        The broker would refuse everything that comes after it on that partition.
        """
        async with self._replacing:
            stale = self._producer
            # Another message was refused as well, and has had it replaced.
            if stale is None or stale is not refused:
                return
            self._producer = await self._connected()
        # Not awaited: it first sends what others have put in it, and that may take a while.
        task = asyncio.create_task(disconnect(stale))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def publish(
        self, events: Iterable[Event], headers: list[tuple[str, bytes]] | None = None
    ) -> None:
        """Publish in order and wait for each acknowledgement.

        A dead letter is never too large: where its topic doesn't take it, it goes without what it
        is about.

        Raises:
            MessageSizeTooLargeError: as `send`, for any other event.
        """
        for event in events:
            try:
                await self.send(event.topic, event.to_bytes(), event.key(), headers=headers)
            except MessageSizeTooLargeError:
                if not isinstance(event, VideoRejected):
                    raise
                least = event.shortened()
                await self.send(least.topic, least.to_bytes(), least.key(), headers=headers)
            if isinstance(event, VideoRejected):
                DEAD_LETTERS.labels(event.error).inc()

    async def send(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        *,
        partition: int | None = None,
        headers: list[tuple[str, bytes]] | None = None,
    ) -> Place:
        """Send one message and wait until the broker has it.

        Returns:
            Where it lies.

        Raises:
            MessageSizeTooLargeError: larger than the topic or this client allows; trying again
                can't help.
            InvalidTimestampError: the topic doesn't take a message of this time.
            WorkerError: Kafka refuses for good, whatever is written.
        """
        # What reads it goes on from here in its trace.
        with part(f"publish {topic}"):
            told = [*(headers or []), *trace_headers()]
            return await self._sent(self._kafka.topic(topic), value, key, partition, told)

    async def _sent(
        self,
        name: str,
        value: bytes | None,
        key: bytes | None,
        partition: int | None,
        headers: list[tuple[str, bytes]],
    ) -> Place:
        """As `send`, to a topic by its name on the cluster."""
        pause = FIRST_PAUSE_SECONDS
        me = id(asyncio.current_task())
        try:
            while True:
                producer = self._producer
                if producer is None:
                    raise WorkerError(f"{name} can't be written: the publisher is closed")
                try:
                    sent = await producer.send_and_wait(
                        name, value=value, key=key, partition=partition, headers=headers
                    )
                    # -1 where the broker had it from an earlier try, and forgot where it lies.
                    return Place(partition=sent.partition, offset=max(0, sent.offset))
                except KafkaError as error:
                    await self._after(error, producer, name)
                    # By task: several messages may wait, and the oldest tells how long Kafka has
                    # been away.
                    self._waiting.setdefault(me, time.monotonic())
                    log.warning("%s is not reachable (%s); again in %.1f s", name, error, pause)
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        finally:
            self._waiting.pop(me, None)

    async def _after(self, error: KafkaError, producer: AIOKafkaProducer, name: str) -> None:
        """Make ready to send again; raises what that can't mend."""
        if isinstance(error, TOO_LARGE + LOST_COUNT + (InvalidTimestampError,)) or is_final(error):
            with suppress(KafkaError):  # away by now: its successor is made when it is back
                await self._replace(producer)
        if isinstance(error, TOO_LARGE):
            raise MessageSizeTooLargeError(str(error)) from error
        if isinstance(error, InvalidTimestampError):
            raise error
        if is_final(error):
            raise refusal(self._kafka, f"to write {name}", error) from error
