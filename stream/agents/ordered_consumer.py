"""Faust's consumer with offsets that never pass an unfinished event.

As they come, faust-streaming 0.15 and aiokafka 0.14 don't rewind a partition without a committed
offset after a rebalance, although Faust has emptied its buffers; and Faust commits an acknowledged
event when the one just before it is still at work. Either loses events for good.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, MutableMapping
from contextlib import aclosing
from typing import Any, cast

import faust
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Transport
from faust.types import TP


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
    """Faust's thread around aiokafka's consumer, with a say in how long a fetch may wait."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = self.app.fetch_wait_ms  # Faust has 1500 written in
        return consumer


class OrderedConsumer(Consumer):
    """Reads from the committed offset after every rebalance, and commits in order.

    Delivery contract: the committed offset of a partition is that of its first event that isn't
    acknowledged. Events after it may have been handled already; they come again after a crash or
    a rebalance.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._read_offset = NothingRead()
        self._unfinished: dict[TP, set[int]] = {}
        self._next: dict[TP, int] = {}
        self._moving = asyncio.Lock()  # a fetch sees the positions before a seek, or after it
        self._seeks = 0
        self._fetched_after = 0

    def _new_consumer_thread(self) -> PatientThread:
        return PatientThread(self, loop=self.loop, beacon=self.beacon)

    async def perform_seek(self) -> None:
        """Rewind every partition to its committed offset; to its start where there is none."""
        async with self._moving:
            self._seeks += 1
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

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:
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
                    self._unfinished.setdefault(tp, set()).add(message.offset)
                    self._next[tp] = message.offset + 1
                yield tp, message

    def ack(self, message: Any) -> bool:
        """Note an event as finished."""
        self._unfinished.get(message.tp, set()).discard(message.offset)
        return bool(super().ack(message))

    def _new_offset(self, tp: TP) -> int | None:
        """Where the next reader has to begin; None where nothing was read."""
        self._acked[tp].clear()
        self._acked_index[tp].clear()
        unfinished = self._unfinished.get(tp)
        return min(unfinished) if unfinished else self._next.get(tp)


class OrderedTransport(Transport):
    """Faust's Kafka transport with `OrderedConsumer`."""

    Consumer = OrderedConsumer


class OrderedApp(faust.App):
    """A Faust app that reads through `OrderedConsumer`."""

    fetch_wait_ms: int

    def _new_transport(self) -> Any:
        return OrderedTransport(self.conf.broker_consumer, self)
