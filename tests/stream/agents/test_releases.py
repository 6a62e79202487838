"""A confirmed alert that was held is raised, and by the next worker where one is killed.

That one of several workers does it is asked of a real Kafka, in `tests/kafka/test_policy.py`.
"""

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import nullcontext
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import MessageSizeTooLargeError

from stream.agents.deaths import leave_behind
from stream.agents.publisher import Publisher
from stream.agents.releases import Releases
from stream.broker.client import Reader, send
from stream.broker.embedded import embedded_kafka
from stream.broker.settings import KafkaSettings
from stream.contract.events import (
    AlertRaised,
    AlertReviewed,
    AlertSuppressed,
    VideoRejected,
)
from stream.decide.alert import alert_of
from stream.failpoints import VARIABLE
from stream.settings import Settings
from tests.stream.agents.test_decide_killed import ROLE
from tests.stream.answers import answer, match, policy, verdict
from tests.stream.command import publish
from tests.stream.mortal import PARTITION, KilledError, Mortal, mortal_of
from tests.stream.service import Platform, running_service, service_settings

pytestmark = pytest.mark.asyncio(loop_scope="module")
NUMBERS = count()


def held(video_id: str, reference_id: str = "hit") -> AlertSuppressed:
    alert = alert_of(answer(0, video_id=video_id), match(reference_id))
    why = {"reason": "held", "detail": f"{reference_id} got 1 other alert within an hour"}
    return AlertSuppressed.model_validate(alert.model_dump() | why)


def confirmed(alert: AlertSuppressed) -> AlertReviewed:
    return verdict(
        alert.alert_id,
        "confirmed",
        video_id=alert.video_id,
        reference_id=alert.reference_id,
        alert=alert,
    )


def released(platform: Platform, alert: AlertSuppressed) -> list[dict[str, Any]]:
    found = platform.of(AlertRaised.topic, alert.video_id)
    return [event for event in found if event["alert_id"] == alert.alert_id]


async def test_a_held_alert_that_is_confirmed_is_raised_with_its_id_and_seconds(
    settings: Settings,
) -> None:
    await asyncio.to_thread(publish, settings.kafka, policy("owner of hit", alerts_per_hour=1))
    async with running_service(settings, ("decide",)) as platform:
        for name in ("first", "second"):
            asked = [
                answer(shard, *([match("hit")] if shard == 0 else []), video_id=name,
                       request_id=f"request of {name}")
                for shard in range(2)
            ]  # fmt: skip
            await asyncio.to_thread(publish, settings.kafka, *asked)
        await platform.read_until(platform.has_decided("first", "second"))
        await platform.read_until(lambda: bool(platform.answers[AlertSuppressed.topic]))
        (event,) = platform.answers[AlertSuppressed.topic]
        kept = AlertSuppressed.from_json(event)
        assert kept.reason == "held"
        unread = verdict("a", "confirmed").to_bytes().replace(b"confirmed", b"perhaps")
        said: list[tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]] = [
            (kept.alert_id.encode(), value, [])
            for value in (unread, None, verdict(kept.alert_id, "confirmed").to_bytes())
        ]
        await asyncio.to_thread(send, settings.kafka, AlertReviewed.topic, said)
        await asyncio.to_thread(publish, settings.kafka, confirmed(kept))
        await platform.read_until(lambda: bool(released(platform, kept)))
        await platform.read(0.5)
        (raised,) = released(platform, kept)
        assert raised["segments"] == event["segments"]
        letters = [one["error"] for one in platform.answers[VideoRejected.topic]]
        assert letters.count("bad_event") == 1, "told once, by who follows all verdicts"


def releases_of(mortal: Mortal) -> Releases:
    worker = mortal.worker
    return Releases(worker._publisher, worker._deaths, mortal.policies, worker._claims)


async def test_it_is_claimed_before_it_is_raised_so_that_others_are_held_for_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = held("v", f"limited-{next(NUMBERS)}")
    async with mortal_of(settings, monkeypatch) as mortal:
        mortal.policies.take(policy(kept.reference_owner_id, alerts_per_hour=1))
        await releases_of(mortal).handle(mortal.delivered(confirmed(kept), next(NUMBERS)))
        assert mortal.policies.floods.others(kept.reference_id, kept.alert_id) == 0
        await mortal.worker._claims.claim([(kept.reference_id, "another")])
        assert mortal.policies.floods.others(kept.reference_id, "another") == 1


