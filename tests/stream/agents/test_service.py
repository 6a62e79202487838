"""The agents together, in one event loop: each upload gets its one answer, whatever it holds."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from stream.admin.upload_story import story_of
from stream.broker.client import Reader
from stream.broker.embedded import embedded_kafka
from stream.broker.settings import KafkaSettings
from stream.contract.events import VideoFingerprinted, VideoUploaded
from stream.errors import ErrorCode
from stream.fingerprint.fingerprinter import Fingerprinter
from stream.settings import Settings
from tests.stream.service import Platform, make_film, running_service, service_settings, upload
from tests.stream.videos import make_audio, make_video, truncate

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("agents")


@pytest.fixture(scope="module")
def settings(folder: Path) -> Iterator[Settings]:
    with embedded_kafka(KafkaSettings(topic_prefix="t.")) as kafka:
        yield service_settings(kafka, folder)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def platform(settings: Settings) -> AsyncIterator[Platform]:
    """One service for the tests of this file; each takes video ids of its own."""
    async with running_service(settings) as client:
        yield client


@pytest.fixture(scope="module")
def good(folder: Path) -> Path:
    return make_video(folder / "good.mp4", count=75)


async def test_each_upload_gets_one_decision_a_fingerprint_and_an_embedding(
    platform: Platform, good: Path
) -> None:
    names = [f"one-{number}" for number in range(6)]
    for name in names:
        await platform.submit(upload(good, name), key=name)
    await platform.read_until(platform.has_decided(*names))
    await platform.read(0.5)
    for name in names:
        for topic in ("video.decided", "video.fingerprinted", "video.embedded"):
            assert len(platform.of(topic, name)) == 1, (topic, name)
        assert len(platform.of("video.compared", name)) == 2, "one answer of each shard"


async def test_the_story_of_an_upload_tells_each_of_its_messages(
    platform: Platform, settings: Settings, folder: Path, good: Path
) -> None:
    await platform.submit(upload(good, "told"), upload(folder / "gone.mp4", "gone"), key="told")
    await platform.read_until(platform.has_decided("told", "gone"))

    async def story(video_id: str) -> list[str]:
        read = partial(story_of, settings.kafka, video_id, since_ms=0, timeout_seconds=60.0)
        found = await asyncio.to_thread(read)
        assert found.complete
        assert found.open_request() is None
        return [moment.what for moment in found.moments]

    answers = ["answered"] * 2
    way = ["submitted", "embedded", "fingerprinted", *answers, "decided"]
    assert await story("told") == way
    assert await story("gone") == ["submitted", "rejected", "decided"]


async def test_an_upload_seen_twice_is_answered_twice_alike_and_is_in_the_library_once(
    platform: Platform, folder: Path
) -> None:
    film = make_film(folder / "film.mp4")
    await platform.submit(upload(film, "film", role="reference"))
    await platform.read_until(platform.has_decided("film"))
    await platform.submit(upload(film, "copy"), upload(film, "copy"))
    await platform.read_until(platform.has_decided("copy", times=2))
    first, second = platform.of("video.decided", "copy")
    assert first["outcome"] == second["outcome"] == "matched"
    assert first["alert_ids"] == second["alert_ids"] != []
    assert first["request_id"] != second["request_id"]
    await platform.submit(upload(film, "late"))
    await platform.read_until(platform.has_decided("late"))
    await platform.read(0.5)
    found = sorted(alert["reference_id"] for alert in platform.of("alert.raised", "late"))
    assert found == ["copy", "film"], "each once"


def text(path: Path) -> None:
    path.write_text("this is no video\n" * 100)


def truncated(path: Path) -> None:
    truncate(make_video(path, count=75), 0.5)


def black(path: Path, **more: Any) -> None:
    make_video(path, draw=lambda _, width, height: np.zeros((height, width, 3), np.uint8), **more)


def huge(path: Path) -> None:
    black(path, count=1, size=(4112, 2304), options={"preset": "ultrafast"})


def nothing(path: Path) -> None:
    assert not path.exists()


BAD_FILES: dict[str, tuple[Callable[[Path], Any], ErrorCode, str]] = {
    "absent": (nothing, "not_found", "absent.mp4"),
    "folder": (Path.mkdir, "not_found", "folder.mp4"),
    "empty": (Path.touch, "corrupt", ""),
    "text": (text, "corrupt", ""),
    "truncated": (truncated, "corrupt", ""),
    "sound": (make_audio, "no_video", ""),
    "black": (black, "no_video", "blank"),
    "huge": (huge, "too_large", "4112"),
}
BAD_EVENTS: dict[str, tuple[dict[str, Any], ErrorCode, str]] = {
    "fieldless": ({}, "bad_event", "uri: Field required"),
    "number": ({"uri": 5}, "bad_event", "uri: "),
    "outside": ({"uri": "file:///etc/hostname"}, "forbidden_uri", "fetch.roots"),
    "scheme": ({"uri": "ftp://host/a.mp4"}, "forbidden_uri", "'ftp'"),
    "inside": ({"uri": "http://127.0.0.1/a.mp4"}, "forbidden_uri", "127.0.0.1"),
}
NAMELESS: dict[bytes, dict[str, Any]] = {
    b"this is not JSON": {"event_base64": "dGhpcyBpcyBub3QgSlNPTg=="},
    b'"\xff"': {"event_base64": "Iv8i"},
    b"": {"event_base64": ""},
    b"[1, 2]": {"event": [1, 2]},
    b'{"video_id": 5}': {"event": {"video_id": 5}},
    b"null": {"event_base64": "bnVsbA=="},
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def answered(platform: Platform, folder: Path, good: Path) -> Platform:
    """All kinds of bad input have been submitted, a good upload behind each, and are answered."""
    names = [*BAD_FILES, *BAD_EVENTS]
    for name, (make, *_) in BAD_FILES.items():
        await asyncio.to_thread(make, folder / f"{name}.mp4")
    bad = [upload(folder / f"{name}.mp4", name) for name in BAD_FILES]
    bad += [{"video_id": name, "owner_id": "o", **BAD_EVENTS[name][0]} for name in BAD_EVENTS]
    for event in bad:
        after = f"after-{event['video_id']}"
        await platform.submit(event, upload(good, after), key=after)
    nameless = [f"nameless-{number}" for number in range(len(NAMELESS))]
    for name, value in zip(nameless, NAMELESS, strict=True):
        await platform.submit(value, upload(good, name), key=name)
    names += [f"after-{name}" for name in names]
    await platform.read_until(platform.has_decided(*names, *nameless))
    await platform.read(1.0)
    return platform


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [(name, *rest) for name, (_, *rest) in {**BAD_FILES, **BAD_EVENTS}.items()],
)
async def test_bad_input_is_rejected_with_its_code_and_the_next_upload_is_processed(
    answered: Platform, name: str, code: ErrorCode, words: str
) -> None:
    (letter,) = answered.of("video.rejected", name)
    (decision,) = answered.of("video.decided", name)
    assert letter["error"] == code, letter["message"]
    assert words in letter["message"]
    assert letter["event"]["video_id"] == name
    assert (letter["source_topic"], letter["attempts"]) == ("video.uploaded", 1)
    assert decision["outcome"] == "rejected"
    assert decision["reason"] == f"{code}: {letter['message']}"
    assert decision["request_id"] == letter["request_id"]
    assert answered.of("video.fingerprinted", name) == []
    (next_decision,) = answered.of("video.decided", f"after-{name}")
    assert next_decision["outcome"] != "rejected"


async def test_what_names_no_video_gets_a_letter_with_the_original_and_no_decision(
    answered: Platform,
) -> None:
    letters = answered.of("video.rejected", None)
    assert [letter["error"] for letter in letters] == ["bad_event"] * len(NAMELESS)
    kept = [
        {name: letter[name] for name in ("event", "event_base64") if name in letter}
        for letter in letters
    ]
    assert all(original in kept for original in NAMELESS.values())
    assert answered.of("video.decided", None) == []


async def test_a_video_of_one_frame_is_decided(platform: Platform, folder: Path) -> None:
    path = make_video(folder / "single.mp4", count=1)
    await platform.submit(upload(path, "single"))
    await platform.read_until(platform.has_decided("single"))
    assert platform.of("video.rejected", "single") == []
    assert len(platform.of("video.embedded", "single")) == 1


async def test_a_bug_in_a_step_is_internal_and_the_next_upload_is_processed(
    platform: Platform, good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Fingerprinter.fingerprint

    def broken(self: Fingerprinter, video: VideoUploaded, *rest: Any) -> Any:
        if video.video_id == "bug":
            raise ZeroDivisionError("division by zero")
        return real(self, video, *rest)

    monkeypatch.setattr(Fingerprinter, "fingerprint", broken)
    await platform.submit(upload(good, "bug"), upload(good, "after the bug"))
    await platform.read_until(platform.has_decided("bug", "after the bug"))
    (letter,) = platform.of("video.rejected", "bug")
    assert letter["error"] == "internal"
    assert letter["message"] == "ZeroDivisionError: division by zero"
    (decision,) = platform.of("video.decided", "bug")
    assert decision["outcome"] == "rejected"
    assert platform.of("video.rejected", "after the bug") == []


async def test_the_log_holds_each_video_that_was_not_rejected_once_for_each_submission(
    answered: Platform, settings: Settings
) -> None:
    with Reader(settings.kafka, VideoFingerprinted.topic) as reader:
        logged = Counter(
            VideoFingerprinted.from_bytes(found[1].value()).video_id for found in reader.until_now()
        )
    decided = answered.answers["video.decided"]
    kept = (event["video_id"] for event in decided if event["outcome"] != "rejected")
    assert logged == Counter(kept)
    assert len(logged) > len(BAD_FILES) + len(BAD_EVENTS)
