"""What is wrong is said in the reader's language: on pages, and by the API if it is asked to."""

import html
import re
from typing import Any

import httpx2
import pytest

from stream.errors import BrokerError
from tests.stream.console.web.site import UPLOAD, Browser, Site
from tests.stream.console.web.test_matches import answering, refused
from tests.stream.console.web.test_rejected import place_of, rejected

pytestmark = pytest.mark.asyncio(loop_scope="module")

CHINESE = {"Accept-Language": "zh-CN,zh;q=0.9,en;q=0.5"}
SENTENCE = re.compile(r"[A-Za-z][a-z']*(?:[ ,:;]+[A-Za-z][a-z']*){2,}")
"""Three words in a row: names, ids and settings have none."""
LONG = "x" * 3000
ANY = "ANY"  # stands for an alert's id


def said(answer: httpx2.Response) -> str:
    """What somebody reads of a page; what a worker has said, in English, is marked as such."""
    text = re.sub(r"<(script|style|textarea|head).*?</\1>|<(\w+)[^>]* lang=\"en\".*?</\2>", " ",
                  answer.text, flags=re.S)  # fmt: skip
    title = re.search(r"<title>(.*?)</title>", answer.text, re.S)
    assert title is not None, answer.text
    shown = html.unescape(re.sub(r"<[^>]*>", "|", title[1] + "|" + text))
    return shown.replace("samesource token create", "")  # a command


async def reader(site: Site, role: Any = "admin") -> Browser:
    """Somebody who reads Chinese."""
    browser = await site.browser(role)
    browser.client.headers.update(CHINESE)
    return browser


LOOKS = (
    "/alerts/none", "/nowhere", "/queue?days=99999", "/queue?score=x", "/queue?cursor=x",
    "/uploads?cursor=x", "/uploads/none", "/library?cursor=x", "/rejected?cursor=x",
    "/policies?cursor=x", "/audit?cursor=x", "/library/entry?video=none",
    "/library/strip.jpg?video=none", "/library/entry", "/policies/edit", "/webhooks/none",
    f"/webhooks/{ANY}?cursor=x", "/alerts/ANY/reference/strip.jpg", "/alerts/ANY/video/play",
    "/alerts/ANY/other/play", "/signin/account", "/signin/none", f"/queue?owner={LONG}",
    "/static/none", "/alerts/ANY/verdict", "/health/none",
)  # fmt: skip
FORMS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("/alerts/ANY/verdict", {}),
    ("/alerts/ANY/verdict", {"verdict": "dismissed"}),
    ("/alerts/ANY/verdict", {"verdict": "dismissed", "scope": "span", "start": "7", "end": "2"}),
    ("/alerts/ANY/verdict", {"verdict": "dismissed", "scope": "span", "start": "-7", "end": "2"}),
    ("/alerts/ANY/verdict", {"verdict": "dismissed", "scope": "span", "start": "x", "end": "2"}),
    ("/alerts/ANY/verdict", {"verdict": "dismissed", "scope": "span", "start": "1", "end": "1e99"}),
    ("/alerts/ANY/verdict", {"verdict": "confirmed", "note": LONG}),
    ("/queue/verdicts", {"verdict": "confirmed", "alert": [str(n) for n in range(999)]}),
    ("/queue/verdicts", {"verdict": "confirmed", "alert": "none"}),
    ("/undo", {}),
    ("/rejected/replay", {}),
    ("/rejected/replay", {"letter": "0-999999"}),
    ("/policies/edit", {}),
    ("/policies/edit", {"owner": "o", "exclusions": "film"}),
    ("/policies/edit", {"owner": "o", "exclusions": "film:90-0"}),
    ("/policies/edit", {"owner": "o", "least_score": "many"}),
    ("/policies/edit", {"owner": "o", "least_score": "200", "least_seconds": "-1"}),
    ("/policies/edit", {"owner": "o", "alerts_per_hour": "1.5"}),
    ("/policies/edit", {"owner": "o", "do": "try", "days": "0"}),
    ("/policies/edit", {"owner": "o", "do": "remove", "etag": "old"}),
    ("/webhooks", {"url": "https://hooks.example/"}),
    ("/webhooks", {"url": "https://hooks.example/", "kinds": "none"}),
    ("/webhooks", {"url": "https://hooks.example/", "kinds": "video.decided", "owners": "o"}),
    ("/webhooks", {"url": "http://127.0.0.1/", "kinds": "alert.raised"}),
    ("/webhooks", {"url": "https://a:b@hooks.example/", "kinds": "alert.raised"}),
    ("/webhooks", {"url": "https://hooks.example/a b", "kinds": "alert.raised"}),
    ("/webhooks", {"url": "https://" + 2 * LONG, "kinds": "alert.raised"}),
    ("/webhooks/none", {"do": "test"}),
    ("/webhooks/none", {"do": "jump"}),
    ("/library/like", {}),
    ("/match", {"uri": ""}),
    ("/library/takedown", {"video": "none"}),
    ("/queue", {}),
    ("/signin", {"token": "wrong"}),
)


