"""Who gets in: nobody by default; by a link once, by a token, for as long as the session lasts."""

import logging
import socket
from dataclasses import dataclass
from datetime import timedelta

import pytest
from asyncpg.exceptions import InternalClientError
from fastapi.routing import APIRoute

from stream.console.store.desk import Person
from stream.console.web.app import API, PAGES
from stream.console.web.signin.gate import OPEN
from stream.console.web.signin.limits import FAILURES_A_MINUTE, Attempts
from tests.stream.console.web.site import Site, running_site

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_no_route_answers_a_stranger(site: Site) -> None:
    stranger = site.client()
    found = (route for router in (*PAGES, *API) for route in router.routes)
    routes = [route for route in found if isinstance(route, APIRoute)]
    assert len(routes) > 25
    for route in routes:
        path = route.path.replace("{kind}", "live").replace("{side}", "video")
        path = path.replace("{video_id:path}", "v").replace("{owner_id:path}", "o")
        path = path.replace("{alert_id}", "a").replace("{request_id}", "0-0-0")
        if path in OPEN or path.startswith("/signin"):
            continue
        for method in sorted(route.methods or ()):
            answer = await stranger.request(method, path)
            if path.startswith("/api/") or method not in ("GET", "HEAD"):
                assert answer.status_code == 401, (method, path)
                assert answer.headers["content-type"] == "application/problem+json"
            else:
                assert answer.status_code == 303, (method, path)
                assert answer.headers["location"].startswith("/signin?next=")


async def test_an_unknown_page_asks_a_stranger_to_sign_in(site: Site) -> None:
    answer = await site.client().get("/nothing/here?x=1")
    assert answer.headers["location"] == "/signin?next=%2Fnothing%2Fhere%3Fx%3D1"
    assert (await site.client().get("/api/v1/nothing")).status_code == 401


async def test_health_and_the_description_of_the_api_are_open(site: Site) -> None:
    stranger = site.client()
    for path in ("/health/live", "/health/ready"):
        answer = await stranger.get(path)
        assert answer.status_code == 200 and answer.json() == {"status": "ok"}
    described = (await stranger.get("/api/v1/openapi.json")).json()
    assert described["openapi"].startswith("3.1")
    assert not [path for path in described["paths"] if not path.startswith("/api/v1/")]
    assert (await stranger.get("/static/compare.js")).status_code == 200
    assert (await stranger.get("/health/other")).status_code == 303


async def test_a_link_signs_in_once(site: Site) -> None:
    link = site.worker.sign_in_link()
    assert link is not None
    path = link.removeprefix(site.worker.url)
    first, second = site.client(), site.client()
    answer = await first.get(path)
    assert answer.status_code == 303 and answer.headers["location"] == "/queue"
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=lax" in cookie and "Path=/" in cookie
    assert "Secure" not in cookie  # this one is reached without TLS
    assert (await first.get("/queue")).status_code == 200
    again = await second.get(path)
    assert again.status_code == 403 and "used already" in again.text
    assert (await second.get("/queue")).status_code == 303


async def test_a_head_request_does_not_use_a_link_up(site: Site) -> None:
    path = (site.worker.sign_in_link() or "").removeprefix(site.worker.url)
    await site.client().head(path)
    assert (await site.client().get(path)).status_code == 303


