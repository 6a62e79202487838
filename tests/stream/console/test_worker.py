"""The role `console` as a worker: what it says of itself, and how it starts and ends."""

import asyncio
import logging
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx2
import pytest
from prometheus_client import REGISTRY

from stream.console.store.intake import Intake, Positions
from stream.console.store.queries import Queries
from stream.console.worker import ConsoleWorker
from stream.contract.events import VideoUploaded
from stream.contract.message import Source
from stream.errors import SettingsError
from stream.logs import CHATTY
from tests.stream.console.web.site import running_site

SIGNATURE = "signed-by-somebody"
UPLOAD = VideoUploaded(video_id="v", uri="https://cdn.example/v.mp4", owner_id="o")


async def test_it_is_ready_and_says_what_waits(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        await site.say(UPLOAD)
        async with asyncio.timeout(10):
            while not (health := site.worker.health()).lags:
                await asyncio.sleep(0.05)
        assert (health.name, health.role, health.not_ready) == ("console", "console", None)
        topics = {lag.topic for lag in health.lags}
        assert "t.alert.raised" in topics and "t.video.uploaded" in topics
        assert sum(lag.messages for lag in health.lags) == 0


async def test_rows_that_are_never_written_are_a_standstill_unless_the_database_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream.console.worker.COUNT_EVERY_SECONDS", 0.05)
    goes_on = asyncio.Event()
    real_take, real_overview = Intake.take, Queries.overview

    async def waits(intake: Intake, sources: Sequence[Source]) -> Positions:
        await goes_on.wait()
        return await real_take(intake, sources)

    async def away(*_: object, **__: object) -> None:
        raise ConnectionRefusedError("away")

    async with running_site(tmp_path) as site:
        health = site.worker.health
        assert health().stands_still_seconds < 1
        monkeypatch.setattr(Intake, "take", waits)
        messages = [(UPLOAD.key(), UPLOAD.to_bytes(), ())]
        await asyncio.to_thread(site.sender.send, UPLOAD.topic, messages)
        await until(lambda: health().stands_still_seconds > 1)
        monkeypatch.setattr(Queries, "overview", away)
        await until(lambda: health().stands_still_seconds < 0.1)
        await asyncio.sleep(0.5)
        assert health().stands_still_seconds < 0.1
        monkeypatch.setattr(Queries, "overview", real_overview)
        await until(lambda: health().stands_still_seconds > 1)
        goes_on.set()
        await until(lambda: not sum(lag.messages for lag in health().lags))
        assert health().stands_still_seconds < 0.5


async def until(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not done():
            await asyncio.sleep(0.02)


async def test_the_metrics_say_how_long_the_oldest_undecided_upload_has_waited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream.console.worker.COUNT_EVERY_SECONDS", 0.05)
    async with running_site(tmp_path) as site, asyncio.timeout(20):
        while told("undecided_uploads") != 0:
            await asyncio.sleep(0.05)
        assert told("oldest_undecided_seconds") == 0
        await site.say(UPLOAD)
        while told("undecided_uploads") != 1 or told("oldest_undecided_seconds") == 0:
            await asyncio.sleep(0.05)
        first = told("oldest_undecided_seconds")
        assert 0 < first < 20
        while told("oldest_undecided_seconds") <= first:
            await asyncio.sleep(0.05)


def told(name: str) -> float:
    value = REGISTRY.get_sample_value(f"samesource_{name}")
    assert value is not None
    return value


async def test_one_that_never_started_can_be_stopped(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        worker = ConsoleWorker(site.settings)
        assert worker.health().not_ready == "starting"
        assert worker.sign_in_link() is None
        await worker.stop()


async def test_a_second_one_at_the_same_port_is_refused(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        port = int(site.worker.url.rpartition(":")[2])
        own = site.settings.console.model_copy(update={"port": port})
        worker = ConsoleWorker(site.settings.model_copy(update={"console": own}))
        with pytest.raises(SettingsError, match=f"console.port = {port}"):
            await worker.start()
        await worker.stop()


async def test_two_consoles_share_what_the_topics_say(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        other = ConsoleWorker(site.settings)
        await other.start()
        await site.say(UPLOAD)
        assert other.console is not None
        async with asyncio.timeout(10):
            while not (await other.console.queries.uploads_of("v")).items:
                await asyncio.sleep(0.05)
        await other.stop()


async def test_a_long_poll_does_not_hold_up_a_stop(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        machine = await site.machine("viewer")
        headers = dict(machine.headers)
        async with httpx2.AsyncClient(base_url=site.worker.url, headers=headers) as client:
            path = "/api/v1/uploads/9-9-9?wait_seconds=60"
            waiting = asyncio.create_task(client.get(path))
            await asyncio.sleep(0.3)
            async with asyncio.timeout(10):
                await site.worker.stop()
            await asyncio.wait([waiting])


async def test_no_log_has_a_secret(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for chatty in CHATTY:  # as `set_up_logging` has it
        caplog.set_level(logging.WARNING, chatty)
    caplog.set_level(logging.DEBUG)
    async with running_site(tmp_path) as site:
        token = (await site.machine("viewer")).headers["authorization"]
        link = site.worker.sign_in_link()
        assert link is not None
        async with httpx2.AsyncClient(base_url=site.worker.url) as client:
            signed_in = await client.get(link)
            assert signed_in.status_code == 303
            assert (await client.get(link)).status_code == 403, "used"
            alerts = await client.get("/api/v1/alerts", headers={"Authorization": token})
            assert alerts.status_code == 200
            wrong = {"Authorization": f"{token}x"}
            assert (await client.get("/api/v1/alerts", headers=wrong)).status_code == 401
            typed = {"token": f"{token.partition(' ')[2]}x"}
            assert (await client.post("/signin", data=typed)).status_code == 403
            assert (await client.get("/library?text=secret+search")).status_code in (200, 503)
        cookie = signed_in.cookies["samesource_session"]
        browser = await site.browser()
        signed = f"https://127.0.0.1/v.mp4?X-Amz-Signature={SIGNATURE}"
        alert = await site.alert(uri=signed)
        address = f"/alerts/{alert.alert_id}"
        assert (await browser.get(f"{address}/video/play")).status_code == 403
        assert (await browser.get(f"{address}/mirrored")).status_code == 200
        assert (await browser.send("/library/like", {"like": signed})).status_code in (422, 503)
        hook = {"url": f"https://localhost:9/?{SIGNATURE}", "kinds": ["alert.raised"]}
        made = await browser.send("/webhooks", hook)
        whsec = re.findall(r"whsec_[^<]+", made.text)[0]
        page = "/webhooks/" + re.findall(r"/webhooks/(wh_[0-9a-f]+)", made.text)[0]
        assert (await browser.send(page, {"do": "test"})).status_code == 303
        kept = {"note": "secret note", "csrf": "0" * 64}
        ours = {"Sec-Fetch-Site": "same-origin"}
        assert (await browser.client.post("/undo", data=kept, headers=ours)).status_code == 403
    secrets = (
        link.rpartition("/")[2], token.partition(" ")[2], cookie, "secret+search", SIGNATURE, whsec,
        browser.token, browser.client.cookies["samesource_session"], "secret note",
    )  # fmt: skip
    told = [each for each in caplog.records if not each.name.startswith(("httpx", "httpcore"))]
    assert told, "something was logged"
    for each in told:
        text = each.getMessage() + str(vars(each))
        assert not [secret for secret in secrets if secret in text], each
