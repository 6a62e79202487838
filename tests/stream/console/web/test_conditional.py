"""Conditional requests of the API: 304 for who has it, 412 for who has read something else."""

import asyncio
from typing import Any

import pytest

from stream.broker.client import Reader
from stream.contract.events import AlertReviewed, PolicyUpdated
from tests.stream.answers import verdict
from tests.stream.console.web.site import Site
from tests.stream.console.web.test_limits import decided

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def resources(site: Site, owner_id: str) -> dict[str, str]:
    """The path of one of each kind."""
    alert = await site.alert(reference_owner_id=owner_id)
    await site.say(PolicyUpdated(owner_id=owner_id, least_seconds=5.0))
    machine = await site.machine("reviewer")
    sent = {"video_id": owner_id, "uri": "https://cdn.example/v.mp4", "owner_id": "o"}
    upload = (await machine.post("/api/v1/uploads", json=sent)).headers["location"]
    hook = {"url": "https://hooks.example/", "kinds": ["alert.raised"]}
    webhook = await (await site.machine("admin")).post("/api/v1/webhooks", json=hook)
    return {
        "webhook": webhook.headers["location"],
        "alert": f"/api/v1/alerts/{alert.alert_id}",
        "reference": f"/api/v1/references/{alert.reference_id}",
        "policy": f"/api/v1/policies/{owner_id}",
        "upload": upload,
    }


async def test_what_somebody_has_is_not_sent_again(site: Site) -> None:
    machine = await site.machine("admin")
    for kind, path in (await resources(site, "unchanged")).items():
        first = await machine.get(path)
        assert first.status_code == 200, kind
        tag = first.headers["etag"]
        for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
            again = await machine.get(path, headers={"If-None-Match": known})
            assert (again.status_code, again.content) == (304, b""), (kind, known)
            assert again.headers["etag"] == tag
        for known in ('"other"', "x", ""):
            again = await machine.get(path, headers={"If-None-Match": known})
            assert (again.status_code, again.json()) == (200, first.json()), (kind, known)
            assert again.headers["etag"] == tag


async def test_what_has_changed_has_another_tag(site: Site) -> None:
    machine = await site.machine("admin")
    paths = await resources(site, "changes")
    before = {kind: (await machine.get(path)).headers["etag"] for kind, path in paths.items()}
    await machine.post(f"{paths['alert']}/verdict", json={"verdict": "confirmed"})
    await site.say(PolicyUpdated(owner_id="changes", least_seconds=6.0))
    await site.say(decided("changes", paths["upload"].rpartition("/")[2]))
    await machine.patch(paths["webhook"], json={"description": "another"})
    for kind in ("alert", "policy", "upload", "webhook"):
        known = {"If-None-Match": before[kind]}
        answer = await machine.get(paths[kind], headers=known)
        assert answer.status_code == 200 and answer.headers["etag"] != before[kind], kind


async def test_a_long_poll_says_which_wait_it_took_also_of_what_is_known(site: Site) -> None:
    machine = await site.machine("admin")
    path = (await resources(site, "polled"))["upload"]
    await site.say(decided("polled", path.rpartition("/")[2]))
    known = {"If-None-Match": (await machine.get(path)).headers["etag"]}
    answer = await machine.get(path, headers=known | {"Prefer": "wait=5"})
    assert answer.status_code == 304
    assert answer.headers["preference-applied"] == "wait=5"


async def test_a_reference_is_shown_to_those_who_may_see_it(site: Site) -> None:
    alert = await site.alert(reference_id="film/2?", reference_owner_id="shown")
    mine, theirs = [await site.machine("holder", owners=[each]) for each in ("shown", "another")]
    path = "/api/v1/references/film%2F2%3F"
    told = (await mine.get(path)).json()
    assert (told["video_id"], told["owner_id"]) == (alert.reference_id, "shown")
    assert (await theirs.get(path)).status_code == 404
    admin = await site.machine("admin")
    for other in (alert.video_id, "nothing"):
        assert (await admin.get(f"/api/v1/references/{other}")).status_code == 404
    assert (await admin.delete(path)).status_code == 202
    for _ in range(100):
        if (gone := await admin.get(path)).status_code == 404:
            break
        await asyncio.sleep(0.1)
    assert gone.status_code == 404


