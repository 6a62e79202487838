"""A probe is answered as an upload would be, and nothing else in the service hears of it."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from stream.admin.match import Answers, match
from stream.agents.run import running_workers
from stream.broker.client import Reader, send
from stream.broker.embedded import embedded_kafka
from stream.broker.settings import KafkaSettings
from stream.contract.events import EVENTS, ProbeAnswered, ProbeAsked, VideoUploaded
from stream.fingerprint.fingerprinter import Fingerprinter
from stream.settings import Settings
from tests.stream.probes import asked
from tests.stream.service import Platform, make_film, running_service, service_settings, upload

pytestmark = pytest.mark.asyncio(loop_scope="module")

REAL = sorted(topic for topic in EVENTS if not topic.startswith("probe."))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("probes")


@pytest.fixture(scope="module")
def film(folder: Path) -> Path:
    return make_film(folder / "film.mp4")


@pytest.fixture(scope="module")
def settings(folder: Path) -> Iterator[Settings]:
    with embedded_kafka(KafkaSettings(topic_prefix="t.")) as kafka:
        yield service_settings(kafka, folder)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def platform(settings: Settings, film: Path) -> AsyncIterator[Platform]:
    """One service for the tests of this file, whose library holds the film."""
    async with running_service(settings) as client:
        await client.submit(upload(film, "film", role="reference"))
        await client.read_until(client.has_decided("film"))
        yield client


async def ask(settings: Settings, path: Path, seconds: float = 60.0) -> Answers:
    return await asyncio.to_thread(match, settings.kafka, path.as_uri(), timeout_seconds=seconds)


async def put(kafka: KafkaSettings, *values: bytes | ProbeAsked) -> None:
    """Probes as any client would write them."""
    messages: list[Any] = [
        (b"k", value if isinstance(value, bytes) else value.to_bytes(), []) for value in values
    ]
    await asyncio.to_thread(send, kafka, ProbeAsked.topic, messages)


def ends(kafka: KafkaSettings) -> dict[str, list[int]]:
    """Where each topic ends that real uploads are on."""
    found = {}
    for topic in REAL:
        with Reader(kafka, topic) as reader:
            found[topic] = reader.ends()
    return found


async def test_a_probe_and_then_an_upload_of_the_file_get_the_same_segments(
    platform: Platform, settings: Settings, film: Path
) -> None:
    before = await asyncio.to_thread(ends, settings.kafka)
    answers = await ask(settings, film)
    assert await asyncio.to_thread(ends, settings.kafka) == before
    assert answers.is_complete
    assert [answer.shard for answer in answers.answered] == [0, 1]
    found = {match.reference_id: match.model_dump() for match in answers.matches}
    assert "film" in found
    await platform.submit(upload(film, "the same file"))
    await platform.read_until(platform.has_decided("the same file"))
    compared = platform.of("video.compared", "the same file")
    theirs = [match for answer in compared for match in answer["matches"]]
    assert found == {match["reference_id"]: match for match in theirs}, "nor is it in the library"
    assert {answer["library_offset"] for answer in compared} == {
        answer.library_offset for answer in answers.answered
    }
    assert not platform.of("video.embedded", answers.probe_id)


async def test_a_probe_without_an_answer_says_why_and_the_next_is_answered(
    platform: Platform, settings: Settings, folder: Path, film: Path
) -> None:
    before = len(platform.answers["video.rejected"])
    outside = Path("/etc/hostname")
    await put(
        settings.kafka,
        asked(folder / "gone.mp4", "gone"),
        asked(outside, "outside"),
        asked(film, "late", wait=timedelta(seconds=-1)),
        b'{"probe_id":"fieldless"}',
        b'{"probe_id":7}',
        b"no JSON",
        asked(film, "good"),
    )

    def is_answered() -> bool:
        said = platform.answers["probe.answered"]
        return len([one for one in said if one["probe_id"] == "good"]) == 2

    await platform.read_until(is_answered)
    said = [ProbeAnswered.from_json(one) for one in platform.answers["probe.answered"]]
    refused = {one.probe_id: one.error for one in said if one.error and one.shard is None}
    assert refused == {
        "gone": "not_found",
        "outside": "forbidden_uri",
        "late": "timeout",
        "fieldless": "bad_event",
    }
    assert len(platform.answers["video.rejected"]) == before


async def test_what_a_shard_cant_use_is_refused_by_each_and_the_next_is_answered(
    platform: Platform, settings: Settings, film: Path
) -> None:
    bad: list[Any] = [(b"k", b'{"probe_id":"damaged","fingerprint":{}}', []), (b"k", b"{", [])]
    await asyncio.to_thread(send, settings.kafka, "probe.fingerprinted", bad)
    assert (await ask(settings, film)).is_complete

    def refusals() -> list[tuple[str, int | None]]:
        said = [one for one in platform.answers["probe.answered"] if one["probe_id"] == "damaged"]
        return [(one["error"], one["shard"]) for one in said]

    await platform.read_until(lambda: len(refusals()) >= 2)
    assert sorted(refusals()) == [("bad_event", 0), ("bad_event", 1)]


async def test_uploads_are_decided_while_a_probe_is_at_work(
    platform: Platform, settings: Settings, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on, real = threading.Event(), threading.Event(), Fingerprinter.fingerprint

    def slow(self: Fingerprinter, video: VideoUploaded, *rest: Any, **more: Any) -> Any:
        if video.video_id == "slow":
            begun.set()
            assert go_on.wait(60)
        return real(self, video, *rest, **more)

    monkeypatch.setattr(Fingerprinter, "fingerprint", slow)
    await put(settings.kafka, asked(film, "slow"))
    assert await asyncio.to_thread(begun.wait, 60)
    await platform.submit(upload(film, "meanwhile"))
    await platform.read_until(platform.has_decided("meanwhile"))
    go_on.set()

    def answers() -> list[Any]:
        said = platform.answers["probe.answered"]
        return [one for one in said if one["probe_id"] == "slow"]

    await platform.read_until(lambda: len(answers()) == 2)
    found = {match["reference_id"] for one in answers() for match in one["matches"]}
    assert "meanwhile" in found, "the library as it is when the probe comes to it"


async def test_a_shard_that_doesnt_run_is_named_and_those_that_do_have_answered(
    tmp_path: Path,
) -> None:
    film = make_film(tmp_path / "film.mp4")
    with embedded_kafka(KafkaSettings(topic_prefix="t.")) as kafka:
        alone = service_settings(kafka, tmp_path)
        async with (
            running_workers(alone, ("library",), [1]),
            running_workers(alone, ("fingerprint",)),
        ):
            answers = await ask(alone, film, seconds=10.0)
    assert (answers.shards, answers.missing, answers.is_complete) == (2, [0], False)
    assert [answer.shard for answer in answers.answered] == [1]