async def test_what_is_too_large_to_be_raised_is_a_dead_letter_and_a_later_one_is_raised(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    large, small = held("large"), held("small")
    async with mortal_of(settings, monkeypatch) as mortal:
        real = Publisher.send

        async def refuses(
            publisher: Publisher, topic: str, value: Any, *more: Any, **rest: Any
        ) -> Any:
            if topic == AlertRaised.topic and b'"large"' in value:
                raise MessageSizeTooLargeError("larger than the topic allows")
            return await real(publisher, topic, value, *more, **rest)

        monkeypatch.setattr(Publisher, "send", refuses)
        for alert in (large, small):
            await releases_of(mortal).handle(mortal.delivered(confirmed(alert), next(NUMBERS)))
    (letter,) = letters_about(settings, "large")
    assert (letter.source_topic, letter.error) == (AlertReviewed.topic, "too_large")
    assert raised_in(settings, large) == []
    assert len(raised_in(settings, small)) == 1


async def test_a_verdict_that_is_left_behind_is_a_dead_letter_and_raises_nothing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, offset = held("left behind"), next(NUMBERS)
    place = (AlertReviewed.topic, PARTITION, offset)
    leave_behind(settings.worker.data_folder, "decide", place)
    async with mortal_of(settings, monkeypatch) as mortal:
        mortal.worker._deaths.open()
        await releases_of(mortal).handle(mortal.delivered(confirmed(kept), offset))
        mortal.worker._deaths.close()
    (letter,) = letters_about(settings, "left behind")
    assert (letter.source_topic, letter.error) == (AlertReviewed.topic, "internal")
    assert raised_in(settings, kept) == []


def letters_about(settings: Settings, video_id: str) -> list[VideoRejected]:
    with Reader(settings.kafka, VideoRejected.topic) as reader:
        letters = [VideoRejected.from_bytes(found[1].value()) for found in reader.until_now()]
    return [letter for letter in letters if letter.video_id == video_id]


def raised_in(settings: Settings, alert: AlertSuppressed) -> list[AlertRaised]:
    with Reader(settings.kafka, AlertRaised.topic) as reader:
        events = [AlertRaised.from_bytes(found[1].value()) for found in reader.until_now()]
    return [event for event in events if event.alert_id == alert.alert_id]


async def test_whatever_it_has_written_when_it_is_killed_the_next_raises_the_same(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[list[bytes]] = []
    async with mortal_of(settings, monkeypatch) as mortal:
        for writes in (0, 1, 2):  # nothing, its claim, the alert too
            kept = held(f"killed-{writes}", f"limited-{next(NUMBERS)}")
            mortal.policies.take(policy(kept.reference_owner_id, alerts_per_hour=1))
            event = mortal.delivered(confirmed(kept), next(NUMBERS))
            mortal.writes_left = writes
            with pytest.raises(KilledError) if writes < 2 else nullcontext():
                await releases_of(mortal).handle(event)
            mortal.writes_left = float("inf")
            await releases_of(mortal).handle(event)
            said.append([one.to_bytes() for one in raised_in(settings, kept)])
            assert mortal.policies.floods.others(kept.reference_id, kept.alert_id) == 0
    assert [len(texts) for texts in said] == [1, 1, 2]
    assert len({*said[2]}) == 1


async def test_a_process_that_is_killed_behind_it_is_followed_by_one_that_raises_it_again(
    tmp_path: Path,
) -> None:
    kept = held("v")
    with embedded_kafka(KafkaSettings(topic_prefix="t.")) as kafka:
        settings = service_settings(kafka, tmp_path, session_timeout_seconds=6)
        publish(kafka, confirmed(kept))
        process = subprocess.run(
            [sys.executable, "-c", ROLE, settings.model_dump_json(exclude_defaults=True)],
            env={**os.environ, VARIABLE: "decide.after_produce"},
            check=False,
            timeout=120,
        )
        assert process.returncode == -signal.SIGKILL
        async with running_service(settings, ("decide",)) as platform:
            await platform.read_until(lambda: len(released(platform, kept)) == 2)
            await platform.read(0.5)
        assert len(released(platform, kept)) == 2
        with Reader(kafka, AlertRaised.topic) as reader:
            texts = {message.value() for _, message in reader.until_now()}
    assert len(texts) == 1
