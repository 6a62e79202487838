"""Takedowns, verifying and another number of shards, with real Kafka between all of it."""

import asyncio
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client import REGISTRY

from stream.admin.takedown import take_down, wait_for_shards
from stream.agents.run import running_workers
from stream.broker.client import Headers, send
from stream.broker.library_log import LibraryLog
from stream.contract.events import VideoFingerprinted
from stream.contract.fingerprint import Fingerprint
from stream.settings import Settings
from tests.kafka.test_topics import alter
from tests.stream.command import Command
from tests.stream.library_log import fingerprint, look
from tests.stream.service import Platform, running_service

SOON_SECONDS = 5.0
PATIENCE_SECONDS = 60.0
EACH = 12  # copies before and behind a takedown


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], settings: Settings
) -> Iterator[Command]:
    made = Command(monkeypatch, capfd)
    made.on(settings.kafka)
    monkeypatch.setenv("SAMESOURCE_LIBRARY__SHARDS", "2")
    monkeypatch.setenv("SAMESOURCE_LIBRARY__SNAPSHOT_FOLDER", str(settings.library.snapshot_folder))
    yield made


def changed(settings: Settings, **fields: Any) -> Settings:
    library = settings.library.model_copy(update=fields)
    return settings.model_copy(update={"library": library})


async def publish(settings: Settings, *videos: Fingerprint) -> None:
    messages: list[tuple[bytes | None, bytes | None, Headers]] = [
        (event.key(), event.to_bytes(), []) for event in (video.to_event() for video in videos)
    ]
    await asyncio.to_thread(send, settings.kafka, VideoFingerprinted.topic, messages)


def copy_of(seed: int, video_id: str, own: int, **changed: Any) -> Fingerprint:
    """A video with twenty seconds of another, at 10 s."""
    return fingerprint(
        video_id, np.concatenate((look(own)[:10], look(seed)[5:25])), request_id=video_id, **changed
    )


def offsets_of(settings: Settings) -> dict[tuple[str, bool], int]:
    """The last offset of each key on the log, and of its takedown."""
    with LibraryLog(settings.kafka) as log:
        return {
            ((source.key or b"").decode(), source.value is None): source.offset
            for source in log.read(*log.ends())
        }


def read_by_all(offset: int, shards: int = 2) -> bool:
    """Whether all shards of this process are past an offset."""
    positions = (
        REGISTRY.get_sample_value("samesource_log_position", {"shard": str(shard)}) or 0
        for shard in range(shards)
    )
    return all(position > offset for position in positions)


