"""Faust's consumer as we use it: nothing is handed on between a seek and the flow behind it."""

import asyncio
from typing import Any

import pytest
from faust.transport.drivers.aiokafka import Consumer
from faust.types import TP

from stream.agents.faust_app import Drain, make_app
from stream.agents.ordered_consumer import OrderedConsumer
from stream.settings import Settings

PARTITION = TP("video.compared", 0)


async def test_nothing_is_fetched_between_a_seek_and_the_flow(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app("decide", settings, Drain(), finish_before_rebalance=True)
    consumer = app._new_consumer()
    assert isinstance(consumer, OrderedConsumer)

    async def sought(self: Any) -> None:
        self._committed_offset[PARTITION] = 7

    async def fetched(self: Any, active_partitions: Any, timeout: float) -> Any:
        return {PARTITION: ["an answer"]}

    monkeypatch.setattr(Consumer, "perform_seek", sought)
    monkeypatch.setattr(Consumer, "_getmany", fetched)
    monkeypatch.setattr(OrderedConsumer, "assignment", lambda self: {PARTITION})
    assert await consumer._getmany({PARTITION}, 1.0)
    await consumer.perform_seek()
    fetch = asyncio.create_task(consumer._getmany({PARTITION}, 1.0))
    await asyncio.sleep(0.1)
    assert not fetch.done(), "Faust empties its queues when the flow begins"
    consumer.resume_flow()
    assert await asyncio.wait_for(fetch, 5.0) == {PARTITION: ["an answer"]}
