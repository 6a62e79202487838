"""An upload that is cancelled while it is decoded gives its place up to the next one."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stream.agents.fingerprint import FingerprintWorker
from stream.agents.run import running_workers
from stream.broker.settings import KafkaSettings
from stream.contract.events import VideoUploaded
from stream.settings import Settings
from tests.stream.child_processes import children_of, runs, spooling_child
from tests.stream.service import Platform, eventually, service_settings, upload
from tests.stream.videos import make_long_video, make_video

pytestmark = pytest.mark.asyncio(loop_scope="module")
LIMIT_SECONDS = 60.0  # on a busy machine; what it waits for takes one or two


@pytest.fixture
def one_at_a_time(kafka: KafkaSettings, tmp_path: Path) -> Settings:
    """One slot, one child, and a folder for what it writes."""
    made = service_settings(
        kafka, tmp_path, fingerprint_concurrency=1, drain_seconds=0.1, session_timeout_seconds=6
    )
    decode = made.decode.model_copy(
        update={"spool_folder": tmp_path / "spools", "frames_per_second": 1.0}
    )
    (tmp_path / "spools").mkdir()
    return made.model_copy(update={"decode": decode})


@pytest.fixture
def short(tmp_path: Path) -> Path:
    return make_video(tmp_path / "short.mp4", count=250)


def at_work() -> set[threading.Thread]:
    """The threads that hold an upload."""
    return {thread for thread in threading.enumerate() if thread.name.startswith("fingerprint")}


def delivered(path: Path, offset: int) -> Any:
    """An upload of a file, as Faust gives it."""
    event = VideoUploaded(video_id=path.stem, uri=path.as_uri(), owner_id="o")
    message = SimpleNamespace(
        topic="t.video.uploaded", partition=0, offset=offset, timestamp=1_767_225_600.0,
        headers={}, key=event.key(), value=event.to_bytes(),
    )  # fmt: skip
    return SimpleNamespace(message=message)


@asynccontextmanager
async def worker_by_hand(settings: Settings) -> AsyncIterator[FingerprintWorker]:
    """All of a worker but its membership of the group."""
    worker = FingerprintWorker(settings)
    await worker._publisher.start()
    try:
        yield worker
    finally:
        await worker._publisher.stop()
        worker._fingerprinter.close()
        worker._threads.shutdown(wait=False, cancel_futures=True)


async def test_a_stopped_worker_ends_its_child_and_the_next_worker_has_the_place(
    one_at_a_time: Settings, short: Path, tmp_path: Path
) -> None:
    spools, before, threads = tmp_path / "spools", children_of(os.getpid()), at_work()
    film = make_long_video(tmp_path / "film.mp4", short, seconds=3600)
    with Platform(one_at_a_time.kafka) as platform:
        async with running_workers(one_at_a_time, ("fingerprint",)):
            await platform.submit(upload(film, "film"), upload(short, "behind"))
            child = await asyncio.to_thread(spooling_child, os.getpid(), spools, before)
        assert not runs(child)
        # What waited for the slot comes to its end too, one behind the other.
        await eventually(lambda: at_work() <= threads, LIMIT_SECONDS)
        assert list(spools.rglob("*.rgb")) == []
        async with worker_by_hand(one_at_a_time) as worker:
            await asyncio.wait_for(worker._handle(delivered(short, 1)), LIMIT_SECONDS)
        await platform.read_until(lambda: bool(platform.of("video.fingerprinted", "short")))
        assert platform.of("video.rejected", "film") == [], "the next worker of the group gets it"


async def test_a_cancelled_task_gives_up_its_turn_at_once_and_its_slot_behind_its_video(
    one_at_a_time: Settings, short: Path, tmp_path: Path
) -> None:
    before = children_of(os.getpid())
    film = make_long_video(tmp_path / "film.mp4", short, seconds=120)
    async with worker_by_hand(one_at_a_time) as worker:
        task = asyncio.create_task(worker._handle(delivered(film, 0)))
        child = await asyncio.to_thread(spooling_child, os.getpid(), tmp_path / "spools", before)
        # The same video once more, and another: one slot, one child, and both come through.
        again, other = delivered(film, 1), delivered(short, 2)
        handled = asyncio.gather(worker._handle(again), worker._handle(other))
        await asyncio.sleep(0.1)  # both stand in their queues
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(handled, LIMIT_SECONDS)
        assert runs(child), "nothing but a worker that closes ends a child at work"
