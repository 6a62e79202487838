"""Takedowns and versions keep the order of their submission, on a real Kafka, whoever is killed."""

import asyncio
import json
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from stream.agents.endpoints import HealthPage
from stream.agents.run import running_workers
from stream.agents.search_view import SearchFollower
from stream.broker.client import Reader
from stream.broker.topics import log_identity
from stream.contract.events import VideoEmbedded, VideoFingerprinted
from stream.contract.order import RESTATED_HEADER
from stream.failpoints import VARIABLE
from stream.library.run import NEVER
from stream.library.snapshot_reader import SnapshotReader
from stream.settings import Settings
from tests.kafka.test_topics import alter
from tests.stream.command import Command, environment, started
from tests.stream.service import Platform, make_film, running_service, upload
from tests.stream.text_video_pair import DIMENSION, VERSION
from tests.stream.videos import make_long_video, make_video

SHARDS = 2
WAIT_SECONDS = 120.0
VERSIONS = 6


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], settings: Settings
) -> Command:
    for name, value in variables(settings).items():
        monkeypatch.setenv(name, value)
    return Command(monkeypatch, capfd)


def variables(settings: Settings) -> dict[str, str]:
    """What tells a command, or a worker of its own process, of these settings."""
    return {
        **environment(settings.kafka),
        "SAMESOURCE_FETCH__ROOTS": json.dumps([str(root) for root in settings.fetch.roots]),
        "SAMESOURCE_DECODE__PROCESSES": "1",
        "SAMESOURCE_TEXT_VIDEO__PATH": str(settings.text_video.path),
        "SAMESOURCE_LIBRARY__SHARDS": str(SHARDS),
        "SAMESOURCE_LIBRARY__SNAPSHOT_FOLDER": str(settings.library.snapshot_folder),
        "SAMESOURCE_SEARCH__SNAPSHOT_FOLDER": str(settings.search.snapshot_folder),
        "SAMESOURCE_WORKER__DATA_FOLDER": str(settings.worker.data_folder) + "-outside",
    }


@contextmanager
def fingerprint_worker(settings: Settings, failpoint: str = "") -> Iterator[Any]:
    """In a process of its own, that dies at a point."""
    # One that dies hasn't told Kafka how far it was, however slowly it got to the point.
    commit = {"SAMESOURCE_WORKER__COMMIT_SECONDS": "60"} if failpoint else {}
    extra = {**variables(settings), **commit, VARIABLE: failpoint}
    with started(settings.kafka, "worker", "fingerprint", extra=extra) as process:
        yield process


async def dies(process: Any) -> None:
    assert await asyncio.to_thread(process.wait, WAIT_SECONDS) == -signal.SIGKILL


@dataclass(frozen=True)
class Message:
    """One message of a topic: its video, its version or None for a takedown."""

    video_id: str
    version: int | None
    restated: bool
    partition: int


def messages(settings: Settings, kind: type[VideoEmbedded] | type[VideoFingerprinted]) -> Any:
    """All that is on a topic, in order."""
    found = []
    with Reader(settings.kafka, kind.topic) as reader:
        for _, message in reader.until_now():
            value = message.value()
            headers = dict(message.headers() or [])
            found.append(
                Message(
                    (message.key() or b"").decode(),
                    None if value is None else json.loads(value)["content_version"],
                    RESTATED_HEADER in headers,
                    int(message.partition() or 0),
                )
            )
    return found


