"""The one way that workers write to Kafka: acknowledged by the broker, tried until it is."""

import asyncio
import logging
from collections.abc import Iterable

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from stream.broker.settings import KafkaSettings
from stream.events import Event, VideoRejected

log = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 10.0


class Publisher:
    """Publishes events and waits for all in-sync replicas.

    Delivery contract: when `publish` returns, every event is on the topic, in the order given;
    a broker that is away is waited for, however long. After a crash in the middle the caller's
    offset has not moved, so the same events come again, with the same ids.
    """

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._producer: AIOKafkaProducer | None = None
        self._replacing = asyncio.Lock()
        self._closing: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Connect.

        Raises:
            KafkaError: the cluster doesn't answer.
        """
        self._producer = await self._connected()

    async def _connected(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            **self._kafka.aiokafka_options(),
            acks="all",
            enable_idempotence=True,
            compression_type="gzip",
            max_request_size=self._kafka.max_message_bytes,
        )
        try:
            await producer.start()
        except KafkaError:
            await producer.stop()
            raise
        return producer

    async def stop(self) -> None:
        """Send what is buffered and disconnect."""
        if self._producer is not None:
            await self._producer.stop()
        await asyncio.gather(*self._closing)

    async def _replace(self, refused: AIOKafkaProducer) -> None:
        """Take another producer: a refused message leaves a hole in this one's sequence numbers.

        The broker would refuse everything that comes after it on that partition.
        """
        async with self._replacing:
            stale = self._producer
            if stale is None or stale is not refused:
                return
            self._producer = await self._connected()
        task = asyncio.create_task(stale.stop())
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

    async def send(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        *,
        partition: int | None = None,
        headers: list[tuple[str, bytes]] | None = None,
    ) -> None:
        """Send one message and wait until the broker has it.

        Raises:
            MessageSizeTooLargeError: larger than the topic or this client allows; trying again
                can't help.
        """
        pause = FIRST_PAUSE_SECONDS
        while True:
            producer = self._producer
            assert producer is not None, "start() first"
            try:
                await producer.send_and_wait(
                    self._kafka.topic(topic),
                    value=value,
                    key=key,
                    partition=partition,
                    headers=headers,
                )
                return
            except MessageSizeTooLargeError:
                await self._replace(producer)
                raise
            except KafkaError as error:
                log.warning("%s is not reachable (%s); again in %.1f s", topic, error, pause)
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
