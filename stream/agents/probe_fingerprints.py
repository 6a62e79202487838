"""Probes in, their fingerprints or refusals out: beside the uploads of a fingerprint worker.

A consumer group of its own, which commits before it works: a probe that kills the process is never
seen again.
"""

import asyncio
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from stream.agents.attempts import attempted
from stream.agents.clients import disconnect, seeking_consumer
from stream.agents.deaths import Deaths
from stream.agents.lags import Lag, oldest_at
from stream.agents.lifetime import Failure, fail, supervised
from stream.agents.probes import check_in_time, publish, refused
from stream.agents.publisher import Publisher, is_final, refusal
from stream.agents.topic_follower import LONGEST_PAUSE_SECONDS, PAUSE_SECONDS, POLL_MILLISECONDS
from stream.contract.events import Event, ProbeAsked, ProbeFingerprinted, VideoUploaded
from stream.contract.message import Source
from stream.errors import InternalError, RejectedError
from stream.fingerprint.fingerprinter import Fingerprinter
from stream.settings import Settings
from stream.times import now
from stream.traces import about, carried

log = logging.getLogger(__name__)

LONGEST_WORK_MILLISECONDS = 86_400_000
"""A day: one long probe, during which nothing is read, mustn't look like a dead member."""


def probe_step(fingerprinter: Fingerprinter, source: Source) -> Event | None:
    """One probe in; its fingerprint, or why there is none. Never raises for bad input.

    Fetched, decoded and encoded as an upload is, within the same limits; not embedded.

    Args:
        fingerprinter: does the work.
        source: a message of `probe.asked`.

    Returns:
        None where the message doesn't say which probe it is.
    """
    stages: dict[str, float] = {}
    try:
        asked = ProbeAsked.from_bytes(source.value)
        check_in_time(asked.answer_by, now())
        return ProbeFingerprinted(
            probe_id=asked.probe_id,
            owner_id=asked.owner_id,
            answer_by=asked.answer_by,
            fingerprint=attempted(source, lambda: _made(fingerprinter, asked, stages)),
        )
    except RejectedError as error:
        return refused(source, error, stage_seconds=stages)
    # What the machine lacks: an upload waits for it, and whoever asks can ask again.
    except (OSError, MemoryError) as error:
        lacking = InternalError(f"{type(error).__name__}: {error}")
        return refused(source, lacking, stage_seconds=stages)


def _made(fingerprinter: Fingerprinter, asked: ProbeAsked, stages: dict[str, float]) -> Any:
    # Of nobody's video, an owner whom nobody has: no match is then of the same owner.
    video = VideoUploaded(
        video_id=asked.probe_id, uri=asked.uri, owner_id=asked.owner_id or asked.probe_id
    )
    made = fingerprinter.fingerprint(video, asked.probe_id, stages, embed=False)
    return made.fingerprint.to_event()


