"""The demo as a client: what it submits and reads through a broker, and when it stops waiting."""

import asyncio
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from stream.broker.embedded import embedded_kafka
from stream.broker.settings import KafkaSettings
from stream.client import Reader, send
from stream.demo.run import OUTCOME_TOPICS, follow, run_demo
from stream.demo.screen import DemoScreen
from stream.errors import SettingsError
from stream.events import EVENTS, Event, VideoDecided, VideoRejected, VideoUploaded
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


def test_every_topic_but_the_clients_own_and_those_of_policy_is_followed() -> None:
    unused = {"alert.reviewed", "alert.suppressed", "policy.updated"}  # all owners differ
    assert {*OUTCOME_TOPICS} == EVENTS.keys() - {"video.uploaded"} - unused


async def test_following_ends_with_the_last_answer(
    kafka: KafkaSettings, screen: DemoScreen
) -> None:
    failure = asyncio.get_running_loop().create_future()
    with Reader(kafka, *OUTCOME_TOPICS) as reader:
        await asyncio.to_thread(publish, kafka, *rejection())
        await asyncio.wait_for(follow(reader, screen, failure, patience_seconds=30), 20)
    assert screen.tally.complete()


async def test_following_gives_up_when_nothing_happens(
    kafka: KafkaSettings, screen: DemoScreen
) -> None:
    failure = asyncio.get_running_loop().create_future()
    with Reader(kafka, *OUTCOME_TOPICS) as reader:
        await follow(reader, screen, failure, patience_seconds=0.5)
    assert screen.tally.unanswered() == ["u"]


async def test_a_worker_that_fails_ends_the_demo(kafka: KafkaSettings, screen: DemoScreen) -> None:
    failure = asyncio.get_running_loop().create_future()
    failure.set_exception(RuntimeError("a bug"))
    with Reader(kafka, *OUTCOME_TOPICS) as reader, pytest.raises(RuntimeError, match="a bug"):
        await follow(reader, screen, failure, patience_seconds=30)


def test_a_folder_without_videos_is_refused_before_anything_starts(tmp_path: Path) -> None:
    console = Console(file=io.StringIO())
    with pytest.raises(SettingsError, match="no video in"):
        run_demo(Settings(), tmp_path, console)
    assert isinstance(console.file, io.StringIO)
    assert "broker" not in console.file.getvalue()
