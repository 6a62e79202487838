"""The queue's pages and forms: what stands there, and what comes back through Kafka."""

import asyncio
import re
from datetime import timedelta
from typing import Any

import pytest

from tests.stream.console.store.plain import statements
from tests.stream.console.web.site import RAISED, SPAN, Site

pytestmark = pytest.mark.asyncio(loop_scope="module")
DATABASES = ("sqlite", "postgresql")


def shown(text: str) -> list[str]:
    """The ids of the alerts on a page, in order."""
    return re.findall(r'<li data-row id="alert-([^"]+)"', text)


async def queue_of(site: Site, query: str) -> list[str]:
    """What an admin sees there."""
    page = await (await site.browser()).get(f"/queue?{query}")
    assert page.status_code == 200, page.text
    return shown(page.text)


async def state_of(site: Site, alert: Any) -> str:
    """In the read model."""
    found = await site.console.queries.alert(alert.alert_id)
    assert found is not None
    return found.state


async def test_alerts_of_one_upload_stand_together(site: Site) -> None:
    first = await site.alert(reference_owner_id="together", title="The final")
    second = await site.alert(reference_owner_id="together", video_id=first.video_id)
    text = (await (await site.browser()).get("/queue?owner=together")).text
    assert set(shown(text)) == {first.alert_id, second.alert_id}
    assert text.count("<h2>") == 1 and "Alerts: 2" in text
    assert first.reference_id in text and second.reference_id in text


async def test_a_page_asks_its_database_few_questions(site: Site) -> None:
    await site.alert(reference_owner_id="few")
    browser, asked = await site.browser(), list[int]()
    for _ in range(3):  # what follows the topics may ask meanwhile
        with statements(site.console.queries._database) as found:
            assert len(shown((await browser.get("/queue?owner=few")).text)) == 1
        asked.append(len([each for each, _ in found if each.startswith(("SELECT", "WITH"))]))
    assert min(asked) <= 8


async def test_a_bar_shows_where_the_copied_seconds_lie(site: Site) -> None:
    spans = [SPAN.model_dump() | {"video_start_seconds": start, "video_end_seconds": start + length}
             for start, length in ((0.0, 12.5), (100.0, 0.1), (150.0, 50.0))]  # fmt: skip
    await site.alert(reference_owner_id="bar", segments=spans)
    text = (await (await site.browser()).get("/queue?owner=bar")).text
    drawn = re.findall(r'class="copied" x="([^"]+)" y="0" width="([^"]+)"', text)
    assert drawn == [("0.0", "62.5"), ("500.0", "6"), ("750.0", "250.0")]


async def test_the_order_is_newest_longest_or_surest(site: Site) -> None:
    long = {**SPAN.model_dump(), "video_end_seconds": 9.0}
    newest = await site.alert(reference_owner_id="o", raised_at=RAISED + timedelta(days=1))
    longest = await site.alert(reference_owner_id="o", segments=[long])
    surest = await site.alert(reference_owner_id="o", score=0.99)
    for order, first in (("newest", newest), ("longest", longest), ("surest", surest)):
        assert (await queue_of(site, f"owner=o&sort={order}"))[0] == first.alert_id


async def test_filters_leave_the_rest_out(site: Site) -> None:
    wanted = await site.alert(reference_owner_id="f", score=0.95)
    other = await site.alert(reference_owner_id="f", score=0.5)
    held = await site.alert(reference_owner_id="f", reason="held", detail="too many")
    ids = [each.alert_id for each in (wanted, other, held)]
    assert set(await queue_of(site, "owner=f")) == set(ids[:2])
    assert await queue_of(site, "owner=f&score=90") == ids[:1]
    assert await queue_of(site, f"reference={other.reference_id}") == ids[1:2]
    assert await queue_of(site, f"video={wanted.video_id}") == ids[:1]
    assert await queue_of(site, "owner=f&state=held") == ids[2:]
    assert await queue_of(site, "owner=f&days=0.001") == []
    assert await queue_of(site, "owner=f&days=36500") != []


@pytest.mark.parametrize("query", ["score=x", "days=-1", "days=1e9", "cursor=nonsense"])
async def test_a_wrong_address_is_told(site: Site, query: str) -> None:
    assert (await (await site.browser()).get(f"/queue?{query}")).status_code == 422


async def test_more_than_a_page_goes_on_by_cursor(site: Site) -> None:
    alerts = await asyncio.gather(*(site.alert(reference_owner_id="many") for _ in range(23)))
    browser = await site.browser()
    first = (await browser.get("/queue?owner=many")).text
    more = re.search(r'<p id="more"><a class="button" href="([^"]+)"', first)
    assert more is not None
    second = (await browser.get(more[1].replace("&amp;", "&"))).text
    assert len(shown(first)) == 20 and len(shown(second)) == 3
    assert {*shown(first), *shown(second)} == {alert.alert_id for alert in alerts}


