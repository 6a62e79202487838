"""What is hard to swallow, and every codec, on a real Kafka: the upload behind it is decided."""

from collections import Counter
from itertools import cycle
from pathlib import Path

import orjson
import pytest
from confluent_kafka import Producer

from stream.agents.batches import MAX_BYTES
from stream.broker.settings import KafkaSettings
from stream.contract.events import EVENTS
from stream.contract.topics import load_topics
from tests.stream.pills import PROBE_TOPICS, READ_TOPICS, Pill, pills
from tests.stream.service import Platform, running_service, service_settings, upload
from tests.stream.videos import make_video

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
PILLS_BETWEEN = 40
# One of so many of those that are alike: tests/stream/agents/test_pills.py has them all.
SAMPLED = {" = ": 7, " with 500,000 problems": 7, " of 900,000 characters": 7, "30 MB": 3}
COMPACTED = {topic.name for topic in load_topics() if "compact" in topic.cleanup}


class AnyProducer:
    """Writes whatever it is given, with any codec."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self.refused: list[str] = []
        self._producers = {
            codec: Producer(
                {
                    **kafka.librdkafka_options(),
                    "compression.type": codec,
                    "message.max.bytes": 200_000_000,
                    "log_level": 0,
                }
            )
            for codec in CODECS
        }

    def send(self, topic: str, pill: Pill, codec: str) -> None:
        """Write one message; `flush` waits for it."""
        self._producers[codec].produce(
            self._kafka.topic(topic),
            value=pill.value,
            key=pill.key,
            headers=dict(pill.headers),
            on_delivery=lambda error, _: self.refused.append(str(error)) if error else None,
        )

    def flush(self) -> None:
        """Wait until the broker has them all."""
        assert not any(producer.flush(30) for producer in self._producers.values())
        assert not self.refused


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return make_video(tmp_path / "one.mp4", count=2)


def good(video: Path, name: str) -> Pill:
    return Pill(orjson.dumps(upload(video, name)), name.encode())


async def test_messages_of_every_codec_are_decided(
    kafka_settings: KafkaSettings, tmp_path: Path, video: Path
) -> None:
    producer = AnyProducer(kafka_settings)
    async with running_service(service_settings(kafka_settings, tmp_path)) as platform:
        for codec in CODECS:
            long = {**upload(video, codec), "description": "many words " * 1000}
            producer.send("video.uploaded", Pill(orjson.dumps(long), codec.encode()), codec)
        producer.flush()
        await platform.read_until(platform.has_decided(*CODECS), 120)
    assert outcomes(platform, *CODECS) == {"clear"}


async def test_a_few_bytes_that_claim_to_be_many_are_a_bad_event(
    kafka_settings: KafkaSettings, tmp_path: Path, video: Path
) -> None:
    producer = AnyProducer(kafka_settings)
    async with running_service(service_settings(kafka_settings, tmp_path)) as platform:
        producer.send("video.uploaded", Pill(b"[" * (MAX_BYTES + 1), b"behind"), "zstd")
        producer.flush()
        producer.send("video.uploaded", good(video, "behind"), "none")
        producer.flush()
        await platform.read_until(platform.has_decided("behind"), 120)
    assert outcomes(platform, "behind") == {"clear"}
    (letter,) = platform.answers["video.rejected"]
    assert letter["error"] == "bad_event"


async def test_behind_every_pill_on_every_topic_uploads_are_decided(
    kafka_settings: KafkaSettings, tmp_path: Path, video: Path
) -> None:
    producer, codecs, sentinels = AnyProducer(kafka_settings), cycle(CODECS[1:]), []
    seen = Counter[str]()
    async with running_service(service_settings(kafka_settings, tmp_path)) as platform:
        producer.send("video.uploaded", good(video, "first"), "none")
        await platform.read_until(platform.has_decided("first"))
        for topic in (*READ_TOPICS, *PROBE_TOPICS):
            for number, (name, pill) in enumerate(pills(topic)):
                if is_left_out(name, seen):
                    continue
                if pill.key is None and topic in COMPACTED:
                    continue  # the broker takes none: no worker ever sees one
                large = len(pill.value or b"") > 10_000_000  # which the other two leave too large
                producer.send(topic, pill, "gzip" if large else next(codecs))
                if number % PILLS_BETWEEN == 0:
                    sentinels.append(f"behind {topic} {number}")
                    producer.send("video.uploaded", good(video, sentinels[-1]), "none")
                    producer.flush()
        sentinels.append("last")
        producer.send("video.uploaded", good(video, "last"), "none")
        producer.flush()
        await platform.read_until(platform.has_decided(*sentinels), 240)
    assert outcomes(platform, *sentinels) <= {"clear", "matched"}
    letters = platform.answers["video.rejected"]
    origins = {str(letter.get("source_topic")) for letter in letters if isinstance(letter, dict)}
    assert origins >= EVENTS.keys() & {*READ_TOPICS} - {"video.rejected", "video.embedded"}


def is_left_out(name: str, seen: Counter[str]) -> bool:
    """Whether enough that are like it have been sent; counts it."""
    for kind, every in SAMPLED.items():
        if kind in name:
            seen[kind] += 1
            return seen[kind] % every != 1
    return False


def outcomes(platform: Platform, *video_ids: str) -> set[str]:
    decided = (platform.of("video.decided", video_id) for video_id in video_ids)
    return {event["outcome"] for events in decided for event in events}
