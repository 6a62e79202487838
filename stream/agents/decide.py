"""The decide worker: answers, dead letters and policies in; alerts and decisions out."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from aiokafka.errors import KafkaError

from stream.agents.attempts import attempted, publish_or_reject
from stream.agents.deaths import Deaths
from stream.agents.faust_app import Drain, contract_name, make_app, raw_topic
from stream.agents.join_table import JoinTable
from stream.agents.policy_follower import PolicyFollower
from stream.agents.publisher import Publisher
from stream.decide import Join, on_compared, on_rejected
from stream.errors import RejectedError, TooLargeError, brief
from stream.events import AlertSuppressed, Event, VideoCompared, VideoDecided, VideoRejected
from stream.failpoints import failpoint
from stream.metrics import OUTCOMES, SUPPRESSED, WAITING_REQUESTS, WAITING_SECONDS
from stream.policy.judge import Policies
from stream.settings import Settings
from stream.source import Source
from stream.waiting import ShardWait, Waiting

log = logging.getLogger(__name__)

STATE_TOPIC = "samesource-decide-state"
GAUGE_SECONDS = 1.0
SPARE_BYTES = 64 * 1024  # what Kafka adds to a record, with room


def decide_step(
    source: Source,
    state_of: Callable[[bytes], bytes | None],
    policies: Policies,
    *,
    as_soon_as_matched: bool = False,
) -> tuple[bytes, Join, Join, list[Event]]:
    """One answer or dead letter in; nothing is changed but what policies know of alerts.

    Args:
        source: a message of `video.compared` or `video.rejected`.
        state_of: a request's state in the table, by its key.
        policies: judge matches.
        as_soon_as_matched: see `DecideSettings`.

    Returns:
        The request's key, its state before and after, and what to publish.

    Raises:
        BadEventError: it can't be read.
    """
    if source.topic == VideoCompared.topic:
        answer = VideoCompared.from_bytes(source.value)
        key = answer.request_id.encode()
        before = _known(state_of(key))
        after, outputs = on_compared(
            before,
            answer,
            policies,
            timestamp_ms=source.timestamp_ms,
            as_soon_as_matched=as_soon_as_matched,
        )
    else:
        letter = VideoRejected.from_bytes(source.value)
        key = letter.request_id.encode()
        before = _known(state_of(key))
        after, outputs = on_rejected(before, letter)
    return key, before, after, outputs


class DecideWorker:
    """A Faust agent with a table of joins, around the decide step.

    Delivery contract: an answer is acknowledged after the events that it caused and the new
    state of its request are on the broker. A crash in between repeats the answer; alerts and
    decisions then come again with the same ids. Nothing is decided before all policies and
    verdicts that were on their topics at the start have been read.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._publisher = Publisher(settings.kafka)
        self._drain = Drain()
        self._deaths = Deaths(settings.worker.data_folder, "decide")
        self._follower = PolicyFollower(settings, self._publisher, self._drain.failure, self._owns)
        self._app = make_app("decide", settings, finish_before_rebalance=True)
        state = raw_topic(self._app, settings, STATE_TOPIC)
        state.compacting = True
        self._joins = JoinTable(
            self._app,
            name="joins",
            partitions=state.partitions,
            key_type=bytes,
            value_type=bytes,
            changelog_topic=state,
        )
        self._app.tables.add(self._joins)
        self._joins.on_recovered = self._note_recovered
        self._waiting, self._waited_for = Waiting(), {*range(settings.library.shards)}
        self._metrics: asyncio.Task[None] | None = None
        self._decided: dict[int, deque[tuple[float, bytes]]] = {}
        self._add_agent()

    @property
    def failure(self) -> asyncio.Future[None]:
        """Holds the error of a worker that must end."""
        return self._drain.failure

    def _owns(self, partition: int) -> bool:
        """Whether a partition of this number, of any topic that all workers read, is ours alone."""
        number = partition % (self._joins.partitions or 1)
        return any(number == tp.partition for tp in self._app.assignor.assigned_actives())

    def _add_agent(self) -> None:
        topic = raw_topic(self._app, self._settings, VideoCompared.topic, VideoRejected.topic)

        @self._app.agent(topic)
        async def decide(stream: Any) -> None:
            await self._drain.consume(stream, self._handle)

    async def _handle(self, event: Any) -> None:
        message = event.message
        source = Source.of(message, contract_name(self._settings, message.topic))
        try:
            with self._deaths.at_work(source):
                key, before, join, outputs = attempted(source, lambda: self._step(source))
                self._check_size(join)
        except RejectedError as error:
            await self._reject(source, error)
            return
        failpoint("decide.before_produce")
        published = await publish_or_reject(
            self._publisher, source, outputs, request_id=key.decode()
        )
        failpoint("decide.after_produce")
        if any(isinstance(output, VideoRejected) for output in published):
            return  # too large to tell: the letter decides it
        if join is not before:
            await self._store(key, join)
            self._waiting.note(message.partition, key, join, source.timestamp_ms)
        if join.decided_at is not None:
            self._forget_old(message.partition, key)
        for output in published:
            _count(output)

    async def _reject(self, source: Source, error: RejectedError) -> None:
        """Tell of a message that nothing can be made of, so that its request is decided."""
        log.warning("%s is passed over: %s: %s", source, error.code, brief(error))
        if source.topic != VideoRejected.topic:  # a dead letter of a dead letter helps nobody
            letter = source.rejected(error)
            await self._publisher.publish([letter])
            _count(letter)

    def _check_size(self, join: Join) -> None:
        """Refuse a state that the changelog can't take.

        Raises:
            TooLargeError: the answers of the shards are, together.
        """
        if not join.answers:
            return
        size, most = len(join.to_bytes()), self._settings.kafka.max_message_bytes - SPARE_BYTES
        if size > most:
            raise TooLargeError(f"the shards' answers have {size} bytes, expected {most} at most")

    def _step(self, source: Source) -> tuple[bytes, Join, Join, list[Event]]:
        return decide_step(
            source,
            self._joins.get,
            self._follower.policies,
            as_soon_as_matched=self._settings.decide.as_soon_as_matched,
        )

    async def _store(self, key: bytes, join: Join) -> None:
        """Write the state and wait until the broker has it, however long it is away."""
        while True:
            self._joins[key] = join.to_bytes()
            try:
                await self._joins.last_write
                return
            except KafkaError:
                await asyncio.sleep(1.0)

    def _forget_old(self, partition: int, key: bytes) -> None:
        """Drop joins decided longer ago than the retention, a few at a time."""
        queue = self._decided.setdefault(partition, deque())
        now = time.time()
        queue.append((now, key))
        while queue and queue[0][0] < now - self._settings.worker.decided_retention_seconds:
            _, old = queue.popleft()
            self._joins.pop(old, None)
            self._waiting.note(partition, old, Join(), 0)

    def _note_recovered(self, partition: int, key: bytes, value: bytes | None) -> None:
        self._waiting.note(partition, key, _known(value), _now_ms())

    async def _show_waiting(self) -> None:
        """Keep the gauges of what waits for each shard true; a shard that came back is at 0."""
        while True:
            active = {tp.partition for tp in self._app.assignor.assigned_actives()}
            waits = self._waiting.by_shard(active, _now_ms())
            self._waited_for |= waits.keys()
            for shard in self._waited_for:
                wait = waits.get(shard, ShardWait())
                WAITING_REQUESTS.labels(str(shard)).set(wait.requests)
                WAITING_SECONDS.labels(str(shard)).set(wait.oldest_seconds)
            await asyncio.sleep(GAUGE_SECONDS)

    async def start(self) -> None:
        """Connect, read all policies and verdicts, recover the table and begin to read."""
        self._deaths.open()
        await self._publisher.start()
        await self._follower.start()
        self._metrics = asyncio.create_task(self._show_waiting(), name="waiting")
        await self._app.start()

    async def stop(self) -> None:
        """Finish what is in flight within the drain time, then leave the group."""
        await self._drain.drain(self._settings.worker.drain_seconds)
        await self._app.stop()
        self._deaths.close()
        if self._metrics is not None:
            self._metrics.cancel()
        await self._follower.stop()
        await self._publisher.stop()


def _count(output: Event) -> None:
    label = output.outcome if isinstance(output, VideoDecided) else output.topic
    OUTCOMES.labels("decide", label).inc()
    if isinstance(output, AlertSuppressed):
        SUPPRESSED.labels(output.reason).inc()


def _known(state: bytes | None) -> Join:
    """What the table says of a request; nothing where anyone wrote something else there."""
    try:
        join = Join.from_bytes(state)
        join.missing_shards()
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        log.warning("a state in %s can't be read: %s", STATE_TOPIC, brief(error, 200))
        return Join()
    return join


def _now_ms() -> int:
    return round(1000 * time.time())
