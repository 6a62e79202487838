"""Faust's consumer with offsets that never pass an unfinished event.

As they come, faust-streaming 0.15 and aiokafka 0.14 don't rewind a partition without a committed
offset after a rebalance, although Faust has emptied its buffers; and Faust commits an acknowledged
event when the one just before it is still at work. Either loses events for good.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, MutableMapping
from contextlib import aclosing, suppress
from typing import Any, Protocol, cast

import faust
from faust.exceptions import ConsumerNotStarted
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Transport
from faust.types import TP

from stream.agents.clients import disconnect, is_connected
from stream.agents.lifetime import Failure, crash, fail
from stream.broker.settings import RETRY_BACKOFF_MILLISECONDS

FINISH_SECONDS = 10.0
"""For what is in flight when partitions move: others of the group wait for it. What takes longer,
as long uploads do, is done again by whoever gets the partition."""


class InFlight(Protocol):
    """What knows the events that are in flight."""

    async def finished(self, seconds: float) -> bool:
        """Wait for them; False when time ran out."""
        ...


class NothingRead(MutableMapping[TP, int | None]):
    """Stands in for Faust's table of read offsets, by which it drops what is fetched again.

    What is fetched again after a rebalance is wanted: it may never have reached an agent.
    """

    def __getitem__(self, key: TP) -> None:
        return None

    def __setitem__(self, key: TP, value: int | None) -> None:
        pass

    def __delitem__(self, key: TP) -> None:
        pass

    def __iter__(self) -> Iterator[TP]:
        return iter(())

    def __len__(self) -> int:
        return 0


class PatientThread(AIOKafkaConsumerThread):
    """Faust's consumer thread; its client waits as our other clients do, for tries and fetches."""

    def _create_consumer(self, loop: asyncio.AbstractEventLoop) -> Any:
        # Faust passes none of these on, so they are set on what it has built.
        consumer = super()._create_consumer(loop)
        consumer._retry_backoff_ms = RETRY_BACKOFF_MILLISECONDS
        consumer._client._retry_backoff = RETRY_BACKOFF_MILLISECONDS / 1000
        app = cast(OrderedApp, self.app)
        consumer._fetch_max_wait_ms = app.fetch_wait_ms  # Faust has 1500 written in
        return consumer

    async def on_thread_stop(self) -> None:
        """Leave the group and disconnect, whatever fails on the way."""
        try:
            await super().on_thread_stop()
        finally:
            if self._consumer is not None:
                await disconnect(self._consumer)


class OrderedConsumer(Consumer):
    """Reads from the committed offset after every rebalance, and commits in order.

    Delivery contract: the committed offset of a partition is that of its first event that isn't
    acknowledged. Events after it may have been handled already; they come again after a crash or
    a rebalance.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._read_offset = NothingRead()
        self._unfinished: dict[TP, dict[int, float | None]] = {}  # offsets, and Kafka's times
        self._next: dict[TP, int] = {}
        self._moving = asyncio.Lock()  # a fetch sees the positions before a seek, or after it
        self._seeks = 0
        self._fetched_after = 0
        # Between a seek and the flow, Faust empties its queues: what came in between would be lost.
        self._flows = asyncio.Event()
        self._flows.set()

    def _new_consumer_thread(self) -> PatientThread:
        return PatientThread(self, loop=self.loop, beacon=self.beacon)

    async def perform_seek(self) -> None:
        """Rewind every partition to its committed offset; to its start where there is none."""
        self._flows.clear()
        async with self._moving:
            # What was fetched under another number lies before the seek, and isn't handed on.
            self._seeks += 1
            cast(OrderedApp, self.app).era += 1  # all that is in hand is delivered again
            self._unfinished.clear()
            self._next.clear()
            self._committed_offset.clear()
            await super().perform_seek()
            fresh = [
                tp
                for tp in self.assignment()
                if not self._committed_offset[tp] and self.app.topics.acks_enabled_for(tp.topic)
            ]
            if fresh:
                await self.seek_wait(await self.earliest_offsets(*fresh))

    def resume_flow(self) -> None:
        """Hand on what is fetched."""
        super().resume_flow()
        self._flows.set()

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:
        if not self._flows.is_set():
            await self.wait(self._flows.wait())
        async with self._moving:
            records = await super()._getmany(active_partitions, timeout)
            self._fetched_after = self._seeks
            return records

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Any]]:
        """Fetched events, each noted as unfinished before an agent sees it."""
        events = cast(AsyncGenerator[tuple[TP, Any], None], super().getmany(timeout))
        async with aclosing(events) as fetched:
            async for tp, message in fetched:
                if self._fetched_after != self._seeks:
                    return  # a seek in between brings the rest again
                if self.app.topics.acks_enabled_for(tp.topic):
                    self._unfinished.setdefault(tp, {})[message.offset] = message.timestamp
                    self._next[tp] = message.offset + 1
                yield tp, message

    async def wait_empty(self) -> None:
        """Before partitions move: let what is in flight finish, then commit.

        Faust's own waits for every event that was fetched to be acknowledged. One whose handler
        failed never is, and those behind it aren't taken any more.
        """
        app = cast(OrderedApp, self.app)
        if app.in_flight is not None and not self.should_stop:
            await app.in_flight.finished(FINISH_SECONDS)
        # Behind the wait: what still runs may be another's from here on, and looks at the era
        # before it says anything.
        app.era += 1
        await self.commit_and_end_transactions()

    def lags(self) -> dict[TP, int]:
        """How many events of each partition are not finished, as far as that is known."""
        found = {}
        for tp, state in self._states().items():
            unfinished = self._unfinished.get(tp)
            # What was sought counts: of a partition with a lag there may come nothing.
            done = min(unfinished) if unfinished else state._position
            if state.highwater is not None and done is not None:
                found[tp] = max(0, state.highwater - done)
        return found

    def unheard(self) -> int:
        """How many partitions no fetch has told of since they were assigned.

        One that nobody leads doesn't count: that is Kafka's absence.
        """
        cluster = self._client().cluster
        return sum(
            state.highwater is None and cluster.leader_for_partition(tp) not in (None, -1)
            for tp, state in self._states().items()
        )

    def is_connected(self) -> bool:
        """Whether any broker holds a connection."""
        return is_connected(self._thread._ensure_consumer())

    def _states(self) -> dict[TP, Any]:
        """Of each partition that agents read, its position and end as aiokafka has them."""
        subscription = self._thread._ensure_consumer()._subscription.subscription
        assignment = None if subscription is None else subscription.assignment
        if assignment is None:
            return {}
        # What a table has written to its changelog since its recovery is read by nobody.
        changelogs = self.app.tables.changelog_topics
        return {
            TP(*tp): assignment.state_value(tp)
            for tp in assignment.tps
            if self.app.topics.acks_enabled_for(tp.topic) and tp.topic not in changelogs
        }

    def _client(self) -> Any:
        return self._thread._ensure_consumer()._client

    def oldest_at(self, tp: TP) -> float | None:
        """Kafka's time of the first event of a partition that isn't finished, where it is known."""
        unfinished = self._unfinished.get(tp)
        at = unfinished.get(min(unfinished)) if unfinished else None
        return at if at is not None and at > 0 else None  # a message may have no time

    def ack(self, message: Any) -> bool:
        """Note an event as finished."""
        self._unfinished.get(message.tp, {}).pop(message.offset, None)
        return bool(super().ack(message))

    def _new_offset(self, tp: TP) -> int | None:
        """Where the next reader has to begin; None where nothing was read."""
        # Faust's own account of what is acknowledged would only grow: it isn't asked.
        self._acked[tp].clear()
        self._acked_index[tp].clear()
        unfinished = self._unfinished.get(tp)
        return min(unfinished) if unfinished else self._next.get(tp)


class OrderedTransport(Transport):
    """Faust's Kafka transport with `OrderedConsumer`."""

    Consumer = OrderedConsumer


