"""Verdicts of every scope on an alert's page: given, undone, refused, and what comes next."""

import asyncio
import html
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from stream.broker.client import Reader
from stream.broker.sender import PartlySentError
from stream.contract.events import AlertReviewed
from stream.errors import BrokerError
from tests.stream.console.store.said import applied
from tests.stream.console.web.site import RAISED, SPAN, Browser, Site

pytestmark = pytest.mark.asyncio(loop_scope="module")
DATABASES = ("sqlite", "postgresql")


def said(site: Site, alert_id: str) -> list[AlertReviewed]:
    """The verdicts on an alert that are on Kafka."""
    with Reader(site.settings.kafka, AlertReviewed.topic) as reader:
        events = [
            AlertReviewed.from_bytes(message.value())
            for _, message in reader.until_now()
            if message.key() == alert_id.encode()
        ]
    return events


async def verdict(site: Site, alert: Any, **fields: Any) -> AlertReviewed:
    """What a reviewer's form puts on Kafka."""
    browser = await site.browser("reviewer", "rosa")
    answer = await browser.send(f"/alerts/{alert.alert_id}/verdict", fields)
    assert answer.status_code == 303, answer.text
    return said(site, alert.alert_id)[-1]


async def test_a_verdict_goes_through_kafka_and_comes_back(site: Site) -> None:
    alert = await site.alert()
    event = await verdict(site, alert, verdict="confirmed", note="the same goal")
    assert (event.verdict, event.reviewer, event.note) == ("confirmed", "rosa", "the same goal")
    assert (event.video_id, event.reference_id) == (alert.video_id, alert.reference_id)
    text = (await (await site.browser()).get(f"/alerts/{alert.alert_id}")).text
    assert "the same goal" in text and "rosa" in text and "badge confirmed" in text


async def test_each_scope_says_how_far_it_goes(site: Site) -> None:
    alert = await site.alert()
    event = await verdict(site, alert, verdict="dismissed", scope="alert")
    assert event.scope == "alert"
    event = await verdict(site, alert, verdict="dismissed", scope="pair", start="2", end="7.5")
    assert event.scope == "pair" and event.reference_start_seconds is None
    event = await verdict(site, alert, verdict="dismissed", scope="uploader")
    assert event.video_owner_id == alert.video_owner_id
    assert event.reference_owner_id == alert.reference_owner_id
    event = await verdict(site, alert, verdict="dismissed", scope="span", start="2", end="7.5")
    assert (event.reference_start_seconds, event.reference_end_seconds) == (2.0, 7.5)
    event = await verdict(site, alert, verdict="dismissed", scope="span")
    assert event.reference_start_seconds == SPAN.reference_start_seconds
    assert event.reference_end_seconds == SPAN.reference_end_seconds


@pytest.mark.parametrize("span", [("7", "2"), ("x", "2"), ("nan", "2"), ("-1", "2"), ("1", "1e99")])
async def test_a_span_that_is_none_is_refused(site: Site, span: tuple[str, str]) -> None:
    alert = await site.alert()
    browser = await site.browser("reviewer")
    fields = {"verdict": "dismissed", "scope": "span", "start": span[0], "end": span[1]}
    answer = await browser.send(f"/alerts/{alert.alert_id}/verdict", fields)
    assert answer.status_code == 422 and said(site, alert.alert_id) == []


async def test_a_confirmed_alert_that_was_held_is_raised(site: Site) -> None:
    policy = applied(5.0, alerts_per_hour=200)
    alert = await site.alert(reason="held", detail="200 others", policy=policy)
    event = await verdict(site, alert, verdict="confirmed")
    assert event.alert is not None
    assert event.alert.model_dump() == alert.model_dump()


