"""Text search with a real Kafka between all of it: submit, search, remove, kill, restore."""

import asyncio
import json
import os
import signal
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from stream.admin.takedown import take_down
from stream.agents.search_view import SearchFollower
from stream.contract.events import VideoEmbedded
from stream.failpoints import VARIABLE
from stream.fingerprint.embed import open_text_encoder
from stream.search.index import VectorIndex
from stream.search.query import text_query
from stream.settings import Settings
from tests.stream.cli.test_search import embedded
from tests.stream.command import SAMESOURCE, Command, Done, environment, publish
from tests.stream.fingerprint.test_embed import tinted_video
from tests.stream.service import Platform, eventually, running_service, upload
from tests.stream.text_video_pair import DIMENSION, VERSION

FILMS = {"film-red": ("red",) * 3, "film-green": ("green",) * 3, "mixed": ("red", "blue", "blue")}


@pytest.fixture
def variables(settings: Settings) -> dict[str, str]:
    """What tells the command of these settings."""
    return {
        **environment(settings.kafka),
        "SAMESOURCE_TEXT_VIDEO__PATH": str(settings.text_video.path),
        "SAMESOURCE_SEARCH__SNAPSHOT_FOLDER": str(settings.search.snapshot_folder),
        "SAMESOURCE_SEARCH__SNAPSHOT_EVERY_VIDEOS": "1",
        "SAMESOURCE_LIBRARY__SHARDS": "2",
    }


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], variables: dict[str, str]
) -> Command:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return Command(monkeypatch, capfd)


@pytest.fixture
async def platform(settings: Settings) -> AsyncIterator[Platform]:
    async with running_service(settings) as started:
        yield started


async def searched(command: Command, *arguments: str) -> dict[str, Any]:
    done: Done = await asyncio.to_thread(command, "search", *arguments, "--json")
    assert done.code == 0, done.err
    found: dict[str, Any] = json.loads(done.out)
    return found


def ids(found: dict[str, Any]) -> list[str]:
    return [hit["video_id"] for hit in found["hits"]]


def folders(settings: Settings) -> list[Path]:
    return sorted(path for path in settings.search.snapshot_folder.glob("*") if path.is_dir())


async def test_clips_are_submitted_found_removed_and_not_found_again(
    platform: Platform, command: Command, settings: Settings, tmp_path: Path
) -> None:
    for name, tints in FILMS.items():
        path = tinted_video(tmp_path / f"{name}.mp4", *tints, size=(320, 180))
        await platform.submit(upload(path, name, content_version=1))
    await platform.read_until(platform.has_decided(*FILMS))
    await platform.read_until(lambda: len(platform.answers["video.embedded"]) == len(FILMS))
    [event] = platform.of("video.embedded", "film-red")
    assert (event["model_version"], event["content_version"]) == (VERSION, 1)
    assert len(event["thumbnails"]) == 3
    [decided] = platform.of("video.decided", "film-red")
    assert decided["stage_seconds"]["embed"] > 0
    assert ids(await searched(command, "red")) == ["film-red", "mixed", "film-green"]
    assert ids(await searched(command, "绿", "-k", "1")) == ["film-green"]
    sheet = tmp_path / "sheet.png"
    await searched(command, "蓝", "--sheet", str(sheet))
    assert sheet.stat().st_size > 5000
    done = await asyncio.to_thread(command, "remove", "film-red", "--wait")
    assert done.code == 0, done.err
    assert ids(await searched(command, "red")) == ["mixed", "film-green"]
    path = tinted_video(tmp_path / "mixed.mp4", "green", "green", size=(320, 180))
    await platform.submit(upload(path, "mixed", content_version=2))
    # Its own, and that of the second version once more, behind what may still come of the first.
    await platform.read_until(lambda: len(platform.of("video.embedded", "mixed")) == 3)
    found = await searched(command, "green")
    assert min(hit["similarity"] for hit in found["hits"]) > 0.9
    assert sorted(ids(found)) == ["film-green", "mixed"]


