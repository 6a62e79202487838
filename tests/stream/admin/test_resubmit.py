"""A library's videos go to another prefix once each, in their newest version, without takedowns."""

from collections.abc import Iterator

import numpy as np
import pytest

from stream.admin.resubmit import resubmit, uploads_of_library
from stream.broker.client import Headers, Reader, send, submit
from stream.broker.embedded import EmbeddedBroker
from stream.broker.settings import KafkaSettings
from stream.contract.events import VideoFingerprinted, VideoUploaded
from stream.contract.topics import load_topics
from stream.errors import SettingsError
from tests.stream.library_log import fingerprint

NO_HEADERS: Headers = []


@pytest.fixture(scope="module")
def kafka() -> Iterator[KafkaSettings]:
    """Two prefixes on one broker: `old.` with a library, `new.` without."""
    names = (VideoUploaded.topic, VideoFingerprinted.topic)
    needed = [topic for topic in load_topics() if topic.name in names]
    both = [
        topic.model_copy(update={"name": prefix + topic.name})
        for prefix in ("old.", "new.")
        for topic in needed
    ]
    with EmbeddedBroker(topics=both) as broker:
        yield KafkaSettings(bootstrap_servers=broker.bootstrap_servers, topic_prefix="old.")


def upload(video_id: str, content_version: int = 1) -> VideoUploaded:
    return VideoUploaded(
        video_id=video_id,
        uri=f"https://example.org/{video_id}.{content_version}.mp4",
        owner_id="o",
        role="reference",
        content_version=content_version,
    )


def test_the_newest_upload_of_each_video_is_taken_or_what_its_fingerprint_says_of_it(
    kafka: KafkaSettings,
) -> None:
    submit(kafka, [upload("a"), upload("refused"), upload("b"), upload("gone"), upload("a", 2)])
    send(kafka, VideoUploaded.topic, [(b"x", b"no event", NO_HEADERS)])
    rows = np.eye(32)[:3]
    events = [fingerprint(name, rows).to_event() for name in ("a", "b", "gone", "old")]
    told = VideoUploaded(
        video_id="older", uri="s3://films/older.mp4", owner_id="o", title="Older",
        role="reference", content_version=3,
    )  # fmt: skip
    more = told.model_dump(include={"uri", "owner_id", "title", "role", "content_version"})
    events.append(fingerprint("older", rows, **more).to_event())
    events.append(fingerprint("a", rows, uri="s3://films/a.mp4").to_event())
    log: list[tuple[bytes | None, bytes, Headers]] = [
        (event.key(), event.to_bytes(), NO_HEADERS) for event in events
    ]
    log.append((b"gone", None, NO_HEADERS))  # type: ignore[arg-type]
    send(kafka, VideoFingerprinted.topic, log)

    new = kafka.model_copy(update={"topic_prefix": "new."})
    found = resubmit(new, "old.")
    assert sorted(found.uploads, key=lambda one: one.video_id) == [
        upload("a", 2), upload("b"), told,
    ]  # fmt: skip
    assert found.lost == ["old"]
    with Reader(new, VideoUploaded.topic) as reader:
        arrived = [VideoUploaded.from_bytes(message.value()) for _, message in reader.until_now()]
    assert {one.video_id for one in arrived} == {"a", "b", "older"}
    assert uploads_of_library(new).uploads == []


def test_a_library_is_not_submitted_to_itself(kafka: KafkaSettings) -> None:
    with pytest.raises(SettingsError, match=r"topic_prefix is 'old\.'"):
        resubmit(kafka, "old.")
