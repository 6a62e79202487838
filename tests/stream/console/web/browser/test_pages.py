"""A person's way through the console's pages in a browser: by keyboard, together, signing in."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from playwright.async_api import Browser, Page, Request

from stream.console.web.signin.provider import Provider
from tests.stream.console.web import company as companies
from tests.stream.console.web.browser.axe import axe, violations
from tests.stream.console.web.browser.chromium import (
    page_of,
    shot,
    signed_in,
    until,
    without_complaints,
)
from tests.stream.console.web.company import Company
from tests.stream.console.web.office import settings_of
from tests.stream.console.web.site import Site

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_ten_alerts_are_worked_through_by_keyboard(page: Page, site: Site) -> None:
    owner = {"reference_owner_id": "keyboard"}
    ids = [(await site.alert(**owner)).alert_id for _ in range(10)]
    queue = f"{site.worker.url}/queue?owner=keyboard"
    await page.goto(queue)
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")
    for number in range(10):
        await page.wait_for_selector("[data-keys-ready] #play")
        before = page.url
        if number % 2:
            await page.keyboard.press("d")
            await page.keyboard.type("a trailer")
            await page.keyboard.press("Enter")
        else:
            await page.keyboard.press("c")
        await page.wait_for_url(lambda url: url != before)  # noqa: B023 awaited here
    assert page.url.startswith(queue)
    states = [await state_of(site, each) for each in ids]
    assert sorted(states) == ["confirmed"] * 5 + ["dismissed"] * 5
    await page.keyboard.press("u")
    await page.wait_for_url("**/queue?*said=withdrawn*")
    states = [await state_of(site, each) for each in ids]
    assert states.count("open") == 1


async def state_of(site: Site, alert_id: str) -> str:
    """In the read model."""
    found = await site.console.queries.alert(alert_id)
    assert found is not None
    return found.state


async def test_a_key_that_is_held_judges_one_alert(page: Page, site: Site) -> None:
    ids = [(await site.alert(reference_owner_id="held key")).alert_id for _ in range(3)]
    await page.goto(f"{site.worker.url}/queue?owner=held+key")
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")
    await page.wait_for_selector("[data-keys-ready] #play")
    before = page.url
    await page.keyboard.down("c")
    await page.wait_for_url(lambda url: url != before)
    await page.wait_for_selector("[data-keys-ready] #play")
    for _ in range(5):
        await page.keyboard.down("c")  # without a release between, it repeats
        await asyncio.sleep(0.05)
    await page.keyboard.up("c")
    await page.wait_for_selector("[data-keys-ready] #play")
    states = [await state_of(site, each) for each in ids]
    assert sorted(states) == ["confirmed", "open", "open"]


async def test_a_form_is_sent_once_however_often_it_is_clicked(
    page: Page, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    alert = await site.alert(reference_owner_id="clicked")
    say = site.console.kafka.say

    async def slowly(events: Any) -> Any:
        await asyncio.sleep(1)
        return await say(events)

    monkeypatch.setattr(site.console.kafka, "say", slowly)
    await page.goto(f"{site.worker.url}/alerts/{alert.alert_id}?owner=clicked")
    sent = list[str]()

    def count(request: Request) -> None:
        if request.method == "POST":
            sent.append(request.url)

    page.on("request", count)
    button = page.get_by_role("button", name="Confirm")
    await button.scroll_into_view_if_needed()
    box = await button.bounding_box()
    assert box is not None
    for _ in range(3):
        await page.mouse.click(box["x"] + 5, box["y"] + 5)
        await asyncio.sleep(0.1)
    await page.wait_for_url("**said=confirmed*")
    page.remove_listener("request", count)
    assert len(sent) == 1


async def test_two_reviewers_at_once_share_the_work(chromium: Browser, site: Site) -> None:
    ids = [(await site.alert(reference_owner_id="shared")).alert_id for _ in range(6)]
    now, desk = site.console.clock(), site.console.desk
    both = asyncio.Barrier(2)

    async def review(name: str) -> list[str]:
        """Work through the queue by keyboard: the alerts that were judged."""
        token, _ = await desk.make_token(name, "reviewer", ["pages"], [], "test", now, 3600)
        judged = list[str]()
        async with page_of(chromium, site) as page:
            await page.context.clear_cookies()
            await page.goto(f"{site.worker.url}/queue?owner=shared")
            await page.get_by_label("Token").fill(token)
            await page.keyboard.press("Enter")
            await page.wait_for_url("**/queue?owner=shared")
            await page.keyboard.press("g")
            await page.wait_for_url("**/alerts/**")
            await both.wait()  # each has one, whoever is quicker
            while "/alerts/" in (before := page.url):
                await page.wait_for_selector("[data-keys-ready] #play")
                judged.append(before.partition("/alerts/")[2].partition("?")[0])
                await page.keyboard.press("c")
                await page.wait_for_url(lambda url: url != before)  # noqa: B023 awaited here
        return judged

    anna, bea = await asyncio.gather(review("anna"), review("bea"))
    assert sorted(anna + bea) == sorted(ids), "each was judged once, by one of the two"
    assert anna and bea
    for name, judged in (("anna", anna), ("bea", bea)):
        for alert_id in judged:
            (review_of,) = await site.console.queries.reviews_of_alert(alert_id)
            assert (review_of.reviewer, review_of.verdict) == (name, "confirmed")


async def test_the_queue_is_worked_by_keyboard(page: Page, site: Site) -> None:
    ids = [(await site.alert(reference_owner_id="rows")).alert_id for _ in range(3)]
    await page.goto(f"{site.worker.url}/queue?owner=rows")
    for key in ("j", "x", "j", "x", "d"):
        await page.keyboard.press(key)
    await page.keyboard.type("fans' own footage")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**said=dismissed*")
    states = sorted([await state_of(site, each) for each in ids])
    assert states == ["dismissed", "dismissed", "open"]
    assert await page.locator("[data-row]").count() == 1


async def test_single_keys_can_be_switched_off(chromium: Browser, site: Site) -> None:
    alert = await site.alert()
    async with page_of(chromium, site) as page:
        await page.context.clear_cookies()
        await page.goto(site.worker.sign_in_link() or "")  # by which whoever started it signs in
        await page.wait_for_url("**/queue")
        await page.locator("select[name=keys]").select_option("off")
        async with page.expect_navigation():  # the next one would end it
            await page.get_by_role("button", name="Save").click()
        await page.goto(f"{site.worker.url}/alerts/{alert.alert_id}")
        await page.keyboard.press("c")
        await page.keyboard.press("q")
        await asyncio.sleep(0.3)
        assert page.url.endswith(alert.alert_id)
        assert await state_of(site, alert.alert_id) == "open"


async def test_filters_need_no_new_page(page: Page, site: Site) -> None:
    alert = await site.alert(reference_owner_id="filtered")
    await page.goto(f"{site.worker.url}/queue")
    await page.evaluate("window.samePage = true")
    await page.get_by_label("Rights holder", exact=True).fill("filtered")
    await page.get_by_role("button", name="Show").click()
    await page.wait_for_url("**owner=filtered**")
    await until(page, "document.querySelectorAll('[data-row]').length === 1")
    assert await page.evaluate("window.samePage")
    assert await page.locator(f"#alert-{alert.alert_id}").count() == 1


async def test_an_ended_session_asks_to_sign_in_and_comes_back(
    chromium: Browser, site: Site
) -> None:
    alert = await site.alert()
    path = f"/alerts/{alert.alert_id}"
    now, desk = site.console.clock(), site.console.desk
    token, _ = await desk.make_token("bea", "reviewer", ["pages"], [], "test", now, 3600)
    async with page_of(chromium, site) as page:
        await page.context.clear_cookies()
        await page.goto(f"{site.worker.url}{path}")
        await page.get_by_label("Token").fill(token)
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"**{path}")
        assert await page.get_by_text("bea · reviewer").count() == 1


async def test_an_expired_session_leads_to_sign_in_and_back(
    chromium: Browser, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a part of a page, which htmx asks for, as from a page."""
    now, desk, later = site.console.clock(), site.console.desk, timedelta(days=1)
    token, _ = await desk.make_token("bea", "reviewer", ["pages"], [], "test", now, 7 * 86400)
    async with page_of(chromium, site, refused={"/queue?": 401}) as page:
        await page.goto(f"{site.worker.url}/queue?state=held")
        monkeypatch.setattr(site.console, "clock", lambda: now + later)
        await page.get_by_label("Rights holder", exact=True).fill("league")
        await page.get_by_role("button", name="Show").click()
        await page.wait_for_url("**/signin?next=*")
        await page.get_by_label("Token").fill(token)
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/queue?state=held")
        assert await page.get_by_text("bea · reviewer").count() == 1
        monkeypatch.setattr(site.console, "clock", lambda: now + 3 * later)
        await page.goto(f"{site.worker.url}/library")
        await page.wait_for_url("**/signin?next=%2Flibrary")


