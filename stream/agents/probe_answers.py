"""Fingerprints of probes in, a shard's answers out: searched between two entries of the log.

Not a consumer group: every shard reads all of them, from where the topic ends when it starts. So a
probe that kills the process is never seen again.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from datetime import datetime
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from stream.agents.attempts import attempted
from stream.agents.clients import seeking_consumer
from stream.agents.deaths import Deaths
from stream.agents.lags import Lag
from stream.agents.lifetime import Failure
from stream.agents.probes import check_in_time, publish, refused
from stream.agents.publisher import Publisher
from stream.agents.topic_follower import TopicFollower
from stream.broker.settings import KafkaSettings
from stream.contract.events import ProbeAnswered, ProbeFingerprinted
from stream.contract.fingerprint import Fingerprint
from stream.contract.message import Source
from stream.errors import InternalError, RejectedError
from stream.library.shard import LibraryShard
from stream.times import now
from stream.traces import about, carried

LOOK_SECONDS = 0.05  # while a shard reads the log up to where it ended when the probe came

Read = tuple[ProbeFingerprinted, Fingerprint]


def read_probe(source: Source) -> Read:
    """A probe and its unpacked fingerprint.

    Raises:
        BadEventError: it can't be read.
        VideoTimeoutError: nobody waits for it any more.
    """
    probe = ProbeFingerprinted.from_bytes(source.value)
    # Before the arrays are unpacked, which is what costs time here.
    check_in_time(probe.answer_by, now())
    return probe, Fingerprint.from_event(probe.fingerprint)


def answer_step(shard: LibraryShard, source: Source, read: Read, as_of: int) -> ProbeAnswered:
    """What a shard says of a probe; nothing is changed.

    Args:
        shard: is searched.
        source: the probe's message, for the log.
        read: what `read_probe` made of it.
        as_of: offset of the log that an upload would have.

    Raises:
        RejectedError: it can't be answered.
    """
    probe, video = read
    try:
        return attempted(source, lambda: shard.probe(probe, video, as_of))
    # A search that the machine has no memory for: the shard goes on, and can be asked again.
    except (OSError, MemoryError) as error:
        raise InternalError(f"{type(error).__name__}: {error}") from error


class ProbeAnswers:
    """Answers the probes that come while a shard runs.

    Delivery contract: each is answered at most once, by what the log held when it came. No more
    than one is searched between two entries, so that an upload waits for one at most.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        shard: LibraryShard,
        thread: Executor,
        publisher: Publisher,
        deaths: Deaths,
        failure: Failure,
        *,
        read_to: Callable[[], int],
        log_end: Callable[[], int],
    ) -> None:
        """Nothing is read yet.

        Args:
            kafka: the cluster.
            shard: answers.
            thread: the one on which the shard is used.
            publisher: started by the time that this is.
            deaths: the same; opened.
            failure: is given the error of a worker that must end.
            read_to: offset of the log's next entry that isn't in the shard.
            log_end: offset at which the log ends, as far as that is known.
        """
        self._shard, self._thread, self._publisher = shard, thread, publisher
        self._stage = f"compare {shard.number}/{shard.settings.shards}"
        self._deaths, self._read_to, self._log_end = deaths, read_to, log_end
        self._follower = TopicFollower(
            kafka,
            (ProbeFingerprinted.topic,),
            seeking_consumer(kafka, partition_bytes=kafka.max_message_bytes),
            what="the probes",
            take=self._take_all,
            failure=failure,
            begin=_from_now,
            max_messages=1,
        )

    async def start(self) -> None:
        """Connect and begin to read.

        Raises:
            KafkaError: the cluster doesn't answer.
            BrokerError: it lacks the topic.
        """
        await self._follower.start()

    async def stop(self) -> None:
        """Follow no longer; a probe in hand is given up."""
        await self._follower.stop()

    def clients(self) -> Iterator[object]:
        """The consumer in use, for those who watch over its tasks."""
        yield from self._follower.clients()

    def lags(self) -> list[Lag]:
        """What waits of the topic."""
        return self._follower.lags()

    async def _take_all(self, messages: Sequence[Any]) -> None:
        for message in messages:
            source = Source.of(message, ProbeFingerprinted.topic)
            with about(message, key="probe_id", stage=self._stage):
                await self._take(source)

    async def _take(self, source: Source) -> None:
        output: ProbeAnswered | None
        try:
            output = await self._answer(source)
        except RejectedError as error:
            output = self._refused(source, error)
        await publish(
            self._publisher, "library", output, lambda error: self._refused(source, error)
        )

    async def _answer(self, source: Source) -> ProbeAnswered:
        # Megabytes of base64 on the loop would hold up all else that this worker does.
        read = await asyncio.to_thread(read_probe, source)
        await self._catch_up(read[0].answer_by)
        # Noted for the sake of an entry of the log that waits for the thread meanwhile.
        with self._deaths.at_work(source):
            return await asyncio.get_running_loop().run_in_executor(
                self._thread, carried(answer_step), self._shard, source, read, self._read_to()
            )

    async def _catch_up(self, answer_by: datetime) -> None:
        """Wait until all that was on the log by now is in the shard: it may be starting.

        Raises:
            VideoTimeoutError: that takes longer than anybody waits.
        """
        # Once: on a busy log an end that moves on might never be reached.
        end = self._log_end()
        while self._read_to() < end:
            check_in_time(answer_by, now())
            await asyncio.sleep(LOOK_SECONDS)

    def _refused(self, source: Source, error: RejectedError) -> ProbeAnswered | None:
        number, shards = self._shard.number, self._shard.settings.shards
        return refused(source, error, shard=number, shards=shards)


async def _from_now(consumer: AIOKafkaConsumer, ends: Mapping[TopicPartition, int]) -> None:
    for partition, end in ends.items():
        consumer.seek(partition, end)
