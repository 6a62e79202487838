"""The demo as a client: what it submits and reads through a broker, and when it stops waiting."""

import asyncio
import io
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from stream.broker.client import Reader, send
from stream.broker.embedded import embedded_kafka
from stream.broker.settings import KafkaSettings
from stream.contract.events import (
    EVENTS,
    Event,
    VideoCompared,
    VideoDecided,
    VideoFingerprinted,
    VideoRejected,
    VideoUploaded,
)
from stream.demo import client as client_module
from stream.demo.client import OUTCOME_TOPICS, Client
from stream.demo.clips import Drawing
from stream.demo.demo_set import DemoSet
from stream.demo.footage import FootageError
from stream.demo.run import run_demo
from stream.demo.screen import DemoScreen
from stream.errors import SettingsError
from stream.settings import Settings
from stream.times import now


@pytest.fixture
def kafka() -> Iterator[KafkaSettings]:
    with embedded_kafka(KafkaSettings(topic_prefix="t.")) as settings:
        yield settings


@pytest.fixture
def screen() -> DemoScreen:
    shown = DemoScreen(Console(file=io.StringIO(), width=120))
    shown.show(VideoUploaded(video_id="u", uri="file:///u", owner_id="o"))
    return shown


def publish(kafka: KafkaSettings, *events: Event) -> None:
    for event in events:
        send(kafka, event.topic, [(event.key(), event.to_bytes(), [])])


def rejection() -> tuple[VideoRejected, VideoDecided]:
    letter = VideoRejected(
        video_id="u", error="corrupt", message="no index", source_topic="video.uploaded",
        source_partition=0, source_offset=0, attempts=1, request_id="1", rejected_at=now(),
    )  # fmt: skip
    decision = VideoDecided(
        video_id="u", content_version=1, outcome="rejected", alert_ids=[], reason="corrupt",
        decided_at=now(), request_id="1", stage_seconds={},
    )  # fmt: skip
    return letter, decision


def test_every_topic_but_the_clients_own_and_those_of_policy_and_probes_is_followed() -> None:
    unused = {"alert.reviewed", "alert.suppressed", "policy.updated"}  # all owners differ
    unused |= {topic for topic in EVENTS if topic.startswith("probe.")}
    assert {*OUTCOME_TOPICS} == EVENTS.keys() - {"video.uploaded"} - unused


def client_of(
    kafka: KafkaSettings,
    reader: Reader,
    screen: DemoScreen,
    clips: Drawing | None = None,
    failure: asyncio.Future[None] | None = None,
) -> Client:
    return Client(
        Settings(kafka=kafka),
        clips or Drawing(DemoSet([], [], {}), {}),
        reader,
        screen,
        failure or asyncio.get_running_loop().create_future(),
    )


async def test_following_ends_with_the_last_answer(
    kafka: KafkaSettings, screen: DemoScreen
) -> None:
    with Reader(kafka, *OUTCOME_TOPICS) as reader:
        await asyncio.to_thread(publish, kafka, *rejection())
        client = client_of(kafka, reader, screen)
        assert await asyncio.wait_for(client.follow(screen.tally.complete), 20)
    assert screen.tally.complete()


async def test_following_gives_up_when_nothing_happens(
    kafka: KafkaSettings, screen: DemoScreen
) -> None:
    with Reader(kafka, *OUTCOME_TOPICS) as reader:
        client = client_of(kafka, reader, screen)
        assert client.patience_seconds > 900  # what the service itself may take for one video
        client.patience_seconds = 0.5
        assert not await client.follow(screen.tally.complete)
    assert screen.tally.unanswered() == ["u"]


