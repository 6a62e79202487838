"""Nothing is lost when the broker is away for a while, or a worker stops with an upload in hand."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import MessageSizeTooLargeError

from stream.agents.publisher import Publisher
from stream.agents.run import running_workers
from stream.broker.client import Reader
from stream.broker.embedded import embedded_kafka
from stream.broker.settings import KafkaSettings
from stream.contract.events import VideoUploaded
from stream.errors import WorkerError
from stream.fingerprint.fingerprinter import Fingerprinter
from tests.stream.faulty_broker import FaultyBroker
from tests.stream.service import running_service, service_settings, upload
from tests.stream.videos import make_video

NOT_ENOUGH_REPLICAS, OUT_OF_ORDER = 19, 45
TOPIC_AUTHORIZATION_FAILED, CLUSTER_AUTHORIZATION_FAILED = 29, 31
UNSUPPORTED_VERSION, POLICY_VIOLATION = 35, 44


def uploads(*names: str) -> list[VideoUploaded]:
    return [VideoUploaded(video_id=name, uri="file:///v", owner_id="o") for name in names]


def on_topic(kafka: KafkaSettings) -> list[str]:
    with Reader(kafka, VideoUploaded.topic) as reader:
        return sorted(
            VideoUploaded.from_bytes(found[1].value()).video_id for found in reader.until_now()
        )


@asynccontextmanager
async def publishing(broker: FaultyBroker) -> AsyncIterator[tuple[Publisher, KafkaSettings]]:
    kafka = broker.kafka
    publisher = Publisher(kafka)
    await publisher.start()
    try:
        yield publisher, kafka
    finally:
        await publisher.stop()


async def test_a_broker_that_is_away_delays_but_loses_and_repeats_nothing() -> None:
    with FaultyBroker() as broker:
        async with publishing(broker) as (publisher, kafka):
            await publisher.publish(uploads("before"))
            broker.set_down()
            waiting = asyncio.create_task(publisher.publish(uploads("first", "second")))
            await asyncio.sleep(2)
            assert not waiting.done()
            broker.set_up()
            await asyncio.wait_for(waiting, 30)
            await publisher.publish(uploads("after"))
        assert await asyncio.to_thread(on_topic, kafka) == ["after", "before", "first", "second"]


@pytest.mark.parametrize("error", [NOT_ENOUGH_REPLICAS, OUT_OF_ORDER])
async def test_a_broker_that_refuses_for_a_while_is_asked_again(error: int) -> None:
    with FaultyBroker() as broker:
        async with publishing(broker) as (publisher, kafka):
            broker.refuse(error, error)
            await asyncio.wait_for(publisher.publish(uploads("first", "second")), 30)
        assert await asyncio.to_thread(on_topic, kafka) == ["first", "second"]


@pytest.mark.timed
@pytest.mark.parametrize(
    "error",
    [
        TOPIC_AUTHORIZATION_FAILED,
        CLUSTER_AUTHORIZATION_FAILED,
        UNSUPPORTED_VERSION,
        POLICY_VIOLATION,
    ],
)
async def test_a_refusal_that_a_retry_cannot_mend_is_one_line_that_names_the_topic(
    error: int,
) -> None:
    with FaultyBroker() as broker:
        async with publishing(broker) as (publisher, kafka):
            broker.refuse(error)
            with pytest.raises(WorkerError, match="refuses to write video.uploaded for good"):
                await asyncio.wait_for(publisher.publish(uploads("refused")), 10)
            await asyncio.wait_for(publisher.publish(uploads("next")), 10)
        assert await asyncio.to_thread(on_topic, kafka) == ["next"]


@pytest.mark.timed
async def test_an_event_over_the_limit_is_an_error_and_the_next_one_is_published() -> None:
    with FaultyBroker() as broker:
        async with publishing(broker) as (publisher, kafka):
            large = bytes(kafka.max_message_bytes + 1)
            with pytest.raises(MessageSizeTooLargeError):
                await publisher.send(VideoUploaded.topic, large, b"k")
            await asyncio.wait_for(publisher.publish(uploads("next")), 10)
        assert await asyncio.to_thread(on_topic, kafka) == ["next"]


class SlowStep:
    """The real fingerprint step, that waits in the middle until it may go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.in_hand, self.go_on, self.calls = threading.Event(), threading.Event(), 0
        real = Fingerprinter.fingerprint

        def slow(fingerprinter: Fingerprinter, *arguments: Any) -> Any:
            self.calls += 1
            self.in_hand.set()
            assert self.go_on.wait(30)
            return real(fingerprinter, *arguments)

        monkeypatch.setattr(Fingerprinter, "fingerprint", slow)


@pytest.fixture
def slow_step(monkeypatch: pytest.MonkeyPatch) -> SlowStep:
    return SlowStep(monkeypatch)


@pytest.fixture
def kafka() -> Iterator[KafkaSettings]:
    with embedded_kafka(KafkaSettings()) as settings:
        yield settings


async def test_an_upload_in_hand_is_finished_before_a_stop(
    kafka: KafkaSettings, tmp_path: Path, slow_step: SlowStep
) -> None:
    settings = service_settings(kafka, tmp_path, drain_seconds=30)
    video = make_video(tmp_path / "v.mp4", count=50)
    async with running_service(settings, ("library", "decide")) as platform:
        async with running_workers(settings, ("fingerprint",)):
            await platform.submit(upload(video, "v"))
            await asyncio.to_thread(slow_step.in_hand.wait, 20)
            asyncio.get_running_loop().call_later(1, slow_step.go_on.set)
        await platform.read_until(platform.has_decided("v"), 20)
    assert platform.of("video.rejected", "v") == []


async def test_an_upload_that_outlasts_the_drain_time_goes_to_the_next_worker(
    kafka: KafkaSettings, tmp_path: Path, slow_step: SlowStep
) -> None:
    settings = service_settings(kafka, tmp_path, drain_seconds=0.1, session_timeout_seconds=6)
    video = make_video(tmp_path / "v.mp4", count=50)
    async with running_service(settings, ("library", "decide")) as platform:
        async with running_workers(settings, ("fingerprint",)):
            await platform.submit(upload(video, "v"), upload(video, "behind"))
            await asyncio.to_thread(slow_step.in_hand.wait, 20)
        slow_step.go_on.set()
        async with running_workers(settings, ("fingerprint",)):
            await platform.read_until(platform.has_decided("v", "behind"))
            await platform.read(1)
    for name in ("v", "behind"):
        assert len(platform.of("video.decided", name)) == 1
        assert platform.of("video.rejected", name) == []
    assert slow_step.calls > 2, "what was in hand began anew"
