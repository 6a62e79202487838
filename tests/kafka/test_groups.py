"""A consumer group whose leader didn't know its topics when the partitions were given."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from stream.agents.faust_app import METADATA_SECONDS, Drain, make_app, raw_topic
from stream.broker.settings import KafkaSettings
from stream.broker.topics import create_topics
from stream.settings import Settings
from stream.worker_settings import WorkerSettings

PATIENCE_SECONDS = 60.0


@pytest.mark.timed
async def test_a_group_gets_its_partitions_soon_after_the_broker_knows_the_topic(
    empty_kafka_settings: KafkaSettings, tmp_path: Path
) -> None:
    """As just after a broker's start, when a worker may be quicker than the list of topics."""
    worker = WorkerSettings(data_folder=tmp_path)
    settings = Settings(kafka=empty_kafka_settings, worker=worker)
    app = make_app("fingerprint", settings, Drain(), finish_before_rebalance=False)
    topic = raw_topic(app, settings, "video.uploaded")

    @app.agent(topic)
    async def read(stream: Any) -> None:
        async for _ in stream:
            pass

    await app.start()
    try:
        assert await _came(lambda: app.assigned)
        assert not app.consumer.assignment()
        await asyncio.to_thread(create_topics, empty_kafka_settings)
        begin = time.monotonic()
        assert await _came(lambda: len(app.consumer.assignment()) == 8)
        assert time.monotonic() - begin < 6 * METADATA_SECONDS
    finally:
        await app.stop()


async def _came(done: Any) -> bool:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not done() and time.monotonic() < deadline:
        await asyncio.sleep(0.1)
    return bool(done())
