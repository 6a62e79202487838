"""Work that is done once for all who wait for it, whoever of them goes away."""

import asyncio

import pytest

from stream.console.web.matches import BusyError
from stream.console.web.shared_work import SharedWork


async def test_it_is_done_once_for_all_who_wait_and_again_for_who_comes_later() -> None:
    shared, go, begun = SharedWork[int]("test"), asyncio.Event(), 0

    async def work() -> int:
        nonlocal begun
        begun += 1
        await go.wait()
        return begun

    waiting = [asyncio.create_task(shared.once("a", work)) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()  # also who began it
    go.set()
    assert await asyncio.gather(*waiting[1:]) == [1, 1]
    with pytest.raises(asyncio.CancelledError):
        await waiting[0]
    assert await shared.once("a", work) == 2


async def test_all_who_wait_are_told_of_a_failure_and_the_next_tries_again() -> None:
    shared = SharedWork[int]("test")

    async def fail() -> int:
        await asyncio.sleep(0)
        raise OSError("away")

    async def work() -> int:
        return 7

    told = await asyncio.gather(
        shared.once("a", fail), shared.once("a", work), return_exceptions=True
    )
    assert [type(each) for each in told] == [OSError, OSError]
    assert await shared.once("a", work) == 7


async def test_one_piece_too_many_is_refused_but_who_asks_for_a_known_one_waits() -> None:
    shared, go = SharedWork[int]("test", most=1, full="try again"), asyncio.Event()

    async def work() -> int:
        await go.wait()
        return 1

    first = asyncio.create_task(shared.once("a", work))
    await asyncio.sleep(0)
    with pytest.raises(BusyError, match="try again"):
        await shared.once("b", work)
    second = asyncio.create_task(shared.once("a", work))
    go.set()
    assert [await first, await second] == [1, 1]
    assert await shared.once("b", work) == 1