def said(site: Site, alert_id: str) -> list[str]:
    """The verdicts on an alert that are on Kafka, by their reviewers."""
    with Reader(site.settings.kafka, AlertReviewed.topic) as reader:
        events = [AlertReviewed.from_bytes(each.value()) for _, each in reader.until_now()]
    return [event.reviewer for event in events if event.alert_id == alert_id]


async def test_a_verdict_is_given_on_what_was_read_or_not_at_all(site: Site) -> None:
    alert = await site.alert()
    path = f"/api/v1/alerts/{alert.alert_id}"
    ann, bob = [await site.machine("reviewer", name=name) for name in ("ann", "bob")]
    read = {"If-Match": (await ann.get(path)).headers["etag"]}
    confirmed: Any = {"json": {"verdict": "confirmed"}}
    answer = await bob.post(f"{path}/verdict", headers=read, **confirmed)
    assert answer.status_code == 200
    assert answer.headers["etag"] == (await ann.get(path)).headers["etag"] != read["If-Match"]
    dismissed: Any = {"json": {"verdict": "dismissed", "scope": "pair"}}
    for stale in (read["If-Match"], f"W/{answer.headers['etag']}", "x", ""):
        late = await ann.post(f"{path}/verdict", headers={"If-Match": stale}, **dismissed)
        assert late.status_code == 412, stale
        assert late.json()["detail"] == "the alert has changed since it was read: read it again"
    assert said(site, alert.alert_id) == ["bob"]
    for fresh in (answer.headers["etag"], "*"):
        done = await ann.post(f"{path}/verdict", headers={"If-Match": fresh}, **dismissed)
        assert done.status_code == 200, fresh
    assert said(site, alert.alert_id) == ["bob", "ann", "ann"]


async def test_a_verdict_that_was_given_is_answered_so_under_its_key(site: Site) -> None:
    alert = await site.alert()
    path, machine = f"/api/v1/alerts/{alert.alert_id}", await site.machine("reviewer")
    headers = {"If-Match": (await machine.get(path)).headers["etag"], "Idempotency-Key": "once"}
    for replayed in (None, "true"):
        answer = await machine.post(
            f"{path}/verdict", headers=headers, json={"verdict": "confirmed"}
        )
        assert answer.status_code == 200
        assert answer.headers.get("idempotency-replayed") == replayed
        assert answer.headers["etag"] == (await machine.get(path)).headers["etag"]


async def test_a_verdict_that_comes_between_reading_and_taking_is_seen(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    alert = await site.alert()
    path, machine = f"/api/v1/alerts/{alert.alert_id}", await site.machine("reviewer")
    read = {"If-Match": (await machine.get(path)).headers["etag"]}
    claim = site.console.desk.claim

    async def late(*args: Any, **fields: Any) -> Any:
        await site.say(verdict(alert.alert_id, "confirmed"))
        return await claim(*args, **fields)

    with monkeypatch.context() as patched:
        patched.setattr(site.console.desk, "claim", late)
        answer = await machine.post(f"{path}/verdict", headers=read, json={"verdict": "withdrawn"})
    assert answer.status_code == 412
    assert said(site, alert.alert_id) == ["ann"]
    assert (await machine.get(path)).json()["claimed_by"] is None, "it is free again"


async def test_a_webhook_is_changed_by_whoever_has_read_it(site: Site) -> None:
    machine = await site.machine("admin")
    path = (await resources(site, "hooked"))["webhook"]
    read = {"If-Match": (await machine.get(path)).headers["etag"]}
    changes = [
        machine.patch(path, json={"description": text}, headers=read) for text in ("one", "two")
    ]
    first, second = sorted(await asyncio.gather(*changes), key=lambda each: each.status_code)
    assert (first.status_code, second.status_code) == (200, 412)
    now = await machine.get(path)
    assert now.json() == first.json() and now.headers["etag"] == first.headers["etag"]
    for fresh in ({"If-Match": now.headers["etag"]}, {"If-Match": "*"}, {}):
        answer = await machine.patch(path, json={"enabled": False}, headers=fresh)
        assert answer.status_code == 200, fresh
    stale = await machine.patch(path, json={"enabled": True}, headers=read)
    assert stale.status_code == 412 and (await machine.get(path)).json()["enabled"] is False