@pytest.mark.parametrize("point", ["snapshot.before_rename", "snapshot.after_rename"])
async def test_a_search_that_is_killed_while_it_saves_leaves_a_whole_snapshot_or_the_one_before(
    settings: Settings, command: Command, variables: dict[str, str], point: str
) -> None:
    publish(settings.kafka, embedded("red", (1, 0, 0)), embedded("green", (0, 1, 0)))
    assert ids(await searched(command, "red")) == ["red", "green"]
    before = folders(settings)
    assert len(before) == 1
    publish(settings.kafka, embedded("blue", (0, 0, 1)), embedded("red", (0, 1, 0)))
    await asyncio.to_thread(take_down, settings.kafka, ["green"])
    process = await asyncio.create_subprocess_exec(
        SAMESOURCE, "search", "red", env={**os.environ, **variables, VARIABLE: point}
    )
    assert await process.wait() == -signal.SIGKILL
    whole = [path for path in folders(settings) if path.name.isdigit()]
    assert len(whole) == (1 if point.endswith("before_rename") else 2)
    found = await searched(command, "green")
    assert ids(found) == ["red", "blue"] and found["videos"] == 2
    assert not [path for path in folders(settings) if path.name.startswith(".")]


async def test_a_view_follows_and_a_restored_one_equals_one_that_read_everything(
    settings: Settings, tmp_path: Path
) -> None:
    encoder = open_text_encoder(settings.text_video)
    red = text_query(encoder, "red").vector

    def names(follower: SearchFollower) -> list[str]:
        [hits] = follower.view.search(red, 10)
        return [hit.video_id for hit in hits]

    publish(settings.kafka, *(embedded(f"v{n}", (1, 0, n)) for n in range(5)))
    follower = SearchFollower(settings, VERSION, DIMENSION)
    await follower.start()
    assert names(follower) == ["v0", "v1", "v2", "v3", "v4"]
    await asyncio.to_thread(publish, settings.kafka, embedded("late", (1, 0, 0)))
    await asyncio.to_thread(take_down, settings.kafka, ["v0"])
    await eventually(lambda: names(follower)[0] == "late")
    await eventually(lambda: "v0" not in names(follower))
    await follower.save(least=1)
    await follower.stop()
    await asyncio.to_thread(take_down, settings.kafka, ["v1"])
    other = settings.search.model_copy(update={"snapshot_folder": tmp_path / "other"})
    anew = settings.model_copy(update={"search": other})
    read = []
    for each in (settings, anew):
        again = SearchFollower(each, VERSION, DIMENSION)
        await again.start(follow=False)
        read.append(again.view.search(red, 10))
        await again.stop()
    assert read[0] == read[1]
    assert [hit.video_id for hit in read[0][0]] == ["late", "v2", "v3", "v4"]


async def test_a_topic_that_was_made_anew_is_read_from_its_start(
    settings: Settings, command: Command, caplog: pytest.LogCaptureFixture
) -> None:
    from confluent_kafka.admin import AdminClient

    from stream.broker.topics import create_topics

    publish(settings.kafka, embedded("red", (1, 0, 0)))
    assert ids(await searched(command, "red")) == ["red"]
    admin = AdminClient(settings.kafka.librdkafka_options())
    topic = settings.kafka.topic(VideoEmbedded.topic)
    await asyncio.to_thread(admin.delete_topics([topic])[topic].result, 10)
    while topic in (await asyncio.to_thread(admin.list_topics, timeout=10)).topics:
        await asyncio.sleep(0.1)
    await asyncio.to_thread(create_topics, settings.kafka)
    publish(settings.kafka, embedded("blue", (0, 0, 1)))
    assert ids(await searched(command, "red")) == ["blue"]
    assert "is foreign: its log_id" in caplog.text


async def test_a_takedown_does_not_wait_while_lists_are_made(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = threading.Event()

    def slow(_: VectorIndex) -> None:
        made.wait(180)  # longer than all that is waited for here

    follower = SearchFollower(settings, VERSION, DIMENSION)
    publish(settings.kafka, embedded("a", (1, 0, 0)), embedded("b", (1, 0, 0)))
    await follower.start()
    monkeypatch.setattr(VectorIndex, "maintain", slow)
    await asyncio.to_thread(publish, settings.kafka, embedded("c", (1, 0, 0)))
    await eventually(lambda: len(follower.view) == 3)
    await asyncio.to_thread(take_down, settings.kafka, ["a", "b"])
    await eventually(lambda: len(follower.view) == 1)
    await follower.save(least=1)
    assert folders(settings) == []
    made.set()
    await follower.save(least=1)
    assert len(folders(settings)) == 1
    await follower.stop()
