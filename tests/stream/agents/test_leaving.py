"""A process that has to end is gone in time, with its children, whatever hangs in it."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from stream.agents.lifetime import Deadline, crashed_tasks, gone_after, supervised, within
from stream.errors import WorkerError

HANGS = """
import subprocess, sys, threading, time
from stream.agents.leaving import Leaving
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
threading.Thread(target=time.sleep, args=(600,)).start()  # which Python would wait for
leaving = Leaving()
leaving.begin(7, 60.0)
leaving.begin(0, 0.5)  # sooner; the first code counts
leaving.begin(0, 60.0)
time.sleep(600)
"""


def test_a_process_that_hangs_is_gone_with_its_children_and_the_first_code() -> None:
    root = str(Path(__file__).parents[3])
    began = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-c", HANGS],
        env={"PYTHONPATH": root},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 7, err
    assert time.monotonic() - began < 55
    child = int(out)
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE
    assert "will be delivered again" in err


async def test_what_does_not_end_is_left_behind(caplog: pytest.LogCaptureFixture) -> None:
    async def deaf() -> None:
        for _ in range(3):
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                continue

    began = time.monotonic()
    task = asyncio.create_task(deaf())
    assert not await within(0.1, "leaving the group", task)
    assert time.monotonic() - began < 30
    assert "leaving the group took longer than 0.1 s" in caplog.text
    while not task.done():
        task.cancel()
        await asyncio.sleep(0)


async def test_what_fails_while_it_ends_is_a_line(caplog: pytest.LogCaptureFixture) -> None:
    async def fails() -> None:
        raise OSError("gone")

    assert await within(5, "disconnecting", fails())
    assert "disconnecting failed: OSError: gone" in caplog.text


def test_a_stop_has_time_for_events_and_time_to_leave() -> None:
    deadline = Deadline(30.0)
    assert 23 < deadline.for_events() < 24.1
    assert 28 < deadline.for_closing() < 29.1
    short = Deadline(0.1)
    assert short.for_events() == pytest.approx(0.0, abs=0.1)
    assert short.for_closing() > 4
    assert (gone_after(30.0), gone_after(0.1)) == (30.0, 6.0)


async def test_a_task_that_crashed_is_found_in_a_client() -> None:
    async def breaks() -> None:
        raise ValueError("broken")

    class Part:
        def __init__(self) -> None:
            self._fetch_task = asyncio.create_task(breaks())
            self._other = asyncio.create_task(asyncio.sleep(60))

    class Client:
        def __init__(self) -> None:
            self._fetcher = Part()

    client = Client()
    assert list(crashed_tasks(client)) == []
    await asyncio.sleep(0.01)
    [(name, error)] = crashed_tasks(client)
    assert (name, str(error)) == ("fetch_task", "broken")
    client._fetcher._other.cancel()


async def test_a_task_that_was_cancelled_is_no_crash(caplog: pytest.LogCaptureFixture) -> None:
    failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def waits() -> None:
        await asyncio.sleep(60)

    async def breaks() -> None:
        raise ValueError("broken")

    supervised(waits(), "waiting", failure).cancel()
    await asyncio.sleep(0.01)
    assert not failure.done()
    supervised(breaks(), "breaking", failure)
    with pytest.raises(WorkerError, match="breaking crashed: ValueError: broken"):
        await asyncio.wait_for(failure, 60)
    caplog.clear()  # an ERROR that was asked for