async def test_what_somebody_wrote_outlives_their_session(chromium: Browser, site: Site) -> None:
    alert = await site.alert(reference_owner_id="outlived")
    path = f"/alerts/{alert.alert_id}"
    verdict = f"{path}/verdict"
    async with signed_in(chromium, site) as page:
        async with without_complaints(page, {verdict: 401}):
            await page.goto(f"{site.worker.url}{path}?owner=outlived")
            await page.keyboard.press("d")
            await page.keyboard.type("a trailer, “quoted”")
            await page.context.clear_cookies()
            await page.keyboard.press("Enter")
            await page.get_by_text("Your session has ended").wait_for()
            assert await state_of(site, alert.alert_id) == "open"
        now, desk = site.console.clock(), site.console.desk
        token, _ = await desk.make_token("bea", "reviewer", ["pages"], [], "test", now, 3600)
        async with page.expect_popup() as opened:
            await page.get_by_role("link", name="Sign in").click()
        tab = await opened.value
        await tab.get_by_label("Token").fill(token)
        await tab.keyboard.press("Enter")
        await tab.wait_for_url("**/queue")
        async with without_complaints(page, {verdict: 403}):
            await page.get_by_role("button", name="Send it again").click()
            await page.get_by_text("of an earlier session").wait_for()
        async with without_complaints(page):
            await page.get_by_role("button", name="Send it again").click()
            await page.wait_for_url("**said=dismissed*")
    (review,) = await site.console.queries.reviews_of_alert(alert.alert_id)
    assert (review.reviewer, review.note) == ("bea", "a trailer, “quoted”")


