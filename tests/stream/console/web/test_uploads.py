"""The pages of uploads and the overview: what was submitted, and what became of it."""

import asyncio
import re
from typing import Any

import pytest

from stream.broker.group_lags import GroupLag, GroupLags
from stream.console.web import lags as lags_module
from stream.contract.events import VideoDecided, VideoRejected
from stream.errors import BrokerError
from tests.stream.console.web.site import RAISED, Browser, Site

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def submitted(site: Site, video_id: str, **fields: Any) -> str:
    """The request id of a video that a machine submitted."""
    machine = await site.machine("reviewer")
    body = {"video_id": video_id, "uri": "https://cdn.example/v.mp4", "owner_id": "channel"}
    answer = await machine.post("/api/v1/uploads", json=body | fields)
    return str(answer.json()["request_id"])


def decided(video_id: str, request_id: str, **fields: Any) -> VideoDecided:
    """The decision about it."""
    made: dict[str, Any] = {
        "video_id": video_id, "content_version": 1, "outcome": "clear", "alert_ids": [],
        "reason": "no match", "decided_at": RAISED, "request_id": request_id,
        "stage_seconds": {"decode": 1.5, "search": 0.25},
    }  # fmt: skip
    return VideoDecided.model_validate(made | fields)


async def test_an_uploads_way_is_told(site: Site) -> None:
    alert = await site.alert(video_id="told")
    request_id = await submitted(site, "told", title="A told one")
    browser = await site.browser("viewer")
    before = (await browser.get(f"/uploads/{request_id}")).text
    assert "not yet, or not known" in before and "undecided" in before
    matched = {"outcome": "matched", "alert_ids": [alert.alert_id], "reason": "1 alert"}
    await site.say(decided("told", request_id, **matched))
    text = (await browser.get(f"/uploads/{request_id}")).text
    assert "A told one" in text and "1.50 s" in text and "1 alert" in text
    assert f'href="/alerts/{alert.alert_id}"' in text
    assert (await browser.get("/uploads/9-9-9")).status_code == 404


async def test_a_rejected_upload_says_why(site: Site) -> None:
    request_id = await submitted(site, "broken")
    letter = VideoRejected(
        video_id="broken", error="corrupt", message="not a readable <video>",
        source_topic="video.uploaded", source_partition=0, source_offset=0, attempts=1,
        request_id=request_id, rejected_at=RAISED,
    )  # fmt: skip
    await site.say(letter, decided("broken", request_id, outcome="rejected", reason="corrupt"))
    text = (await (await site.browser("viewer")).get(f"/uploads/{request_id}")).text
    assert "corrupt" in text and "not a readable &lt;video&gt;" in text


async def test_why_it_was_decided_so_is_said_in_the_readers_language(site: Site) -> None:
    chinese = {"Accept-Language": "zh-CN"}
    request_id = await submitted(site, "why")
    browser, path = await site.browser("viewer"), f"/uploads/{request_id}"
    assert '<span lang="en">–</span>' in (await browser.get(path, **chinese)).text
    reason = "shares footage with <b>; 2 matches suppressed (2 licensed); as Kafka's letter says"
    await site.say(decided("why", request_id, outcome="matched", reason=reason))
    text = (await browser.get(path, **chinese)).text
    assert "<span>与 &lt;b&gt; 有相同片段</span>; <span>2 处匹配未告警（2 licensed）</span>" in text
    assert '<span lang="en">as Kafka&#39;s letter says</span>' in text
    assert "<span>shares footage with &lt;b&gt;</span>" in (await browser.get(path)).text


async def test_uploads_are_found_by_outcome_video_and_request(site: Site) -> None:
    clear, open_ = await submitted(site, "found-clear"), await submitted(site, "found-open")
    await site.say(decided("found-clear", clear))
    browser = await site.browser("viewer")
    text = (await browser.get("/uploads?outcome=clear")).text
    assert clear in text and open_ not in text
    text = (await browser.get("/uploads?outcome=undecided")).text
    assert open_ in text and clear not in text
    text = (await browser.get("/uploads?find=found-open")).text
    assert open_ in text and clear not in text
    answer = await browser.get(f"/uploads?find={clear}")
    assert answer.headers["location"] == f"/uploads/{clear}"
    assert "Nothing here" in (await browser.get("/uploads?find=unheard-of")).text
    assert (await browser.get("/uploads?cursor=nonsense")).status_code == 422


async def test_the_overview_counts_what_there_is(site: Site) -> None:
    before = await site.console.queries.overview(site.console.clock())
    request_id = await submitted(site, "counted")
    browser = await site.browser("viewer")
    text = (await browser.get("/overview")).text
    assert f'<p class="big">{before.undecided + 1}</p>' in text
    await site.say(decided("counted", request_id, decided_at=site.console.clock()))
    text = (await browser.get("/overview")).text
    assert f'<p class="big">{before.undecided}</p>' in text
    assert "50 % within" in text and "badge clear" in text


async def test_the_overview_tells_the_lag_while_kafka_answers(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lags_module, "KEPT_SECONDS", 0.0)
    await submitted(site, "unread")
    browser = await site.browser("viewer")
    assert 'hx-get="/overview/lag"' in (await browser.get("/overview")).text
    async with asyncio.timeout(60):
        # Kafka has never had these groups, and may answer the second time.
        while (found := await waiting(browser)) is None:
            pass
    assert list(found) == [
        "samesource-fingerprint", "samesource-decide", "samesource-probes",
        "samesource-library-0-of-1",
    ]  # fmt: skip
    await submitted(site, "unread too")
    assert await waiting(browser) == found | {
        "samesource-fingerprint": found["samesource-fingerprint"] + 1
    }

    def away(lags: GroupLags) -> list[GroupLag]:
        raise BrokerError("away")

    monkeypatch.setattr(GroupLags, "now", away)
    assert await waiting(browser) is None
    text = (await browser.get("/overview/lag", **{"Accept-Language": "zh"})).text
    assert "Kafka 没有应答" in text


async def waiting(browser: Browser) -> dict[str, int] | None:
    """The lag of each group, as the overview shows it."""
    text = (await browser.get("/overview/lag")).text
    if "Kafka does not answer" in text:
        return None
    rows = re.findall(r'class="id">(.*?)</th><td>(\d+)</td>', text)
    return {group: int(messages) for group, messages in rows}


async def test_kafka_is_not_asked_for_everybody_who_looks(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[GroupLags]()

    def now(lags: GroupLags) -> list[GroupLag]:
        asked.append(lags)
        return []

    monkeypatch.setattr(GroupLags, "now", now)
    monkeypatch.setattr(site.console.lags, "_good_until", 0.0)
    for name in ("anna", "bea"):
        assert await waiting(await site.browser("viewer", name)) == {}
    assert len(asked) == 1


async def test_a_rights_holder_sees_no_uploads(site: Site) -> None:
    request_id = await submitted(site, "secret")
    holder = await site.browser("holder", owners=["mine"])
    for path in ("/uploads", f"/uploads/{request_id}", "/overview", "/overview/lag"):
        assert (await holder.get(path)).status_code == 403
    assert 'href="/uploads"' not in (await holder.get("/queue")).text