async def test_the_alerts_of_the_last_days_go_on_by_cursor(site: Site) -> None:
    alerts = await asyncio.gather(*(site.alert(reference_owner_id="aged") for _ in range(23)))
    browser = await site.browser()
    first = (await browser.get("/queue?owner=aged&days=36500")).text
    more = re.search(r'<p id="more"><a class="button" href="([^"]+)"', first)
    assert more is not None
    second = await browser.get(more[1].replace("&amp;", "&"))
    assert second.status_code == 200, second.text
    assert {*shown(first), *shown(second.text)} == {alert.alert_id for alert in alerts}


async def test_numbers_follow_the_states(site: Site) -> None:
    browser = await site.browser("holder", owners=["numbers"])
    await site.alert(reference_owner_id="numbers")
    text = (await browser.get("/queue/numbers")).text
    assert "open <b>1</b>" in text and "confirmed <b>0</b>" in text


async def test_of_two_people_each_gets_another_alert(site: Site) -> None:
    alerts = {(await site.alert(reference_owner_id="two")).alert_id for _ in range(2)}
    anna, bea = await site.browser("reviewer", "anna"), await site.browser("reviewer", "bea")
    taken = set()
    for each in (anna, bea):
        answer = await each.send("/queue/next", {"owner": "two"})
        taken.add(answer.headers["location"].partition("?")[0].removeprefix("/alerts/"))
    assert taken == alerts
    nothing = await anna.send("/queue/next", {"owner": "two"})
    assert nothing.headers["location"] == "/queue?owner=two&said=none"


async def test_a_verdict_on_several_can_be_undone(site: Site) -> None:
    alerts = [await site.alert(reference_owner_id="bulk") for _ in range(3)]
    browser = await site.browser("reviewer")
    chosen = [alert.alert_id for alert in alerts[:2]]
    answer = await browser.send(
        "/queue/verdicts",
        {"alert": chosen, "verdict": "dismissed", "scope": "alert", "note": "trailers",
         "back": "/queue?owner=bulk"},
    )  # fmt: skip
    assert [await state_of(site, alert) for alert in alerts] == ["dismissed", "dismissed", "open"]
    text = (await browser.get(answer.headers["location"])).text
    assert "Alerts dismissed: 2" in text and shown(text) == [alerts[2].alert_id]
    undo = re.search(r'name="undo" value="([^"]+)"', text)
    assert undo is not None
    back = await browser.send("/undo", {"undo": undo[1], "back": "/queue?owner=bulk&said=x"})
    assert back.headers["location"] == "/queue?owner=bulk&said=withdrawn&number=2"
    assert [await state_of(site, alert) for alert in alerts] == ["open"] * 3


async def test_undoing_several_gives_each_its_own_verdict_back(site: Site) -> None:
    alerts = [await site.alert(reference_owner_id="each") for _ in range(3)]
    browser, ids = await site.browser("reviewer"), [alert.alert_id for alert in alerts]
    for alert_id, scope in zip(ids[:2], ("alert", "pair"), strict=True):
        fields = {"verdict": "dismissed", "scope": scope}
        await browser.send(f"/alerts/{alert_id}/verdict", fields)
    answer = await browser.send("/queue/verdicts", {"alert": ids, "verdict": "confirmed"})
    assert [await state_of(site, alert) for alert in alerts] == ["confirmed"] * 3
    token = re.search(r"undo=([^&]+)", answer.headers["location"])
    assert token is not None
    back = await browser.send("/undo", {"undo": token[1]})
    assert back.headers["location"] == "/queue?said=undone&number=3"
    assert [await state_of(site, alert) for alert in alerts] == ["dismissed", "dismissed", "open"]
    scopes = [(await site.console.queries.reviews_of_alert(each))[0].scope for each in ids]
    assert scopes == ["alert", "pair", None]


async def test_seconds_are_a_scope_of_one_alert_and_not_of_many(site: Site) -> None:
    other = {**SPAN.model_dump(), "reference_start_seconds": 21.0, "reference_end_seconds": 25.0}
    alert = await site.alert(reference_owner_id="spans", segments=[SPAN, other])
    browser = await site.browser("reviewer")
    offers = 'name="scope" value="span"'
    queue = (await browser.get("/queue?owner=spans")).text
    assert 'name="scope" value="pair"' in queue and offers not in queue
    assert offers in (await browser.get(f"/alerts/{alert.alert_id}")).text


async def test_nothing_is_said_of_what_somebody_else_works_on(site: Site) -> None:
    alerts = [await site.alert(reference_owner_id="taken") for _ in range(2)]
    anna, bea = await site.browser("reviewer", "anna"), await site.browser("reviewer", "bea")
    ids = [alert.alert_id for alert in alerts]
    assert (await anna.send("/queue/claim", {"alert": ids[:1], "claim": "take"})).is_redirect
    answer = await bea.send("/queue/verdicts", {"alert": ids, "verdict": "confirmed"})
    assert "taken=1" in answer.headers["location"]
    assert [await state_of(site, alert) for alert in alerts] == ["open", "confirmed"]
    assert "taken by anna" in (await bea.get("/queue?owner=taken")).text
    await anna.send("/queue/claim", {"alert": ids[:1], "claim": "release"})
    await bea.send("/queue/verdicts", {"alert": ids[:1], "verdict": "confirmed"})
    assert await state_of(site, alerts[0]) == "confirmed"


