"""A policy or verdict that can't be read is a dead letter once, whoever reads it, however often."""

from collections import Counter
from pathlib import Path

from stream.agents.run import running_workers
from stream.broker.client import send
from stream.broker.settings import KafkaSettings
from stream.settings import Settings
from tests.stream.answers import answer
from tests.stream.service import Platform, running_service, service_settings

BAD = 3


def say_badly(settings: Settings, *keys: str) -> None:
    for topic in ("policy.updated", "alert.reviewed"):
        send(settings.kafka, topic, [(key.encode(), b"{}", []) for key in keys])


def letters(platform: Platform) -> Counter[tuple[str, int, int]]:
    return Counter(
        (event["source_topic"], event["source_partition"], event["source_offset"])
        for event in platform.answers["video.rejected"]
    )


async def decide_one(settings: Settings, platform: Platform, name: str) -> None:
    asked = answer(0, video_id=name, request_id=name, shards=1)
    send(settings.kafka, asked.topic, [(asked.key(), asked.to_bytes(), [])])
    await platform.read_until(platform.has_decided(name))


async def test_each_is_a_letter_once_over_restarts_and_beside_another_worker(
    kafka_settings: KafkaSettings, tmp_path: Path
) -> None:
    settings = service_settings(kafka_settings, tmp_path, session_timeout_seconds=6)
    say_badly(settings, *map(str, range(BAD)))
    async with running_service(settings, ("decide",)) as platform:
        await platform.read_until(lambda: len(letters(platform)) == 2 * BAD)
    async with (
        running_service(settings, ("decide",)) as platform,
        running_workers(settings, ("decide",)),
    ):
        await decide_one(settings, platform, "later")
        say_badly(settings, "new")
        await platform.read_until(lambda: len(letters(platform)) == 2 * (BAD + 1))
        await platform.read(2)
    assert set(letters(platform).values()) == {1}
