"""Faust's consumer as we use it: nothing is handed on between a seek and the flow behind it."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
from faust.transport.drivers.aiokafka import Consumer
from faust.types import TP

from stream.agents.faust_app import Drain, make_app
from stream.agents.ordered_consumer import OrderedApp, OrderedConsumer
from stream.settings import Settings

PARTITION = TP("video.compared", 0)


@pytest.fixture
def new_consumer() -> Iterator[Callable[[OrderedApp], OrderedConsumer]]:
    """Makes consumers that never start; who starts one closes its thread's loop at its end."""
    made: list[OrderedConsumer] = []

    def new(app: OrderedApp) -> OrderedConsumer:
        made.append(cast(OrderedConsumer, app._new_consumer()))
        return made[-1]

    yield new
    for consumer in made:
        consumer._thread.thread_loop.close()


async def test_nothing_is_fetched_between_a_seek_and_the_flow(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    new_consumer: Callable[[OrderedApp], OrderedConsumer],
) -> None:
    app = make_app("decide", settings, Drain(), finish_before_rebalance=True)
    consumer = new_consumer(app)
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


async def test_what_is_in_hand_at_a_seek_is_of_another_era(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    new_consumer: Callable[[OrderedApp], OrderedConsumer],
) -> None:
    app = make_app("fingerprint", settings, Drain(), finish_before_rebalance=False)
    consumer = new_consumer(app)

    async def sought(self: Any) -> None:
        pass

    monkeypatch.setattr(Consumer, "perform_seek", sought)
    monkeypatch.setattr(OrderedConsumer, "assignment", lambda self: set[TP]())
    before = app.era
    await consumer.perform_seek()
    assert app.era != before, "it is delivered again, also where nobody waited for it"
