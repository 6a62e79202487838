"""The age of the newest snapshot, as a library worker shows it."""

import asyncio
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from stream.agents.run import running_workers
from stream.broker.client import Headers, send
from stream.broker.embedded import embedded_kafka
from stream.broker.settings import KafkaSettings
from stream.settings import Settings
from tests.stream.library_log import fingerprint, look
from tests.stream.service import eventually, service_settings

pytestmark = pytest.mark.asyncio


def age() -> float:
    name, labels = "samesource_snapshot_age_seconds", {"shard": "0"}
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def upload(settings: Settings, *numbers: int) -> None:
    events = [fingerprint(f"v{number}", look(number)).to_event() for number in numbers]
    messages: list[tuple[bytes | None, bytes | None, Headers]] = [
        (event.key(), event.to_bytes(), []) for event in events
    ]
    await asyncio.to_thread(send, settings.kafka, events[0].topic, messages)


async def test_the_age_of_a_snapshot_grows_while_it_lacks_something_over_restarts_too(
    tmp_path: Path,
) -> None:
    with embedded_kafka(KafkaSettings(topic_prefix="t.")) as kafka:
        settings = service_settings(kafka, tmp_path)
        library = settings.library.model_copy(update={"shards": 1, "snapshot_every_videos": 3})
        settings = settings.model_copy(update={"library": library})
        async with running_workers(settings, ("library",)):
            await upload(settings, 1)
            await eventually(lambda: age() > 0.3, shown=age)
            await upload(settings, 2, 3)
            written = library.snapshot_folder
            await eventually(
                lambda: age() == 0 and any(written.glob("*/*3/manifest.json")), shown=age
            )
            await asyncio.sleep(1.0)
            assert age() == 0
        async with running_workers(settings, ("library",)):
            await upload(settings, 4)
            await eventually(lambda: age() > 1.0, shown=age)