COMPLAINED_OF = {
    "a message": "console.log('told')",
    "an error": "setTimeout(() => { throw new Error('broken') })",
    "an answer": "fetch('/none').then(each => each.text())",
    "no answer": "fetch('https://127.0.0.1:9/').catch(() => {})",
    "a script of the page": "document.body.append(Object.assign("
    "document.createElement('script'), { textContent: 'made = 1' }))",
}


@pytest.mark.parametrize("what", COMPLAINED_OF)
async def test_whatever_a_browser_complains_of_fails_a_test(
    desk: Page, site: Site, what: str
) -> None:
    await desk.goto(f"{site.worker.url}/match")
    with pytest.raises(AssertionError):
        async with without_complaints(desk):
            await desk.evaluate(COMPLAINED_OF[what])
            await asyncio.sleep(0.3)


async def test_a_companys_account_signs_in_and_out(
    chromium: Browser, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    company = Company()
    async with companies.running(company), page_of(chromium, site) as page:
        settings = settings_of(company)
        whole = site.console.settings.model_copy(update={"console": settings})
        monkeypatch.setattr(site.console, "settings", whole)
        monkeypatch.setattr(site.console, "provider", Provider(settings))
        await page.context.clear_cookies()
        await page.add_init_script(axe())
        await page.goto(f"{site.worker.url}/library?role=upload")
        await shot(page, "signin-account-light")
        await page.get_by_role("link", name="Sign in with your company's account").click()
        await page.wait_for_url("**/library?role=upload")
        assert await page.get_by_text("anna@copies.example · reviewer").count() == 1
        await page.get_by_role("button", name="Sign out").click()
        await page.wait_for_url("**/signin?said=out")
        assert await violations(page) == []
        await page.get_by_role("link", name="Sign out of your company's account too").click()
        await page.wait_for_url(f"{company.issuer}/out?*")
