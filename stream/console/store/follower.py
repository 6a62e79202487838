"""Keeps the read model as the topics say: rows, and the offsets behind them, in one transaction.

Delivery contract: when `start` returns, everything that was on the topics by then is in the rows;
what comes later follows within moments. A message that is delivered again changes nothing. A
crash, of the console or of the database, loses nothing and doubles nothing: what was committed
holds, and the rest is read again. Several consoles may share one database. A message that can't
be read is named in a warning and passed over. Where a topic was made anew, the rows are too.
"""

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from stream.agents.clients import seeking_consumer
from stream.agents.lifetime import Failure
from stream.agents.topic_follower import TopicFollower
from stream.broker.topics import log_identity
from stream.console.store.database import Database, is_away
from stream.console.store.intake import Intake, Positions
from stream.console.store.messages import TOPICS
from stream.console.store.views import Place
from stream.contract.message import Source
from stream.errors import brief
from stream.settings import Settings

log = logging.getLogger(__name__)

PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 15.0
"""Before a database that failed is asked again; doubled each time."""

Ends = Mapping[TopicPartition, int]


class StoreFollower:
    """Feeds a database from the topics."""

    def __init__(self, settings: Settings, database: Database, failure: Failure) -> None:
        """Nothing is read yet.

        Args:
            settings: of the service.
            database: to feed.
            failure: is given the error of a follower that must end.
        """
        self._kafka = settings.kafka
        self._log_ids: dict[str, str] = {}
        self._intake = Intake(database, self._log_ids, settings.policy.min_piece_seconds)
        self._next: Positions = {}
        self._moved = asyncio.Condition()
        self._consumer = seeking_consumer(
            settings.kafka, partition_bytes=settings.kafka.max_message_bytes
        )
        self._follower = TopicFollower(
            settings.kafka,
            TOPICS,
            self._consumer,
            what="the console's topics",
            take=self._take,
            failure=failure,
            begin=self._begin,
            max_messages=settings.console.batch_messages,
        )

    async def start(self) -> None:
        """Connect, read to the present end of all topics, then go on in the background.

        Raises:
            KafkaError: the cluster doesn't answer.
            BrokerError: it lacks one of the topics.
        """
        for topic in TOPICS:
            self._log_ids[topic] = await asyncio.to_thread(log_identity, self._kafka, topic)
        await self._follower.start()

    async def stop(self) -> None:
        """Follow no longer."""
        await self._follower.stop()

    async def until(self, place: Place, seconds: float) -> bool:
        """Wait until the message at a place is in the rows; whether that came to be in time."""
        key = (place.topic, place.partition)
        try:
            async with asyncio.timeout(seconds), self._moved:
                await self._moved.wait_for(lambda: self._next.get(key, 0) > place.offset)
        except TimeoutError:
            return False
        return True

    def lag(self) -> dict[str, int]:
        """How many messages wait, by `topic[partition]`, as far as that is known."""
        waiting = {}
        # A copy: health is asked from another thread.
        for (topic, partition), next_offset in sorted(dict(self._next).items()):
            end = self._consumer.highwater(TopicPartition(self._kafka.topic(topic), partition))
            if end is not None:
                waiting[f"{topic}[{partition}]"] = max(0, end - next_offset)
        return waiting

    def clients(self) -> Iterator[object]:
        """The consumer in use, for those who watch over its tasks."""
        yield from self._follower.clients()

    async def _begin(self, consumer: AIOKafkaConsumer, ends: Ends) -> None:
        """Go on where the rows end; a log that has lost its head begins later."""
        known = await self._intake.positions({self._key(part): end for part, end in ends.items()})
        begins = await consumer.beginning_offsets(ends)
        for partition, begin in begins.items():
            key = self._key(partition)
            self._next[key] = max(known.get(key, 0), begin)
            consumer.seek(partition, self._next[key])

    async def _take(self, messages: Sequence[Any]) -> None:
        """Take what has come, however long the database is away."""
        sources = [
            Source.of(message, message.topic.removeprefix(self._kafka.topic_prefix))
            for message in messages
        ]
        pause = PAUSE_SECONDS
        while True:
            try:
                # All or nothing, so that after a failure the same messages are taken again.
                reached = await self._intake.take(sources)
                break
            except Exception as error:
                if not is_away(error):
                    raise
                told = "the console's database can't be used (%s); again in %.1f s"
                log.warning(told, brief(error, 300), pause)
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        async with self._moved:
            # Only what is committed: who waits for a place reads the rows next.
            self._next.update(reached)
            self._moved.notify_all()

    def _key(self, partition: TopicPartition) -> tuple[str, int]:
        return partition.topic.removeprefix(self._kafka.topic_prefix), partition.partition
