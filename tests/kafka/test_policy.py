"""Policies and verdicts on a real Kafka: read whole by each new decide worker, and followed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from stream.agents.decide import DecideWorker
from stream.agents.run import running_workers
from stream.broker.client import Headers, send
from stream.broker.topics import create_topics
from stream.contract.events import AlertSuppressed, Event, Match, PolicyUpdated
from stream.metrics import WAITING_REQUESTS
from stream.settings import Settings
from tests.stream.answers import answer, match, policy, verdict
from tests.stream.command import Command
from tests.stream.service import Platform, eventually, running_service

OTHERS = 1_000


@asynccontextmanager
async def deciding(settings: Settings) -> AsyncIterator[Platform]:
    """A new decide worker, and a client that reads all topics from the beginning."""
    async with running_service(settings, ("decide",)) as platform:
        yield platform


async def publish(settings: Settings, *events: Event) -> None:
    for topic in {event.topic for event in events}:
        messages: list[tuple[bytes | None, bytes | None, Headers]] = [
            (event.key(), event.to_bytes(), []) for event in events if event.topic == topic
        ]
        await asyncio.to_thread(send, settings.kafka, topic, messages)


async def ask(settings: Settings, video_id: str, *found: Match) -> None:
    asked = answer(
        0, *found, video_id=video_id, owner_id=f"o-{video_id}", request_id=video_id, shards=1
    )
    await publish(settings, asked)


def kept_back(platform: Platform) -> dict[str, str]:
    return {event["video_id"]: event["reason"] for event in platform.answers["alert.suppressed"]}


async def test_a_new_worker_has_read_everything_before_it_decides(settings: Settings) -> None:
    many = [verdict(f"a{number}", video_id="x", reference_id="y") for number in range(OTHERS)]
    dismissed = verdict("last", video_id="film", reference_id="gone")
    rules = [policy("studio", licensed_owner_ids=["o-fan"]), policy("taken back", least_score=1.0)]
    await publish(settings, *many, dismissed, *rules)
    tombstone: list[tuple[bytes | None, bytes | None, Headers]] = [(b"taken back", None, [])]
    await asyncio.to_thread(send, settings.kafka, PolicyUpdated.topic, tombstone)
    await ask(settings, "gone", match("film"))
    await ask(settings, "fan", match("series", reference_owner_id="studio"))
    await ask(settings, "free", match("show", reference_owner_id="taken back"))
    for _ in range(2):  # a worker that comes after says the same of a repeat
        async with deciding(settings) as platform:
            await platform.read_until(platform.has_decided("gone", "fan", "free"))
            assert kept_back(platform) == {"gone": "dismissed", "fan": "licensed"}
            raised = [event["video_id"] for event in platform.answers["alert.raised"]]
            assert raised == ["free"]
    again = answer(0, match("film"), video_id="gone", owner_id="o-gone", request_id="2", shards=1)
    async with deciding(settings) as platform:
        await publish(settings, again)
        await platform.read_until(platform.has_decided("gone", times=2))
        assert [event["video_id"] for event in platform.answers["alert.raised"]] == ["free"]


async def test_a_flood_is_measured_over_workers_that_come_and_go(settings: Settings) -> None:
    await publish(settings, policy("owner of hit", alerts_per_hour=3))
    async with deciding(settings) as platform:
        for number in range(2):
            await ask(settings, f"first-{number}", match("hit"))
        await platform.read_until(platform.has_decided("first-0", "first-1"))
    async with deciding(settings) as platform:
        for number in range(3):
            await ask(settings, f"then-{number}", match("hit"))
        await platform.read_until(platform.has_decided(*(f"then-{n}" for n in range(3))))
        await platform.read(1.0)
        assert len(platform.answers["alert.raised"]) == 3
        assert list(kept_back(platform).values()) == ["held", "held"]
        outcomes = {event["outcome"] for event in platform.answers["video.decided"]}
        assert outcomes == {"matched"}


async def test_a_flood_is_held_exactly_over_workers_that_raise_at_the_same_moment(
    settings: Settings, tmp_path: Path
) -> None:
    await publish(settings, policy("owner of hit", alerts_per_hour=5))
    names = [f"at once-{number}" for number in range(60)]
    worker = settings.worker.model_copy(update={"data_folder": tmp_path / "second"})
    beside = settings.model_copy(update={"worker": worker})
    async with deciding(settings) as platform, running_workers(beside, ("decide",)) as failure:
        await ask(settings, "first", match("film"))
        await platform.read_until(platform.has_decided("first"))
        asked = [
            answer(0, match("hit"), video_id=n, owner_id=f"o-{n}", request_id=n, shards=1)
            for n in names
        ]
        await publish(settings, *asked)
        await platform.read_until(platform.has_decided(*names), 120)
        await platform.read(1.0)
        hits = [one for one in platform.answers["alert.raised"] if one["reference_id"] == "hit"]
        assert len({one["alert_id"] for one in hits}) == 5
        assert [*kept_back(platform).values()] == ["held"] * 55
        outcomes = {event["outcome"] for event in platform.answers["video.decided"]}
        assert outcomes == {"matched"}
        assert not failure.done()


async def test_of_several_workers_one_raises_each_held_alert_that_is_confirmed(
    settings: Settings, tmp_path: Path
) -> None:
    await publish(settings, policy("owner of hit", alerts_per_hour=1))
    names = [f"confirmed-{number}" for number in range(24)]
    worker = settings.worker.model_copy(update={"data_folder": tmp_path / "second"})
    beside = settings.model_copy(update={"worker": worker})
    async with deciding(settings) as platform, running_workers(beside, ("decide",)) as failure:
        for name in names:
            await ask(settings, name, match("hit"))
        await platform.read_until(platform.has_decided(*names), 120)
        await platform.read_until(lambda: len(platform.answers["alert.suppressed"]) == 23)
        held = [AlertSuppressed.from_json(one) for one in platform.answers["alert.suppressed"]]
        said = [verdict(alert.alert_id, "confirmed", alert=alert) for alert in held]
        await publish(settings, *said)
        await platform.read_until(lambda: len(platform.answers["alert.raised"]) >= 24)
        await platform.read(1.0)
        raised = [one["alert_id"] for one in platform.answers["alert.raised"]]
        assert len(raised) == len({*raised}) == 24
        assert {alert.alert_id for alert in held} < {*raised}
        assert not failure.done()


async def test_workers_read_no_states_of_one_another(settings: Settings, tmp_path: Path) -> None:
    """They would hold each other's requests, and be recovering whenever a thousand came."""
    await asyncio.to_thread(create_topics, settings.kafka)
    worker = settings.worker.model_copy(update={"data_folder": tmp_path / "second"})
    workers = [DecideWorker(settings), DecideWorker(settings.model_copy(update={"worker": worker}))]
    assignors = [worker._app.assignor for worker in workers]
    try:
        await asyncio.gather(*(worker.start() for worker in workers))
        await eventually(lambda: all(assignor.assigned_actives() for assignor in assignors))
        assert [assignor.assigned_standbys() for assignor in assignors] == [set(), set()]
        await eventually(lambda: all(worker.health().not_ready is None for worker in workers))
    finally:
        await asyncio.gather(*(worker.stop() for worker in workers))


