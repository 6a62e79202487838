"""Killed at any moment, a decide worker and its successor say the same, whatever is said meanwhile.

Its verdicts and policies change with each death, so whatever is judged twice has other words.
"""

import os
import signal
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest

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
from stream.failpoints import VARIABLE
from stream.settings import Settings
from stream.times import now
from tests.stream.answers import policy, verdict
from tests.stream.command import publish
from tests.stream.mortal import (
    NUMBERS,
    OUTPUTS,
    PARTITION,
    Mortal,
    answers_about,
    decision_in,
    mortal_of,
)
from tests.stream.service import running_service, service_settings

pytestmark = pytest.mark.asyncio(loop_scope="module")
TRACE = ("traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
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


async def test_a_process_killed_behind_its_decision_is_followed_by_one_that_says_the_same(
    tmp_path: Path,
) -> None:
    with embedded_kafka(KafkaSettings(topic_prefix="t.")) as kafka:
        settings = service_settings(kafka, tmp_path, session_timeout_seconds=6)
        asked = [(event.key(), event.to_bytes(), [TRACE]) for event in answers_about("v0")]
        send(kafka, VideoCompared.topic, asked)
        process = subprocess.run(
            [sys.executable, "-c", ROLE, settings.model_dump_json(exclude_defaults=True)],
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