class OrderedApp(faust.App):
    """A Faust app that reads through `OrderedConsumer`, and whose crash ends the worker.

    Attributes:
        era: another number each time that partitions move: what was in flight then and didn't
            finish in time is delivered again, perhaps to another worker.
    """

    fetch_wait_ms = 500  # until `KafkaSettings.fetch_wait_ms` is set
    era = 0
    in_flight: InFlight | None = None
    assigned = False

    def watch_over(self, in_flight: InFlight, failure: Failure) -> None:
        """Tell what is in flight when partitions move, and who is told of a crash."""
        self.in_flight, self._failure = in_flight, failure
        self._failure_loop = asyncio.get_running_loop()

    def _new_transport(self) -> Any:
        return OrderedTransport(self.conf.broker_consumer, self)

    def _crash(self, reason: BaseException) -> None:
        """Called for the crash of any of Faust's services, also in its consumer's thread."""
        super()._crash(reason)
        error = crash("Faust", reason)
        self._failure_loop.call_soon_threadsafe(fail, self._failure, error)

    def on_rebalance_end(self) -> None:
        """The group has given this member its partitions."""
        super().on_rebalance_end()
        self.assigned = True

    def clients(self) -> Iterator[object]:
        """Kafka's clients in use, for those who watch over their tasks."""
        for service in (getattr(self._consumer, "_thread", None), self._producer):
            for name in ("_consumer", "_producer"):
                client = getattr(service, name, None)
                if client is not None:
                    yield client

    def lags(self) -> dict[TP, int]:
        """How many events of each partition are not finished, as far as that is known."""
        # While partitions move, assignment and positions don't belong together.
        if self.rebalancing:
            return {}
        with suppress(ConsumerNotStarted):
            return self._ordered_consumer().lags()
        return {}

    def owed(self) -> int:
        """What Kafka owes this worker: the end of a rebalance, or a partition's first fetch."""
        if self.rebalancing:
            return 1
        with suppress(ConsumerNotStarted):
            return self._ordered_consumer().unheard()
        return 0

    def is_connected(self) -> bool:
        """Whether its consumer has a connection to Kafka."""
        with suppress(ConsumerNotStarted):
            return self._ordered_consumer().is_connected()
        return False

    def _ordered_consumer(self) -> OrderedConsumer:
        if not isinstance(self._consumer, OrderedConsumer):
            raise ConsumerNotStarted("the app hasn't begun to read")
        return self._consumer

    def oldest_at(self, tp: TP) -> float | None:
        """Kafka's time of the first event of a partition that isn't finished, where it is known."""
        consumer = self._consumer
        return consumer.oldest_at(tp) if isinstance(consumer, OrderedConsumer) else None
