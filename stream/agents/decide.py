"""The decide worker: the shards' answers and dead letters in; alerts and decisions out."""

import asyncio
import time
from collections import deque
from typing import Any

from aiokafka.errors import KafkaError

from stream.agents.faust_app import Drain, contract_name, make_app, raw_topic
from stream.agents.join_table import JoinTable
from stream.agents.publisher import Publisher
from stream.decide import Join, on_compared, on_rejected
from stream.errors import BadEventError
from stream.events import Event, VideoCompared, VideoDecided, VideoRejected
from stream.metrics import OUTCOMES
from stream.settings import Settings
from stream.source import Source

STATE_TOPIC = "samesource-decide-state"


class DecideWorker:
    """A Faust agent with a table of joins, around the decide step.

    Delivery contract: an answer is acknowledged after the events that it caused and the new
    state of its request are on the broker. A crash in between repeats the answer; alerts and
    decisions then come again with the same ids.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._publisher = Publisher(settings.kafka)
        self._drain = Drain()
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
            key, join, outputs = self._step(source)
        except BadEventError as error:
            if source.topic != VideoRejected.topic:  # a dead letter of a dead letter helps nobody
                await self._publisher.publish([source.rejected(error)])
            return
        await self._publisher.publish(outputs)
        if outputs or join.answers:
            await self._store(key, join)
        if join.decided_at is not None:
            self._forget_old(message.partition, key)
        for output in outputs:
            label = output.outcome if isinstance(output, VideoDecided) else output.topic
            OUTCOMES.labels("decide", label).inc()

    def _step(self, source: Source) -> tuple[bytes, Join, list[Event]]:
        if source.topic == VideoCompared.topic:
            answer = VideoCompared.from_bytes(source.value)
            key = answer.request_id.encode()
            return key, *on_compared(Join.from_bytes(self._joins.get(key)), answer)
        letter = VideoRejected.from_bytes(source.value)
        key = letter.request_id.encode()
        return key, *on_rejected(Join.from_bytes(self._joins.get(key)), letter)

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
            self._joins.pop(queue.popleft()[1], None)

    async def start(self) -> None:
        """Connect, recover the table and begin to read."""
        await self._publisher.start()
        await self._app.start()

    async def stop(self) -> None:
        """Finish what is in flight within the drain time, then leave the group."""
        await self._drain.drain(self._settings.worker.drain_seconds)
        await self._app.stop()
        await self._publisher.stop()
