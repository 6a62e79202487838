"""Reads whole topics and goes on: what policies, claims and search views have in common.

Not a consumer group: every follower reads all partitions.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from stream.agents.clients import disconnect
from stream.agents.lags import Lag, oldest_at
from stream.agents.lifetime import Failure, fail, supervised
from stream.agents.publisher import is_final, refusal
from stream.agents.reading import Reading
from stream.broker.settings import KafkaSettings
from stream.broker.topics import partition_counts

log = logging.getLogger(__name__)

POLL_MILLISECONDS = 500
"""For which one look waits for messages: what runs after each look runs this often at the least."""
PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 30.0
"""Before it asks again a Kafka that failed; doubled each time, up to half a minute."""

Take = Callable[[Sequence[Any]], Awaitable[None]]
Begin = Callable[[AIOKafkaConsumer, Mapping[TopicPartition, int]], Awaitable[None]]


class TopicFollower:
    """Gives all messages of some topics to whoever keeps what they say.

    Delivery contract: when `start` returns, everything that was on the topics by then was given to
    `take`; what comes later follows within moments, in order of each partition. A Kafka that is
    away is waited for. One that refuses for good, or a `take` that raises, ends the worker.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        topics: Sequence[str],
        consumer: AIOKafkaConsumer,
        *,
        what: str,
        take: Take,
        failure: Failure,
        begin: Begin | None = None,
        after_each: Callable[[], Awaitable[None]] | None = None,
        max_messages: int | None = None,
    ) -> None:
        """Nothing is read yet.

        Args:
            kafka: the cluster.
            topics: the contract's names.
            consumer: not started; the follower's own from now on.
            what: is followed, for the log: `the policies`.
            take: is given what has come, never nothing.
            failure: is given the error of a follower that must end.
            begin: seeks to where to begin, when it knows where each partition ends; their
                beginnings by default.
            after_each: is awaited after each look while following.
            max_messages: that `take` gets at a time; as many as there are by default.
        """
        self._kafka, self._topics, self._consumer = kafka, topics, consumer
        self._what, self._take, self._failure = what, take, failure
        self._begin, self._after_each = begin or _from_the_beginning, after_each
        self._max_messages = max_messages
        self._task: asyncio.Task[None] | None = None
        self._next: dict[TopicPartition, int] = {}  # that isn't taken, once it follows
        self._in_hand_at: dict[TopicPartition, float | None] = {}
        self._reading = Reading(consumer)

    @property
    def follows(self) -> bool:
        """Whether it has read to the end of that moment, and goes on."""
        return self._task is not None

    async def start(self, *, follow: bool = True) -> None:
        """Connect, read to the present end of all topics, then go on in the background.

        Args:
            follow: whether to go on.

        Raises:
            KafkaError: the cluster doesn't answer.
            BrokerError: it lacks one of the topics.
        """
        await self._consumer.start()
        counts = await asyncio.to_thread(partition_counts, self._kafka, self._topics)
        partitions = [
            TopicPartition(self._kafka.topic(topic), number)
            for topic, count in counts.items()
            for number in range(count)
        ]
        self._consumer.assign(partitions)
        # Asked before anything is read: what comes later is followed, and can't hold up the start.
        ends = await self._consumer.end_offsets(partitions)
        await self._begin(self._consumer, ends)
        for partition, end in ends.items():
            # By position: a compacted topic has gaps, and its last message may lie before its end.
            while await self._consumer.position(partition) < end:
                await self._take_some()
        self._next = {**ends}
        if follow:
            self._task = supervised(self._follow(), f"following {self._what}", self._failure)

    async def stop(self) -> None:
        """End following and disconnect; nothing was committed, so the next start reads anew."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await disconnect(self._consumer)

    def clients(self) -> Iterator[object]:
        """The consumer in use, for those who watch over its tasks."""
        yield self._consumer

    def stands_still_seconds(self, *, away: bool) -> float:
        """For how long something has waited, or was in hand, and nothing was taken.

        Args:
            away: whether Kafka takes no events now, for which `take` and `after_each` may wait.
        """
        return self._reading.stands_still_seconds(len(self._in_hand_at), away=away)

    async def _follow(self) -> None:
        pause = PAUSE_SECONDS
        while True:
            try:
                await self._take_some()
                if self._after_each is not None:
                    await self._after_each()
            except KafkaError as error:
                if is_final(error):
                    fail(self._failure, refusal(self._kafka, f"to read {self._what}", error))
                    return
                told = "%s can't be followed (%s); again in %.1f s"
                log.warning(told, self._what, error, pause)
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            else:
                pause = PAUSE_SECONDS

    async def _take_some(self) -> None:
        """Take what has come by now; waits a moment for the first."""
        batches = await self._consumer.getmany(
            timeout_ms=POLL_MILLISECONDS, max_records=self._max_messages
        )
        messages = [message for batch in batches.values() for message in batch]
        if not messages:
            return
        self._in_hand_at = {partition: oldest_at(batch[0]) for partition, batch in batches.items()}
        await self._take(messages)
        self._in_hand_at = {}
        for partition, batch in batches.items():
            self._next[partition] = batch[-1].offset + 1

    def lags(self) -> list[Lag]:
        """What waits of each partition, once it has read to their ends; from any thread."""
        return [
            Lag(
                partition.topic,
                partition.partition,
                max(0, (self._consumer.highwater(partition) or 0) - following),
                self._in_hand_at.get(partition),
            )
            for partition, following in [*self._next.items()]
        ]


async def _from_the_beginning(
    consumer: AIOKafkaConsumer, ends: Mapping[TopicPartition, int]
) -> None:
    await consumer.seek_to_beginning(*ends)
