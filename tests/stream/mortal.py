"""A decide worker that dies at any write; serves the tests of what its successor says."""

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import count
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from aiokafka.errors import MessageSizeTooLargeError

from stream.agents.decide import DecideWorker
from stream.agents.publisher import Publisher
from stream.broker.client import Reader
from stream.contract.events import (
    AlertRaised,
    AlertSuppressed,
    Event,
    VideoDecided,
)
from stream.decide.joins import CHANGELOG
from stream.settings import Settings
from tests.stream.answers import answer, match

PARTITION, PARTITIONS = 3, range(8)
DECISION = "the decision"
OUTPUTS = (AlertRaised.topic, AlertSuppressed.topic, VideoDecided.topic)


class KilledError(BaseException):
    """Stands for the end of the process: nothing that the worker does afterwards counts."""


class Mortal:
    """A decide worker that gets its messages by hand and dies at a write to Kafka.

    Its next life knows what its changelog says, as one that takes over the partition does.
    """

    def __init__(self, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
        self.kafka = settings.kafka
        self.worker = DecideWorker(settings)
        self.policies = self.worker._follower.policies
        self.writes_left: float = float("inf")
        self.too_large: set[str] = set()
        real = Publisher.send

        async def send(publisher: Publisher, topic: str, *arguments: Any, **more: Any) -> Any:
            if self.writes_left < 1:
                raise KilledError
            self.writes_left -= 1
            if topic in self.too_large:
                raise MessageSizeTooLargeError("larger than the topic allows")
            return await real(publisher, topic, *arguments, **more)

        monkeypatch.setattr(Publisher, "send", send)

    async def live(self, events: Sequence[Event], writes: float = float("inf")) -> bool:
        """Take the messages of a partition from the last that is committed on; False if killed."""
        self.worker._all_recovered(set())
        with Reader(self.kafka, CHANGELOG) as reader:
            for _, message in reader.until_now():
                partition, key = message.partition(), message.key()
                assert partition is not None and isinstance(key, bytes)
                self.worker._note_recovered(partition, key, message.value())
        self.worker._all_recovered({*PARTITIONS})
        self.writes_left = writes
        try:
            for offset, event in enumerate(events):
                await self.worker._handle(self.delivered(event, offset))
        except KilledError:
            return False
        return True

    def delivered(self, event: Event, offset: int) -> Any:
        """The event as Faust gives it."""
        message = SimpleNamespace(
            topic=self.kafka.topic(event.topic), partition=PARTITION, offset=offset,
            timestamp=1_767_225_600.0 + offset, headers={}, key=event.key(), value=event.to_bytes(),
        )  # fmt: skip
        return SimpleNamespace(message=message)

    def said(self) -> dict[str, dict[tuple[str, str], list[bytes]]]:
        """All copies of each alert and decision, by video."""
        found: dict[str, dict[tuple[str, str], list[bytes]]] = defaultdict(
            lambda: defaultdict(list)
        )
        with Reader(self.kafka, *OUTPUTS) as reader:
            for topic, message in reader.until_now():
                event = orjson.loads(message.value() or b"")
                name = event.get("alert_id", DECISION)
                found[event["video_id"]][topic, name].append(message.value() or b"")
        return found


@asynccontextmanager
async def mortal_of(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Mortal]:
    """All of a worker but its membership of the group."""
    mortal = Mortal(settings, monkeypatch)
    parts = (mortal.worker._publisher, mortal.worker._follower, mortal.worker._claims)
    for part in parts:
        await part.start()
    try:
        yield mortal
    finally:
        for part in reversed(parts):
            await part.stop()


NUMBERS = count()


def answers_about(name: str) -> list[Event]:
    """Two shards find copies: of a film, of a licensed series, of a hit with a limit of one."""
    changes: dict[str, Any] = {
        "video_id": name,
        "owner_id": "fan",
        "request_id": f"{PARTITION}-{name[1:]}-1",
    }
    licensed = match(f"series of {name}", reference_owner_id=f"studio of {name}")
    first = [match(f"film of {name}"), licensed]
    second = match("hit", reference_owner_id=f"label of {name}")
    return [answer(0, *first, **changes), answer(1, second, **changes)]


def decision_in(copies: dict[tuple[str, str], list[bytes]]) -> dict[str, Any]:
    """The decision of one video, in what was said of it."""
    found: dict[str, Any] = orjson.loads(copies[VideoDecided.topic, DECISION][0])
    return found
