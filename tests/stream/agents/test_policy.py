"""The decide worker with policies and verdicts on their topics, and with a shard that is away."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from prometheus_client import REGISTRY

from stream.broker.client import Headers, send
from stream.broker.embedded import embedded_kafka
from stream.broker.settings import KafkaSettings
from stream.contract.events import Event, Match, PolicyUpdated
from stream.settings import Settings
from tests.stream.answers import answer, match, policy, verdict
from tests.stream.service import Platform, eventually, running_service, service_settings

pytestmark = pytest.mark.asyncio(loop_scope="module")

NUMBERS = count()
STREAM = 2_000
"""Verdicts that lie before those that count: a worker that doesn't read on decides wrongly."""


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    folder: Path = tmp_path_factory.mktemp("policy")
    with embedded_kafka(KafkaSettings(topic_prefix="t.")) as kafka:
        yield service_settings(kafka, folder)


async def publish(settings: Settings, *events: Event) -> None:
    by_topic: dict[str, list[tuple[bytes | None, bytes | None, Headers]]] = {}
    for event in events:
        by_topic.setdefault(event.topic, []).append((event.key(), event.to_bytes(), []))
    for topic, messages in by_topic.items():
        await asyncio.to_thread(send, settings.kafka, topic, messages)


async def say(settings: Settings, topic: str, key: str, value: bytes | None) -> None:
    await asyncio.to_thread(send, settings.kafka, topic, [(key.encode(), value, [])])


async def ask(settings: Settings, video_id: str, *found: Match, shards: range = range(2)) -> None:
    """The answers of shards about an upload; the first of them found something."""
    answers = [
        answer(
            shard,
            *(found if shard == 0 else ()),
            video_id=video_id,
            owner_id=f"owner of {video_id}",
            request_id=f"request of {video_id}",
        )
        for shard in shards
    ]
    await publish(settings, *answers)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def platform(settings: Settings) -> AsyncIterator[Platform]:
    """One decide worker; policies, verdicts and answers were there before it."""
    others = [verdict(f"a{number}", video_id="x", reference_id="y") for number in range(STREAM)]
    pairs = (("disputed", "film"), ("early", "film"))
    lasts = [verdict(f"{v} of {r}", video_id=v, reference_id=r) for v, r in pairs]
    await publish(settings, *others, *lasts, policy("strict", least_seconds=60.0))
    await say(settings, PolicyUpdated.topic, "strict", policy("strict", least_score=1.0).to_bytes())
    await say(settings, PolicyUpdated.topic, "broken", b"{}")
    await ask(settings, "early", match("film"), match("own", reference_owner_id="strict"))
    names = {"video_id": "judged", "reference_id": "film"}
    first = verdict("judged often", **names)
    await publish(settings, first, verdict("judged often", "withdrawn"), first)
    await ask(settings, "judged", match("film"))
    async with running_service(settings, ("decide",)) as client:
        yield client


def outcome(platform: Platform, video_id: str) -> str:
    (decision,) = platform.of("video.decided", video_id)
    return str(decision["outcome"])


def reasons(platform: Platform, video_id: str) -> dict[str, str]:
    return {
        event["reference_id"]: event["reason"]
        for event in platform.of("alert.suppressed", video_id)
    }


async def ask_until(
    platform: Platform,
    settings: Settings,
    followed: Callable[[str], bool],
    found: Match,
    *,
    video_id: str | None = None,
) -> str:
    """Ask about uploads of one owner until the worker has followed what was said; the last's id."""
    for _ in range(60):
        request = f"asked-{next(NUMBERS)}"
        name = video_id or request
        before = len(platform.of("video.decided", name))
        owner = "owner of fan"
        asked = answer(0, found, video_id=name, owner_id=owner, request_id=request, shards=1)
        await publish(settings, asked)
        await platform.read_until(platform.has_decided(name, times=before + 1))
        if followed(name):
            return name
    raise AssertionError(f"nothing was followed; got {platform.summary()}")


