"""Every route of the table: what is others' isn't told, and no form of others is taken."""

import httpx2
import pytest

from tests.stream.console.web.routes import NOTHING, SAFE, Known, everything_of, routes
from tests.stream.console.web.site import Browser, Site
from tests.stream.console.web.test_attacks import BREAKS

pytestmark = pytest.mark.asyncio(loop_scope="module")

WORD = "told to others alone"
TELLS = {
    "/queue", "/alerts/{alert_id}", "/library", "/library/entry", "/policies/edit", "/uploads",
    "/uploads/{request_id}", "/rejected", "/audit", "/webhooks", "/webhooks/{webhook_id}",
    "/api/v1/alerts", "/api/v1/alerts/{alert_id}", "/api/v1/references",
    "/api/v1/references/{video_id:path}", "/api/v1/policies", "/api/v1/policies/{owner_id:path}",
    "/api/v1/uploads/{request_id}", "/api/v1/uploads/{request_id}/events", "/api/v1/webhooks",
    "/api/v1/webhooks/{webhook_id}", "/api/v1/webhooks/{webhook_id}/deliveries",
    "/api/v1/webhooks/{webhook_id}/deliveries/{message_id}",
}  # fmt: skip
"""Where an admin reads the word; a holder of it, nowhere."""
GUARDS = {
    "x-frame-options": "DENY", "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer", "cross-origin-resource-policy": "same-origin",
}  # fmt: skip
"""Of every answer, written down once more: who changes them there is asked here."""


async def test_no_route_tells_a_rights_holder_what_is_others(site: Site) -> None:
    known = await everything_of(site, "others", WORD)
    admin, holder = await site.browser(), await site.browser("holder", owners=["mine"])
    told, paths = set[str](), [path for method, path in routes() if method == "GET"]
    for path in paths:
        if path.startswith("/signin"):
            continue
        own = "{" in path
        for side in ("video", "reference") if "{side}" in path else ("video",):
            for query in (NOTHING,) if own else known.queries:
                address = known.address(path, query, side)
                seen = await admin.get(address)
                assert GUARDS.items() <= seen.headers.items(), address
                policy = seen.headers["content-security-policy"]
                assert "script-src 'self';" in policy and "frame-ancestors 'none'" in policy
                assert "unsafe" not in policy and "*" not in policy
                assert seen.status_code in ((200,) if own else (200, 303, 422)), address
                if WORD in seen.text:
                    told.add(path)
                answer = await holder.get(address)
                assert WORD not in answer.text and WORD not in str(answer.headers), address
                if own:
                    assert answer.status_code in (403, 404), address
    assert told == TELLS


async def test_a_rights_holder_writes_nothing(site: Site) -> None:
    known = await everything_of(site, "their own", WORD)
    holder = await site.browser("holder", owners=["their own"])
    lines = (await site.console.desk.audit()).items
    for method, path in routes():
        if method in SAFE or path in ("/signin", "/signout", "/preferences"):
            continue
        answer = await sent(holder, method, known.address(path), holder.token)
        assert answer.status_code == 403, (method, path)
    assert (await site.console.desk.audit()).items == lines


async def test_no_route_takes_a_write_without_its_sessions_token(site: Site) -> None:
    known = await everything_of(site, "forged", WORD)
    browser, other = await site.browser(), await site.browser()
    lines = (await site.console.desk.audit()).items
    writes = [(method, path) for method, path in routes() if method not in SAFE]
    assert len(writes) > 25
    for method, path in writes:
        address = known.address(path)
        for token in ("", "0" * 64, other.token):
            assert (await sent(browser, method, address, token)).status_code == 403, address
        for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
            refused = await sent(browser, method, address, browser.token, **headers)
            assert refused.status_code == 403 and "another site" in refused.text, address
    assert (await site.console.desk.audit()).items == lines
    # It is the token that was missing: with it, none is refused so.
    none = {name: "none" for name in known.ids}
    for method, path in writes:
        if path not in ("/signin", "/signout"):
            address = Known(none).address(path)
            answer = await sent(browser, method, address, browser.token)
            assert answer.status_code not in (401, 403), address


LINES = ["".join(BREAKS), "".join(each for each in BREAKS if "\n" not in each)]
"""All at once; and what may stand in a path, where an id with a line's end leads to no route."""


@pytest.mark.parametrize("breaks", LINES, ids=ascii)
async def test_no_route_makes_a_header_of_what_it_is_asked(site: Site, breaks: str) -> None:
    owner = f"league {breaks}"
    known = await everything_of(site, owner, f"title {breaks}", ids=breaks)
    made_up = Known({name: f"none{breaks}" for name in known.ids})
    browser, machine = await site.browser(), await site.machine()
    odd = {"Idempotency-Key": "%0d%0aX-Made-Up: 1", "If-Match": '"x"', "Prefer": "wait=0, x=%0d"}
    for method, path in routes():
        if path == "/signout":
            continue
        for each, query in ((known, NOTHING), (made_up, {"note": breaks, "cursor": breaks})):
            # What is there is read; what deletes or takes down is asked of what is not.
            if method in SAFE or each is made_up:
                address = each.address(path, query)
                answer = await sent(browser, method, address, browser.token, **odd)
                assert_sound(answer)
    body = {"video_id": f"v{breaks}", "uri": f"https://cdn.example/v{breaks}", "owner_id": owner}
    hook = {"url": "https://hooks.example/", "kinds": ["alert.raised"], "owner_ids": [owner]}
    for path, fields in (("uploads", body), ("references", body), ("webhooks", hook)):
        answer = await machine.post(f"/api/v1/{path}", json=fields)
        assert answer.status_code in (201, 202, 422), answer.text
        assert_sound(answer)
    policy = known.address("/api/v1/policies/{owner_id:path}")
    read = await machine.get(policy)
    assert read.status_code == (404 if "\n" in breaks else 200)
    tag = {"If-Match": read.headers.get("etag", "none")}
    assert_sound(await machine.put(policy, json={}, headers=tag))


def assert_sound(answer: httpx2.Response) -> None:
    """No header but ours, in letters that a header may have; and no bug."""
    assert answer.status_code < 500 or answer.status_code == 503, answer.url
    for name, value in answer.headers.raw:
        assert value.isascii() and value.decode().isprintable(), (answer.url, name, value)
    assert "x-made-up" not in answer.headers and "a" not in answer.cookies


async def sent(
    browser: Browser, method: str, address: str, token: str, **headers: str
) -> httpx2.Response:
    """A write with that token, as a page or a script of it would send it."""
    if address.startswith("/api/"):
        headers["X-CSRF-Token"] = token
        return await browser.client.request(method, address, json={}, headers=headers)
    return await browser.client.request(method, address, data={"csrf": token}, headers=headers)
