"""A worker doesn't keep the memory of events that it has read."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="another C library has other habits"
)

READS = """
import asyncio, os, sys
import psutil

given = []

async def stays(*arguments):
    await asyncio.sleep(600)

async def until(times):
    while len(given) < times:
        await asyncio.sleep(0.01)

def take(count, size):
    events, kept = [], []
    for _ in range(count):
        event = b"x" * size
        del event  # glibc has seen one of this size, and makes the next from its heap
        events.append(b"x" * size)
        kept.append([bytes(600) for _ in range(4)])  # what is known afterwards
    return kept

async def grown(worker):
    if worker:
        import stream.agents.run as run
        from stream.settings import Settings
        run._run, run.MEMORY_BACK_EVERY_SECONDS = stays, 0.2
        give, run.give_free_pages_back = run.give_free_pages_back, lambda: given.append(give())
        working = asyncio.create_task(run.run_until_stopped(Settings(), ["decide"], None, print))
        await until(1)
    before = psutil.Process().memory_info().rss
    kept = [take(5, 12_000_000), take(500, 100_000)]
    if worker:
        await until(len(given) + 2)  # one of them may have begun before
    return psutil.Process().memory_info().rss - before

print(asyncio.run(grown(sys.argv[1] == "worker")) // 2**20, flush=True)
os._exit(0)
"""


def grown_mib(what: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", READS, what],
        env={"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout.splitlines()[-1])


def test_a_worker_gives_back_what_large_and_small_events_took() -> None:
    assert grown_mib("worker") <= 8
    assert grown_mib("another process") >= 30, "the check sees what is kept"
