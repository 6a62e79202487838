"""Partitions of a decide worker keep their order; one that moves is judged by its next owner."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from stream.agents.faust_app import Drain, MovedError
from stream.agents.publisher import Publisher
from stream.agents.pulse import Pulse
from stream.decide.decide import Join
from stream.decide.joins import CHANGELOG
from stream.settings import Settings
from tests.stream.answers import answer
from tests.stream.mortal import (
    NUMBERS,
    PARTITION,
    answers_about,
    mortal_of,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_what_is_in_hand_when_partitions_move_is_said_by_whoever_has_them_then(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"v{next(NUMBERS)}"
    first, last = answers_about(name)
    async with mortal_of(settings, monkeypatch) as mortal:
        assert await mortal.live([first])
        real = Publisher.send

        async def moves(publisher: Publisher, topic: str, *arguments: Any, **more: Any) -> Any:
            place = await real(publisher, topic, *arguments, **more)
            mortal.worker._app.era += topic == CHANGELOG
            return place

        with monkeypatch.context() as patches:
            patches.setattr(Publisher, "send", moves)
            in_hand, behind = mortal.delivered(last, 1), mortal.delivered(first, 2)
            handled = (mortal.worker._handle(event) for event in (in_hand, behind))
            errors = await asyncio.gather(*handled, return_exceptions=True)
        assert [type(error) for error in errors] == [MovedError, MovedError]
        assert mortal.said().get(name) is None, "noted, not said: another may judge otherwise"
        assert await mortal.live([first, last])
        assert len(mortal.said()[name]) == 4


async def test_a_state_that_is_written_while_partitions_move_is_unknown_and_its_answer_comes_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"v{next(NUMBERS)}"
    first, last = answers_about(name)
    async with mortal_of(settings, monkeypatch) as mortal:
        real = Publisher.send

        async def moves(publisher: Publisher, topic: str, *arguments: Any, **more: Any) -> Any:
            mortal.worker._app.era += 1  # read by the next owner up to here
            return await real(publisher, topic, *arguments, **more)

        with monkeypatch.context() as patches:
            patches.setattr(Publisher, "send", moves)
            with pytest.raises(MovedError):
                await mortal.worker._handle(mortal.delivered(first, 0))
        key = f"{PARTITION}-{name[1:]}-1".encode()
        assert mortal.worker._requests.get(PARTITION, key) == Join()
        assert await mortal.live([first, last])
        assert len(mortal.said()[name]) == 4


async def test_a_worker_that_was_frozen_judges_nothing_before_it_knows_what_is_its_own(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"v{next(NUMBERS)}" for _ in range(2)]
    now, session = [100.0], settings.worker.session_timeout_seconds
    async with mortal_of(settings, monkeypatch) as mortal:
        mortal.worker._pulse = pulse = Pulse(session, lambda: now[0])
        pulse._note()
        now[0] += session
        handle, in_hand = mortal.worker._handle, list[object]()

        async def taken(event: Any) -> None:
            in_hand.append(event)
            await handle(event)

        monkeypatch.setattr(mortal.worker, "_handle", taken)
        tasks = [asyncio.create_task(mortal.live(answers_about(name))) for name in names]
        async with asyncio.timeout(60):
            while len(in_hand) < len(tasks):
                await asyncio.sleep(0.01)
        await asyncio.sleep(1.0)
        assert not mortal.said().keys() & {*names}
        now[0] += session / 2
        pulse._note()
        mortal.worker._app.era += 1  # as when the group gives out its partitions anew
        for task in tasks:
            with pytest.raises(MovedError):
                await task
        now[0] += session / 2
        pulse._note()
        assert await mortal.live(answers_about(names[0]))
        assert {*names} & mortal.said().keys() == {names[0]}


async def test_an_event_whose_partition_moved_is_not_acknowledged_and_ends_nothing() -> None:
    acknowledged: list[str] = []

    class Events:
        """As a stream of Faust."""

        def noack(self) -> "Events":
            return self

        async def events(self) -> AsyncIterator[Any]:
            for key in (b"moved", b"mine"):
                message = SimpleNamespace(key=key, headers={})
                name = key.decode()
                yield SimpleNamespace(message=message, ack=partial(acknowledged.append, name))

    async def handle(event: Any) -> None:
        if event.message.key == b"moved":
            raise MovedError("partitions have moved")

    drain = Drain()
    await drain.consume(Events(), handle)
    assert acknowledged == ["mine"]
    assert not drain.failure.done()
    assert drain.progress.in_hand == 0


async def test_partitions_dont_wait_for_each_other_and_each_keeps_its_order(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked, written = asyncio.Event(), []

    async with mortal_of(settings, monkeypatch) as mortal:
        real = Publisher.send

        async def send(publisher: Publisher, topic: str, *arguments: Any, **more: Any) -> Any:
            partition = more.get("partition")
            if partition == PARTITION:
                await blocked.wait()
            written.append((partition, topic))
            return await real(publisher, topic, *arguments, **more)

        monkeypatch.setattr(Publisher, "send", send)
        answers = answers_about(f"v{next(NUMBERS)}")
        slow = [mortal.delivered(event, offset) for offset, event in enumerate(answers)]
        quick = mortal.delivered(answer(0, request_id="4-1-1", video_id="quick"), 0)
        quick.message.partition = 4
        waiting = [asyncio.create_task(mortal.worker._handle(event)) for event in slow]
        await asyncio.wait_for(mortal.worker._handle(quick), 20)
        assert written == [(4, CHANGELOG)]
        blocked.set()
        await asyncio.gather(*waiting)
    states = [where for where in written if where == (PARTITION, CHANGELOG)]
    assert len(states) == 3, "one answer, what is pending, decided"
    assert written[-1] == states[-1]