async def test_pages_say_in_chinese_what_is_wrong(site: Site) -> None:
    alert = await site.alert(reason="held", detail="200 others")
    browser = await reader(site)
    answers = [await browser.get(path.replace(ANY, alert.alert_id)) for path in LOOKS]
    answers += [await browser.send(path.replace(ANY, alert.alert_id), form) for path, form in FORMS]
    mine, browser.token = browser.token, "0" * 64
    answers.append(await browser.send("/undo"))
    browser.token = mine
    answers += [
        await browser.send("/undo", {}, Origin="https://evil.example"),
        await browser.send("/undo", {"x": 2**20 * "x"}),
        await browser.client.post("/undo", content="csrf=é%ff", headers={
            "Content-Type": "application/x-www-form-urlencoded"}),
        await browser.get("/queue", Host="evil.example"),
        await browser.send_file("/match", b""),
        await (await reader(site, "viewer")).send("/undo"),
        await (await reader(site, "reviewer")).get("/audit"),
    ]  # fmt: skip
    assert [str(each.url) for each in answers if each.status_code < 400] == []
    english = {
        (str(each.url), each.request.content[:200]): found
        for each in answers
        if (found := SENTENCE.findall(said(each))) or not re.search("[一-鿿]", said(each))
    }
    assert english == {}


