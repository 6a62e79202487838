"""Asking whether a video would match: by the API and on its page, with a shard that answers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from stream.broker.client import Reader
from stream.console.store.desk import Role
from stream.console.web.matches import AT_ONCE
from stream.contract.events import Match, ProbeAnswered, ProbeAsked
from tests.stream.console.web.site import SPAN, Site

pytestmark = pytest.mark.asyncio(loop_scope="module")

FOUND = Match(
    reference_id="film", reference_owner_id="league", reference_role="reference", score=0.9,
    segments=[SPAN],
)  # fmt: skip
Answer = Callable[[ProbeAsked], list[ProbeAnswered]]


@asynccontextmanager
async def answering(site: Site, answer: Answer) -> AsyncIterator[None]:
    """Shards that say that to every question."""
    with Reader(site.settings.kafka, ProbeAsked.topic, from_beginning=False) as reader:

        async def serve() -> None:
            while True:
                found = await asyncio.to_thread(reader.poll, 0.1)
                for said in answer(ProbeAsked.from_bytes(found[1].value())) if found else ():
                    messages = [(said.key(), said.to_bytes(), ())]
                    await asyncio.to_thread(site.sender.send, said.topic, messages)

        serving = asyncio.create_task(serve())
        yield
        serving.cancel()
        await asyncio.wait([serving])


def all_of(*matches: Match, shards: int = 1) -> Answer:
    """The first of some shards has found that."""
    return lambda asked: [
        ProbeAnswered(
            probe_id=asked.probe_id, shard=0, shards=shards, library_offset=7,
            matches=list(matches),
        )
    ]  # fmt: skip


def refused(asked: ProbeAsked) -> list[ProbeAnswered]:
    """The worker can't have the video."""
    said = {"probe_id": asked.probe_id, "error": "forbidden_uri", "message": "host 'x' is none"}
    return [ProbeAnswered.from_json(said)]


async def test_a_machine_is_told_the_seconds(site: Site) -> None:
    machine = await site.machine("reviewer")
    async with answering(site, all_of(FOUND)):
        answer = await machine.post("/api/v1/matches", json={"uri": "https://cdn.example/a.mp4"})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["is_complete"], told["shards"], told["missing"]) == (True, 1, [])
    assert told["matches"][0]["segments"][0] == SPAN.model_dump()


async def test_shards_that_are_silent_are_named(site: Site) -> None:
    machine = await site.machine("reviewer")
    body = {"uri": "https://cdn.example/a.mp4", "timeout_seconds": 1}
    async with answering(site, all_of(FOUND, shards=2)):
        told = (await machine.post("/api/v1/matches", json=body)).json()
    assert (told["is_complete"], told["missing"]) == (False, [1])
    assert (await machine.post("/api/v1/matches", json=body)).status_code == 504


async def test_a_video_that_cannot_be_had_is_told(site: Site) -> None:
    machine = await site.machine("reviewer")
    async with answering(site, refused):
        answer = await machine.post("/api/v1/matches", json={"uri": "http://x/"})
    assert answer.status_code == 422 and "forbidden_uri" in answer.json()["detail"]
    for body in ({"uri": ""}, {"uri": "x", "timeout_seconds": 3600}, {}):
        assert (await machine.post("/api/v1/matches", json=body)).status_code == 422
    lookers: tuple[Role, ...] = ("viewer", "holder")
    for role in lookers:
        looker = await site.machine(role, owners=["league"])
        assert (await looker.post("/api/v1/matches", json={"uri": "x"})).status_code == 403


async def test_more_than_a_few_at_once_are_turned_away(site: Site) -> None:
    machine = await site.machine("reviewer")
    # Long: the first must still wait when the last is asked, on a slow machine too.
    body = {"uri": "https://cdn.example/a.mp4", "timeout_seconds": 8}
    asks = [machine.post("/api/v1/matches", json=body) for _ in range(AT_ONCE + 2)]
    statuses = [each.status_code for each in await asyncio.gather(*asks)]
    assert sorted(statuses) == [429] * 2 + [504] * AT_ONCE


async def test_the_page_shows_what_would_match(site: Site) -> None:
    browser = await site.browser("reviewer")
    assert "Ask the library" in (await browser.get("/match")).text
    async with answering(site, all_of(FOUND)):
        text = (await browser.send("/match", {"uri": "https://cdn.example/<a>.mp4"})).text
    assert "film" in text and "0:01.0–0:05.0 ← 0:11.0–0:15.0" in text
    assert "&lt;a&gt;" in text and "<a>.mp4" not in text
    async with answering(site, refused):
        answer = await browser.send("/match", {"uri": "http://x/"})
    assert answer.status_code == 422 and "forbidden_uri" in answer.text
    assert (await (await site.browser("viewer")).get("/match")).status_code == 403
