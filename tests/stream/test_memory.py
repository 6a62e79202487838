"""A worker doesn't keep the memory of the largest events that it has read."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

GROWN = """
import asyncio
import psutil
import stream.agents.run as run
from stream.errors import BrokerError
from stream.settings import Settings

def no_broker(kafka):
    raise BrokerError("none here")

def grown():
    events, kept = [], []
    for megabytes in (12, 6, 12, 6, 12):
        event = bytes(range(256)) * 4096 * megabytes
        del event  # glibc has seen one of this size, and makes the next from its heap
        events.append(bytes(range(256)) * 4096 * megabytes)
        kept.append([bytes(600) for _ in range(100)])  # what is known afterwards
    return kept

run.look_at_topics = no_broker
if {worker}:
    try:
        asyncio.run(run.run_until_stopped(Settings(), ["decide"], None, print))
    except BrokerError:
        pass
before = psutil.Process().memory_info().rss
kept = grown()
print((psutil.Process().memory_info().rss - before) // 2**20)
"""


def grown_mib(*, worker: bool) -> int:
    done = subprocess.run(
        [sys.executable, "-c", GROWN.replace("{worker}", str(worker))],
        env={"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout.splitlines()[-1])


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries give it back")
def test_a_worker_gives_the_memory_of_large_events_back() -> None:
    assert grown_mib(worker=True) <= 4
    assert grown_mib(worker=False) >= 20, "the check sees what is kept"
