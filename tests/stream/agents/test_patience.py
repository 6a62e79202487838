"""An upload waits for what the machine lacks; one that never gets memory ends the worker."""

import errno
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import stream.agents.fingerprint as agent
from stream.agents.fingerprint import MEMORY_TRIES, FingerprintWorker
from stream.broker.settings import KafkaSettings
from stream.contract.events import Event
from stream.contract.message import Source
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