def metric(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def test_nothing_is_decided_before_all_policies_and_verdicts_are_read(
    platform: Platform,
) -> None:
    await platform.read_until(platform.has_decided("early"))
    assert reasons(platform, "early") == {"film": "dismissed", "own": "low_score"}
    assert platform.of("alert.raised", "early") == []
    assert outcome(platform, "early") == "clear"
    assert metric("samesource_suppressed_total", reason="dismissed") >= 1


async def test_of_all_that_was_said_of_an_alert_the_newest_holds_wherever_it_lies(
    platform: Platform,
) -> None:
    await platform.read_until(platform.has_decided("judged"))
    assert reasons(platform, "judged") == {}
    assert outcome(platform, "judged") == "matched"


@pytest.mark.parametrize(
    "scope",
    [
        {"scope": "span", "reference_start_seconds": 30.0, "reference_end_seconds": 40.0},
        {"scope": "uploader", "video_owner_id": "owner of fan", "reference_owner_id": "a label"},
    ],
    ids=lambda scope: str(scope["scope"]),
)
async def test_what_is_dismissed_for_all_uploads_is_followed_and_withdrawn(
    platform: Platform, settings: Settings, scope: dict[str, Any]
) -> None:
    name = f"song by {scope['scope']}"
    song = match(name, reference_owner_id="a label")
    await publish(settings, verdict(name, reference_id=name, **scope))
    asked = await ask_until(platform, settings, lambda one: bool(reasons(platform, one)), song)
    assert reasons(platform, asked) == {name: "dismissed"}
    assert outcome(platform, asked) == "clear"
    await publish(settings, verdict(name, "withdrawn"))
    await ask_until(platform, settings, lambda one: bool(platform.of("alert.raised", one)), song)


async def test_what_is_said_later_is_followed_and_can_be_taken_back(
    platform: Platform, settings: Settings
) -> None:
    series = match("series", reference_owner_id="studio")
    await publish(settings, policy("studio", licensed_owner_ids=["owner of fan"]))
    name = await ask_until(platform, settings, lambda name: bool(reasons(platform, name)), series)
    assert reasons(platform, name) == {"series": "licensed"}
    assert platform.of("alert.raised", name) == []
    await say(settings, PolicyUpdated.topic, "studio", None)
    raised = await ask_until(
        platform, settings, lambda name: bool(platform.of("alert.raised", name)), series
    )
    assert reasons(platform, raised) == {}
    await publish(settings, verdict("later", "confirmed", video_id="film", reference_id="disputed"))
    await ask_until(
        platform,
        settings,
        lambda name: bool(platform.of("alert.raised", name)),
        match("film"),
        video_id="disputed",
    )
    raised_for = platform.of("alert.raised", "disputed")
    assert {event["reference_id"] for event in raised_for} == {"film"}


@pytest.mark.parametrize(
    ("topic", "key", "value", "words"),
    [
        ("policy.updated", "someone", b"{}", "owner_id: Field required"),
        ("policy.updated", "someone", policy("another").to_bytes(), "expected the owner_id"),
        ("policy.updated", "someone", b"no policy", "not JSON"),
        ("alert.reviewed", "a", b'{"video_id": "named", "verdict": "?"}', "verdict: "),
    ],
)
async def test_a_message_that_cannot_be_read_is_a_dead_letter_and_decides_nothing(
    platform: Platform, settings: Settings, topic: str, key: str, value: bytes, words: str
) -> None:
    def letters() -> list[dict[str, Any]]:
        return [
            letter
            for letter in platform.answers["video.rejected"]
            if letter["source_topic"] == topic and words in letter["message"]
        ]

    before = len(letters())
    await say(settings, topic, key, value)
    await platform.read_until(lambda: len(letters()) > before)
    await ask(settings, f"after {words}", match("film"))
    await platform.read_until(platform.has_decided(f"after {words}"))
    await platform.read(0.5)
    assert platform.of("video.decided", "named") == []
    assert letters()[-1]["error"] == "bad_event"


async def test_a_flood_is_held_and_neither_raised_nor_clear(
    platform: Platform, settings: Settings
) -> None:
    licence = policy("owner of hit", alerts_per_hour=3, licensed_owner_ids=["owner of fan"])
    await publish(settings, licence)
    await ask_until(platform, settings, lambda name: bool(reasons(platform, name)), match("hit"))
    names = [f"flood-{number}" for number in range(8)]
    for name in names:
        await ask(settings, name, match("hit"))
    await platform.read_until(platform.has_decided(*names))
    await platform.read(0.5)
    raised = [name for name in names if platform.of("alert.raised", name)]
    held = [name for name in names if reasons(platform, name) == {"hit": "held"}]
    assert (len(raised), sorted(raised + held)) == (3, names)
    assert {outcome(platform, name) for name in names} == {"matched"}


async def test_a_shard_that_is_away_delays_and_shows_in_the_metrics(
    platform: Platform, settings: Settings
) -> None:
    def waiting() -> float:
        return metric("samesource_waiting_requests", shard="1")

    await ask(settings, "late", match("film"), shards=range(1))
    await ask(settings, "later", shards=range(1))
    await eventually(lambda: waiting() == 2)
    await eventually(lambda: metric("samesource_waiting_seconds", shard="1") > 1)
    await platform.read(1.0)
    assert platform.of("video.decided", "late") == platform.of("video.decided", "later") == []
    for name in ("late", "later"):
        await ask(settings, name, shards=range(1, 2))
    await platform.read_until(platform.has_decided("late", "later"))
    assert (outcome(platform, "late"), outcome(platform, "later")) == ("matched", "clear")
    await eventually(lambda: waiting() == 0)
    assert metric("samesource_waiting_seconds", shard="1") == 0


async def test_deciding_early_waits_for_no_shard_and_raises_the_others_alerts_once(
    tmp_path: Path,
) -> None:
    with embedded_kafka(KafkaSettings(topic_prefix="t.")) as kafka:
        settings = service_settings(kafka, tmp_path)
        early = settings.decide.model_copy(update={"as_soon_as_matched": True})
        settings = settings.model_copy(update={"decide": early})
        async with running_service(settings, ("decide",)) as platform:
            await ask(settings, "soon", match("film"), shards=range(1))
            await platform.read_until(platform.has_decided("soon"))
            await eventually(lambda: metric("samesource_waiting_requests", shard="1") == 1)
            rest = answer(1, match("series"), video_id="soon", request_id="request of soon")
            await publish(settings, rest, rest)
            await platform.read_until(lambda: len(platform.of("alert.raised", "soon")) == 2)
            await platform.read(1.0)
            found = [alert["reference_id"] for alert in platform.of("alert.raised", "soon")]
            assert found == ["film", "series"]
            assert outcome(platform, "soon") == "matched"
