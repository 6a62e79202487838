"""Killed at any moment, a decide worker and its successor say the same, whatever is said meanwhile.

Its verdicts and policies change with each death, so whatever is judged twice has other words.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from aiokafka.errors import MessageSizeTooLargeError

from stream.agents.decide import DecideWorker
from stream.agents.faust_app import Drain, MovedError
from stream.agents.publisher import Publisher
from stream.agents.pulse import Pulse
from stream.broker.client import Reader, send
from stream.broker.embedded import embedded_kafka
from stream.broker.settings import KafkaSettings
from stream.contract.events import (
    AlertRaised,
    AlertSuppressed,
    Event,
    PolicyUpdated,
    VideoCompared,
    VideoDecided,
    VideoRejected,
)
from stream.decide.alert import alert_of
from stream.decide.decide import Join, Pending, on_compared
from stream.decide.joins import CHANGELOG
from stream.errors import TooLargeError
from stream.failpoints import VARIABLE
from stream.settings import Settings
from stream.times import now
from tests.stream.answers import answer, match, policy, verdict
from tests.stream.command import publish
from tests.stream.service import running_service, service_settings

pytestmark = pytest.mark.asyncio(loop_scope="module")

PARTITION, PARTITIONS = 3, range(8)
DECISION = "the decision"
TRACE = ("traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
OUTPUTS = (AlertRaised.topic, AlertSuppressed.topic, VideoDecided.topic)
ROLE = """
import asyncio, sys
from stream.agents.run import running_workers
from stream.settings import Settings
from stream.times import now

async def decide():
    settings = Settings.model_validate_json(sys.argv[1])
    async with running_workers(settings, ("decide",)) as failure:
        await failure