async def test_a_worker_that_takes_over_knows_what_waits_for_a_shard(settings: Settings) -> None:
    def waiting() -> float:
        labels = {"shard": "1"}
        return REGISTRY.get_sample_value("samesource_waiting_requests", labels) or 0.0

    half = answer(0, match("film"), video_id="half", owner_id="o-half", request_id="half")
    async with deciding(settings):
        await publish(settings, half)
        await eventually(lambda: waiting() == 1)
    WAITING_REQUESTS.clear()
    async with deciding(settings) as platform:
        await eventually(lambda: waiting() == 1)
        rest = answer(1, video_id="half", owner_id="o-half", request_id="half")
        await publish(settings, rest)
        await platform.read_until(platform.has_decided("half"))
        assert platform.of("video.decided", "half")[0]["outcome"] == "matched"
        await eventually(lambda: waiting() == 0)


async def test_a_verdict_by_the_command_is_followed_by_a_running_worker(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    command = Command(monkeypatch, capfd)
    command.on(settings.kafka)
    async with deciding(settings) as platform:
        await ask(settings, "copy", match("film"))
        await platform.read_until(platform.has_decided("copy"))
        await platform.read_until(lambda: bool(platform.of("alert.raised", "copy")))
        (alert,) = platform.of("alert.raised", "copy")
        said = ("review", alert["alert_id"], "dismissed", "--reviewer", "ann")
        assert (await asyncio.to_thread(command, *said)).code == 0
        for number in range(2, 60):  # until the verdict has been followed
            repeat = answer(0, match("film"), video_id="copy", request_id=f"{number}", shards=1)
            await publish(settings, repeat)
            await platform.read_until(platform.has_decided("copy", times=number))
            await platform.read(0.3)
            if kept_back(platform):
                break
        assert kept_back(platform) == {"copy": "dismissed"}
        assert len(platform.of("alert.raised", "copy")) == number - 1
    shown = await asyncio.to_thread(command, "alerts", "--suppressed")
    assert "dismissed: ann dismissed alert" in shown.out
