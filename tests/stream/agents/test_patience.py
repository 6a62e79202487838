"""An upload waits for what the machine lacks, and for its place; what becomes of it then."""

import asyncio
import errno
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

import stream.agents.fingerprint as agent
from stream.agents.faust_app import MovedError
from stream.agents.fingerprint import MEMORY_TRIES, FingerprintWorker
from stream.broker.settings import KafkaSettings
from stream.contract.events import Event
from stream.contract.message import Source
from stream.errors import NoPermitError
from stream.fetch.permits import LargeDownloads, Permit
from tests.stream.service import service_settings

SOURCE = Source("video.uploaded", 3, 7, 1000, b'{"video_id":"v"}')
FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
async def worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[FingerprintWorker]:
    """Connected to nothing, and hardly pausing."""
    monkeypatch.setattr(agent, "FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(agent, "LONGEST_PAUSE_SECONDS", 0.001)
    worker = FingerprintWorker(service_settings(KafkaSettings(), tmp_path))
    yield worker
    worker._fingerprinter.close()
    worker._threads.shutdown()


def lacking(monkeypatch: pytest.MonkeyPatch, *errors: Exception) -> list[Exception]:
    """Let the step raise each in turn, then succeed; what is left of them."""
    left = [*errors]

    def step(*_: object) -> list[Event]:
        if left:
            raise left.pop(0)
        return []

    monkeypatch.setattr(agent, "fingerprint_step", step)
    return left


async def test_a_passing_lack_of_memory_is_waited_for(
    worker: FingerprintWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = lacking(monkeypatch, *[FULL] * 9, *[MemoryError()] * (MEMORY_TRIES - 1), *[FULL] * 9)
    assert await worker._patiently(SOURCE) == []
    assert left == []


async def test_a_lack_of_memory_that_stays_ends_the_worker(
    worker: FingerprintWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    lacking(monkeypatch, *[MemoryError()] * MEMORY_TRIES)
    with pytest.raises(MemoryError):
        await worker._patiently(SOURCE)


@pytest.mark.parametrize("why", ["partitions move", "it stops"])
async def test_what_has_not_begun_is_left_to_whoever_gets_it_again_when(
    why: str, worker: FingerprintWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker._at_work, worker._large = asyncio.Semaphore(1), LargeDownloads(0, 0)
    begun, go = list[int](), asyncio.Event()

    async def patiently(source: Source, permit: Permit) -> list[Event]:
        begun.append(source.offset)
        if source.offset == 0:
            raise NoPermitError
        await go.wait()
        return []

    monkeypatch.setattr(worker, "_patiently", patiently)
    tasks = [asyncio.create_task(worker._made(replace(SOURCE, offset=n))) for n in range(4)]
    await asyncio.wait(tasks, timeout=0.1)
    if why == "it stops":
        worker._drain.draining = True
    else:
        worker._app.era += 1
    go.set()
    results = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)
    assert [type(result) for result in results] == [MovedError, list, MovedError, MovedError]
    assert begun == [0, 1]
