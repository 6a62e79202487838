"""The pages of policies: a form that says what it would have made of the last days."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from stream.broker.client import Reader
from stream.contract.events import PolicyUpdated
from stream.contract.message import Source
from tests.stream.console.web.site import SPAN, Browser, Site

pytestmark = pytest.mark.asyncio(loop_scope="module")

FILLED = {
    "least_seconds": "5", "least_score": "60", "least_video_share": "", "alerts_per_hour": "100",
    "licensed": "partner\n\n  other partner \n", "exclusions": "film:2:0-90.5\nfilm: 1-2",
}  # fmt: skip


async def edited(browser: Browser, owner: str, do: str, **fields: Any) -> Any:
    """What comes of a form that was just opened."""
    page = (await browser.get(f"/policies/edit?owner={owner}")).text
    tag = re.search(r'name="etag" value="([^"]*)"', page)
    assert tag is not None
    filled = {"owner": owner, "etag": tag[1], "do": do, "days": "7"} | fields
    return await browser.send("/policies/edit", filled)


def said(site: Site, owner: str) -> list[PolicyUpdated | None]:
    """What is on Kafka about an owner."""
    with Reader(site.settings.kafka, PolicyUpdated.topic) as reader:
        found = [each for _, each in reader.until_now() if each.key() == owner.encode()]
    return [PolicyUpdated.from_bytes(each.value()) if each.value() else None for each in found]


async def test_a_policy_is_saved_shown_and_taken_back(site: Site) -> None:
    browser = await site.browser("admin", "adam")
    answer = await edited(browser, "saver", "save", **FILLED, note="agreed in May")
    assert answer.headers["location"] == "/policies/edit?owner=saver&said=saved"
    (policy,) = said(site, "saver")
    assert policy is not None
    assert (policy.least_seconds, policy.least_score, policy.alerts_per_hour) == (5.0, 0.6, 100)
    assert policy.licensed_owner_ids == ["partner", "other partner"]
    assert [each.reference_id for each in policy.exclusions] == ["film:2", "film"]
    text = (await browser.get("/policies/edit?owner=saver")).text
    assert 'name="least_score" inputmode="decimal" value="60"' in text
    assert "film:2:0-90.5\nfilm:1-2</textarea>" in text
    assert "saver" in (await browser.get("/policies")).text
    (line,) = (await site.console.desk.audit(about="saver")).items
    assert (line.person, line.action, line.why) == ("adam", "set policy", "agreed in May")
    assert (await edited(browser, "saver", "remove")).headers["location"].endswith("said=removed")
    assert said(site, "saver")[-1] is None


@pytest.mark.parametrize("by", ["page", "api"])
async def test_a_stop_that_cuts_the_wait_short_leaves_the_audit_log_its_line(
    site: Site, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    browser, machine = await site.browser("admin"), await site.machine("admin")
    owner, path = f"cut short, {by}", f"/api/v1/policies/cut short, {by}"
    writes: dict[str, list[Callable[[], Awaitable[Any]]]] = {
        "page": [
            lambda: edited(browser, owner, "save", least_seconds="5"),
            lambda: edited(browser, owner, "remove"),
        ],
        "api": [
            lambda: machine.put(path, json={"least_seconds": 5}),
            lambda: machine.delete(path, headers={"If-Match": "*"}),
        ],
    }
    waits: asyncio.Queue[None] = asyncio.Queue()
    come_back = site.console.come_back

    async def hang(places: Sequence[Source]) -> None:
        await come_back(places)  # else the second write finds nothing to remove
        waits.put_nowait(None)
        await asyncio.Event().wait()

    for write in writes[by]:
        with monkeypatch.context() as patched:
            patched.setattr(site.console, "come_back", hang)
            asked = asyncio.ensure_future(write())
            await waits.get()
            asked.cancel()
            with suppress(asyncio.CancelledError):
                await asked
    lines = (await site.console.desk.audit(about=owner)).items
    assert [line.action for line in lines] == ["remove policy", "set policy"]


async def test_whoever_has_not_read_the_policy_is_told(site: Site) -> None:
    browser = await site.browser("admin")
    await edited(browser, "raced", "save", least_seconds="5")
    stale = {"owner": "raced", "etag": "", "do": "save", "least_seconds": "9", "days": "7"}
    answer = await browser.send("/policies/edit", stale)
    assert answer.status_code == 412 and 'value="9"' in answer.text
    assert len(said(site, "raced")) == 1


async def test_a_dry_run_says_what_would_have_been_raised(site: Site) -> None:
    now = site.console.clock()
    made: dict[str, Any] = {"reference_owner_id": "dry", "raised_at": now - timedelta(hours=1)}
    long = {**SPAN.model_dump(), "video_end_seconds": 9.0}
    await site.alert(**made)
    await site.alert(**made, segments=[long])
    await site.alert(**made, video_owner_id="partner")
    await site.alert(**made, reason="too_short", detail="kept back before")
    await site.alert(**made | {"raised_at": now - timedelta(days=30)})
    browser = await site.browser("admin")
    text = (await edited(browser, "dry", "try", least_seconds="5", licensed="partner")).text
    assert "This would have raised 1 alerts instead of 4." in text
    assert "Of 4 in the last 7 days" in text
    assert "licensed uploader: 1" in text and "shorter than the minimum: 2" in text
    assert said(site, "dry") == []
    excluded = await edited(browser, "dry", "try", days="60", alerts_per_hour="1")
    assert "Of 5 in the last 60 days" in excluded.text


@pytest.mark.parametrize(
    "fields",
    [{"least_seconds": "many"}, {"least_score": "101"}, {"least_seconds": "-1"},
     {"exclusions": "film"}, {"exclusions": "film:9-3"}, {"alerts_per_hour": "0"},
     {"alerts_per_hour": "1.5"}, {"least_seconds": "nan"}, {"licensed": "x" * 600}],
)  # fmt: skip
async def test_what_is_no_policy_is_told_beside_the_form(site: Site, fields: Any) -> None:
    browser = await site.browser("admin")
    for do in ("save", "try"):
        answer = await edited(browser, "wrong", do, **fields)
        assert answer.status_code == 422 and 'role="alert"' in answer.text
    assert said(site, "wrong") == []


async def test_only_an_admin_changes_a_policy(site: Site) -> None:
    reviewer = await site.browser("reviewer")
    text = (await reviewer.get("/policies/edit?owner=readable")).text
    assert "readonly" in text and 'value="save"' not in text
    for do in ("save", "try", "remove"):
        answer = await reviewer.send("/policies/edit", {"owner": "readable", "do": do})
        assert answer.status_code == 403
    holder = await site.browser("holder", owners=["readable"])
    assert (await holder.get("/policies/edit?owner=readable")).status_code == 403
