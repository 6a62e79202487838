"""Writes of the HTTP API that are sent twice, with a key: done once, and answered the same."""

import asyncio
import operator
from contextlib import suppress
from typing import Any

import pytest

from stream.console.store.desk import Fresh
from stream.errors import BrokerError
from tests.stream.console.web.site import UPLOAD, Site

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_the_same_key_is_done_once(site: Site) -> None:
    machine = await site.machine("reviewer")
    send: Any = {"json": UPLOAD | {"video_id": "c"}, "headers": {"Idempotency-Key": "key-c"}}
    first = await machine.post("/api/v1/uploads", **send)
    again = await machine.post("/api/v1/uploads", **send)
    assert again.status_code == 202 and again.json() == first.json()
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["idempotency-replayed"] == "true"
    assert len(site.submitted("c")) == 1
    send["json"] = UPLOAD | {"video_id": "d"}
    assert (await machine.post("/api/v1/uploads", **send)).status_code == 422
    assert site.submitted("d") == []
    other = await site.machine("reviewer", name="another robot")
    assert (await other.post("/api/v1/uploads", **send)).status_code == 202


@pytest.mark.parametrize("given", ["00-" + "a" * 32 + "-" + "b" * 16 + "-01", "no trace", None])
async def test_an_upload_goes_on_in_the_trace_of_its_request(site: Site, given: str | None) -> None:
    machine, video_id = await site.machine("reviewer"), f"traced {given}"
    headers = {} if given is None else {"traceparent": given}
    body = UPLOAD | {"video_id": video_id}
    answer = await machine.post("/api/v1/uploads", json=body, headers=headers)
    assert answer.status_code == 202
    [message] = site.submissions(video_id)
    wanted = [("traceparent", given.encode())] if given and given != "no trace" else None
    assert message.headers() == wanted


async def test_another_reason_is_another_request(site: Site) -> None:
    machine, key = await site.machine("admin"), {"Idempotency-Key": "reasons"}
    body = UPLOAD | {"video_id": "reasons"}
    for note, status in (("one", 202), ("one", 202), ("two", 422)):
        answer = await machine.post(f"/api/v1/uploads?note={note}", json=body, headers=key)
        assert answer.status_code == status
    assert len(site.submitted("reasons")) == 1


async def test_a_key_that_is_still_at_work_is_a_conflict(site: Site) -> None:
    machine = await site.machine("reviewer", name="slow robot")
    body = b'{"video_id":"e","uri":"https://cdn.example/e.mp4","owner_id":"o"}'
    begun = await site.console.desk.begin_key(
        "slow robot", "key-e", b"POST /api/v1/uploads\n" + body, site.console.clock()
    )
    assert isinstance(begun, Fresh)
    headers = {"Idempotency-Key": "key-e", "Content-Type": "application/json"}
    answer = await machine.post("/api/v1/uploads", content=body, headers=headers)
    assert answer.status_code == 409 and answer.headers["retry-after"] == "1"


async def test_what_kafka_did_not_take_may_be_sent_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = await site.machine("reviewer")
    send: Any = {"json": UPLOAD | {"video_id": "f"}, "headers": {"Idempotency-Key": "key-f"}}

    async def away(*_: object) -> None:
        raise BrokerError("Kafka at secret-host:9092: no answer")

    with monkeypatch.context() as patched:
        patched.setattr(site.console.kafka, "say", away)
        answer = await machine.post("/api/v1/uploads", **send)
    assert answer.status_code == 503 and answer.headers["retry-after"]
    assert "secret-host" not in answer.text
    assert (await machine.post("/api/v1/uploads", **send)).status_code == 202
    assert len(site.submitted("f")) == 1


def broken(site: Site, patched: pytest.MonkeyPatch) -> None:
    """From here on Kafka takes messages and gives none, and the audit log takes no line."""

    def unread(*_: object) -> None:
        raise BrokerError("no answer")

    async def away(*_: object, **__: object) -> None:
        raise ConnectionError("the database is away")

    patched.setattr(site.console.kafka._messages, "read", unread)
    patched.setattr(site.console.desk, "note", away)