async def test_a_verdict_can_be_withdrawn(site: Site) -> None:
    alert = await site.alert()
    await verdict(site, alert, verdict="dismissed", scope="pair")
    text = (await (await site.browser()).get(f"/alerts/{alert.alert_id}")).text
    assert 'value="withdrawn"' in text
    assert (await verdict(site, alert, verdict="withdrawn")).verdict == "withdrawn"
    found = await site.console.queries.alert(alert.alert_id)
    assert found is not None and found.state == "open"


async def undo(site: Site, answer: Any) -> str:
    """What a browser that undoes what it has just said is told."""
    browser = await site.browser("reviewer", "anna")
    page = await browser.get(answer.headers["location"])
    token = re.search(r'name="undo" value="([^"]+)"', page.text)
    assert token is not None
    done = await browser.send("/undo", {"undo": token[1], "back": "/queue"})
    assert done.status_code == 303, done.text
    return str(done.headers["location"])


@pytest.mark.parametrize(
    "fields",
    [{"scope": "span", "start": "2", "end": "7.5", "note": "a jingle"}, {"scope": "uploader"},
     {"scope": "pair"}, {"scope": "alert"}],
)  # fmt: skip
async def test_undo_gives_back_the_verdict_before(site: Site, fields: dict[str, str]) -> None:
    alert = await site.alert()
    first = await verdict(site, alert, verdict="dismissed", **fields)
    anna = await site.browser("reviewer", "anna")
    path = f"/alerts/{alert.alert_id}/verdict"
    confirmed = await anna.send(path, {"verdict": "confirmed", "note": "a slip"})
    assert await undo(site, confirmed) == "/queue?said=undone&number=1"
    again = said(site, alert.alert_id)[-1]
    assert again.reviewer == "anna" and again.reviewed_at > first.reviewed_at
    told = {"reviewer", "reviewed_at"}
    assert again.model_dump(exclude=told) == first.model_dump(exclude=told)
    found = await site.console.queries.alert(alert.alert_id)
    assert found is not None and found.state == "dismissed"
    # The button of a page that is still open somewhere.
    assert await undo(site, confirmed) == "/queue?said=since"
    assert len(said(site, alert.alert_id)) == 3


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("number", [1, 2])
async def test_a_double_click_is_one_verdict(site: Site, number: int, at_once: bool) -> None:
    alerts = [await site.alert() for _ in range(number)]
    for alert in alerts:
        await verdict(site, alert, verdict="dismissed", scope="pair")
    anna = await site.browser("reviewer", "anna")
    ids = [alert.alert_id for alert in alerts]
    path = f"/alerts/{ids[0]}/verdict" if number == 1 else "/queue/verdicts"
    form = {"verdict": "confirmed", "note": "twice", "alert": ids}
    first = asyncio.create_task(anna.send(path, form))
    if not at_once:
        await first
    second = await anna.send(path, form)
    for answer in (await first, second):
        assert "said=confirmed" in answer.headers["location"], answer.headers
    for alert_id in ids:
        assert [event.note for event in said(site, alert_id)] == [None, "twice"]
        lines = (await site.console.desk.audit(about=alert_id)).items
        assert [line.action for line in lines].count("confirmed") == 1
    # Whichever answer the browser shows: what was said before all clicks holds again.
    assert await undo(site, second) == f"/queue?said=undone&number={number}"
    assert [said(site, alert_id)[-1].verdict for alert_id in ids] == ["dismissed"] * number


async def test_a_verdict_may_be_given_again_once_it_was_taken_back(site: Site) -> None:
    alert = await site.alert()
    for word in ("confirmed", "withdrawn", "confirmed"):
        await verdict(site, alert, verdict=word)
    assert [event.verdict for event in said(site, alert.alert_id)] == [
        "confirmed", "withdrawn", "confirmed",
    ]  # fmt: skip


async def test_two_people_who_say_the_same_are_two_verdicts(site: Site) -> None:
    alert = await site.alert()
    path = f"/alerts/{alert.alert_id}/verdict"
    for name in ("anna", "bea"):
        await (await site.browser("reviewer", name)).send(path, {"verdict": "confirmed"})
    assert [event.reviewer for event in said(site, alert.alert_id)] == ["anna", "bea"]


