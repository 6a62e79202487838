"""A worker's memory doesn't hold the last events that it has handled, however large they are."""

import asyncio
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from stream.broker.client import send
from stream.broker.settings import KafkaSettings
from stream.contract.events import VideoFingerprinted
from tests.stream.service import Platform, running_service, service_settings

UPLOADS, LARGE = 6, 2_000_000  # bytes; more agents wait than uploads come
MOST = 500_000


@pytest.fixture
def traced() -> Iterator[None]:
    """Every block of memory is known by where it was taken."""
    tracemalloc.start()
    yield
    tracemalloc.stop()


async def let_go() -> None:
    until = time.monotonic() + 20
    while (held := read_from_kafka()) > MOST:
        assert time.monotonic() < until, f"{held} bytes are held"
        await asyncio.sleep(0.2)


async def test_large_uploads_are_let_go_when_they_are_handled(
    kafka: KafkaSettings, tmp_path: Path, traced: None
) -> None:
    async with running_service(service_settings(kafka, tmp_path), ("fingerprint",)) as platform:
        for number in range(UPLOADS):
            event = {"video_id": f"v{number}", "uri": "file:///none", "owner_id": "o"}
            large = orjson.dumps({**event, "description": "x" * LARGE})
            await platform.submit(large, key=f"v{number}")
        await platform.read_until(lambda: rejected(platform, "video.uploaded") == UPLOADS)
        platform.answers.clear()
        await let_go()


async def test_a_large_fingerprint_is_let_go_when_it_is_answered(
    kafka: KafkaSettings, tmp_path: Path, traced: None
) -> None:
    async with running_service(service_settings(kafka, tmp_path), ("library",)) as platform:
        large = orjson.dumps({"video_id": "v", "description": "x" * LARGE})
        await asyncio.to_thread(send, kafka, VideoFingerprinted.topic, [(b"v", large, [])])
        shards = service_settings(kafka, tmp_path).library.shards
        await platform.read_until(lambda: rejected(platform, VideoFingerprinted.topic) == shards)
        platform.answers.clear()
        await let_go()


def rejected(platform: Platform, topic: str) -> int:
    """How many events of a topic were."""
    return sum(one["source_topic"] == topic for one in platform.answers["video.rejected"])


def read_from_kafka() -> int:
    """Bytes that lie in memory of what workers read."""
    statistics = tracemalloc.take_snapshot().statistics("filename")
    files = ("agents/batches.py", "consumer/fetcher.py", "record/default_records.py")
    return sum(one.size for one in statistics if one.traceback[0].filename.endswith(files))
