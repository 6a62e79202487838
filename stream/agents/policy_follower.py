"""Keeps a decide worker's policies as the topics say: read to the end at the start, then followed.

Not a consumer group: every decide worker reads all partitions of `policy.updated` and
`alert.reviewed` from their beginning.
"""

import asyncio
import logging
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from stream.agents.publisher import Publisher
from stream.errors import BadEventError
from stream.events import EVENTS, AlertReviewed, PolicyUpdated
from stream.policy.judge import Policies
from stream.settings import Settings
from stream.source import Source
from stream.topics import partition_counts

log = logging.getLogger(__name__)

ALL_TOPICS = (PolicyUpdated.topic, AlertReviewed.topic)
POLL_MILLISECONDS = 500
PAUSE_SECONDS = 1.0


def policy_step(policies: Policies, source: Source) -> None:
    """Take one message into the policies.

    Args:
        policies: changed by the message.
        source: one without a value takes back what was said under its key.

    Raises:
        BadEventError: it can't be read, or a policy's key isn't its owner; nothing is changed.
    """
    if source.value is None and source.key is not None:
        policies.remove(source.topic, source.key.decode(errors="replace"))
        return
    event = EVENTS[source.topic].from_bytes(source.value)
    if isinstance(event, PolicyUpdated) and source.key != event.key():
        raise BadEventError(f"{source.key = !r}, expected the owner_id {event.owner_id!r}")
    policies.take(event)


class PolicyFollower:
    """Reads what the policies are made of.

    Delivery contract: when `start` returns, everything that was on the topics by then is in
    `policies`; what comes later follows within moments, in order of each partition. A message
    that can't be read is a dead letter each time that a worker reads it, with the same request id,
    and changes nothing.
    """

    def __init__(
        self, settings: Settings, publisher: Publisher, failure: asyncio.Future[None]
    ) -> None:
        """Nothing is read yet.

        Args:
            settings: of the service.
            publisher: for dead letters; started by then.
            failure: is given the error of a follower that must end.
        """
        self.policies = Policies(settings.policy, claimed_elsewhere=True)
        self._kafka = settings.kafka
        self._publisher, self._failure = publisher, failure
        self._consumer: AIOKafkaConsumer | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect, read to the present end of all topics, then go on in the background.

        Raises:
            KafkaError: the cluster doesn't answer.
            BrokerError: it lacks one of the topics.
        """
        self._consumer = consumer = AIOKafkaConsumer(
            **self._kafka.aiokafka_options(),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=self._kafka.max_message_bytes,
        )
        await consumer.start()
        counts = await asyncio.to_thread(partition_counts, self._kafka, ALL_TOPICS)
        partitions = [
            TopicPartition(self._kafka.topic(topic), number)
            for topic, count in counts.items()
            for number in range(count)
        ]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        await consumer.seek_to_beginning(*partitions)
        for partition, end in ends.items():
            while await consumer.position(partition) < end:
                await self._take_some()
        self._task = asyncio.create_task(self._follow(), name="policies")

    async def stop(self) -> None:
        """Disconnect."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._consumer is not None:
            await self._consumer.stop()

    async def _follow(self) -> None:
        while True:
            try:
                await self._take_some()
            except KafkaError as error:
                log.warning(
                    "policies can't be followed (%s); again in %.1f s", error, PAUSE_SECONDS
                )
                await asyncio.sleep(PAUSE_SECONDS)
            except Exception as error:
                log.exception("following policies failed")
                if not self._failure.done():
                    self._failure.set_exception(error)
                return

    async def _take_some(self) -> None:
        """Take what has come by now; waits a moment for the first."""
        assert self._consumer is not None, "start() first"
        batches = await self._consumer.getmany(timeout_ms=POLL_MILLISECONDS)
        for messages in batches.values():
            for message in messages:
                await self._take(message)

    async def _take(self, message: Any) -> None:
        source = Source.of(message, message.topic.removeprefix(self._kafka.topic_prefix))
        try:
            policy_step(self.policies, source)
        except BadEventError as error:
            where = f"{source.topic}[{source.partition}]@{source.offset}"
            log.warning("%s is passed over: %s: %s", where, error.code, error)
            await self._publisher.publish([source.rejected(error)])
