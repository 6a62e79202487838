"""Uploads of one video take their turns; others don't wait for them."""

import asyncio

import pytest

from stream.agents.turns import Turns


async def test_who_comes_later_waits_and_others_do_not() -> None:
    turns, said = Turns(), []
    first_may_end = asyncio.Event()

    async def work(name: str, number: int, until: asyncio.Event | None = None) -> None:
        async with turns.queued(name) as turn:
            if until is not None:
                await until.wait()
            await turn.come()
            said.append((name, number))

    tasks = [
        asyncio.create_task(work("a", 1, first_may_end)),
        asyncio.create_task(work("a", 2)),
        asyncio.create_task(work("a", 3)),
        asyncio.create_task(work("b", 1)),
    ]
    await asyncio.wait([tasks[3]])
    assert said == [("b", 1)]
    first_may_end.set()
    await asyncio.gather(*tasks)
    assert said == [("b", 1), ("a", 1), ("a", 2), ("a", 3)]
    assert turns._last == {}


@pytest.mark.timed
async def test_one_that_fails_gives_up_its_turn() -> None:
    turns = Turns()
    with pytest.raises(ValueError, match="broken"):
        async with turns.queued("a"):
            raise ValueError("broken")
    async with turns.queued("a") as turn:
        await asyncio.wait_for(turn.come(), 1)
