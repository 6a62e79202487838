"""While Kafka is away: every page opens, and no write is done, noted or taken for done."""

import re
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import pytest

from stream.errors import BrokerError
from tests.stream.console.web.routes import NO_PAGES, SAFE, everything_of, pages, routes
from tests.stream.console.web.site import UPLOAD, Site
from tests.stream.console.web.test_rejected import place_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

ELSEWHERE = {
    "/signin", "/signout", "/preferences", "/queue/next", "/queue/claim",
    "/alerts/{alert_id}/claim", "/library/like", "/match", "/api/v1/matches",
    "/api/v1/policy-dry-runs", "/webhooks", "/webhooks/{webhook_id}",
}  # fmt: skip
"""Writes that are nothing for Kafka, and questions by clients of their own."""


def without_kafka(site: Site, patch: pytest.MonkeyPatch) -> None:
    """From here on nobody answers there."""

    async def away(*_: object) -> None:
        raise BrokerError("Kafka at secret-host:9092: no answer")

    patch.setattr(site.console.kafka, "_on_thread", away)


async def test_every_page_opens_without_kafka(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    known = await everything_of(site, "without", "shown without Kafka")
    browser = await site.browser()
    without_kafka(site, monkeypatch)
    for path in pages():
        query = known.queries[1] if path == "/library/entry" else {"owner": "without"}
        query = {} if "{" in path else query
        answer = await browser.get(known.address(path, query))
        assert answer.status_code in (200, 303), path
    # What lies on Kafka alone is told to be away: no traceback, no picture of nothing.
    for path in NO_PAGES:
        if path.endswith((".png", ".jpg")):
            answer = await browser.get(known.address(path, known.queries[1], "reference"))
            assert answer.status_code == 503 and answer.headers["retry-after"], path
            assert "secret-host" not in answer.text


async def test_no_write_is_taken_for_done_without_kafka(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = await everything_of(site, "unwritten", "unwritten")
    browser, machine = await site.browser(), await site.machine()
    alert = (await site.alert(reference_owner_id="unwritten")).alert_id
    said = await browser.send(f"/alerts/{alert}/verdict", {"verdict": "confirmed"})
    (undo,) = re.findall(r"undo=([^&]+)", said.headers["location"])
    ids = dict(known.ids)
    policy = f"/api/v1/policies/{ids['owner_id']}"
    match = {"If-Match": (await machine.get(policy)).headers["etag"]}
    page = (await browser.get(f"/policies/edit?owner={ids['owner_id']}")).text
    (etag,) = re.findall(r'name="etag" value="([^"]*)"', page)
    letter = await place_of(site, "upload of unwritten")
    reference = UPLOAD | {"video_id": "never"}
    reviewed = {"verdict": "dismissed", "scope": "pair"}

    def form(**fields: Any) -> Callable[[str, str], Awaitable[httpx2.Response]]:
        return lambda _, address: browser.send(address, fields)

    def asked(json: Any = None, **headers: str) -> Callable[[str, str], Awaitable[httpx2.Response]]:
        return lambda method, address: machine.request(method, address, json=json, headers=headers)

    writes = {
        ("POST", "/alerts/{alert_id}/verdict"): form(verdict="confirmed"),
        ("POST", "/queue/verdicts"): form(verdict="confirmed", alert=ids["alert_id"]),
        ("POST", "/undo"): form(undo=undo),
        ("POST", "/library/takedown"): form(video=ids["video_id"], note="ended"),
        ("POST", "/policies/edit"): form(owner=ids["owner_id"], etag=etag, do="save"),
        ("POST", "/rejected/replay"): form(letter=letter),
        ("POST", "/api/v1/alerts/{alert_id}/verdict"): asked(reviewed),
        ("POST", "/api/v1/uploads"): asked(UPLOAD | {"video_id": "never"}),
        ("POST", "/api/v1/references"): asked(reference),
        ("DELETE", "/api/v1/references/{video_id:path}"): asked(),
        ("PUT", "/api/v1/policies/{owner_id:path}"): asked({"least_seconds": 5}, **match),
        ("DELETE", "/api/v1/policies/{owner_id:path}"): asked(**match),
    }
    others = {
        (method, path)
        for method, path in routes()
        if method not in SAFE and path not in ELSEWHERE and not path.startswith("/api/v1/webhooks")
    }
    assert others == {*writes}
    lines = (await site.console.desk.audit()).items
    with monkeypatch.context() as away:
        without_kafka(site, away)
        for (method, path), write in writes.items():
            answer = await write(method, known.address(path))
            assert answer.status_code == 503, (method, path, answer.text)
            assert answer.headers["retry-after"] and "secret-host" not in answer.text, path
    assert (await site.console.desk.audit()).items == lines
    # And each is done when it is sent again: nothing of the first try stands in its way.
    for (method, path), write in writes.items():
        if method == "POST" and path != "/library/takedown":
            answer = await write(method, known.address(path))
            assert answer.status_code in (200, 202, 303), (path, answer.text)
