"""Webhooks in the API and on their pages: made by admins, told what happens, their secret once."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import text
from standardwebhooks.webhooks import Webhook

from stream.contract.events import VideoDecided
from stream.errors import DatabaseAwayError
from tests.stream.console.web.site import RAISED, Site, running_site
from tests.stream.console.webhooks.test_sender import Receiver, receiver

pytestmark = pytest.mark.asyncio(loop_scope="module")
ROOT = "/api/v1/webhooks"
URL = "https://hooks.example/samesource"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """A console whose webhooks may be on this machine."""
    folder = tmp_path_factory.mktemp("site")
    hosts = ("127.0.0.1", "hooks.example")
    async with running_site(folder, webhook_hosts=hosts, webhook_timeout_seconds=5) as made:
        yield made


async def told(there: Receiver, number: int) -> list[str]:
    """What has come, when so many have."""
    async with asyncio.timeout(20):
        while len(there.got) < number:
            await asyncio.sleep(0.05)
    return sorted(body for _, body in there.got)


async def test_alerts_and_decisions_go_out_by_themselves(site: Site) -> None:
    machine = await site.machine("admin")
    before = await site.alert(reference_owner_id="league")
    async with receiver() as all_of_it, receiver() as league:
        kinds = ["video.decided", "alert.raised"]
        body: dict[str, Any] = {"url": all_of_it.url, "kinds": kinds}
        made = await machine.post(ROOT, json=body)
        assert made.status_code == 201, made.text
        body = {"url": league.url, "kinds": ["alert.raised"], "owner_ids": ["league"]}
        theirs = (await machine.post(ROOT, json=body)).json()
        ours = await site.alert(reference_owner_id="league")
        others = await site.alert(reference_owner_id="studio")
        await site.say(
            VideoDecided(
                video_id=ours.video_id, content_version=1, outcome="matched",
                alert_ids=[ours.alert_id], reason="a copy", decided_at=RAISED,
                request_id="hooked", stage_seconds={},
            )
        )  # fmt: skip
        everything = "".join(await told(all_of_it, 3))
        (only,) = await told(league, 1)
        assert ours.alert_id in only and ours.alert_id in everything
        assert others.alert_id in everything and "video.decided" in everything
        assert before.alert_id not in everything
        headers, text_ = league.got[0]
        assert Webhook(theirs["secret"]).verify(text_, dict(headers))["type"] == "alert.raised"
        await asyncio.sleep(1.2)
        assert (all_of_it.asked, league.asked) == (3, 1)
        for each in (made.json(), theirs):
            assert (await machine.delete(f"{ROOT}/{each['webhook_id']}")).status_code == 204


async def test_an_endpoint_is_made_read_changed_and_deleted(site: Site) -> None:
    machine = await site.machine("admin")
    body = {"url": URL, "kinds": ["alert.raised"], "description": "Ours"}
    answer = await machine.post(ROOT, json=body)
    made, path = answer.json(), answer.headers["location"]
    assert path == f"{ROOT}/{made['webhook_id']}"
    secret = made.pop("secret")
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=", secret)
    assert (await machine.get(path)).json() == made
    assert made in (await machine.get(ROOT)).json()["items"]
    assert made["enabled"] and made["owner_ids"] is None and made["made_by"] == "robot"
    changed = (await machine.patch(path, json={"enabled": False, "owner_ids": ["a"]})).json()
    assert changed["disabled_why"] == "robot has switched it off" and not changed["enabled"]
    assert (changed["owner_ids"], changed["url"], changed["description"]) == (["a"], URL, "Ours")
    assert (await machine.post(f"{path}/test")).status_code == 409
    changed = (await machine.patch(path, json={"enabled": True, "owner_ids": None})).json()
    assert changed == made
    rotated = (await machine.post(f"{path}/secrets")).json()
    assert rotated["secret"] != secret
    assert [each["number"] for each in rotated["secrets"]] == [2, 1]
    assert rotated["secrets"][1]["ends_at"] is not None
    rotated = (await machine.post(f"{path}/secrets", json={"old_seconds": 0})).json()
    assert [each["number"] for each in rotated["secrets"]] == [3]
    assert (await machine.delete(path)).status_code == 204
    for method, below in (
        ("GET", ""), ("DELETE", ""), ("GET", "/deliveries"), ("POST", "/secrets"),
        ("POST", "/test"), ("POST", "/replay"), ("GET", "/deliveries/msg_1"),
        ("POST", "/deliveries/msg_1/replay"),
    ):  # fmt: skip
        assert (await machine.request(method, path + below)).status_code == 404, below
    assert (await machine.patch(path, json={})).status_code == 404
    lines = (await site.console.desk.audit(about=made["webhook_id"])).items
    actions = [line.action for line in lines]
    assert actions[0] == "delete webhook" and actions[-1] == "make webhook"
    assert "new secret of webhook" in actions and "change webhook" in actions


async def test_no_secret_is_in_the_database_or_shown_again(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    browser = await site.browser("admin")
    answer = await browser.send("/webhooks", {"url": URL, "kinds": ["alert.raised"]})
    (secret,) = re.findall(r"whsec_\S{44}(?=<)", answer.text.replace("&#43;", "+"))
    assert answer.headers["cache-control"] == "no-store"
    (webhook_id,) = set(re.findall(r"/webhooks/(wh_[0-9a-f]+)", answer.text))
    key = site.console.settings.console.key_file.read_text().strip()
    async with site.console.desk._database.reading() as session:
        for table in ("webhook_endpoints", "webhook_deliveries", "audit_lines", "idempotency_keys"):
            kept = str((await session.execute(text(f"SELECT * FROM {table}"))).all())
            assert secret not in kept and secret[6:-1] not in kept and key not in kept
    pages = [(await browser.get(f"/webhooks{below}")).text for below in ("", f"/{webhook_id}")]
    assert "whsec_" not in "".join(pages) and secret not in caplog.text
    await browser.send(f"/webhooks/{webhook_id}", {"do": "delete"})


@pytest.mark.parametrize(
    "wrong",
    [{"url": "http://169.254.169.254/"}, {"url": "https://10.0.0.1/"}, {"url": "file:///x"},
     {"url": "https://ann:pw@hooks.example/"}, {"url": "https://elsewhere.example/"},
     {"kinds": []}, {"kinds": ["all"]}, {"kinds": ["video.decided"], "owner_ids": ["league"]},
     {"kinds": ["alert.reviewed", "alert.raised"], "owner_ids": ["league"]}, {"owner_ids": []},
     {"secret": "mine"}, {"url": ""}],
)  # fmt: skip
async def test_what_may_not_be_is_refused(site: Site, wrong: dict[str, Any]) -> None:
    machine = await site.machine("admin")
    body = {"url": URL, "kinds": ["alert.raised"]}
    answer = await machine.post(ROOT, json=body | wrong)
    assert answer.status_code == 422, answer.text
    made = (await machine.post(ROOT, json=body)).json()
    path = f"{ROOT}/{made['webhook_id']}"
    assert (await machine.patch(path, json=wrong)).status_code == 422
    assert (await machine.get(path)).json()["url"] == URL
    await machine.delete(path)


@pytest.mark.parametrize("role", ["holder", "viewer", "reviewer"])
async def test_it_is_for_admins_alone(site: Site, role: Any) -> None:
    owners = ["league"] if role == "holder" else []
    machine = await site.machine(role, owners=owners)
    body = {"url": URL, "kinds": ["alert.raised"]}
    assert (await machine.get(ROOT)).status_code == 403
    assert (await machine.post(ROOT, json=body)).status_code == 403
    browser = await site.browser(role, owners=owners)
    assert (await browser.get("/webhooks")).status_code == 403
    assert (await browser.send("/webhooks", body)).status_code == 403
    narrow = await site.machine("admin", scopes=["alerts", "policies"])
    assert (await narrow.get(ROOT)).status_code == 403


async def test_a_test_event_says_how_it_went(site: Site) -> None:
    machine = await site.machine("admin")
    async with receiver(500, 204) as there:
        body = {"url": there.url, "kinds": ["alert.raised"]}
        made = (await machine.post(ROOT, json=body)).json()
        path = f"{ROOT}/{made['webhook_id']}"
        answer = await machine.post(f"{path}/test")
        assert answer.status_code == 202 and answer.json()["state"] == "waiting"
        async with asyncio.timeout(20):
            while (found := (await machine.get(answer.headers["location"])).json())[
                "state"
            ] == "waiting":
                await asyncio.sleep(0.05)
        assert (found["state"], found["last_status"], found["kind"]) == (
            "dead",
            500,
            "webhook.test",
        )
        assert found in (await machine.get(f"{path}/deliveries?state=dead")).json()["items"]
        other = f"{ROOT}/wh_other/deliveries/{found['message_id']}"
        assert (await machine.get(other)).status_code == 404
        again = await machine.post(f"{path}/deliveries/{found['message_id']}/replay")
        assert (again.status_code, again.json()) == (202, {"replayed": 1})
        await told(there, 2)
        assert (await machine.post(f"{path}/replay")).json() == {"replayed": 0}
        assert (await machine.get(f"{path}/deliveries?cursor=x")).status_code == 422
        assert (await machine.delete(path)).status_code == 204
    ids = {headers["webhook-id"] for headers, _ in there.got}
    assert ids == {found["message_id"]}


async def test_an_admin_does_it_all_on_the_page(site: Site) -> None:
    browser = await site.browser("admin")
    refused = await browser.send("/webhooks", {"url": "https://10.0.0.1/", "owners": "league"})
    assert refused.status_code == 422 and "https://10.0.0.1/" in refused.text
    async with receiver(500, 204) as there:
        fields = {"url": there.url, "kinds": ["alert.raised"], "owners": "league\nstudio"}
        made = await browser.send("/webhooks", fields)
        page = "/webhooks/" + re.findall(r"/webhooks/(wh_[0-9a-f]+)", made.text)[0]
        failed = await browser.send(page, {"do": "test"})
        assert failed.headers["location"] == f"{page}?said=test-dead&state=dead"
        shown = (await browser.get(failed.headers["location"])).text
        assert "The test event did not arrive." in shown and "it answered 500" in shown
        (message_id,) = re.findall(r'name="message" value="(msg_[0-9a-f]+)"', shown)
        assert (await browser.send(page, {"do": "replay", "message": message_id})).is_redirect
        await told(there, 2)
        arrived = await browser.send(page, {"do": "test"})
        assert arrived.headers["location"] == f"{page}?said=test-delivered&state=delivered"
        assert "webhook.test" in (await browser.get(arrived.headers["location"])).text
    rotated = await browser.send(page, {"do": "secret"})
    assert rotated.status_code == 200 and "whsec_" in rotated.text and "signs until" in rotated.text
    assert (await browser.send(page, {"do": "disable"})).is_redirect
    shown = (await browser.get(page)).text
    assert "anna has switched it off" in shown and "league\nstudio" in shown
    assert (await browser.send(page, {"do": "test"})).status_code == 409
    assert (await browser.send(page, {"do": "enable"})).is_redirect
    assert (
        await browser.send(page, {"do": "save", "url": URL, "kinds": "alert.raised"})
    ).is_redirect
    assert URL in (await browser.get("/webhooks")).text
    assert (await browser.send(page, {"do": "nothing"})).status_code == 422
    gone = await browser.send(page, {"do": "delete"})
    assert gone.headers["location"] == "/webhooks"
    assert (await browser.get(page)).status_code == 404


async def test_scripts_in_an_endpoint_are_text(site: Site) -> None:
    machine, browser = await site.machine("admin"), await site.browser("admin")
    script = "<script>alert(1)</script>\"'"
    body = {"url": f"{URL}?{script}", "kinds": ["alert.raised"], "owner_ids": [script]}
    made = await machine.post(ROOT, json=body | {"description": script})
    assert made.status_code == 201, made.text
    webhook_id = made.json()["webhook_id"]
    for path in ("/webhooks", f"/webhooks/{webhook_id}"):
        assert "<script>alert" not in (await browser.get(path)).text
    await machine.delete(f"{ROOT}/{webhook_id}")


async def test_what_has_no_line_in_the_audit_log_isnt_done(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, browser, machine = site.console.desk, await site.browser(), await site.machine()
    alert, hook = await site.alert(), {"url": URL, "kinds": ["alert.raised"]}
    made = (await machine.post(ROOT, json=hook)).json()
    path = f"{ROOT}/{made['webhook_id']}"
    token, _ = await desk.make_token("eve", "admin", ["pages"], [], "test", RAISED, 10**9)

    async def away(*_: object, **__: object) -> None:
        raise DatabaseAwayError("the server went away")

    async def all_of_it() -> list[object]:
        found = await site.console.queries.alert(alert.alert_id)
        async with desk._database.reading() as session:
            sessions = await session.scalar(text("SELECT count(*) FROM sessions"))
            deliveries = await session.scalar(text("SELECT count(*) FROM webhook_deliveries"))
        return [await desk.webhooks(), found, sessions, deliveries]

    before = await all_of_it()
    with monkeypatch.context() as patched:
        patched.setattr(desk, "note", away)
        answers = [
            await machine.post(ROOT, json=hook),
            await machine.patch(path, json={"description": "another"}),
            await machine.post(f"{path}/secrets"),
            await machine.post(f"{path}/test"),
            await machine.delete(path),
            await browser.send(f"/alerts/{alert.alert_id}/claim", {"claim": "take"}),
            await browser.send("/queue/next"),
            await site.client().post("/signin", data={"token": token}),
        ]
    assert [answer.status_code for answer in answers] == [503] * len(answers)
    assert await all_of_it() == before
