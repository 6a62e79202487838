"""How much is too much: requests of one token within a minute, and waits that it has open."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import httpx2
import orjson
import pytest
import pytest_asyncio
from limits.storage import memory
from pydantic import ValidationError

from stream.console.settings import ConsoleSettings
from stream.console.web.api import uploads as uploads_module
from stream.console.web.console import DEAR_FORMS_A_MINUTE
from stream.console.web.problems import Problem
from stream.console.web.signin import limits
from stream.console.web.signin.limits import FAILURES_A_MINUTE, Requests, Waits
from stream.console.web.turns import Turns
from stream.contract.events import VideoDecided
from tests.stream.console.web.site import RAISED, Site, running_site

pytestmark = pytest.mark.asyncio(loop_scope="module")
UPLOAD = {"uri": "https://cdn.example/new.mp4", "owner_id": "channel-1"}
A_MINUTE = 40


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """A console that bears little."""
    folder = tmp_path_factory.mktemp("site")
    async with running_site(folder, requests_per_minute=A_MINUTE, waits_each=2) as made:
        yield made


def decided(video_id: str, request_id: str) -> VideoDecided:
    return VideoDecided(
        video_id=video_id, content_version=1, outcome="clear", alert_ids=[], reason="no match",
        decided_at=RAISED, request_id=request_id, stage_seconds={},
    )  # fmt: skip


async def over_http(site: Site, name: str) -> httpx2.AsyncClient:
    """A machine on the real server: answers come in parts."""
    machine = await site.machine("reviewer", name=name)
    return httpx2.AsyncClient(base_url=site.worker.url, headers=dict(machine.headers), timeout=30)


async def waits_open(site: Site, name: str, count: int) -> None:
    """Wait until somebody has that many long polls and streams open."""
    async with asyncio.timeout(60):
        while site.console.waits._open[name] != count:
            await asyncio.sleep(0.01)


async def submitted(machine: httpx2.AsyncClient, video_id: str) -> str:
    answer = await machine.post("/api/v1/uploads", json=UPLOAD | {"video_id": video_id})
    return str(answer.json()["request_id"])


async def test_failed_sign_ins_are_counted_by_who_a_trusted_proxy_says_it_is(
    tmp_path: Path,
) -> None:
    async with running_site(tmp_path, trusted_proxies=["127.0.0.2/31"]) as site:

        async def fails(times: int, by: str, forwarded: str) -> set[int]:
            headers = {"Authorization": "Bearer wrong", "X-Forwarded-For": forwarded}
            way = httpx2.AsyncHTTPTransport(local_address=by)
            async with httpx2.AsyncClient(
                base_url=site.worker.url, headers=headers, transport=way
            ) as client:
                return {(await client.get("/api/v1/alerts")).status_code for _ in range(times)}

        assert await fails(FAILURES_A_MINUTE, "127.0.0.2", "203.0.113.1") == {401}
        assert await fails(1, "127.0.0.2", "203.0.113.1") == {429}
        # What a client has written in front of what the proxy appends is no news.
        assert await fails(1, "127.0.0.3", "203.0.113.9, 203.0.113.1") == {429}
        assert await fails(1, "127.0.0.3", "203.0.113.2") == {401}
        # Of whoever isn't named, the address counts that they come from.
        assert await fails(FAILURES_A_MINUTE, "127.0.0.1", "203.0.113.3") == {401}
        assert await fails(1, "127.0.0.1", "203.0.113.4") == {429}
        assert await fails(1, "127.0.0.2", "203.0.113.3") == {401}


@pytest.mark.parametrize("proxy", ["*", "ingress.example", "10.0.0.1/8", "10.0.0.0/33", ""])
async def test_a_trusted_proxy_is_an_address_or_a_network(proxy: str) -> None:
    with pytest.raises(ValidationError, match="expected addresses and networks"):
        ConsoleSettings(trusted_proxies=(proxy,))


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """No time goes on for those who count: with it would go on what may be asked."""
    now = time.time()
    for module in (memory, limits):
        monkeypatch.setattr(module, "time", SimpleNamespace(time=lambda: now))


@pytest.mark.usefixtures("still")
async def test_who_asks_without_end_is_told_to_wait(site: Site) -> None:
    greedy, other = await site.machine("viewer"), await site.machine("viewer")
    answers = [await greedy.get("/api/v1/alerts") for _ in range(A_MINUTE + 2)]
    assert {answer.status_code for answer in answers[:A_MINUTE]} == {200}
    last = answers[-1]
    assert last.status_code == 429 and last.json()["title"] == "Too Many Requests"
    assert 1 <= int(last.headers["retry-after"]) <= 120
    # Of one name, with a token of their own; and people, on pages.
    assert (await other.get("/api/v1/alerts")).status_code == 200
    browser = await site.browser("viewer")
    pages = [(await browser.get("/overview")).status_code for _ in range(A_MINUTE + 2)]
    assert {*pages} == {200}
    assert (await greedy.get("/api/v1/openapi.json")).status_code == 429
    assert (await site.client().get("/api/v1/openapi.json")).status_code == 200


@pytest.mark.usefixtures("still")
async def test_a_token_is_one_however_its_header_is_written(site: Site) -> None:
    machine = await site.machine("viewer")
    _, _, token = machine.headers["authorization"].partition(" ")
    ways = [
        f"{kind} {' ' * before}{token}{' ' * behind}"
        for kind in ("Bearer", "bearer", "BEARER")
        for before in range(5)
        for behind in range(5)
    ]
    stranger = site.client()
    answers = [await stranger.get("/api/v1/alerts", headers={"Authorization": way}) for way in ways]
    codes = [answer.status_code for answer in answers]
    assert codes == [200] * A_MINUTE + [429] * (len(ways) - A_MINUTE)


@pytest.mark.usefixtures("still")
@pytest.mark.parametrize("path", ["/library/like", "/match", "/policies/edit"])
async def test_forms_that_cost_much_are_limited_for_people_too(site: Site, path: str) -> None:
    browser, other = await site.browser(), await site.browser()
    answers = [await browser.send(path, {}) for _ in range(DEAR_FORMS_A_MINUTE + 1)]
    *first, last = [answer.status_code for answer in answers]
    assert 429 not in first and last == 429
    assert int(answers[-1].headers["retry-after"]) >= 1 and "<h1" in answers[-1].text
    assert (await browser.get("/queue")).status_code == 200
    assert (await other.send(path, {})).status_code != 429


async def test_of_dear_questions_a_few_are_answered_and_a_few_wait() -> None:
    turns, answered = Turns(2, 3), list[int]()
    go = asyncio.Event()

    async def ask(number: int) -> None:
        async with turns.one():
            answered.append(number)
            await go.wait()

    asked = [asyncio.create_task(ask(number)) for number in range(6)]
    for _ in asked:  # each has come as far as it may
        await asyncio.sleep(0)
    assert answered == [0, 1]
    with pytest.raises(Problem) as refused:
        await asked[5]
    assert refused.value.status_code == 429 and refused.value.headers == {"Retry-After": "10"}
    go.set()
    await asyncio.gather(*asked[:5])
    assert answered == [0, 1, 2, 3, 4]
    await ask(6)


async def test_no_limit_is_none() -> None:
    requests = Requests(0)
    assert {requests.wait_seconds("anybody") for _ in range(1000)} == {None}


async def test_a_stream_tells_each_change_and_ends_with_the_decision(site: Site) -> None:
    async with await over_http(site, "streaming") as machine:
        request_id = await submitted(machine, "streamed")
        lines = list[str]()
        async with machine.stream("GET", f"/api/v1/uploads/{request_id}/events") as answer:
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith("text/event-stream")
            assert answer.headers["cache-control"] in ("no-store", "no-cache")
            async for line in answer.aiter_lines():
                if not lines:
                    await site.say(decided("streamed", request_id))
                lines.append(line)
    data = [orjson.loads(line.removeprefix("data: ")) for line in lines if line[:5] == "data:"]
    assert [each["status"] for each in data] == ["submitted", "decided"]
    assert lines[0] == "event: status" and data[-1]["outcome"] == "clear"


async def test_a_stream_of_nothing_is_not_found(site: Site) -> None:
    machine = await site.machine("viewer")
    answer = await machine.get("/api/v1/uploads/9-9-9/events")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    holder = await site.machine("holder", owners=["league"])
    assert (await holder.get("/api/v1/uploads/9-9-9/events")).status_code == 403


async def test_a_stream_that_has_nothing_to_say_still_beats(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads_module, "HEARTBEAT_SECONDS", 0.1)
    monkeypatch.setattr(uploads_module, "LOOK_EVERY_SECONDS", 0.05)
    async with await over_http(site, "listening") as machine:
        request_id, text = await submitted(machine, "quiet"), ""
        async with machine.stream("GET", f"/api/v1/uploads/{request_id}/events") as answer:
            async for part in answer.aiter_text():
                text += part
                if text.count(": still waiting\n\n") >= 3:
                    break
    assert text.count("event: status\n") == 1


async def test_a_stream_without_a_decision_ends_after_a_while(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads_module, "LOOK_EVERY_SECONDS", 0.05)
    monkeypatch.setattr(uploads_module, "MAX_STREAM_SECONDS", 0.2)
    machine = await site.machine("reviewer")
    request_id = await submitted(machine, "undecided")
    answer = await machine.get(f"/api/v1/uploads/{request_id}/events")
    assert (answer.status_code, answer.text.count("event: status\n")) == (200, 1)


async def test_nobody_has_more_than_some_waits_open(site: Site) -> None:
    async with await over_http(site, "patient") as machine:
        request_id = await submitted(machine, "waited for")
        path = f"/api/v1/uploads/{request_id}"
        async with machine.stream("GET", f"{path}/events") as first:
            assert first.status_code == 200
            polling = asyncio.create_task(machine.get(path, headers={"Prefer": "wait=30"}))
            await waits_open(site, "patient", 2)
            for one_more in (f"{path}/events", f"{path}?wait_seconds=1"):
                refused = await machine.get(one_more)
                assert refused.status_code == 429 and refused.headers["retry-after"], one_more
            assert (await machine.get(path)).status_code == 200, "who doesn't wait is answered"
            async with (
                await over_http(site, "somebody else") as other,
                other.stream("GET", f"{path}/events") as theirs,
            ):
                assert theirs.status_code == 200
            await site.say(decided("waited for", request_id))
            told = await asyncio.wait_for(polling, 60)
            assert told.json()["status"] == "decided"
            assert told.headers["preference-applied"] == "wait=30"
        # Those that were left half-read, too, give their place back.
        for name in ("patient", "somebody else"):
            await waits_open(site, name, 0)
        assert (await machine.get(f"{path}/events")).status_code == 200


@pytest.mark.parametrize(
    ("prefer", "applied"),
    [("wait=0", "wait=0"), ("respond-async, wait=0", "wait=0"), ('wait="0"', "wait=0"),
     ("await=5", None), ("wait=soon", None), ("", None), ("return=minimal;x=1", None)],
)  # fmt: skip
async def test_a_preference_is_read_as_it_is_written(
    site: Site, prefer: str, applied: str | None
) -> None:
    machine = await site.machine("reviewer", name=f"preferring {prefer}")
    request_id = await submitted(machine, "preferred")
    answer = await machine.get(f"/api/v1/uploads/{request_id}", headers={"Prefer": prefer})
    assert answer.status_code == 200
    assert answer.headers.get("preference-applied") == applied


async def test_a_place_is_given_back_whatever_happens() -> None:
    waits = Waits(1)
    with pytest.raises(RuntimeError), waits.one_more("ann") as fits:
        assert fits
        with waits.one_more("ann") as second, waits.one_more("bob") as other:
            assert (second, other) == (False, True)
        raise RuntimeError
    with waits.one_more("ann") as fits:
        assert fits


async def test_a_stop_cuts_streams(tmp_path_factory: pytest.TempPathFactory) -> None:
    async with (
        running_site(tmp_path_factory.mktemp("stopped")) as stopped,
        await over_http(stopped, "streaming") as machine,
    ):
        request_id = await submitted(machine, "cut")
        async with machine.stream("GET", f"/api/v1/uploads/{request_id}/events") as answer:
            assert answer.status_code == 200
            async with asyncio.timeout(10):
                await stopped.worker.stop()
