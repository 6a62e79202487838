"""What a shard says again on the log has all that the version said, what nobody here reads too."""

import logging
from typing import Any

import pytest

from stream.agents import restater
from stream.agents.publisher import Publisher
from stream.agents.restater import Restater
from stream.broker.client import Reader
from stream.broker.settings import KafkaSettings
from stream.contract.events import VideoFingerprinted
from stream.contract.order import RESTATED
from stream.errors import UnreachableError
from stream.library.shard import Truth
from stream.logs import OncePerMinute
from tests.stream.command import publish
from tests.stream.library_log import fingerprint, look

pytestmark = pytest.mark.asyncio


async def test_a_version_that_is_said_again_still_says_where_its_video_is(
    kafka: KafkaSettings,
) -> None:
    made = fingerprint("film", look(1), uri="s3://films/film.mp4", title="Film").to_event()
    publish(kafka, made)
    publisher = Publisher(kafka)
    await publisher.start()
    try:
        await Restater(kafka, publisher).say(Truth("film", offset=0))
    finally:
        await publisher.stop()
    with Reader(kafka, VideoFingerprinted.topic) as reader:
        first, again = (message for _, message in reader.until_now())
    assert again.value() == first.value()
    assert VideoFingerprinted.from_bytes(again.value()) == made
    assert again.headers() == RESTATED


async def test_a_wait_for_kafka_is_told_once(
    kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tries = 0

    def read(what: Any) -> Any:
        nonlocal tries
        tries += 1
        if tries < 10:
            raise UnreachableError("no Kafka answers")
        return what

    monkeypatch.setattr(restater, "PAUSE_SECONDS", 0.0)
    caplog.handler.addFilter(held_back := OncePerMinute())
    caplog.set_level(logging.WARNING)
    try:
        assert await Restater(kafka, Publisher(kafka))._waited_for(read, "film") == "film"
    finally:
        caplog.handler.removeFilter(held_back)
    assert caplog.messages == ["no Kafka answers; again in 0 s"]
