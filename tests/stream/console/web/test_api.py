"""The HTTP API: each noun as a machine uses it."""

import asyncio
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from stream.broker.client import Reader
from stream.contract.events import PolicyUpdated, VideoDecided, VideoFingerprinted
from tests.stream.console.web.site import RAISED, SPAN, UPLOAD, Site

pytestmark = pytest.mark.asyncio(loop_scope="module")

NULL = {"type": "null"}


async def test_what_a_request_needs_first_is_found_without_a_thread(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change of threads takes longer than all of it."""
    threads: list[object] = []

    async def in_a_thread(call: Any, *args: Any, **words: Any) -> Any:
        threads.append(call)
        return call(*args, **words)

    monkeypatch.setattr("fastapi.dependencies.utils.run_in_threadpool", in_a_thread)
    browser, machine = await site.browser(), await site.machine()
    for client, path in ((browser, "/queue"), (browser, "/audit"), (machine, "/api/v1/alerts")):
        assert (await client.get(path)).status_code == 200
    form = {"back": "/queue", "lang": "en", "theme": "auto", "keys": "on"}
    assert (await browser.send("/preferences", form)).status_code == 303
    assert threads == []


async def test_a_submission_is_on_kafka_when_it_is_answered(site: Site) -> None:
    machine = await site.machine("reviewer")
    answer = await machine.post("/api/v1/uploads", json=UPLOAD | {"title": "New", "video_id": "a"})
    assert answer.status_code == 202
    (event,) = site.submitted("a")
    assert (event.role, event.title, event.owner_id) == ("upload", "New", "channel-1")
    request_id = answer.json()["request_id"]
    assert answer.headers["location"] == f"/api/v1/uploads/{request_id}"
    status = await machine.get(answer.headers["location"])
    assert status.json() | {"submitted_at": None} == {
        "request_id": request_id, "video_id": "a", "status": "submitted", "role": "upload",
        "owner_id": "channel-1", "title": "New", "submitted_at": None, "fingerprinted_at": None,
        "decided_at": None, "outcome": None, "reason": None, "alert_ids": [],
        "wait_seconds": None, "stage_seconds": {}, "error": None, "error_message": None,
    }  # fmt: skip


@pytest.mark.timed
async def test_a_long_poll_ends_with_the_decision(site: Site) -> None:
    machine = await site.machine("reviewer")
    answer = await machine.post("/api/v1/uploads", json=UPLOAD | {"video_id": "b"})
    where, request_id = answer.headers["location"], answer.json()["request_id"]
    assert (await machine.get(f"{where}?wait_seconds=0.1")).json()["status"] == "submitted"
    waiting = asyncio.create_task(machine.get(f"{where}?wait_seconds=30"))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    await site.say(
        VideoDecided(
            video_id="b", content_version=1, outcome="clear", alert_ids=[], reason="no match",
            decided_at=RAISED, request_id=request_id, stage_seconds={},
        )
    )  # fmt: skip
    told = (await asyncio.wait_for(waiting, 10)).json()
    assert (told["status"], told["outcome"], told["reason"]) == ("decided", "clear", "no match")


async def test_an_unknown_request_is_not_found(site: Site) -> None:
    machine = await site.machine("viewer")
    answer = await machine.get("/api/v1/uploads/9-9-9")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["title"] == "Not Found" and answer.json()["status"] == 404
    assert (await machine.get("/api/v1/uploads/9-9-9?wait_seconds=61")).status_code == 422


@pytest.mark.parametrize(
    "changes", [{"video_id": ""}, {"uri": None}, {"role": "reference"}, {"video_id": "x" * 513},
                {"uploaded_at": "yesterday"}]
)  # fmt: skip
async def test_a_submission_that_is_none_is_refused(site: Site, changes: dict[str, Any]) -> None:
    machine = await site.machine("reviewer")
    answer = await machine.post("/api/v1/uploads", json=UPLOAD | {"video_id": "g"} | changes)
    assert answer.status_code == 422
    assert site.submitted("g") == []


async def test_alerts_are_listed_by_pages(site: Site) -> None:
    machine = await site.machine("viewer")
    made = {(await site.alert(reference_owner_id="pages")).alert_id for _ in range(5)}
    await site.alert(reference_owner_id="pages", reason="held", detail="too many")
    ids, cursor = list[str](), ""
    while True:
        path = f"/api/v1/alerts?owner_id=pages&state=open&limit=2{cursor}"
        page = (await machine.get(path)).json()
        ids += [each["alert_id"] for each in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert len(ids) == 5 and set(ids) == made
    both = (await machine.get("/api/v1/alerts?owner_id=pages")).json()["items"]
    assert len(both) == 6
    for wrong in ("cursor=x", "limit=0", "state=new", "since=2026-01-01T00:00:00"):
        assert (await machine.get(f"/api/v1/alerts?{wrong}")).status_code == 422, wrong


async def test_a_machine_gives_a_verdict(site: Site) -> None:
    machine = await site.machine("reviewer")
    alert = await site.alert()
    path = f"/api/v1/alerts/{alert.alert_id}"
    body = {"verdict": "dismissed", "scope": "pair", "note": "licensed"}
    answer = await machine.post(f"{path}/verdict", json=body)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["state"], told["reviewer"]) == ("dismissed", "robot")
    assert (await machine.get(path)).json() == told
    back = await machine.post(f"{path}/verdict", json={"verdict": "withdrawn"})
    assert back.json()["state"] == "open"
    span = {"reference_start_seconds": 1, "reference_end_seconds": 2}
    for wrong in (
        {"verdict": "confirmed", "scope": "pair"},
        {"verdict": "dismissed", "scope": "pair"} | span,
        {"verdict": "dismissed", "scope": "span", "reference_start_seconds": 2},
    ):
        assert (await machine.post(f"{path}/verdict", json=wrong)).status_code == 422, wrong
    missing = await machine.post("/api/v1/alerts/none/verdict", json=body)
    assert missing.status_code == 404


async def test_seconds_are_named_where_an_alert_has_several_spans(site: Site) -> None:
    machine = await site.machine("reviewer")
    other = {**SPAN.model_dump(), "reference_start_seconds": 21.0, "reference_end_seconds": 25.0}
    one, two = await site.alert(), await site.alert(segments=[SPAN, other])
    body = {"verdict": "dismissed", "scope": "span"}
    named = body | {"reference_start_seconds": 20, "reference_end_seconds": 26}
    for alert, said, status in ((one, body, 200), (two, body, 422), (two, named, 200)):
        answer = await machine.post(f"/api/v1/alerts/{alert.alert_id}/verdict", json=said)
        assert answer.status_code == status, answer.text


async def test_a_verdict_on_what_somebody_works_on_is_a_conflict(site: Site) -> None:
    machine = await site.machine("reviewer")
    alert = await site.alert()
    await site.console.desk.claim("anna", [alert.alert_id], site.console.clock())
    path = f"/api/v1/alerts/{alert.alert_id}/verdict"
    answer = await machine.post(path, json={"verdict": "confirmed"})
    assert answer.status_code == 409


async def test_references_come_and_go(site: Site) -> None:
    machine = await site.machine("admin")
    answer = await machine.post("/api/v1/references", json=UPLOAD | {"video_id": "film/1?"})
    assert answer.status_code == 202
    assert site.submitted("film/1?")[0].role == "reference"
    alert = await site.alert(reference_owner_id="shelf", reference_id="a/b?c")
    listed = (await machine.get("/api/v1/references?owner_id=shelf")).json()["items"]
    assert [each["video_id"] for each in listed] == [alert.reference_id]
    assert (await machine.delete("/api/v1/references/a%2Fb%3Fc")).status_code == 202
    with Reader(site.settings.kafka, VideoFingerprinted.topic) as reader:
        keys = [each.key() for _, each in reader.until_now() if each.value() is None]
    assert b"a/b?c" in keys
    async with asyncio.timeout(60):
        while (await machine.get("/api/v1/references?owner_id=shelf")).json()["items"]:
            await asyncio.sleep(0.1)
    assert (await machine.delete("/api/v1/references/unheard-of")).status_code == 404


async def test_a_policy_is_changed_by_whoever_has_read_it(site: Site) -> None:
    machine = await site.machine("admin")
    path = "/api/v1/policies/league%2Feast"
    assert (await machine.get(path)).status_code == 404
    made = await machine.put(path, json={"least_seconds": 5})
    assert made.status_code == 200, made.text
    read = await machine.get(path)
    assert read.json()["policy"]["least_seconds"] == 5 and read.headers["etag"]
    assert (await machine.put(path, json={})).status_code == 428
    tag = {"If-Match": read.headers["etag"]}
    assert (await machine.put(path, json={"least_seconds": 6}, headers=tag)).status_code == 200
    assert (await machine.put(path, json={"least_seconds": 7}, headers=tag)).status_code == 412
    assert (await machine.delete(path, headers=tag)).status_code == 412
    assert (await machine.get(path)).json()["policy"]["least_seconds"] == 6
    with Reader(site.settings.kafka, PolicyUpdated.topic) as reader:
        values = [each.value() for _, each in reader.until_now()]
    events = [PolicyUpdated.from_bytes(value) for value in values if value is not None]
    assert [each.least_seconds for each in events if each.owner_id == "league/east"] == [5.0, 6.0]
    listed = (await machine.get("/api/v1/policies")).json()["items"]
    assert "league/east" in {each["owner_id"] for each in listed}
    assert (await machine.delete(path, headers={"If-Match": "*"})).status_code == 204
    assert (await machine.get(path)).status_code == 404


async def test_of_two_who_write_a_policy_at_once_one_is_told(site: Site) -> None:
    machine = await site.machine("admin")
    path = "/api/v1/policies/busy"
    made = await machine.put(path, json={"least_seconds": 1})
    tag = {"If-Match": made.headers["etag"]}
    writes = [machine.put(path, json={"least_seconds": each}, headers=tag) for each in (2, 3)]
    assert sorted([each.status_code for each in await asyncio.gather(*writes)]) == [200, 412]


async def test_a_policy_is_tried_before_it_is_set(site: Site) -> None:
    machine = await site.machine("viewer")
    now = site.console.clock()
    for score in (0.9, 0.5):
        await site.alert(reference_owner_id="tried", score=score, raised_at=now)
    body = {"owner_id": "tried", "policy": {"least_score": 0.7}, "days": 1}
    told = (await machine.post("/api/v1/policy-dry-runs", json=body)).json()
    assert told == {
        "cases": 2, "is_cut": False, "before": 2, "after": 1, "reasons": {"low_score": 1},
    }  # fmt: skip
    wrong = body | {"days": 0}
    assert (await machine.post("/api/v1/policy-dry-runs", json=wrong)).status_code == 422
    assert (await machine.get("/api/v1/policies/tried")).status_code == 404


@pytest.mark.parametrize(
    "body", [{"least_seconds": -1}, {"least_score": 2}, {"alerts_per_hour": 0}, {"unknown": 1},
             {"exclusions": [{"reference_id": "f", "start_seconds": 9, "end_seconds": 1}]}]
)  # fmt: skip
async def test_a_policy_that_is_none_is_refused(site: Site, body: dict[str, Any]) -> None:
    machine = await site.machine("admin")
    assert (await machine.put("/api/v1/policies/wrong", json=body)).status_code == 422
    assert (await machine.get("/api/v1/policies/wrong")).status_code == 404


async def test_writes_are_in_the_audit_log(site: Site) -> None:
    machine = await site.machine("admin", name="audited robot")
    await machine.post("/api/v1/uploads", json=UPLOAD | {"video_id": "h"})
    await machine.put("/api/v1/policies/audited", json={"least_seconds": 5})
    lines = (await site.console.desk.audit("audited robot")).items
    assert [(line.action, line.about) for line in lines] == [
        ("set policy", "audited"), ("submit upload", "h"),
    ]  # fmt: skip


def bodies_of(operation: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The schemas of what an operation takes, and of the JSON that it answers if all is well."""
    well = [told for status, told in operation["responses"].items() if status.startswith("2")]
    for told in (operation.get("requestBody", {}), *well):
        for kind in ("application/json", "multipart/form-data"):
            if kind in (content := told.get("content", {})):
                schema = content[kind]["schema"]
                # One that may be left out is itself or null.
                [named] = [each for each in schema.get("anyOf", [schema]) if each != NULL]
                yield named


async def test_every_body_has_an_example_that_fits_its_description(site: Site) -> None:
    described = (await site.client().get("/api/v1/openapi.json")).json()
    assert described["info"]["title"] == "samesource"
    schemas = described["components"]["schemas"]
    for schema in schemas.values():
        for example in schema.get("examples", []):
            jsonschema.validate(example, {"components": {"schemas": schemas}} | schema)
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            for body in bodies_of(operation):
                name = body.get("$ref", "").removeprefix("#/components/schemas/")
                schema = schemas[name] if name else body
                assert schema.get("examples"), (path, method)
                for example in schema["examples"]:
                    jsonschema.validate(example, {"components": {"schemas": schemas}} | schema)
            assert operation["summary"] and "401" in operation["responses"], (path, method)
            assert operation["security"] == [{"token": []}]


async def test_a_write_may_say_why(site: Site) -> None:
    machine = await site.machine("admin", name="explains")
    alert = await site.alert(reference_id="explained")
    why = "?note=ordered%20by%20the%20court"
    policy, any_tag = f"/api/v1/policies/explained{why}", {"If-Match": "*"}
    for sent in (
        machine.post(f"/api/v1/uploads{why}", json=UPLOAD | {"video_id": "explained-1"}),
        machine.post(f"/api/v1/references{why}", json=UPLOAD | {"video_id": "explained-2"}),
        machine.put(policy, json={}),
        machine.delete(policy, headers=any_tag),
        machine.delete(f"/api/v1/references/{alert.reference_id}{why}"),
    ):
        assert (await sent).is_success
    lines = (await site.console.desk.audit("explains")).items
    assert len(lines) == 5 and {line.why for line in lines} == {"ordered by the court"}
    long = await machine.post(f"/api/v1/uploads?note={'x' * 2001}", json=UPLOAD)
    assert long.status_code == 422
