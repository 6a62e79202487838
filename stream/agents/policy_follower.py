"""Keeps a decide worker's policies as the topics say: read to the end at the start, then followed.

Not a consumer group: every decide worker reads all partitions of `policy.updated` and
`alert.reviewed` from their beginning.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from stream.agents.attempts import attempted
from stream.agents.lifetime import Failure, fail, supervised
from stream.agents.passed_over import PassedOver
from stream.agents.publisher import Publisher, is_final, refusal
from stream.broker.topics import partition_counts
from stream.contract.events import EVENTS, AlertReviewed, PolicyUpdated
from stream.contract.message import Source
from stream.decide.policy import Policies
from stream.errors import BadEventError, RejectedError, brief
from stream.settings import Settings
from stream.traces import about

log = logging.getLogger(__name__)

ALL_TOPICS = (PolicyUpdated.topic, AlertReviewed.topic)
POLL_MILLISECONDS = 500
PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 30.0


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
    that can't be read changes nothing, and is a dead letter once; see `PassedOver`.
    """

    def __init__(
        self,
        settings: Settings,
        publisher: Publisher,
        failure: Failure,
        owns: Callable[[int], bool],
    ) -> None:
        """Nothing is read yet.

        Args:
            settings: of the service.
            publisher: for dead letters; started by then.
            failure: is given the error of a follower that must end.
            owns: whether this worker is the one that writes a partition's dead letters now.
        """
        self.policies = Policies(settings.policy, claimed_elsewhere=True)
        self._kafka = settings.kafka
        self._publisher, self._failure, self._owns = publisher, failure, owns
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
            group_id=f"{self._kafka.topic_prefix}samesource-policies",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=self._kafka.max_message_bytes,
        )
        self._passed_over = PassedOver(consumer, self._publisher, self._owns)
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
        self._task = supervised(self._follow(), "following the policies", self._failure)

    async def stop(self) -> None:
        """Disconnect."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._consumer is not None:
            await self._consumer.stop()

    def clients(self) -> Iterator[object]:
        """The consumer in use, for those who watch over its tasks."""
        if self._consumer is not None:
            yield self._consumer

    async def _follow(self) -> None:
        pause = PAUSE_SECONDS
        while True:
            try:
                await self._take_some()
                await self._passed_over.tell()
            except KafkaError as error:
                if is_final(error):
                    fail(self._failure, refusal(self._kafka, "to read the policies", error))
                    return
                log.warning("policies can't be followed (%s); again in %.1f s", error, pause)
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            else:
                pause = PAUSE_SECONDS

    async def _take_some(self) -> None:
        """Take what has come by now; waits a moment for the first."""
        assert self._consumer is not None, "start() first"
        batches = await self._consumer.getmany(timeout_ms=POLL_MILLISECONDS)
        for messages in batches.values():
            for message in messages:
                self._take(message)

    def _take(self, message: Any) -> None:
        with about(message):
            self._take_one(message)

    def _take_one(self, message: Any) -> None:
        source = Source.of(message, message.topic.removeprefix(self._kafka.topic_prefix))
        try:
            attempted(source, lambda: policy_step(self.policies, source))
        except RejectedError as error:
            log.warning("%s is passed over: %s: %s", source, error.code, brief(error))
            partition = TopicPartition(message.topic, message.partition)
            self._passed_over.note(partition, source, error)
