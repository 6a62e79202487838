"""What people try on a console: other sites' forms, scripts in names, others' alerts and files."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from stream.console.store.desk import Role
from stream.console.web.match_store import NAME
from stream.console.web.signin.headers import HEADERS
from stream.contract.events import ProbeAnswered, ProbeAsked
from tests.stream.console.web.site import ORIGIN, Site
from tests.stream.console.web.test_matches import all_of, answering
from tests.stream.console.web.test_search import know_colours
from tests.stream.videos import make_video

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCRIPT = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


async def test_a_form_without_its_sessions_token_does_nothing(site: Site) -> None:
    alert = await site.alert()
    browser, other = await site.browser(), await site.browser()
    path = f"/alerts/{alert.alert_id}/verdict"
    for token in ("", "0" * 64, other.token, "é"):
        browser.token, mine = token, browser.token
        assert (await browser.send(path, {"verdict": "confirmed"})).status_code == 403
        browser.token = mine
    for content_type in ("text/plain", "application/json", "multipart/form-data; boundary=x"):
        answer = await browser.client.post(
            path, content=f"csrf={browser.token}&verdict=confirmed",
            headers={"Content-Type": content_type},
        )  # fmt: skip
        assert answer.status_code == 403
    found = await site.console.queries.alert(alert.alert_id)
    assert found is not None and found.state == "open"


@pytest.mark.parametrize(
    "headers",
    [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"},
     {"Origin": "https://evil.example"}, {"Origin": "null"}],
)  # fmt: skip
async def test_forms_of_other_sites_are_refused(site: Site, headers: dict[str, str]) -> None:
    alert = await site.alert()
    browser = await site.browser()
    path = f"/alerts/{alert.alert_id}/verdict"
    answer = await browser.send(path, {"verdict": "confirmed"}, **headers)
    assert answer.status_code == 403
    assert (await site.client().post("/signin", data={"token": "x"}, headers=headers)).is_error


async def test_reading_changes_nothing(site: Site) -> None:
    alert = await site.alert()
    browser = await site.browser()
    for path in ("verdict?verdict=confirmed", "claim?claim=take"):
        assert (await browser.get(f"/alerts/{alert.alert_id}/{path}")).status_code == 405
    found = await site.console.queries.alert(alert.alert_id)
    assert found is not None and found.state == "open" and found.claimed_by is None


async def test_scripts_in_names_are_text(site: Site) -> None:
    alert = await site.alert(
        video_id=SCRIPT, reference_id=f"film {SCRIPT}", video_owner_id=f"channel {SCRIPT}",
        reference_owner_id=f"league {SCRIPT}", title=f"title {SCRIPT}", reason="held",
        detail=f"detail {SCRIPT}",
    )  # fmt: skip
    browser = await site.browser(name=f"anna {SCRIPT}")
    path = f"/alerts/{alert.alert_id}"
    note = {"verdict": "dismissed", "scope": "pair", "note": f"note {SCRIPT}"}
    assert (await browser.send(f"{path}/verdict", note)).status_code == 303
    pages = [
        f"{path}?state=dismissed",
        "/queue?state=dismissed",
        "/audit",
        f"/queue?owner={SCRIPT}",
    ]
    for page in pages:
        text = (await browser.get(page)).text
        assert "&lt;script&gt;" in text
        assert "<script>alert" not in text and "<img src=x" not in text


async def test_every_answer_forbids_scripts_from_elsewhere(site: Site) -> None:
    alert = await site.alert()
    browser = await site.browser()
    paths = ("/queue", f"/alerts/{alert.alert_id}", "/nothing", "/api/v1/alerts", "/health/live",
             "/static/console.css", f"/alerts/{alert.alert_id}/matrix.png")  # fmt: skip
    for path in paths:
        answer = await browser.get(path)
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS, path
        assert answer.headers["cache-control"]
        assert " style=" not in answer.text and " onclick=" not in answer.text
    assert "unsafe" not in HEADERS["Content-Security-Policy"]


@pytest.mark.parametrize(
    "path",
    ["/static/../app.py", "/static/..%2fapp.py", "/static/%2e%2e/app.py", "/static//etc/passwd",
     "/static/..\\app.py"],
)  # fmt: skip
async def test_static_files_are_those_alone(site: Site, path: str) -> None:
    assert (await (await site.browser()).client.get(path)).status_code in (404, 405)


async def test_a_video_outside_the_allowed_folders_is_not_sent(site: Site, tmp_path: Path) -> None:
    secret = tmp_path / "secret.mp4"
    secret.write_bytes(b"secret")
    link = site.folder / "videos" / "link.mp4"
    link.symlink_to(secret)
    for uri in (secret.as_uri(), "file:///etc/passwd", link.as_uri(),
                f"{(site.folder / 'videos').as_uri()}/../../../../../../etc/passwd"):  # fmt: skip
        answer = await played(site, uri)
        assert answer.status_code == 403
        assert "secret" not in answer.text and str(tmp_path) not in answer.text


@pytest.mark.parametrize(
    "uri",
    ["http://127.0.0.1:9/x.mp4", "http://localhost/x.mp4", "http://169.254.169.254/latest/",
     "http://[::ffff:127.0.0.1]/x.mp4", "http://0.0.0.0/x.mp4", "gopher://evil.example/x",
     "http://0x7f000001/x", "http://[::1]/x",
     "http://[::]/x", "http://[fe80::1]/x", "http://[64:ff9b::a9fe:a9fe]/x", "http://[fd00::1]/x"],
)  # fmt: skip
async def test_a_video_inside_our_networks_is_not_fetched(site: Site, uri: str) -> None:
    assert (await played(site, uri)).status_code == 403
    know_colours(site)
    like = await (await site.browser()).send("/library/like", {"like": uri})
    assert like.status_code == 422 and "forbidden" in like.text, like.text


async def test_a_page_instead_of_a_video_is_sent_as_bytes(site: Site) -> None:
    page = site.folder / "videos" / "page.html"
    page.write_text("<script>alert(1)</script>")
    answer = await played(site, page.as_uri())
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["x-content-type-options"] == "nosniff"


async def played(site: Site, uri: str) -> Any:
    """What an admin gets for a video with that URI."""
    alert = await site.alert(uri=uri)
    return await (await site.browser()).get(f"/alerts/{alert.alert_id}/video/play")


async def test_a_rights_holder_sees_only_what_is_about_their_references(site: Site) -> None:
    video = make_video(site.folder / "videos" / "holder.mp4", count=20)
    mine = await site.alert(reference_owner_id="mine", uri=video.as_uri())
    others = await site.alert(reference_owner_id="others", uri=video.as_uri(), title="Others' film")
    holder = await site.browser("holder", owners=["mine"])
    machine = await site.machine("holder", owners=["mine"])
    for path in ("", "/matrix.png", "/video/play", "/reference/play", "/video/playable.webm",
                 "/video/strip.jpg"):  # fmt: skip
        assert (await holder.get(f"/alerts/{mine.alert_id}{path}")).status_code == 200, path
        assert (await holder.get(f"/alerts/{others.alert_id}{path}")).status_code == 404, path
    for page in ("/queue", "/queue?owner=others", f"/queue?video={others.video_id}",
                 f"/queue?reference={others.reference_id}"):  # fmt: skip
        text = (await holder.get(page)).text
        assert others.alert_id not in text and "Others' film" not in text
    assert "<b>1</b>" in (await holder.get("/queue/numbers")).text
    ids = {each["alert_id"] for each in (await machine.get("/api/v1/alerts")).json()["items"]}
    assert ids == {mine.alert_id}
    assert (await machine.get(f"/api/v1/alerts/{others.alert_id}")).status_code == 404
    listed = (await machine.get("/api/v1/references?owner_id=others")).json()["items"]
    assert listed == []
    assert (await machine.get("/api/v1/policies/others")).status_code == 404
    for path in ("/api/v1/policies", "/api/v1/uploads/0-0-0"):
        assert (await machine.get(path)).status_code == 403


async def test_roles_may_what_they_may(site: Site) -> None:
    alert = await site.alert()
    path = f"/alerts/{alert.alert_id}"
    lookers: tuple[Role, ...] = ("holder", "viewer")
    for role in lookers:
        browser = await site.browser(role, owners=[alert.reference_owner_id])
        assert (await browser.send(f"{path}/verdict", {"verdict": "confirmed"})).status_code == 403
        assert (await browser.send(f"{path}/claim", {"claim": "take"})).status_code == 403
        assert (await browser.send("/queue/verdicts", {"alert": alert.alert_id})).status_code == 403
        assert 'value="confirmed"' not in (await browser.get(path)).text
    others: tuple[Role, ...] = ("holder", "viewer", "reviewer")
    for role in others:
        browser = await site.browser(role, owners=[alert.reference_owner_id])
        assert (await browser.get("/audit")).status_code == 403
        machine = await site.machine(role, owners=[alert.reference_owner_id])
        assert (await machine.delete("/api/v1/references/film")).status_code == 403
        assert (await machine.put("/api/v1/policies/league", json={})).status_code == 403
    found = await site.console.queries.alert(alert.alert_id)
    assert found is not None and found.state == "open"


async def test_a_token_goes_no_further_than_its_scopes(site: Site) -> None:
    machine = await site.machine("admin", ["uploads"])
    assert (await machine.get("/api/v1/alerts")).status_code == 403
    assert (await machine.delete("/api/v1/references/film")).status_code == 403
    assert (await machine.get("/api/v1/uploads/0-0-0")).status_code == 404


async def test_a_session_goes_no_further_than_the_token_that_it_was_begun_by(site: Site) -> None:
    desk, now, alert = site.console.desk, site.console.clock(), await site.alert()
    reached = {}
    for scopes in (("pages",), ("pages", "alerts", "webhooks")):
        token, _ = await desk.make_token("anna", "admin", scopes, [], "test", now, 3600)
        client = site.client()
        assert (await client.post("/signin", data={"token": token})).status_code == 303
        page = await client.get("/queue")
        assert page.status_code == 200
        found = re.search(r'name="csrf" value="([0-9a-f]{64})"', page.text)
        assert found is not None
        headers = {"X-CSRF-Token": found[1]}
        verdict, body = f"/api/v1/alerts/{alert.alert_id}/verdict", {"verdict": "confirmed"}
        reached[scopes] = [
            'href="/webhooks"' in page.text,
            (await client.get("/webhooks")).status_code,
            (await client.get("/audit")).status_code,
            (await client.get("/api/v1/webhooks")).status_code,
            (await client.get("/api/v1/policies")).status_code,
            (await client.post(verdict, json=body, headers=headers)).status_code,
        ]
    assert [*reached.values()] == [
        [False, 403, 200, 403, 403, 403], [True, 200, 200, 200, 403, 200],
    ]  # fmt: skip


async def test_a_revoked_token_is_a_strangers(site: Site) -> None:
    now = site.console.clock()
    desk = site.console.desk
    secret, view = await desk.make_token("robot", "admin", ["alerts"], [], "test", now, 3600)
    machine = site.client(Authorization=f"Bearer {secret}")
    assert (await machine.get("/api/v1/alerts")).status_code == 200
    await desk.revoke_token(view.token_id, now)
    assert (await machine.get("/api/v1/alerts")).status_code == 401


async def test_a_body_without_end_is_refused(site: Site) -> None:
    machine = await site.machine()
    answer = await machine.post("/api/v1/uploads", content=b"x" * (2**20 + 1))
    assert answer.status_code == 413
    fields = {f"f{number}": "x" for number in range(3000)}
    assert (await (await site.browser()).send("/queue/next", fields)).status_code == 400


BREAKS = ("\r\nSet-Cookie: a=b", "\nX-Made-Up: 1", "\x00", "\u560d\u560aX-Made-Up: 1", "%0d%0aX: 1")
"""What could end a header and begin another: as text, in other letters, quoted once more."""


@pytest.mark.parametrize("breaks", BREAKS, ids=ascii)
async def test_no_header_is_made_up_by_where_to_go_back(site: Site, breaks: str) -> None:
    browser, alert = await site.browser(), await site.alert(reference_id=f"film{breaks}")
    targets = [f"/queue{breaks}", f"/queue?owner={breaks}", breaks]
    claim = {"claim": "take", "alert": alert.alert_id}
    answers = [
        await browser.send(path, fields | {"back": target})
        for target in targets
        for path, fields in (("/preferences", {}), ("/queue/claim", claim), ("/undo", {}))
    ]
    answers += [await site.client().get("/queue", params={"owner": breaks})]
    token, _ = await site.console.desk.make_token(
        "anna", "viewer", ["pages"], [], "test", site.console.clock(), 60
    )
    answers += [
        await site.client().post("/signin", data={"token": token, "next": target})
        for target in targets
    ]
    answers += [
        await browser.client.get("/library", params={"find": alert.reference_id}),
        await browser.send("/library/takedown", {"video": alert.reference_id}),
        await browser.send("/policies/edit", {"owner": f"league{breaks}", "etag": ""}),
    ]
    assert {answer.status_code for answer in answers} <= {200, 303, 404, 412, 422}
    assert sum(answer.status_code == 303 for answer in answers) >= 9
    for answer in answers:
        location = answer.headers.get("location", "/")
        assert location.isascii() and location.isprintable(), location
        assert location.startswith("/") and not location.startswith("//")
        assert "x-made-up" not in answer.headers
        assert "a" not in answer.cookies


async def test_a_bug_tells_nothing_and_is_guarded_too(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("secret internals")

    browser, machine = await site.browser(), await site.machine()
    monkeypatch.setattr(site.console.queries, "queue", broken)
    monkeypatch.setattr(site.console.queries, "alerts", broken)
    for client, path in ((browser.client, "/queue"), (machine, "/api/v1/alerts")):
        quiet = httpx2.ASGITransport(app=site.app, raise_app_exceptions=False)
        headers, cookies = dict(client.headers), dict(client.cookies)
        async with httpx2.AsyncClient(
            transport=quiet, base_url=ORIGIN, headers=headers, cookies=cookies
        ) as asking:
            answer = await asking.get(path)
        assert answer.status_code == 500 and "secret" not in answer.text
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS
    assert answer.headers["content-type"] == "application/problem+json"


async def test_errors_do_not_tell_what_was_sent(site: Site) -> None:
    machine = await site.machine()
    answer = await machine.post("/api/v1/uploads", json={"video_id": 7, "password": "hunter2"})
    assert answer.status_code == 422 and "hunter2" not in answer.text
    assert {each["where"] for each in answer.json()["errors"]} >= {"body.video_id", "body.uri"}


@pytest.mark.parametrize(
    "name", ["../../../evil.mp4", "/etc/evil.mp4", "..\\evil.mp4", "evil\x00.mp4", SCRIPT, ""]
)
async def test_the_name_of_a_file_that_is_asked_about_is_nothing(site: Site, name: str) -> None:
    machine, kept = await site.machine("reviewer"), list[str]()

    def look(asked: ProbeAsked) -> list[ProbeAnswered]:
        kept.extend(path.name for path in site.asked)
        return all_of()(asked)

    async with answering(site, look):
        answer = await machine.post("/api/v1/matches", files={"file": (name, b"video")})
    assert answer.status_code == 200, answer.text
    assert len(kept) == 1 and NAME.fullmatch(kept[0])
    assert not [*site.folder.rglob("*evil*")] and site.asked == []


async def test_a_file_of_whoever_may_not_ask_is_not_taken(site: Site) -> None:
    async def never() -> AsyncIterator[bytes]:
        raise AssertionError("its body is read")
        yield b""

    form = {"Content-Type": "multipart/form-data; boundary=x"}
    for path in ("/match", "/api/v1/matches"):
        answer = await site.client().post(path, content=never(), headers=form)
        assert answer.status_code == 401
    files = {"file": b"video"}
    assert (await (await site.machine("viewer")).post("/api/v1/matches", files=files)).is_error
    browser = await site.browser("reviewer")
    for token in ("", "0" * 64, (await site.browser("reviewer")).token):
        for path in ("/match", "/api/v1/matches"):
            answer = await browser.client.post(path, data={"csrf": token}, files=files)
            assert answer.status_code == 403
    # A token behind the file would be read too late.
    parts = {"file": (None, b"video"), "csrf": (None, browser.token.encode())}
    assert (await browser.client.post("/match", files=parts)).status_code == 403
    # Elsewhere a form with a file is no form.
    answer = await browser.send_file("/queue/next", b"video")
    assert answer.status_code == 403 and site.asked == []
