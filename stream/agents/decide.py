"""The decide worker: answers, dead letters and policies in; alerts and decisions out."""

import asyncio
import time
from collections import deque
from typing import Any

from aiokafka.errors import KafkaError

from stream.agents.faust_app import Drain, contract_name, make_app, raw_topic
from stream.agents.flood_claims import FloodClaims
from stream.agents.join_table import JoinTable
from stream.agents.policy_follower import PolicyFollower
from stream.agents.publisher import Publisher
from stream.decide import Join, on_compared, on_rejected
from stream.errors import BadEventError
from stream.events import AlertSuppressed, Event, VideoCompared, VideoDecided, VideoRejected
from stream.failpoints import failpoint
from stream.metrics import OUTCOMES, SUPPRESSED, WAITING_REQUESTS, WAITING_SECONDS
from stream.settings import Settings
from stream.source import Source
from stream.waiting import ShardWait, Waiting

STATE_TOPIC = "samesource-decide-state"
GAUGE_SECONDS = 1.0


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
        self._follower = PolicyFollower(settings, self._publisher, self._drain.failure)
        self._claims = FloodClaims(
            settings.kafka, self._publisher, self._follower.policies.floods, self._drain.failure
        )
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

    def _add_agent(self) -> None:
        topic = raw_topic(self._app, self._settings, VideoCompared.topic, VideoRejected.topic)

        @self._app.agent(topic)
        async def decide(stream: Any) -> None:
            await self._drain.consume(stream, self._handle)

    async def _handle(self, event: Any) -> None:
        message = event.message
        source = Source.of(message, contract_name(self._settings, message.topic))
        try:
            key, before, join, outputs = await self._claimed_step(source)
        except BadEventError as error:
            if source.topic != VideoRejected.topic:  # a dead letter of a dead letter helps nobody
                await self._publisher.publish([source.rejected(error)])
            return
        failpoint("decide.before_produce")
        await self._publisher.publish(outputs)
        failpoint("decide.after_produce")
        if join is not before:
            await self._store(key, join)
            self._waiting.note(message.partition, key, join, source.timestamp_ms)
        if join.decided_at is not None:
            self._forget_old(message.partition, key)
        for output in outputs:
            _count(output)

    async def _claimed_step(self, source: Source) -> tuple[bytes, Join, Join, list[Event]]:
        """As `_step`, once all alerts that a limit applies to have their place in the order."""
        policies = self._follower.policies
        while True:
            policies.take_unclaimed()
            found = self._step(source)
            unclaimed = policies.take_unclaimed()
            if not unclaimed:
                return found
            await self._claims.claim(unclaimed)

    def _step(self, source: Source) -> tuple[bytes, Join, Join, list[Event]]:
        """The request's key, its state before and after, and what to publish."""
        if source.topic == VideoCompared.topic:
            answer = VideoCompared.from_bytes(source.value)
            key = answer.request_id.encode()
            before = Join.from_bytes(self._joins.get(key))
            return (
                key,
                before,
                *on_compared(
                    before,
                    answer,
                    self._follower.policies,
                    timestamp_ms=source.timestamp_ms,
                    as_soon_as_matched=self._settings.decide.as_soon_as_matched,
                ),
            )
        letter = VideoRejected.from_bytes(source.value)
        key = letter.request_id.encode()
        before = Join.from_bytes(self._joins.get(key))
        return key, before, *on_rejected(before, letter)

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
        self._waiting.note(partition, key, Join.from_bytes(value), _now_ms())

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
        await self._publisher.start()
        await self._follower.start()
        await self._claims.start()
        self._metrics = asyncio.create_task(self._show_waiting(), name="waiting")
        await self._app.start()

    async def stop(self) -> None:
        """Finish what is in flight within the drain time, then leave the group."""
        await self._drain.drain(self._settings.worker.drain_seconds)
        await self._app.stop()
        if self._metrics is not None:
            self._metrics.cancel()
        await self._follower.stop()
        await self._claims.stop()
        await self._publisher.stop()


def _count(output: Event) -> None:
    label = output.outcome if isinstance(output, VideoDecided) else output.topic
    OUTCOMES.labels("decide", label).inc()
    if isinstance(output, AlertSuppressed):
        SUPPRESSED.labels(output.reason).inc()


def _now_ms() -> int:
    return round(1000 * time.time())