async def test_pages_say_in_chinese_what_others_refuse(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = await reader(site)
    async with answering(site, refused):
        answer = await browser.send("/match", {"uri": "https://x/v.mp4"})
    # The worker's own words stand behind what its code means.
    assert answer.status_code == 422 and "系统设置不允许该地址（forbidden_uri）" in answer.text
    answer = await browser.send("/library/like", {"like": "/nowhere/none.jpg"})
    assert answer.status_code == 422 and "系统设置不允许该地址（forbidden_uri）" in answer.text
    await site.say(rejected("lost", 7, event={}), rejected("other", 8))
    assert "该地址没有视频（not_found）" in (await browser.get("/rejected")).text
    answer = await browser.send("/rejected/replay", {"letter": await place_of(site, "lost")})
    assert answer.status_code == 409 and "其中没有格式正确的上传消息" in answer.text

    async def away(*_: object) -> None:
        raise BrokerError("no broker at 127.0.0.1")

    monkeypatch.setattr(site.console.kafka, "say", away)
    alert = await site.alert()
    answer = await browser.send(f"/alerts/{alert.alert_id}/verdict", {"verdict": "confirmed"})
    assert answer.status_code == 503 and not SENTENCE.findall(said(answer))


async def test_why_an_alert_was_kept_back_is_said_in_chinese(site: Site) -> None:
    detail = "film's 3.5 s of it got 7 other alerts within an hour, expected fewer than 7"
    alert = await site.alert(reason="held", detail=detail)
    path = f"/alerts/{alert.alert_id}"
    english = (await (await site.browser()).get(path)).text
    assert detail in html.unescape(english)
    text = html.unescape((await (await reader(site)).get(path)).text)
    assert "film's 3.5 s of it 一小时内已有 7 条其他告警，应少于 7 条" in text
    assert (await (await site.machine()).get(f"/api/v1{path}")).json()["detail"] == detail


async def test_why_a_webhook_is_off_is_said_in_chinese(site: Site) -> None:
    browser = await reader(site)
    hook = {"url": "https://hooks.example/", "kinds": "alert.raised"}
    page = await browser.send("/webhooks", hook)
    found = re.search(r"/webhooks/(wh_\w+)", page.text)
    assert found is not None
    await browser.send(found[0], {"do": "disable"})
    assert "anna 已将其停用" in (await browser.get(found[0])).text


async def refusals(machine: httpx2.AsyncClient, alert_id: str) -> list[httpx2.Response]:
    """What the API answers to what is wrong."""
    api = "/api/v1"
    twice = {"Idempotency-Key": f"twice {machine.headers.get('accept-language')}"}
    await machine.post(f"{api}/uploads", json=UPLOAD, headers=twice)
    verdict = f"{api}/alerts/{alert_id}/verdict"
    hook = {"url": "https://hooks.example/", "kinds": ["alert.raised"]}
    return [
        await machine.get(f"{api}/alerts/none"),
        await machine.get(f"{api}/nowhere"),
        await machine.delete(f"{api}/alerts"),
        await machine.get(f"{api}/alerts?since=2026-01-01T00:00:00"),
        await machine.get(f"{api}/alerts?cursor=x"),
        await machine.get(f"{api}/policies/none"),
        await machine.put(f"{api}/policies/none", json={"least_seconds": -1}),
        await machine.put(f"{api}/policies/none", json={"exclusions": [
            {"reference_id": "f", "start_seconds": 2, "end_seconds": 1}]}),
        await machine.delete(f"{api}/policies/none"),
        await machine.get(f"{api}/references/none"),
        await machine.delete(f"{api}/references/none"),
        await machine.get(f"{api}/uploads/none"),
        await machine.post(f"{api}/uploads", json=UPLOAD | {"title": "other"}, headers=twice),
        await machine.post(f"{api}/uploads", json={"video_id": 1, "more": 2}),
        await machine.post(f"{api}/uploads", content=b"{"),
        await machine.get(f"{api}/search"),
        await machine.post(verdict, json={"verdict": "dismissed", "reference_start_seconds": 1}),
        await machine.post(verdict, json={"verdict": "confirmed"}, headers={"If-Match": '"old"'}),
        await machine.post(verdict, json={"verdict": "perhaps"}),
        await machine.post(f"{api}/webhooks", json=hook | {"owner_ids": []}),
        await machine.patch(f"{api}/webhooks/none", json={"url": None}),
        await machine.post(f"{api}/webhooks/none/test"),
        await machine.post(f"{api}/matches", content=b"x" * 2**21),
    ]  # fmt: skip


async def test_the_api_speaks_the_language_that_it_is_asked_in(site: Site) -> None:
    alert = await site.alert()
    machine = await site.machine()
    for answer in await refusals(machine, alert.alert_id):
        told = answer.json()
        assert answer.status_code >= 400 and answer.headers["content-language"] == "en"
        assert not re.search("[一-鿿]", answer.text) and told["detail"]
    machine.headers.update(CHINESE)
    answers = await refusals(machine, alert.alert_id)
    answers.append(await site.client(**CHINESE).get("/api/v1/alerts"))
    bound = await site.machine(scopes=["uploads"])
    answers.append(await bound.get("/api/v1/alerts", headers=CHINESE))
    for answer in answers:
        told = answer.json()
        texts = [told["title"], told["detail"], *(each["what"] for each in told.get("errors", ()))]
        assert answer.status_code >= 400 and answer.headers["content-language"] == "zh"
        assert [text for text in texts if SENTENCE.search(text)] == [], told
        assert re.search("[一-鿿]", told["title"]) and re.search("[一-鿿]", told["detail"]), told


async def test_a_bug_is_told_of_in_chinese(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(site.console.queries, "overview", broken)
    browser = await reader(site)
    transport = httpx2.ASGITransport(app=site.app, raise_app_exceptions=False)
    browser.client._transport = transport
    answer = await browser.get("/overview")
    assert answer.status_code == 500 and "系统出错" in answer.text