class ProbeFingerprints:
    """Takes a worker's share of the probes, one at a time.

    Delivery contract: each probe is worked on at most once, and its fingerprint or refusal is
    published at most once. Uploads wait for no probe, but for one of the places at which
    `worker.fingerprint_concurrency` of them work.
    """

    def __init__(
        self,
        settings: Settings,
        fingerprinter: Fingerprinter,
        publisher: Publisher,
        deaths: Deaths,
        failure: Failure,
    ) -> None:
        """Nothing is read yet.

        Args:
            settings: of the service.
            fingerprinter: of the worker; closed by it, which ends a probe that is in hand.
            publisher: started by the time that this is.
            deaths: the same; opened.
            failure: is given the error of a worker that must end.
        """
        self._kafka, self._worker = settings.kafka, settings.worker
        self._fingerprinter, self._publisher = fingerprinter, publisher
        self._deaths, self._failure = deaths, failure
        self._thread = ThreadPoolExecutor(1, "probe")
        self._consumer: AIOKafkaConsumer | None = None
        self._task: asyncio.Task[None] | None = None
        self._next: dict[TopicPartition, int] = {}  # that isn't done, of those that it has read of
        self._in_hand_at: dict[TopicPartition, float | None] = {}

    async def start(self) -> None:
        """Connect and join the group; it is not waited for until it gives partitions.

        Raises:
            KafkaError: the cluster doesn't answer.
        """
        session = round(1000 * self._worker.session_timeout_seconds)
        consumer = self._consumer = seeking_consumer(
            self._kafka,
            group_id=f"{self._kafka.topic_prefix}samesource-probes",
            session_timeout_ms=session,
            # Five in a session: one or two that come late don't cost the membership.
            heartbeat_interval_ms=session // 5,
            max_poll_interval_ms=LONGEST_WORK_MILLISECONDS,
        )
        await consumer.start()
        consumer.subscribe([self._kafka.topic(ProbeAsked.topic)])
        self._task = supervised(self._follow(consumer), "following probes", self._failure)

    async def stop(self) -> None:
        """Leave the group; a probe in hand is given up."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._consumer is not None:
            await disconnect(self._consumer)
        # Not waited for: what is in hand ends only when the worker closes the fingerprinter.
        self._thread.shutdown(wait=False, cancel_futures=True)

    def clients(self) -> Iterator[object]:
        """The consumer in use, for those who watch over its tasks."""
        if self._consumer is not None:
            yield self._consumer

    def lags(self) -> list[Lag]:
        """What waits of each partition of which it has read something; from any thread."""
        found = []
        # A copy: the loop may add a partition while a scrape's thread goes through them.
        for partition, following in [*self._next.items()]:
            try:
                end = self._consumer.highwater(partition) if self._consumer is not None else None
            except AssertionError:  # it is another worker's by now
                continue
            waiting = max(0, (end or 0) - following)
            at = self._in_hand_at.get(partition)
            found.append(Lag(partition.topic, partition.partition, waiting, at))
        return found

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        pause = PAUSE_SECONDS
        while True:
            try:
                await self._take_next(consumer)
            except KafkaError as error:
                if is_final(error):
                    fail(self._failure, refusal(self._kafka, "to read probes", error))
                    return
                log.warning("probes can't be followed (%s); again in %.1f s", error, pause)
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            else:
                pause = PAUSE_SECONDS

    async def _take_next(self, consumer: AIOKafkaConsumer) -> None:
        """What comes within a moment; it isn't held while the next is waited for."""
        # One: what is fetched waits here, while another worker may be idle.
        batches = await consumer.getmany(timeout_ms=POLL_MILLISECONDS, max_records=1)
        for partition, messages in batches.items():
            for message in messages:
                await self._take(consumer, partition, message)

    async def _take(
        self, consumer: AIOKafkaConsumer, partition: TopicPartition, message: Any
    ) -> None:
        # Before anything else: whatever it does to this process, it does it once. Where the commit
        # fails, the probe isn't begun: it may be another worker's by now.
        await consumer.commit({partition: message.offset + 1})
        # Not the next yet: to the lag, what is in hand still waits.
        self._next[partition] = message.offset
        # Another dictionary, never a changed one: a scrape may be reading it on its thread.
        self._in_hand_at = {partition: oldest_at(message)}
        await self._work_on(message)
        self._in_hand_at = {}
        self._next[partition] = message.offset + 1

    async def _work_on(self, message: Any) -> None:
        source = Source.of(message, ProbeAsked.topic)
        with about(message, key="probe_id", stage="fingerprint"):
            output = await self._made(source)
            await publish(
                self._publisher, "fingerprint", output, lambda error: refused(source, error)
            )

    async def _made(self, source: Source) -> Event | None:
        # Noted for the sake of the uploads in hand, which aren't blamed for what it may do.
        with self._deaths.at_work(source):
            return await asyncio.get_running_loop().run_in_executor(
                self._thread, carried(probe_step), self._fingerprinter, source
            )
