"""What a shard says again on the log has all that the version said, what nobody here reads too."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from stream.agents import restater
from stream.agents.publisher import Publisher
from stream.agents.restater import Restater
from stream.broker.client import Reader, send
from stream.broker.clients import source_of
from stream.broker.embedded import embedded_kafka
from stream.broker.settings import KafkaSettings
from stream.contract.events import Place, Submission, VideoEmbedded, VideoFingerprinted
from stream.contract.order import RESTATED, Takedown
from stream.errors import UnreachableError
from stream.library.shard import Truth
from stream.logs import OncePerMinute
from tests.stream.command import publish
from tests.stream.library_log import fingerprint, look, shard, submitted

pytestmark = pytest.mark.asyncio


@pytest.fixture
def kafka() -> Iterator[KafkaSettings]:
    """One for each test: they read all that is there."""
    with embedded_kafka(KafkaSettings(topic_prefix="t.")) as settings:
        yield settings


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


async def test_a_vector_that_came_between_the_two_takedowns_has_one_behind_it(
    kafka: KafkaSettings,
) -> None:
    """The takedown's first half, vector, fingerprint, its second half: in this order."""
    submission = Submission(log_id="uploads", partition=0, offset=3, timestamp_ms=3)
    takedown, library = Takedown("uploads", (4,)), shard()
    film = fingerprint("film", look(1), submission=submission)
    vector = VideoEmbedded(
        video_id="film", submission=submission, model_version="pair", dimension=2,
        vector=[0.6, 0.8], duration_seconds=8.0,
    )  # fmt: skip
    send(kafka, VideoEmbedded.topic, [(b"film", None, takedown.headers())])
    publish(kafka, vector)
    library.apply(film, 0)
    library.remove("film", 1, takedown)
    assert library.truth is not None
    publisher = Publisher(kafka)
    await publisher.start()
    try:
        await Restater(kafka, publisher).say(library.truth)
    finally:
        await publisher.stop()
    with Reader(kafka, VideoEmbedded.topic, VideoFingerprinted.topic) as reader:
        *_, last = (message for _, message in reader.until_now())
    assert (last.topic(), last.key(), last.value()) == (
        kafka.topic(VideoEmbedded.topic), b"film", None,
    )  # fmt: skip
    assert last.headers() == takedown.headers(restated=True)


async def test_a_new_versions_vector_has_its_older_ones_before_it(kafka: KafkaSettings) -> None:
    """A worker that was frozen writes the older version's vector once more, behind the newer's."""
    library, vectors = shard(), list[VideoEmbedded]()
    for version in (1, 2, 1):
        submission = Submission(log_id="uploads", partition=0, offset=version, timestamp_ms=version)
        vectors.append(
            VideoEmbedded(
                video_id="film",
                content_version=version,
                submission=submission,
                model_version="pair",
                dimension=2,
                vector=[0.6, 0.8],
                duration_seconds=8.0,
            )  # fmt: skip
        )
        publish(kafka, vectors[-1])
    with Reader(kafka, VideoEmbedded.topic) as reader:
        places = [
            Place(partition=source.partition, offset=source.offset)
            for _, message in reader.until_now()
            for source in [source_of(message, VideoEmbedded.topic)]
        ]
    for number in range(2):
        film = fingerprint(
            "film", look(1), content_version=number + 1, submission=submitted(number + 1),
            embedded_at=places[number],
        )  # fmt: skip
        library.apply(film, number)
        assert (library.truth is None) == (number == 0), "nothing was known of the first"
    assert library.truth == Truth("film", offset=1, embedded_at=places[1])
    publisher = Publisher(kafka)
    await publisher.start()
    try:
        await Restater(kafka, publisher).say(library.truth)
    finally:
        await publisher.stop()
    with Reader(kafka, VideoEmbedded.topic, VideoFingerprinted.topic) as reader:
        *before, last = (message for _, message in reader.until_now())
    assert len(before) == 3, "nothing is put on the library log"
    assert (last.value(), last.headers()) == (vectors[1].to_bytes(), RESTATED)


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
