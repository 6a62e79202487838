"""The whole service in the test's event loop on an embedded broker; serves the tests of the agents.

The broker is slow on the second join of a consumer group: a service of its own for each test, or
one for all tests of a module.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from stream.agents.run import running_workers
from stream.broker.client import Headers, Reader, send
from stream.broker.settings import KafkaSettings
from stream.contract.events import EVENTS, Event, VideoUploaded
from stream.settings import Settings, load_settings
from tests.stream.text_video_pair import make_pair
from tests.stream.videos import make_video

READ_TOPICS = sorted(EVENTS.keys() - {"video.uploaded", "alert.reviewed", "policy.updated"})
Answers = dict[str, list[dict[str, Any]]]


class Platform:
    """A client outside of the service: submits uploads, keeps all that comes out of it."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._reader = Reader(kafka, *READ_TOPICS)
        self.answers: Answers = defaultdict(list)

    def __enter__(self) -> "Platform":
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.__exit__()

    async def submit(self, *values: bytes | Event | dict[str, Any], key: str = "k") -> None:
        """Put uploads on the topic, one behind the other on one partition."""
        messages: list[tuple[bytes, bytes, Headers]] = [
            (key.encode(), _bytes(value), []) for value in values
        ]
        await asyncio.to_thread(send, self._kafka, VideoUploaded.topic, messages)

    async def read_until(self, done: Callable[[], bool], seconds: float = 60.0) -> None:
        """Read on until `done`, and all that lies on the topics then; else the test fails.

        What was published before a decision may come behind it, from another topic.
        """
        deadline = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < deadline, f"still waiting; got {self.summary()}"
            await self.read(0.1)
        await asyncio.to_thread(self._catch_up)

    def _catch_up(self) -> None:
        for topic, message in self._reader.until_now():
            self.answers[topic].append(_read(message.value()))

    async def read(self, seconds: float) -> None:
        """Read what comes within so long."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = await asyncio.to_thread(self._reader.poll, 0.05)
            if found is not None:
                topic, message = found
                self.answers[topic].append(_read(message.value()))

    def of(self, topic: str, video_id: str | None) -> list[dict[str, Any]]:
        """The events of a video on a topic."""
        found = (event for event in self.answers[topic] if isinstance(event, dict))
        return [event for event in found if event.get("video_id") == video_id]

    def has_decided(self, *video_ids: str, times: int = 1) -> Callable[[], bool]:
        """Whether each of them has so many decisions, for `read_until`."""
        return lambda: all(
            len(self.of("video.decided", video_id)) >= times for video_id in video_ids
        )

    def summary(self) -> dict[str, list[str | None]]:
        """Whose events came, by topic."""
        return {
            topic: [event.get("video_id") for event in events if isinstance(event, dict)]
            for topic, events in self.answers.items()
        }


def service_settings(kafka: KafkaSettings, folder: Path, **worker: Any) -> Settings:
    """Settings of a small service whose videos and snapshots are below `folder`."""
    return load_settings(
        kafka=kafka,
        fetch={"roots": [str(folder)]},
        decode={"processes": 1},
        text_video={"path": make_pair(folder / "pair")},
        library={"shards": 2, "snapshot_folder": str(folder / "snapshots")},
        search={"snapshot_folder": str(folder / "view")},
        worker={"data_folder": str(folder / "workers"), "fingerprint_concurrency": 2, **worker},
    )


@asynccontextmanager
async def running_service(
    settings: Settings, roles: Sequence[Any] = ("fingerprint", "library", "decide")
) -> AsyncIterator[Platform]:
    """All workers, and a client; a worker that failed fails the test."""
    with Platform(settings.kafka) as platform:
        async with running_workers(settings, roles) as failure:
            yield platform
            if failure.done():
                failure.result()


async def eventually(
    holds: Callable[[], bool], seconds: float = 60.0, *, shown: Callable[[], object] = str
) -> None:
    """Wait until something holds; the test fails, and shows what it is told to, when it doesn't."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, shown()
        await asyncio.sleep(0.05)


def upload(path: Path, video_id: str, **more: Any) -> dict[str, Any]:
    """An upload of a file, as any client would write it."""
    return {"video_id": video_id, "uri": path.as_uri(), "owner_id": f"owner of {video_id}", **more}


def make_film(path: Path) -> Path:
    """Twenty seconds that show another picture in each of them."""
    return make_video(path, count=20, frames_per_second=1, key_every=1, size=(160, 120), draw=_shot)


def _shot(index: int, width: int, height: int) -> NDArray[np.uint8]:
    """Smooth random colours."""
    waves = np.random.default_rng(index).uniform(0.5, 6, (3, 3)) * np.pi
    y, x = np.mgrid[0:height, 0:width] / height
    picture = [np.sin(a * x + b * y * y + c) for a, b, c in waves]
    return (127.5 + 127 * np.stack(picture, axis=-1)).astype(np.uint8)


def _read(value: bytes | None) -> Any:
    """What a message says; None for a takedown, and for what is no JSON."""
    try:
        return orjson.loads(value or b"null")
    except orjson.JSONDecodeError:
        return None


def _bytes(value: bytes | Event | dict[str, Any]) -> bytes:
    if isinstance(value, bytes):
        return value
    return value.to_bytes() if isinstance(value, Event) else orjson.dumps(value)