asyncio.run(decide())
"""


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


@pytest.fixture(scope="module")
def kafka() -> Iterator[KafkaSettings]:
    with embedded_kafka(KafkaSettings(topic_prefix="t.")) as settings:
        yield settings


@pytest.fixture
def settings(kafka: KafkaSettings, tmp_path: Path) -> Settings:
    return service_settings(kafka, tmp_path)


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


def begin_with(mortal: Mortal, name: str) -> None:
    mortal.policies.take(policy(f"studio of {name}", licensed_owner_ids=["fan"]))
    mortal.policies.take(policy(f"label of {name}", alerts_per_hour=1))


def say_otherwise(mortal: Mortal, name: str) -> None:
    """Another judgement of each of its matches, and none of anything else."""
    dismissal = verdict(
        f"an earlier alert of {name}", video_id=name, reference_id=f"film of {name}"
    )
    mortal.policies.take(dismissal)
    mortal.policies.remove(PolicyUpdated.topic, f"studio of {name}")
    mortal.policies.take(policy(f"label of {name}", licensed_owner_ids=["fan"]))


@pytest.mark.parametrize("early", [False, True])
async def test_whatever_it_has_written_when_it_is_killed_nothing_is_said_in_other_words(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, early: bool
) -> None:
    decide = settings.decide.model_copy(update={"as_soon_as_matched": early})
    settings = settings.model_copy(update={"decide": decide})
    names = []
    async with mortal_of(settings, monkeypatch) as mortal:
        for writes in count():
            names.append(name := f"v{next(NUMBERS)}")
            begin_with(mortal, name)
            lived = await mortal.live(answers_about(name), writes)
            say_otherwise(mortal, name)
            for _ in range(2):
                assert await mortal.live(answers_about(name))
            if lived:
                break
        said = mortal.said()
    assert len(names) > 7, "a claim, states and each output were once the last that was written"
    for name in names:
        copies = said[name]
        assert {len({*texts}) for texts in copies.values()} == {1}, copies
        assert len({name for _, name in copies}) == len(copies) == 4, "each is judged one way"
        raised = {alert for topic, alert in copies if topic == AlertRaised.topic}
        assert {*decision_in(copies)["alert_ids"]} <= raised
    assert any(len(texts) > 1 for name in names for texts in said[name].values())
    reasons = [decision_in(said[name])["reason"].replace(name, "v") for name in names]
    assert len({*reasons}) == 2, "what is said meanwhile does change the words"


async def test_what_was_said_holds_against_a_letter_that_is_read_first_by_the_next(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"v{next(NUMBERS)}"
    answers = answers_about(name)
    async with mortal_of(settings, monkeypatch) as mortal:
        assert not await mortal.live(answers, writes=6)  # decided, and that isn't noted
        assert await mortal.live([letter_about(answers[0]), *answers])
        said = mortal.said()[name]
    assert {len(texts) for texts in said.values()} == {2}
    assert decision_in(said)["outcome"] == "matched"


async def test_what_is_in_hand_when_partitions_move_is_said_by_whoever_has_them_then(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"v{next(NUMBERS)}"
    first, last = answers_about(name)
    async with mortal_of(settings, monkeypatch) as mortal:
        assert await mortal.live([first])
        real = Publisher.send

        async def moves(publisher: Publisher, topic: str, *arguments: Any, **more: Any) -> Any:
            place = await real(publisher, topic, *arguments, **more)
            mortal.worker._app.era += topic == CHANGELOG
            return place

        with monkeypatch.context() as patches:
            patches.setattr(Publisher, "send", moves)
            in_hand, behind = mortal.delivered(last, 1), mortal.delivered(first, 2)
            handled = (mortal.worker._handle(event) for event in (in_hand, behind))
            errors = await asyncio.gather(*handled, return_exceptions=True)
        assert [type(error) for error in errors] == [MovedError, MovedError]
        assert mortal.said().get(name) is None, "noted, not said: another may judge otherwise"
        assert await mortal.live([first, last])
        assert len(mortal.said()[name]) == 4


async def test_a_worker_that_was_frozen_judges_nothing_before_it_knows_what_is_its_own(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"v{next(NUMBERS)}" for _ in range(2)]
    now, session = [100.0], settings.worker.session_timeout_seconds
    async with mortal_of(settings, monkeypatch) as mortal:
        mortal.worker._pulse = pulse = Pulse(session, lambda: now[0])
        pulse._note()
        now[0] += session
        tasks = [asyncio.create_task(mortal.live(answers_about(name))) for name in names]
        await asyncio.sleep(1.0)
        assert not mortal.said().keys() & {*names}
        now[0] += session / 2
        pulse._note()
        mortal.worker._app.era += 1  # as when the group gives out its partitions anew
        for task in tasks:
            with pytest.raises(MovedError):
                await task
        now[0] += session / 2
        pulse._note()
        assert await mortal.live(answers_about(names[0]))
        assert {*names} & mortal.said().keys() == {names[0]}


async def test_an_event_whose_partition_moved_is_not_acknowledged_and_ends_nothing() -> None:
    acknowledged: list[str] = []

    class Events:
        """As a stream of Faust."""

        def noack(self) -> "Events":
            return self

        async def events(self) -> AsyncIterator[Any]:
            for key in (b"moved", b"mine"):
                message = SimpleNamespace(key=key, headers={})
                name = key.decode()
                yield SimpleNamespace(message=message, ack=partial(acknowledged.append, name))

    async def handle(event: Any) -> None:
        if event.message.key == b"moved":
            raise MovedError("partitions have moved")

    drain = Drain()
    await drain.consume(Events(), handle)
    assert acknowledged == ["mine"]
    assert not drain.failure.done()
    assert drain.progress.in_hand == 0


async def test_partitions_dont_wait_for_each_other_and_each_keeps_its_order(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked, written = asyncio.Event(), []

    async with mortal_of(settings, monkeypatch) as mortal:
        real = Publisher.send

        async def send(publisher: Publisher, topic: str, *arguments: Any, **more: Any) -> Any:
            partition = more.get("partition")
            if partition == PARTITION:
                await blocked.wait()
            written.append((partition, topic))
            return await real(publisher, topic, *arguments, **more)

        monkeypatch.setattr(Publisher, "send", send)
        answers = answers_about(f"v{next(NUMBERS)}")
        slow = [mortal.delivered(event, offset) for offset, event in enumerate(answers)]
        quick = mortal.delivered(answer(0, request_id="4-1-1", video_id="quick"), 0)
        quick.message.partition = 4
        waiting = [asyncio.create_task(mortal.worker._handle(event)) for event in slow]
        await asyncio.wait_for(mortal.worker._handle(quick), 20)
        assert written == [(4, CHANGELOG)]
        blocked.set()
        await asyncio.gather(*waiting)
    states = [where for where in written if where == (PARTITION, CHANGELOG)]
    assert len(states) == 3, "one answer, what is pending, decided"
    assert written[-1] == states[-1]


async def test_what_can_be_noted_and_not_published_is_a_dead_letter_and_decided_by_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"v{next(NUMBERS)}"
    answers = answers_about(name)
    async with mortal_of(settings, monkeypatch) as mortal:
        mortal.too_large = {AlertRaised.topic}
        for _ in range(2):  # killed when it is noted, then behind its letter
            assert not await mortal.live(answers, writes=2)
        with Reader(settings.kafka, VideoRejected.topic) as reader:
            letters = [VideoRejected.from_bytes(found[1].value()) for found in reader.until_now()]
        assert {letter.request_id for letter in letters} == {f"{PARTITION}-{name[1:]}-1"}
        assert await mortal.live([*letters, *answers])
        said = mortal.said()[name]
    assert decision_in(said)["outcome"] == "rejected"
    assert [len(texts) for texts in said.values()] == [1]


async def test_more_than_the_changelog_takes_is_noted_without_the_answers_or_refused(
    settings: Settings,
) -> None:
    kafka = settings.kafka.model_copy(update={"max_message_bytes": 400_000})
    worker = DecideWorker(settings.model_copy(update={"kafka": kafka}))
    segments = match("film").segments * (kafka.max_message_bytes // 200)
    whole = answer(0, match("film", segments=segments))
    join, _ = on_compared(Join(), whole)
    outputs = [alert_of(whole, whole.matches[0])]
    then = Join(decided_at=now())
    noted = worker._fitting(join.about_to_say(outputs, then))
    assert (noted.answers, noted.pending) == ({}, Pending(outputs=tuple(outputs), then=then))
    assert worker._fitting(join) is join
    with pytest.raises(TooLargeError, match="what is said of a request: "):
        worker._fitting(join.about_to_say(outputs * 3, then))


async def test_a_process_killed_behind_its_decision_is_followed_by_one_that_says_the_same(
    tmp_path: Path,
) -> None:
    with embedded_kafka(KafkaSettings(topic_prefix="t.")) as kafka:
        settings = service_settings(kafka, tmp_path, session_timeout_seconds=6)
        asked = [(event.key(), event.to_bytes(), [TRACE]) for event in answers_about("v0")]
        send(kafka, VideoCompared.topic, asked)
        process = subprocess.run(
            [sys.executable, "-c", ROLE, settings.model_dump_json()],
            env={**os.environ, VARIABLE: "decide.after_produce=2"},
            check=False,
            timeout=120,
        )
        assert process.returncode == -signal.SIGKILL
        publish(kafka, verdict("an earlier alert", video_id="v0", reference_id="film of v0"))
        async with running_service(settings, ("decide",)) as platform:
            await platform.read_until(platform.has_decided("v0", times=2))
            await platform.read(0.5)
        with Reader(kafka, *OUTPUTS) as reader:
            traces = [found[1].headers() for found in reader.until_now()]
    assert traces == [[TRACE]] * 8
    for topic, times in ((VideoDecided.topic, 2), (AlertRaised.topic, 6)):
        assert len(platform.of(topic, "v0")) == times
    assert platform.of(AlertSuppressed.topic, "v0") == []
    first, second = platform.of(VideoDecided.topic, "v0")
    assert first == second
    assert first["outcome"] == "matched"


def letter_about(event: Event) -> VideoRejected:
    """As if the message that the event was made of had come to a shard twice, and failed once."""
    return VideoRejected.from_json(
        {
            "video_id": event.video_id,  # type: ignore[attr-defined]
            "error": "internal",
            "message": "failed",
            "source_topic": "video.fingerprinted",
            "source_partition": 0,
            "source_offset": 8,
            "attempts": 1,
            "request_id": event.request_id,  # type: ignore[attr-defined]
            "rejected_at": now(),
        }
    )


def decision_in(copies: dict[tuple[str, str], list[bytes]]) -> dict[str, Any]:
    """The decision of one video, in what was said of it."""
    found: dict[str, Any] = orjson.loads(copies[VideoDecided.topic, DECISION][0])
    return found