@pytest.mark.parametrize(
    "fields",
    [{"alert": "nothing", "verdict": "confirmed"}, {"verdict": "maybe"},
     {"verdict": "dismissed", "scope": "world"}, {"verdict": "dismissed"},
     {"verdict": "confirmed", "note": "x" * 2001}],
)  # fmt: skip
async def test_a_form_that_says_nothing_is_refused(site: Site, fields: dict[str, str]) -> None:
    alert = await site.alert()
    browser = await site.browser()
    filled = {"alert": alert.alert_id, **fields}
    assert (await browser.send("/queue/verdicts", filled)).status_code in (404, 422)
    assert await state_of(site, alert) == "open"


async def test_where_nothing_is_ticked_nothing_happens(site: Site) -> None:
    browser = await site.browser("reviewer")
    for path, fields in (
        ("/queue/verdicts", {"verdict": "confirmed"}),
        ("/queue/claim", {"claim": "take"}),
    ):
        answer = await browser.send(path, fields | {"back": "/queue?sort=surest"})
        assert answer.headers["location"] == "/queue?sort=surest&said=nothing"
    assert "No alert is ticked" in (await browser.get(answer.headers["location"])).text


async def test_every_verdict_is_in_the_audit_log(site: Site) -> None:
    alert = await site.alert()
    browser = await site.browser("admin", "auditor")
    await browser.send(
        f"/alerts/{alert.alert_id}/verdict",
        {"verdict": "dismissed", "scope": "alert", "note": "a parody"},
    )
    text = (await browser.get(f"/audit?about={alert.alert_id}")).text
    assert "auditor" in text and "a parody" in text and "dismissed" in text
    assert "a parody" not in (await browser.get("/audit?person=nobody")).text
    assert (await browser.get("/audit?cursor=nonsense")).status_code == 422


async def test_the_audit_log_shows_what_belongs_to_a_write(site: Site) -> None:
    alert = await site.alert()
    browser = await site.browser("admin", "auditor")
    await browser.send(
        f"/alerts/{alert.alert_id}/verdict",
        {"verdict": "dismissed", "scope": "span", "start": "11.5", "end": "14"},
    )
    text = (await browser.get(f"/audit?about={alert.alert_id}")).text
    assert "Scope: these seconds of the reference" in text
    for name, value in (("Seconds of the reference, from", "11.5"), ("to", "14.0")):
        assert f"<dt>{name}</dt><dd>{value}</dd>" in text
    chinese = await browser.get(f"/audit?about={alert.alert_id}", **{"Accept-Language": "zh"})
    assert "范围: 参考视频的这一片段" in chinese.text and "<td>已驳回</td>" in chinese.text
    now, desk = site.console.clock(), site.console.desk
    short = {"request_id": "<b>1-2-3</b>"}
    await desk.note("auditor", "submit upload", "detailed", now, detail=short)
    cut = {"reference_id": "film", "start_seconds": 0.0, "end_seconds": 9.0}
    long = {"licensed_owner_ids": [f"channel-{each}" for each in range(30)], "exclusions": [cut]}
    await desk.note("auditor", "set policy", "detailed", now, detail=long)
    text = (await browser.get("/audit?about=detailed")).text
    assert '<td class="small">Request: &lt;b&gt;1-2-3&lt;/b&gt;</td>' in text
    assert "<dd>reference_id=film start_seconds=0.0 end_seconds=9.0</dd>" in text
    assert text.count("<details>\n      <summary>") == 1 and "channel-29</dd>" in text


async def test_who_took_an_alert_and_gave_it_back_is_in_the_audit_log(site: Site) -> None:
    days = map(timedelta, range(3))  # so that the first is the last of the list
    alerts = [
        await site.alert(reference_owner_id="assigned", raised_at=RAISED + each) for each in days
    ]
    ids = sorted(alert.alert_id for alert in alerts)
    anna, bea = await site.browser("reviewer", "take-a"), await site.browser("reviewer", "take-b")
    await anna.send("/queue/claim", {"alert": ids[:2], "claim": "take"})
    await bea.send("/queue/claim", {"alert": ids, "claim": "release"})  # none is hers
    await bea.send("/queue/next", {"owner": "assigned"})
    await anna.send(f"/alerts/{ids[0]}/claim", {"claim": "release"})
    await bea.send(f"/alerts/{ids[2]}/verdict?owner=assigned", {"verdict": "confirmed"})

    async def lines(person: str) -> list[tuple[str, str, Any]]:
        found = (await site.console.desk.audit(person)).items
        return [(line.action, line.about, line.detail.get("alert_ids")) for line in found[::-1]]

    assert await lines("take-a") == [
        ("take", "2 alerts", ids[:2]), ("give back", ids[0], ids[:1])
    ]  # fmt: skip
    next_one, verdict, after = await lines("take-b")
    assert next_one == ("take", ids[2], ids[2:]) and verdict[:2] == ("confirmed", ids[2])
    assert after == ("take", ids[0], ids[:1])


async def test_the_root_is_the_queue(site: Site) -> None:
    assert (await (await site.browser()).get("/")).headers["location"] == "/queue"
