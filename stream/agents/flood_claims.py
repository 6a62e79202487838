"""Puts the alerts that a limit applies to into one order that all decide workers see.

A claim is a message of `samesource-flood-claims`: the key is the reference's id, so that the claims
of a reference lie on one partition, the value the alert's. Every decide worker reads all of them.
"""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from stream.agents.lifetime import Failure, fail, supervised
from stream.agents.publisher import Publisher, is_final, refusal
from stream.broker.settings import KafkaSettings
from stream.broker.topics import partition_counts
from stream.decide.floods import Floods

log = logging.getLogger(__name__)

CLAIMS_TOPIC = "samesource-flood-claims"
POLL_MILLISECONDS = 500
PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 30.0
AGAIN_SECONDS = 30.0
MAX_LETTERS = 512  # of an id, in every event


class FloodClaims:
    """Claims alerts, and follows the claims of all workers.

    Delivery contract: when `start` returns, all claims that were on the topic by then are known;
    when `claim` returns, its own are, with all that lie before them on the topic. A claim that is
    repeated, after a crash for one, counts once, where it came first.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        publisher: Publisher,
        floods: Floods,
        failure: Failure,
    ) -> None:
        """Nothing is read yet.

        Args:
            kafka: the cluster.
            publisher: started by then.
            floods: is given all claims, in order of each reference.
            failure: is given the error of a follower that must end.
        """
        self._kafka, self._publisher = kafka, publisher
        self._floods, self._failure = floods, failure
        self._consumer: AIOKafkaConsumer | None = None
        self._task: asyncio.Task[None] | None = None
        self._taken = asyncio.Condition()

    async def start(self) -> None:
        """Connect, read to the present end of the topic, then go on in the background.

        Raises:
            KafkaError: the cluster doesn't answer.
            BrokerError: it lacks the topic.
        """
        self._consumer = consumer = AIOKafkaConsumer(
            **self._kafka.aiokafka_options(),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        await consumer.start()
        counts = await asyncio.to_thread(partition_counts, self._kafka, [CLAIMS_TOPIC])
        topic = self._kafka.topic(CLAIMS_TOPIC)
        partitions = [TopicPartition(topic, number) for number in range(counts[CLAIMS_TOPIC])]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        await consumer.seek_to_beginning(*partitions)
        for partition, end in ends.items():
            while await consumer.position(partition) < end:
                await self._take_some()
        self._task = supervised(self._follow(), "following the claims", self._failure)

    async def stop(self) -> None:
        """Disconnect."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._consumer is not None:
            await self._consumer.stop()

    async def claim(self, alerts: Sequence[tuple[str, str]]) -> None:
        """Claim alerts and wait until all claims before theirs are known, however long it takes.

        Args:
            alerts: (reference id, alert id).
        """
        missing = [*alerts]
        while missing:
            for reference_id, alert_id in missing:
                await self._publisher.send(CLAIMS_TOPIC, alert_id.encode(), reference_id.encode())
            async with self._taken:
                try:
                    async with asyncio.timeout(AGAIN_SECONDS):
                        await self._taken.wait_for(lambda: not self._unknown(alerts))
                except TimeoutError:
                    log.warning("no claim came back within %.0f s: again", AGAIN_SECONDS)
            missing = self._unknown(alerts)

    def _unknown(self, alerts: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        return [alert for alert in alerts if self._floods.others(*alert) is None]

    def clients(self) -> Iterator[object]:
        """The consumer in use, for those who watch over its tasks."""
        if self._consumer is not None:
            yield self._consumer

    async def _follow(self) -> None:
        pause = PAUSE_SECONDS
        while True:
            try:
                await self._take_some()
            except KafkaError as error:
                if is_final(error):
                    fail(self._failure, refusal(self._kafka, "to read the claims", error))
                    return
                log.warning("claims can't be followed (%s); again in %.1f s", error, pause)
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            else:
                pause = PAUSE_SECONDS

    async def _take_some(self) -> None:
        """Take what has come by now; waits a moment for the first."""
        assert self._consumer is not None, "start() first"
        batches = await self._consumer.getmany(timeout_ms=POLL_MILLISECONDS)
        if not batches:
            return
        async with self._taken:
            for messages in batches.values():
                for message in messages:
                    self._take(message)
            self._taken.notify_all()

    def _take(self, message: Any) -> None:
        """One claim; what nobody of us wrote is no claim."""
        try:
            reference_id, alert_id = message.key.decode(), message.value.decode()
        except (AttributeError, UnicodeDecodeError):
            reference_id, alert_id = "", ""
        if not all(0 < len(name) <= MAX_LETTERS for name in (reference_id, alert_id)):
            log.warning("offset %d of %s is no claim", message.offset, message.topic)
            return
        self._floods.claim(reference_id, alert_id, message.timestamp)