async def test_undo_leaves_what_somebody_has_said_since(site: Site) -> None:
    alert = await site.alert()
    browser = await site.browser("reviewer", "anna")
    path = f"/alerts/{alert.alert_id}/verdict"
    confirmed = await browser.send(path, {"verdict": "confirmed"})
    await verdict(site, alert, verdict="dismissed", scope="alert")
    assert await undo(site, confirmed) == "/queue?said=since"
    found = await site.console.queries.alert(alert.alert_id)
    assert found is not None and found.state == "dismissed"
    for made_up in ("", "x", "0-999999", "9999999999-1", "0-99999999999999999999", alert.alert_id):
        assert (await browser.send("/undo", {"undo": made_up})).status_code == 404


async def test_a_verdict_is_newer_than_the_one_before_whatever_the_clocks_say(site: Site) -> None:
    alert = await site.alert()
    ahead = datetime.now(UTC) + timedelta(hours=1)
    await site.say(
        AlertReviewed(
            alert_id=alert.alert_id, verdict="dismissed", reviewer="fast", reviewed_at=ahead,
            video_id=alert.video_id, reference_id=alert.reference_id,
        )
    )  # fmt: skip
    event = await verdict(site, alert, verdict="confirmed")
    assert event.reviewed_at > ahead
    found = await site.console.queries.alert(alert.alert_id)
    assert found is not None and found.state == "confirmed"


async def test_after_a_verdict_comes_the_next_alert(site: Site) -> None:
    alerts = [await site.alert(reference_owner_id="next") for _ in range(2)]
    browser = await site.browser("reviewer")
    text = (await browser.get("/queue?owner=next")).text
    first, second = sorted(alerts, key=lambda alert: text.index(alert.alert_id))
    path = f"/alerts/{first.alert_id}/verdict?owner=next"
    answer = await browser.send(path, {"verdict": "confirmed"})
    assert answer.headers["location"].startswith(f"/alerts/{second.alert_id}?owner=next")
    page = (await browser.get(answer.headers["location"])).text
    assert "Alerts confirmed: 1" in page and 'name="undo"' in page
    path = f"/alerts/{second.alert_id}/verdict?owner=next"
    answer = await browser.send(path, {"verdict": "confirmed"})
    assert answer.headers["location"].startswith("/queue?owner=next")


async def test_after_a_verdict_nobody_is_sent_to_what_somebody_else_has(site: Site) -> None:
    at = [RAISED + timedelta(seconds=seconds) for seconds in range(5)]
    made = [await site.alert(reference_owner_id="two at work", raised_at=each) for each in at]
    ids = [alert.alert_id for alert in reversed(made)]  # the newest first
    anna, bea = await site.browser("reviewer", "anna"), await site.browser("reviewer", "bea")

    async def next_of(browser: Browser, alert_id: str) -> str:
        path = f"/alerts/{alert_id}/verdict?owner=two+at+work"
        answer = await browser.send(path, {"verdict": "confirmed"})
        return str(answer.headers["location"]).partition("?")[0].removeprefix("/alerts/")

    await bea.send(f"/alerts/{ids[1]}/claim", {"claim": "take"})
    assert await next_of(anna, ids[0]) == ids[2]
    # Hers from the moment that she is sent there.
    assert "anna works on this alert" in (await bea.get(f"/alerts/{ids[2]}")).text
    assert await next_of(bea, ids[1]) == ids[3]
    assert await next_of(anna, ids[2]) == ids[4]
    assert await next_of(anna, ids[4]) == "/queue"