async def test_a_session_ends_with_its_time(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = await site.browser()
    later = site.console.clock() + timedelta(seconds=3601)
    monkeypatch.setattr(site.console, "clock", lambda: later)
    assert (await browser.get("/queue")).headers["location"] == "/signin?next=%2Fqueue"


async def test_signing_out_ends_the_session_everywhere(site: Site) -> None:
    browser = await site.browser()
    cookies = dict(browser.client.cookies)
    assert (await browser.send("/signout")).headers["location"] == "/signin"
    thief = site.client()
    thief.cookies.update(cookies)
    assert (await thief.get("/queue")).status_code == 303


async def test_a_token_signs_a_person_in(site: Site) -> None:
    now = site.console.clock()
    secret, _ = await site.console.desk.make_token(
        "bea", "reviewer", ["pages"], [], "test", now, 3600
    )
    client = site.client()
    answer = await client.post("/signin", data={"token": secret, "next": "/queue?state=held"})
    assert answer.status_code == 303 and answer.headers["location"] == "/queue?state=held"
    assert "bea · reviewer" in (await client.get("/queue")).text


async def test_a_token_for_the_api_alone_opens_no_pages(site: Site) -> None:
    now = site.console.clock()
    secret, _ = await site.console.desk.make_token(
        "robot", "admin", ["alerts"], [], "test", now, 3600
    )
    answer = await site.client().post("/signin", data={"token": secret})
    assert answer.status_code == 403
    page = await site.client(Authorization=f"Bearer {secret}").get("/queue")
    assert page.status_code == 303


@pytest.mark.parametrize(
    "target",
    ["https://evil.example/", "//evil.example", "/\\evil.example", "/a\r\nSet-Cookie: x=1", "a"],
)
async def test_signing_in_leads_to_our_own_pages_only(site: Site, target: str) -> None:
    now = site.console.clock()
    secret, _ = await site.console.desk.make_token("bea", "viewer", ["pages"], [], "t", now, 3600)
    answer = await site.client().post("/signin", data={"token": secret, "next": target})
    assert answer.headers["location"] == "/queue"
    assert len(answer.headers.get_list("set-cookie")) == 1


async def test_whoever_guesses_is_held_up(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site.console, "attempts", Attempts())
    machine = await site.machine("viewer")
    assert (await machine.get("/api/v1/alerts")).status_code == 200
    for _ in range(FAILURES_A_MINUTE // 2):
        assert (await site.client().get("/signin/guess")).status_code == 403
        guess = site.client(Authorization="Bearer guess")
        assert (await guess.get("/api/v1/alerts")).status_code == 401
    held = await site.client().get("/signin/guess")
    assert held.status_code == 429 and held.headers["retry-after"] == "60"
    assert (await guess.get("/api/v1/alerts")).status_code == 429
    assert (await site.client().post("/signin", data={"token": "guess"})).status_code == 429
    # Neither those who are signed in nor tokens that were good before suffer from it.
    assert (await (await site.browser()).get("/queue")).status_code == 200
    assert (await machine.get("/api/v1/alerts")).status_code == 200
    fresh = await site.machine("viewer")
    assert (await fresh.get("/api/v1/alerts")).status_code == 429


async def test_a_part_of_a_page_leads_the_whole_page_to_sign_in(site: Site) -> None:
    headers = {"HX-Request": "true", "HX-Current-URL": "http://127.0.0.1/queue?state=held"}
    answer = await site.client(**headers).get("/queue/numbers")
    assert answer.status_code == 401
    assert answer.headers["hx-redirect"] == "/signin?next=%2Fqueue%3Fstate%3Dheld"


async def test_neither_links_nor_tokens_are_in_the_log(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    link = site.worker.sign_in_link() or ""
    await site.client().get(link.removeprefix(site.worker.url))
    secret, _ = await site.console.desk.make_token(
        "robot", "viewer", ["alerts"], [], "test", site.console.clock(), 3600
    )
    async with site.client(Authorization=f"Bearer {secret}") as client:
        assert (await client.get("/api/v1/alerts")).status_code == 200
    ours = [record.getMessage() for record in caplog.records if "asyncio" not in record.name]
    told = "\n".join(line for line in ours if "httpx" not in line and "HTTP Request" not in line)
    assert link.rpartition("/")[2] not in told and secret not in told


async def test_a_console_on_the_loopback_answers_to_no_other_name(site: Site) -> None:
    for host in ("evil.example", "127.0.0.1.evil.example", ""):
        answer = await site.client(Host=host).get("/health/live")
        assert answer.status_code == 421
    for host in ("localhost:8321", "[::1]:8321", "127.0.0.1"):
        assert (await site.client(Host=host).get("/health/live")).status_code == 200


async def test_behind_tls_cookies_are_secure(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("tls")
    async with running_site(folder, public_url="https://copies.example") as site:
        path = (site.worker.sign_in_link() or "").removeprefix(site.worker.url)
        client = site.client(Host="copies.example")
        answer = await client.get(path)
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("__Host-samesource_session=") and "Secure" in cookie
        assert "max-age=31536000" in answer.headers["strict-transport-security"]
        own = {"Sec-Fetch-Site": "same-origin", "Host": "copies.example"}
        chosen = {"lang": "zh", "theme": "dark", "keys": "off"}
        stranger = site.client(**own)
        answer = await stranger.post("/preferences", data=chosen)
        cookies = answer.headers.get_list("set-cookie")
        assert len(cookies) == 3
        for each in cookies:
            assert {"Secure", "HttpOnly", "SameSite=lax"} <= {*each.split("; ")}, each


AWAY = (
    ConnectionRefusedError("secret-host"),
    socket.gaierror(-2, "Name or service not known"),
    FileNotFoundError(2, "No such file", "/run/postgresql/secret"),
    TimeoutError(),
    OSError("Multiple exceptions: secret-host"),
    InternalClientError("unexpected"),
)
"""What asyncpg raises where nobody answers."""


@dataclass
class Unreachable:
    """An engine of a database that is away."""

    error: Exception

    def connect(self) -> None:
        """There is none."""
        raise self.error


@pytest.mark.parametrize("error", AWAY, ids=lambda error: type(error).__name__)
async def test_whoever_asks_while_the_database_is_away_is_told_to_come_again(
    site: Site, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    browser, machine = await site.browser("reviewer"), await site.machine("reviewer")
    desk, now = site.console.desk, site.console.clock()
    known = await desk.session(browser.client.cookies["samesource_session"], now)

    async def person(*_: object) -> Person | None:
        return known

    monkeypatch.setattr(site.console.queries._database, "engine", Unreachable(error))
    for where in ("in front of all routes", "in the route"):
        if where == "in the route":
            for kind in ("session", "token"):
                monkeypatch.setattr(desk, kind, person)
        page, answer = await browser.get("/queue"), await machine.get("/api/v1/alerts")
        for each in (page, answer):
            assert each.status_code == 503 and each.headers["retry-after"] == "5", where
            assert "secret" not in each.text
        assert "can't be reached" in answer.json()["detail"]
        assert "can&#39;t be reached" in page.text
