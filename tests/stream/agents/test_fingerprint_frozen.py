"""What another worker was given while this one was frozen, that one publishes."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stream.agents.faust_app import MovedError
from stream.agents.fingerprint import FingerprintWorker
from stream.agents.pulse import Pulse
from stream.broker.settings import KafkaSettings
from stream.contract.events import Event
from stream.contract.message import Source
from tests.stream.service import service_settings

SESSION_SECONDS = 30.0
UPLOAD = SimpleNamespace(
    message=SimpleNamespace(
        topic="video.uploaded", partition=3, offset=7, timestamp=1.0, headers={}, key=b"v",
        value=b'{"video_id":"v"}',
    )
)  # fmt: skip


class Frozen:
    """A worker connected to nothing, whose uploads take until `go`, and its clock."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.worker, self.now = FingerprintWorker(service_settings(KafkaSettings(), folder)), 100.0
        self.worker._pulse = Pulse(SESSION_SECONDS, lambda: self.now)
        self.worker._pulse._note()
        self.begun, self.go = asyncio.Event(), asyncio.Event()
        self.published: list[Source] = []

        async def made(source: Source) -> list[Event]:
            self.begun.set()
            await self.go.wait()
            return []

        async def publish(source: Source, outputs: list[Event]) -> None:
            self.published.append(source)

        monkeypatch.setattr(self.worker, "_made", made)
        monkeypatch.setattr(self.worker, "_publish", publish)

    async def begin(self) -> asyncio.Task[None]:
        """An upload is in hand."""
        task: asyncio.Task[None] = asyncio.create_task(self.worker._handle(UPLOAD))
        await self.begun.wait()
        return task


@pytest.fixture
async def frozen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    made = Frozen(tmp_path, monkeypatch)
    yield made
    made.worker._fingerprinter.close()
    made.worker._threads.shutdown()


@pytest.mark.parametrize("first", ["the upload is ready", "the group tells"])
async def test_an_upload_in_hand_at_a_freeze_is_published_by_whoever_has_it_then(
    frozen: Frozen, first: str
) -> None:
    task = await frozen.begin()
    frozen.now += SESSION_SECONDS
    if first == "the group tells":
        frozen.worker._app.era += 1
        frozen.go.set()
    else:
        frozen.go.set()
        done, _ = await asyncio.wait([task], timeout=0.5)
        assert (done, frozen.published) == (set(), []), "it isn't known whose it is"
        frozen.worker._app.era += 1
    with pytest.raises(MovedError):
        await asyncio.wait_for(task, 10)
    assert frozen.published == []


async def test_one_that_stays_here_is_published_when_that_is_known(frozen: Frozen) -> None:
    task = await frozen.begin()
    frozen.now += SESSION_SECONDS
    frozen.go.set()
    await asyncio.wait([task], timeout=0.3)
    frozen.now += SESSION_SECONDS / 2
    frozen.worker._pulse._note()
    frozen.now += SESSION_SECONDS / 2
    await asyncio.wait_for(task, 10)
    assert len(frozen.published) == 1


async def test_partitions_that_move_without_a_freeze_keep_no_answer_back(frozen: Frozen) -> None:
    task = await frozen.begin()
    frozen.worker._app.era += 1
    frozen.go.set()
    await asyncio.wait_for(task, 10)
    assert len(frozen.published) == 1