async def test_whoever_comes_second_is_told(site: Site) -> None:
    alert = await site.alert()
    anna, bea = await site.browser("reviewer", "anna"), await site.browser("reviewer", "bea")
    path = f"/alerts/{alert.alert_id}"
    await anna.send(f"{path}/claim", {"claim": "take", "back": path})
    assert "anna works on this alert" in (await bea.get(path)).text
    answer = await bea.send(f"{path}/verdict", {"verdict": "confirmed"})
    assert "said=taken" in answer.headers["location"] and said(site, alert.alert_id) == []
    assert "Somebody else works on" in (await bea.get(answer.headers["location"])).text
    await anna.send(f"{path}/claim", {"claim": "release", "back": path})
    assert "works on this alert" not in (await bea.get(path)).text


async def test_nothing_is_said_while_kafka_is_away(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    alert = await site.alert()
    browser = await site.browser("reviewer")

    async def away(*_: object) -> None:
        raise BrokerError("Kafka at secret-host:9092: no answer")

    monkeypatch.setattr(site.console.kafka, "say", away)
    answer = await browser.send(f"/alerts/{alert.alert_id}/verdict", {"verdict": "confirmed"})
    assert answer.status_code == 503 and answer.headers["retry-after"]
    assert "secret-host" not in answer.text
    log = await site.console.desk.audit(about=alert.alert_id)
    assert not log.items


async def test_of_verdicts_that_kafka_took_in_part_each_is_told(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [(await site.alert()).alert_id for _ in range(3)]
    say = site.console.kafka.say

    async def say_two(events: Any) -> Any:
        raise PartlySentError("no answer", await say([events[2], events[0]]))

    anna = await site.browser("reviewer", "anna")
    with monkeypatch.context() as patched:
        patched.setattr(site.console.kafka, "say", say_two)
        answer = await anna.send("/queue/verdicts", {"verdict": "confirmed", "alert": ids})
    assert "said=confirmed&number=2&refused=1" in answer.headers["location"]
    page = await anna.get(answer.headers["location"])
    assert "Kafka didn't take what was said of 1 of them" in html.unescape(page.text)
    lines = [(await site.console.desk.audit(about=each)).items for each in ids]
    assert [len(each) for each in lines] == [1, 0, 1]
    found = [await site.console.queries.alert(each) for each in ids]
    assert [each and (each.state, each.claimed_by) for each in found] == [
        ("confirmed", None), ("open", None), ("confirmed", None),
    ]  # fmt: skip
    # Again, as the page says: what was taken isn't said twice, and all of it can be undone.
    answer = await anna.send("/queue/verdicts", {"verdict": "confirmed", "alert": ids})
    assert "said=confirmed&number=3&undo=" in answer.headers["location"]
    assert [len(said(site, each)) for each in ids] == [1, 1, 1]
    assert await undo(site, answer) == "/queue?said=withdrawn&number=3"


@pytest.mark.parametrize(
    ("fields", "status"),
    [({"verdict": "confirmed"}, 503),
     ({"verdict": "dismissed", "scope": "span", "start": "7", "end": "2"}, 422)],
)  # fmt: skip
async def test_a_verdict_that_fails_leaves_the_alert_as_it_was(
    site: Site, monkeypatch: pytest.MonkeyPatch, fields: dict[str, str], status: int
) -> None:
    free, had = [await site.alert() for _ in range(2)]
    anna = await site.browser("reviewer", "anna")
    await anna.send(f"/alerts/{had.alert_id}/claim", {"claim": "take"})

    async def away(*_: object) -> None:
        raise BrokerError("no answer")

    monkeypatch.setattr(site.console.kafka, "say", away)
    for alert in (free, had):
        answer = await anna.send(f"/alerts/{alert.alert_id}/verdict", fields)
        assert answer.status_code == status
    bea = await site.browser("reviewer", "bea")
    for alert, is_taken in ((free, False), (had, True)):
        text = (await bea.get(f"/alerts/{alert.alert_id}")).text
        assert ("anna works on this alert" in text) == is_taken