async def test_videos_that_get_drawn_are_progress(
    kafka: KafkaSettings, screen: DemoScreen, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = [0.0]
    monkeypatch.setattr(client_module, "time", SimpleNamespace(monotonic=lambda: seconds[0]))
    futures: dict[Path, Future[None]] = {Path(f"{number}.mp4"): Future() for number in range(4)}
    clips = Drawing(DemoSet([], [], {}), futures)

    def draw() -> None:
        for future in futures.values():
            time.sleep(0.1)  # in which the client looks
            seconds[0] += 0.9
            future.set_result(None)

    with Reader(kafka, *OUTCOME_TOPICS) as reader:
        client = client_of(kafka, reader, screen, clips)
        client.patience_seconds = 1.0
        thread = threading.Thread(target=draw)
        thread.start()
        assert await client.follow(futures[Path("3.mp4")].done)
        thread.join()
        await client.read()
    assert screen.drawn == (4, 4)


async def test_a_worker_that_fails_ends_the_demo(kafka: KafkaSettings, screen: DemoScreen) -> None:
    failure = asyncio.get_running_loop().create_future()
    failure.set_exception(RuntimeError("a bug"))
    with Reader(kafka, *OUTCOME_TOPICS) as reader, pytest.raises(RuntimeError, match="a bug"):
        client = client_of(kafka, reader, screen, failure=failure)
        await client.follow(screen.tally.complete)


async def test_a_video_that_cannot_be_drawn_ends_the_demo(
    kafka: KafkaSettings, screen: DemoScreen
) -> None:
    path, future = Path("r.mp4"), Future[None]()
    future.set_exception(FootageError("can't write r.mp4: no space"))
    clips = Drawing(DemoSet([path], [], {}), {path: future})
    with Reader(kafka, *OUTCOME_TOPICS) as reader, pytest.raises(FootageError, match="no space"):
        await client_of(kafka, reader, screen, clips).submit_all()


def answers(upload: VideoUploaded) -> list[Event]:
    """What the service says of a video that is whole, its fingerprint first."""
    video_id = upload.video_id
    fingerprint = VideoFingerprinted(
        video_id=video_id, content_version=1, owner_id="o", role="upload", request_id=video_id,
        model_version="m", duration_seconds=3.0, dimension=4, key_frame_seconds="", descriptors="",
    )  # fmt: skip
    answer = VideoCompared(
        video_id=video_id, content_version=1, owner_id="o", role="upload", request_id=video_id,
        model_version="m", shard=0, shards=1, library_offset=0, matches=[],
    )  # fmt: skip
    decision = VideoDecided(
        video_id=video_id, content_version=1, outcome="clear", alert_ids=[], reason="",
        decided_at=now(), request_id=video_id, stage_seconds={},
    )  # fmt: skip
    return [fingerprint, answer, decision]


async def test_a_video_is_submitted_when_the_log_has_the_one_before_it(
    kafka: KafkaSettings, tmp_path: Path
) -> None:
    names = [f"{number}.mp4" for number in (3, 1, 2)]
    for name in names:
        (tmp_path / name).touch()
    references, uploads = [tmp_path / names[0]], [tmp_path / name for name in names[1:]]
    said: list[str] = []

    def serve() -> None:
        """A slow service, that decides only when all videos are in the log."""
        late: list[Event] = []
        with Reader(kafka, "video.uploaded") as reader:
            while len(said) < 2 * len(names):
                found = reader.poll(0.1)
                if found is None:
                    continue
                upload = VideoUploaded.from_bytes(found[1].value())
                said.append(f"submitted {upload.video_id}")
                time.sleep(0.3)
                said.append(f"logged {upload.video_id}")
                first, *rest = answers(upload)
                late += rest
                publish(kafka, first, *(rest if upload.role == "reference" else ()))
            publish(kafka, *late)

    service = threading.Thread(target=serve)
    service.start()
    screen = DemoScreen(Console(file=io.StringIO(), width=120))
    with Reader(kafka, *OUTCOME_TOPICS) as reader:
        client = client_of(kafka, reader, screen, Drawing(DemoSet(references, uploads, {}), {}))
        assert await asyncio.wait_for(client.submit_all(), 60)
    service.join()
    assert said == [f"{what} {number}" for number in (3, 1, 2) for what in ("submitted", "logged")]


def test_a_folder_without_videos_is_refused_before_anything_starts(tmp_path: Path) -> None:
    console = Console(file=io.StringIO())
    with pytest.raises(SettingsError, match="no video in"):
        run_demo(Settings(), tmp_path, console)
    assert isinstance(console.file, io.StringIO)
    assert "broker" not in console.file.getvalue()