async def comes(settings: Settings, done: Callable[[Sequence[Message]], bool]) -> Any:
    """Read the library log again and again until it is so."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        found = await asyncio.to_thread(messages, settings, VideoFingerprinted)
        if done(found):
            return found
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.3)


async def searchable(settings: Settings, folder: Path) -> set[str]:
    """The videos that a search view finds which reads the topic from its start."""
    search = settings.search.model_copy(update={"snapshot_folder": folder})
    follower = SearchFollower(settings.model_copy(update={"search": search}), VERSION, DIMENSION)
    await follower.start(follow=False)
    numbers = follower.view.state.table.records["model"]
    found = {follower.view.state.table.video_id(n) for n, model in enumerate(numbers) if model >= 0}
    await follower.stop()
    return found


def holds(settings: Settings) -> dict[str, Any]:
    """The version that holds of each video, by the last snapshots."""
    log_id = log_identity(settings.kafka, VideoFingerprinted.topic)
    found = {}
    for shard in range(SHARDS):
        snapshot = SnapshotReader(settings.library, shard=shard, log_id=log_id).newest()
        for one in snapshot.state.held() if snapshot else ():
            if one.replaced_at == NEVER:
                found[one.entry.video_id] = one.entry.content_version
    return found


async def caught_up(page: HealthPage) -> None:
    """Wait until the workers have read what there is; they are ready a little before."""
    until = time.monotonic() + WAIT_SECONDS
    while True:
        problems = page.problems("ready")
        behind = [lag.messages for health in page.now() for lag in health.lags]
        if behind and not problems and not any(behind):
            return
        assert time.monotonic() < until, (problems, behind)
        await asyncio.sleep(0.1)


async def compact(settings: Settings, gone: Callable[[Sequence[Message]], bool]) -> None:
    """Let Kafka drop all but the last of each key, on both topics."""
    for topic in (VideoFingerprinted.topic, VideoEmbedded.topic):
        for key, value in {
            "min.compaction.lag.ms": "0", "min.cleanable.dirty.ratio": "0.01", "segment.ms": "500",
        }.items():  # fmt: skip
            await asyncio.to_thread(alter, settings.kafka, topic, key, value)
    await asyncio.sleep(1)
    with Platform(settings.kafka):
        await comes_compacted(settings, gone)


async def comes_compacted(settings: Settings, gone: Callable[[Sequence[Message]], bool]) -> None:
    from stream.admin.takedown import take_down

    deadline = time.monotonic() + WAIT_SECONDS
    while not gone(await asyncio.to_thread(messages, settings, VideoFingerprinted)):
        assert time.monotonic() < deadline
        await asyncio.to_thread(take_down, settings.kafka, ["nobody"])  # a segment must be full
        await asyncio.sleep(1)


async def test_a_removed_video_stays_away_when_its_killed_worker_sends_it_again(
    settings: Settings, command: Command, tmp_path: Path
) -> None:
    film = make_film(tmp_path / "film.mp4")
    async with running_service(settings, ("library", "decide")) as platform:
        await platform.submit(upload(film, "film"), key="film")
        with fingerprint_worker(settings, "fingerprint.after_produce") as worker:
            await dies(worker)
        await platform.read_until(platform.has_decided("film"), WAIT_SECONDS)
        done = await asyncio.to_thread(command, "remove", "--wait", "film")
        assert (done.code, done.out) == (0, "1 taken down\nall 2 shards have taken it in\n")
        assert await searchable(settings, tmp_path / "view-1") == set()
        with fingerprint_worker(settings):
            log = await comes(settings, lambda found: any(one.restated for one in found))
            assert [(one.version, one.restated) for one in log] == [
                (1, False), (None, False), (1, False), (None, True),
            ]  # fmt: skip
            await platform.submit(upload(film, "copy"), key="copy")
            await platform.read_until(platform.has_decided("copy"), WAIT_SECONDS)
        (decision,) = platform.of("video.decided", "copy")
        assert decision["outcome"] == "clear"
        assert len(platform.of("video.decided", "film")) == 1
        assert await searchable(settings, tmp_path / "view-2") == {"copy"}
        embedded = await asyncio.to_thread(messages, settings, VideoEmbedded)
        (partition,) = {one.partition for one in embedded if one.video_id == "film"}
        last = [one for one in embedded if one.partition == partition and one.video_id == "film"]
        assert (last[-1].version, last[-1].restated) == (None, True)
    assert await asyncio.to_thread(holds, settings) == {"copy": 1}
    shutil.rmtree(settings.library.snapshot_folder)
    await compact(settings, lambda found: found[0].version is None)
    async with running_service(settings, ("library", "decide")) as platform:
        with fingerprint_worker(settings):
            await platform.submit(upload(film, "again"), key="again")
            await platform.read_until(platform.has_decided("again"), WAIT_SECONDS)
            (alert,) = platform.of("alert.raised", "again")
            assert alert["reference_id"] == "copy"
            await platform.submit(upload(film, "film"), key="film")  # a new video
            await platform.read_until(platform.has_decided("film", times=2), WAIT_SECONDS)
        found = await asyncio.to_thread(command, "library", "verify")
        assert found.code == 0, found.out
    assert (await asyncio.to_thread(holds, settings)).keys() == {"copy", "again", "film"}
    assert await searchable(settings, tmp_path / "view-3") == {"copy", "again", "film"}


async def test_a_takedown_also_holds_for_an_upload_that_is_still_on_its_way(
    settings: Settings, command: Command, tmp_path: Path
) -> None:
    film = make_film(tmp_path / "film.mp4")
    async with running_service(settings, ("library", "decide")) as platform:
        await platform.submit(upload(film, "film"), key="film")
        done = await asyncio.to_thread(command, "remove", "--wait", "film")
        assert done.code == 0, done.err
        assert "also for an upload of it that is still on its way" in done.err.replace("\n", " ")
        with fingerprint_worker(settings):
            await platform.read_until(platform.has_decided("film"), WAIT_SECONDS)
            await comes(settings, lambda found: any(one.restated for one in found))
        assert platform.of("video.decided", "film")[0]["outcome"] == "clear"
        assert await searchable(settings, tmp_path / "view-1") == set()
    assert await asyncio.to_thread(holds, settings) == {}


async def test_a_long_first_and_a_short_second_version_stay_in_their_order(
    settings: Settings, tmp_path: Path
) -> None:
    short = make_film(tmp_path / "short.mp4")
    one = make_video(tmp_path / "one.mp4", count=250)
    long = make_long_video(tmp_path / "long.mp4", one, 40)
    ids = [f"film-{number}" for number in range(VERSIONS)]
    async with running_service(settings) as platform:
        for video_id in ids:
            versions = (upload(long, video_id), upload(short, video_id, content_version=2))
            await platform.submit(*versions, key=video_id)
        await platform.read_until(platform.has_decided(*ids, times=2), 3 * WAIT_SECONDS)
    log = await asyncio.to_thread(messages, settings, VideoFingerprinted)
    order = {video_id: [one.version for one in log if one.video_id == video_id] for video_id in ids}
    assert order == dict.fromkeys(ids, [1, 2])
    assert await asyncio.to_thread(holds, settings) == dict.fromkeys(ids, 2)


async def test_an_older_version_that_a_killed_worker_sends_again_never_holds(
    settings: Settings, command: Command, tmp_path: Path
) -> None:
    film = make_film(tmp_path / "film.mp4")
    second = make_film(tmp_path / "second.mp4")
    async with running_service(settings, ("library", "decide")) as platform:
        await platform.submit(upload(film, "film"), key="film")
        await platform.submit(upload(second, "film", content_version=2), key="film")
        with fingerprint_worker(settings, "fingerprint.after_produce=2") as worker:
            await dies(worker)
        await platform.read_until(platform.has_decided("film", times=2), WAIT_SECONDS)
        second.unlink()  # the platform deletes it: the second try of version 2 is rejected
        with fingerprint_worker(settings):
            log = await comes(settings, lambda found: any(one.restated for one in found))
            await platform.read_until(
                lambda: len(platform.of("video.rejected", "film")) == 1, WAIT_SECONDS
            )
        assert [(one.version, one.restated) for one in log] == [
            (1, False), (2, False), (1, False), (2, True),
        ]  # fmt: skip
        decided = Counter(one["request_id"] for one in platform.of("video.decided", "film"))
        assert sorted(decided.values()) == [1, 1]
        embedded = await asyncio.to_thread(messages, settings, VideoEmbedded)
        assert [(one.version, one.restated) for one in embedded] == [
            (1, False), (2, False), (2, True), (1, False), (2, True),
        ]  # fmt: skip
    assert await asyncio.to_thread(holds, settings) == {"film": 2}
    shutil.rmtree(settings.library.snapshot_folder)
    await compact(settings, lambda found: [one.version for one in found[:1]] == [2])
    page = HealthPage(settings.worker)
    async with running_workers(settings, ("library",), page=page):
        found = await asyncio.to_thread(command, "library", "verify")
        assert found.code == 0, found.out
        await caught_up(page)  # `verify` reads the log by itself
    assert await asyncio.to_thread(holds, settings) == {"film": 2}