async def test_an_upload_that_kafka_has_is_not_sent_again(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    machine = await site.machine("reviewer")
    send: Any = {"json": UPLOAD | {"video_id": "i"}, "headers": {"Idempotency-Key": "key-i"}}
    with monkeypatch.context() as patched:
        broken(site, patched)
        first = await machine.post("/api/v1/uploads", **send)
    assert first.status_code == 202, first.text
    # The line that the audit log lacks is in the service's own.
    assert "'robot' 'submit upload' 'i'" in caplog.text
    assert first.json()["request_id"] in caplog.text
    again = await machine.post("/api/v1/uploads", **send)
    assert again.status_code == 202 and again.json() == first.json()
    assert again.headers["idempotency-replayed"] == "true"
    assert len(site.submitted("i")) == 1


async def test_whatever_kafka_has_is_answered_so(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    machine = await site.machine("admin")
    alert = await site.alert()
    writes: list[tuple[str, str, Any]] = [
        ("POST", f"alerts/{alert.alert_id}/verdict", {"verdict": "confirmed"}),
        ("PUT", "policies/unlogged", {"least_seconds": 5}),
        ("DELETE", f"references/{alert.reference_id}", None),
    ]
    for method, path, body in writes:
        with monkeypatch.context() as patched:
            broken(site, patched)
            patched.setattr(site.console.desk, "release", site.console.desk.note)
            send: Any = {"json": body, "headers": {"Idempotency-Key": path}}
            first = await machine.request(method, f"/api/v1/{path}", **send)
        assert first.status_code in (200, 202), first.text
        again = await machine.request(method, f"/api/v1/{path}", **send)
        assert again.headers["idempotency-replayed"] == "true" and again.json() == first.json()
    for action in ("'confirmed'", "'set policy'", "'take down'"):
        assert f"'robot' {action}" in caplog.text


async def test_a_policy_that_is_taken_back_twice_is_taken_back_once(site: Site) -> None:
    machine = await site.machine("admin")
    path = "/api/v1/policies/back"
    await machine.put(path, json={"least_seconds": 5})
    headers = {"If-Match": "*", "Idempotency-Key": "back"}
    first, again = [await machine.delete(path, headers=headers) for _ in range(2)]
    for answer in (first, again):
        assert (answer.status_code, answer.content) == (204, b"")
    assert again.headers["idempotency-replayed"] == "true"
    assert (await machine.delete(path, headers={"If-Match": "*"})).status_code == 404
    lines = (await site.console.desk.audit(about="back")).items
    assert [line.action for line in lines] == ["remove policy", "set policy"]


@pytest.mark.parametrize(
    ("video_id", "cut", "status", "sent"),
    [("k", "console.come_back", 202, 1), ("l", "console.kafka.say", 409, 0)],
)
async def test_an_upload_that_a_stop_cuts_off_is_not_sent_again(
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
    video_id: str,
    cut: str,
    status: int,
    sent: int,
) -> None:
    machine, begun = await site.machine("reviewer"), asyncio.Event()
    send: Any = {"json": UPLOAD | {"video_id": video_id}, "headers": {"Idempotency-Key": video_id}}
    *names, last = cut.split(".")

    async def hang(*_: object) -> None:
        begun.set()
        await asyncio.Event().wait()

    with monkeypatch.context() as patched:
        patched.setattr(operator.attrgetter(".".join(names))(site), last, hang)
        asked = asyncio.create_task(machine.post("/api/v1/uploads", **send))
        await begun.wait()
        asked.cancel()
        with suppress(asyncio.CancelledError):
            await asked
    # Where it was cut off in the send, nobody knows whether Kafka got it.
    assert (await machine.post("/api/v1/uploads", **send)).status_code == status
    assert len(site.submitted(video_id)) == sent