@pytest.mark.timed
async def test_a_takedown_is_taken_in_at_once_and_no_alert_after_it_names_the_video(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    copies = [copy_of(1, f"c{number}", 100 + number) for number in range(2 * EACH)]
    async with running_service(settings, ("library", "decide")) as platform:
        await publish(settings, fingerprint("film", look(1), role="reference", request_id="film"))
        await publish(settings, *copies[:EACH])
        await asyncio.to_thread(take_down, settings.kafka, ["film"])
        await publish(settings, *copies[EACH:])
        repeats = [replace(copy, request_id=f"again-{copy.video_id}") for copy in copies[:5]]
        await publish(settings, *repeats)
        await platform.read_until(platform.has_decided(*(f"c{n}" for n in range(2 * EACH))), 120)
        await platform.read_until(platform.has_decided(*(f"c{n}" for n in range(5)), times=2))
        await platform.read(1.0)
        offsets = await asyncio.to_thread(offsets_of, settings)
        named = told_of(platform, "film")
        taken_down = offsets["film", True]
        assert set(named) <= {f"c{number}" for number in range(EACH)}
        assert len(named) == EACH and max(named.values()) == 1
        assert taken_down == EACH + 1
        again = [
            answer for answer in platform.answers["video.compared"]
            if answer["request_id"].startswith("again-")
        ]  # fmt: skip
        assert len(again) == 10
        assert "film" not in {match["reference_id"] for one in again for match in one["matches"]}
        seconds = [await taken_in(settings, f"v{number}") for number in range(10)]
        waited = await waited_for(settings, "v0")
    with capsys.disabled():
        print(
            f"\ntakedown: in every shard {np.median(seconds):.3f} s after it was sent (median of "
            f"10, longest {max(seconds):.3f} s), committed by all after {waited:.3f} s"
        )
    assert np.median(seconds) < SOON_SECONDS


def told_of(platform: Platform, reference_id: str) -> Counter[str]:
    """Which uploads have alerts that name a video."""
    return Counter(
        alert["video_id"]
        for alert in platform.answers["alert.raised"]
        if alert["reference_id"] == reference_id
    )


async def taken_in(settings: Settings, video_id: str) -> float:
    """Seconds from sending a takedown until every shard has read it."""
    with LibraryLog(settings.kafka) as log:
        offset = log.ends()[1]
        began = time.monotonic()
        sent = asyncio.create_task(asyncio.to_thread(take_down, settings.kafka, [video_id]))
        while not read_by_all(offset):
            assert time.monotonic() < began + PATIENCE_SECONDS
            await asyncio.sleep(0.001)
        seconds = time.monotonic() - began
        await sent
    return seconds


async def waited_for(settings: Settings, video_id: str) -> float:
    """Seconds from sending a takedown until every shard has committed it."""

    def wait() -> float:
        with LibraryLog(settings.kafka) as log:
            began = time.monotonic()
            take_down(settings.kafka, [video_id])
            wait_for_shards(log, 2, log.ends()[1], 30)
            return time.monotonic() - began

    return await asyncio.to_thread(wait)


async def test_the_command_removes_and_waits_and_says_what_it_never_heard_of(
    settings: Settings, command: Command
) -> None:
    async with running_service(settings, ("library", "decide")) as platform:
        await publish(settings, fingerprint("film", look(1), request_id="film"))
        await platform.read_until(platform.has_decided("film"))
        done = await asyncio.to_thread(command, "remove", "--wait", "film", "flim")
        assert (done.code, done.out) == (0, "2 taken down\nall 2 shards have taken it in\n")
        assert done.err.startswith("note: no decision was ever made about flim: is the id right?")
        assert "about film:" not in done.err
        await publish(settings, copy_of(1, "copy", 2))
        await platform.read_until(platform.has_decided("copy"))
        (decision,) = platform.of("video.decided", "copy")
        assert decision["outcome"] == "clear"
    waiting = ("remove", "--wait", "--timeout-seconds", "1", "film")
    late = await asyncio.to_thread(command, *waiting)
    assert late.code == 1
    assert "shards 0/2, 1/2 are not past offset 5 of the log after 1 s" in late.err


def films(first: int, last: int) -> list[Fingerprint]:
    """Videos of which each copies one of the ten before it."""
    return [
        copy_of(1000 + number - number % 10, f"v{number}", 1000 + number)
        for number in range(first, last)
    ]


def pairs(platform: Platform) -> set[tuple[str, str]]:
    return {
        (alert["video_id"], alert["reference_id"]) for alert in platform.answers["alert.raised"]
    }


async def test_another_number_of_shards_takes_over_and_every_upload_is_decided_once(
    settings: Settings, command: Command
) -> None:
    settings = changed(settings, snapshot_every_videos=6)
    three, log = changed(settings, shards=3), films(0, 40)
    names = [event.video_id for event in log]
    async with running_service(settings, ("decide",)) as platform:
        async with running_workers(settings, ("library",)):
            await publish(settings, *log[:20])
            await platform.read_until(platform.has_decided(*names[:20]), 120)
            removed = await asyncio.to_thread(command, "remove", "v5", "--wait")
            assert removed.code == 0, removed.err
            done = await asyncio.to_thread(command, "library", "reshard", "--shards", "3")
            assert done.code == 0, done.err
            assert done.err.count("from its snapshot at") == 2
            logged = await asyncio.to_thread(
                command, "library", "reshard", "--shards", "4", "--from-log"
            )
            assert "reads the log up to offset 21 for each of 4 shards" in logged.err
            assert done.out.startswith("3 shards are ready and answer from offset 21 on: start")
            for shard in ("0/2", "1/2", "0/3", "1/3", "2/3", "0/4", "3/4"):
                found = await asyncio.to_thread(command, "library", "verify", "--shard", shard)
                assert found.code == 0, found.out
                assert "up to offset 21" in found.out
            await publish(settings, *log[20:30])
            await platform.read_until(platform.has_decided(*names[20:25]), 120)
        await publish(settings, *log[30:35])
        async with running_workers(three, ("library",)):
            await publish(settings, *log[35:])
            await platform.read_until(platform.has_decided(*names), 120)
            await platform.read(2.0)
        decided = Counter(event["video_id"] for event in platform.answers["video.decided"])
        assert decided == Counter(names)
        alerts = Counter(event["alert_id"] for event in platform.answers["alert.raised"])
        assert max(alerts.values()) == 1
        assert pairs(platform) == expected_pairs(log, 20)
        new = [one for one in platform.answers["video.compared"] if one["shards"] == 3]
        assert {one["video_id"] for one in new} == {*names[20:]}, "nothing old is answered again"
        assert Counter(one["shard"] for one in new) == dict.fromkeys(range(3), 20)
    back = await asyncio.to_thread(command_with(command, 3), "library", "reshard", "--shards", "2")
    assert back.code == 0, back.err
    assert back.err.count(": goes on from its snapshot at ") == 2
    found = await asyncio.to_thread(command_with(command, 2), "library", "verify")
    assert (found.code, found.out.count("snapshot at 41")) == (0, 2)


def command_with(command: Command, shards: int) -> Any:
    """The command, on settings with so many shards."""

    def run(*words: str) -> Any:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SAMESOURCE_LIBRARY__SHARDS", str(shards))
            return command(*words)

    return run


def expected_pairs(log: Sequence[Fingerprint], removed_at: int) -> set[tuple[str, str]]:
    """Videos of one ten share footage, but v5 is gone for those after the removal."""
    return {
        (later.video_id, earlier.video_id)
        for number, later in enumerate(log)
        for earlier in log[number - number % 10 : number]
        if not (earlier.video_id == "v5" and number >= removed_at)
    }


async def test_verifying_names_a_changed_row_and_a_damaged_snapshot(
    settings: Settings, command: Command
) -> None:
    async with running_service(settings, ("library", "decide")) as platform:
        await publish(settings, *films(0, 12))
        await platform.read_until(platform.has_decided(*(f"v{n}" for n in range(12))), 120)
    one = settings.library.snapshot_folder / "shard-0-of-2" / f"{12:020d}" / "state.npz"
    good = await asyncio.to_thread(command, "library", "verify")
    assert good.code == 0
    assert good.out.count("(snapshot at 12): 0 differences") == 2
    data = bytearray(one.read_bytes())
    data[len(data) // 2] ^= 1
    one.write_bytes(data)
    bad = await asyncio.to_thread(command, "library", "verify", "--shard", "0/2")
    assert bad.code == 1
    assert f"snapshot passed over: {one} is damaged" in bad.out.replace("\n", " ")
    assert "(no snapshot): 0 differences" in bad.out


async def test_what_kafka_has_compacted_away_is_no_difference(
    settings: Settings, command: Command
) -> None:
    videos = films(0, 12)
    for key, value in {
        "min.compaction.lag.ms": "0", "min.cleanable.dirty.ratio": "0.01", "segment.ms": "500",
    }.items():  # fmt: skip
        alter(settings.kafka, VideoFingerprinted.topic, key, value)
    async with running_service(settings, ("library", "decide")) as platform:
        await publish(settings, *videos)
        for number in range(4):
            version, request = number % 2 + 1, f"again-{number}"
            again = replace(videos[number], content_version=version, request_id=request)
            await publish(settings, again)
        await asyncio.to_thread(take_down, settings.kafka, ["v7"])
        await platform.read_until(platform.has_decided(*(f"v{n}" for n in range(12))), 120)
        await platform.read_until(platform.has_decided(*(f"v{n}" for n in range(4)), times=2))
        deadline = time.monotonic() + 90
        while 7 in await asyncio.to_thread(offsets_left, settings):
            assert time.monotonic() < deadline
            await asyncio.sleep(1)
            await asyncio.to_thread(take_down, settings.kafka, ["nobody"])
    found = await asyncio.to_thread(command, "library", "verify")
    assert found.code == 0, found.out
    assert "that the log no longer has" in found.out
    for shards, words in ((3, ()), (1, ("--from-log",))):
        build = ("library", "reshard", "--shards", str(shards), *words)
        assert (await asyncio.to_thread(command, *build)).code == 0
        for shard in range(shards):
            name = ("library", "verify", "--shard", f"{shard}/{shards}")
            assert (await asyncio.to_thread(command, *name)).code == 0


def offsets_left(settings: Settings) -> list[int]:
    with LibraryLog(settings.kafka) as log:
        return [source.offset for source in log.read(*log.ends())]


async def test_a_worker_whose_folder_is_lost_goes_on_from_the_object_store(
    settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "stream.agents.library")
    settings = changed(settings, snapshot_store=(tmp_path / "store").as_uri())
    async with running_service(settings, ("library", "decide")) as platform:
        await publish(settings, *films(0, 8))
        await platform.read_until(platform.has_decided(*(f"v{n}" for n in range(8))), 120)
    shutil.rmtree(settings.library.snapshot_folder)
    async with running_service(settings, ("library", "decide")) as platform:
        assert "library-0-of-2 starts at offset 8 of 8" in caplog.text
        await publish(settings, *films(8, 10))
        await platform.read_until(platform.has_decided("v8", "v9"), 120)
        await platform.read(1.0)
        assert {pair for pair in pairs(platform) if pair[0] == "v9"} == {
            ("v9", f"v{number}") for number in range(9)
        }
    newest = tmp_path / "store" / "shard-1-of-2" / f"{10:020d}" / "state.npz"
    data = bytearray(newest.read_bytes())
    data[len(data) // 2] ^= 1
    newest.write_bytes(data)
    shutil.rmtree(settings.library.snapshot_folder)
    async with running_workers(settings, ("library",)):
        assert "library-0-of-2 starts at offset 10 of 10" in caplog.text
        assert "library-1-of-2 starts at offset 8 of 10" in caplog.text
        assert "is damaged: its checksum differs" in caplog.text
