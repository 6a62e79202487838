"""An event loop in a thread of its own."""

import asyncio
import threading

import pytest

from stream.console.web.own_loop import OwnLoop


async def test_what_it_runs_answers_fails_and_is_cancelled_as_if_it_were_here() -> None:
    loop, ended = OwnLoop("own", 1), threading.Event()

    async def thread() -> str:
        return threading.current_thread().name

    async def fails() -> None:
        raise ValueError("why")

    async def lasts() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    assert await loop.run(thread()) == "own"
    with pytest.raises(ValueError, match="why"):
        await loop.run(fails())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(loop.run(lasts()), 0.1)
    assert await asyncio.to_thread(ended.wait, 30)
    ended.clear()
    waiting = asyncio.ensure_future(loop.run(lasts()))
    await asyncio.sleep(0.1)
    await asyncio.to_thread(loop.close)
    assert ended.is_set()
    with pytest.raises(asyncio.CancelledError):
        await waiting


def test_one_that_never_ran_is_closed_at_once() -> None:
    OwnLoop("own", 1).close()
