"""A person's way through the console in Debian's Chromium: `apt-get install chromium`.

What the browser writes to its console, and every request that fails, is an error.
"""

import asyncio
import base64
import os
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from importlib.resources import files
from itertools import count
from typing import Any, Literal

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Request, Response, async_playwright

from stream.console.web.signin.provider import Provider
from tests.stream.console.store.said import verdict
from tests.stream.console.web import company as companies
from tests.stream.console.web.company import Company
from tests.stream.console.web.site import Site, jpeg, running_site
from tests.stream.console.web.test_account import settings_of
from tests.stream.console.web.test_rejected import rejected
from tests.stream.console.web.test_search import embedded as coloured
from tests.stream.console.web.test_search import know_colours
from tests.stream.console.web.test_uploads import decided, submitted
from tests.stream.videos import make_video
from tests.tools import not_installed

pytestmark = pytest.mark.asyncio(loop_scope="module")

SHOTS = os.environ.get("CONSOLE_SHOTS")  # a folder for pictures of the pages, to look at
NUMBERS = count()
PATIENCE_SECONDS = 120  # for a page; mostly well under one, on a busy machine many
RED = base64.b64encode(jpeg("red")).decode()
SPEEDS = {
    "forward": (11.0, 15.0, False),
    "backward": (11.0, 15.0, True),
    "fast": (10.0, 18.0, False),
}
ASKED_FOR = ("document", "xhr", "fetch")
"""Kinds of requests by people and scripts. The others a browser stops by itself: parts of videos at
a seek, pictures and scripts of a page that is left while it loads."""
Scheme = Literal["light", "dark"]
LOOKS: dict[str, dict[str, tuple[Scheme, int, int]]] = {
    "en-US": {
        "light": ("light", 1280, 900),
        "dark": ("dark", 1280, 900),
        "phone": ("light", 360, 780),
    },
    "zh-CN": {"zh": ("light", 1280, 900)},
}
"""By language, what a page is seen by: colours and pixels; these change while it is open."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chromium() -> AsyncIterator[Browser]:
    """The browser."""
    path = shutil.which("chromium")
    if path is None:
        not_installed("chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=path,
            args=["--no-sandbox", "--autoplay-policy=no-user-gesture-required"],
        )
        yield browser
        await browser.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """A console with videos that play."""
    async with running_site(tmp_path_factory.mktemp("site")) as made:
        know_colours(made)
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(chromium: Browser, site: Site) -> AsyncIterator[Page]:
    """A page of somebody signed in: one each would cost more than what most tests do with it."""
    async with signed_in(chromium, site) as page:
        yield page


@pytest_asyncio.fixture(loop_scope="module")
async def page(desk: Page) -> AsyncIterator[Page]:
    """That page; whatever was open is left by going to an address."""
    async with without_complaints(desk):
        yield desk


@asynccontextmanager
async def page_of(
    chromium: Browser, site: Site, refused: str | None = None, **options: Any
) -> AsyncIterator[Page]:
    """A browser of one's own, with other settings or an end of the session ahead."""
    async with signed_in(chromium, site, **options) as page, without_complaints(page, refused):
        yield page


@asynccontextmanager
async def signed_in(chromium: Browser, site: Site, **options: Any) -> AsyncIterator[Page]:
    """Somebody signed in by a one-time link."""
    context = await chromium.new_context(**{"viewport": {"width": 1280, "height": 900}} | options)
    context.set_default_timeout(1000 * PATIENCE_SECONDS)
    page = await context.new_page()
    async with without_complaints(page):
        link = site.worker.sign_in_link()
        assert link is not None
        await page.goto(link)
    yield page
    await context.close()


@asynccontextmanager
async def without_complaints(page: Page, refused: str | None = None) -> AsyncIterator[None]:
    """Fails at the end on what the browser complained of.

    But for one request, which is expected to be refused: the part of an address that names it.
    """
    complaints = list[str]()
    listeners: dict[Any, Any] = {
        "console": lambda message: complaints.append(f"{message.type}: {message.text}"),
        "pageerror": lambda error: complaints.append(str(error)),
        "response": lambda response: complaints.extend(_failed(response)),
        "requestfailed": lambda request: complaints.extend(_unanswered(request)),
    }
    for event, listener in listeners.items():
        page.on(event, listener)
    yield
    for event, listener in listeners.items():
        page.remove_listener(event, listener)
    if refused is not None:
        # The browser tells of it, and so does the answer.
        told = sorted(each for each in complaints if " 401 " in f" {each} ")
        assert len(told) == 2 and refused in told[0], complaints
        complaints = [each for each in complaints if each not in told]
    assert not complaints


def _failed(response: Response) -> list[str]:
    return [f"{response.status} {response.url}"] if response.status >= 400 else []


def _unanswered(request: Request) -> list[str]:
    given_up = request.failure == "net::ERR_ABORTED" and request.resource_type not in ASKED_FOR
    return [] if given_up else [f"{request.failure} {request.url}"]


async def shot(page: Page, name: str) -> None:
    """A picture of the page, where somebody wants to look at them."""
    if SHOTS:
        await page.screenshot(path=f"{SHOTS}/{name}.png", full_page=True)


async def playing_alert(
    site: Site, name: str, coding: Mapping[str, Any] | None = None, **fields: Any
) -> str:
    """An alert whose two videos are files; its id."""
    start, end, backwards = SPEEDS[name]
    path = site.folder / "videos" / f"{name}-{next(NUMBERS)}.mp4"
    video = make_video(path, count=300, frames_per_second=10, **(coding or {}))
    segment = {
        "video_start_seconds": 1.0,
        "video_end_seconds": 5.0,
        "reference_start_seconds": start,
        "reference_end_seconds": end,
        "score": 0.9,
        "reversed": backwards,
    }
    title = f"Numbers, {name}"
    alert = await site.alert(uri=video.as_uri(), title=title, segments=[segment], **fields)
    return alert.alert_id


async def seconds_of(page: Page) -> tuple[float, float]:
    """What both players show."""
    upload, reference = await page.evaluate(
        "['upload', 'reference'].map(each => document.getElementById(each + '-video').currentTime)"
    )
    return float(upload), float(reference)


async def seen_while_playing(page: Page, end: float) -> list[tuple[float, float, float]]:
    """What both players show at one moment, every 50 ms until that second of the upload.

    Returns:
        The time in seconds, and the seconds of upload and reference.
    """
    seen = await page.evaluate(
        """end => new Promise(resolve => {
            const ids = ['upload-video', 'reference-video'];
            const [upload, reference] = ids.map(id => document.getElementById(id));
            const seen = [];
            const timer = setInterval(() => {
                seen.push([performance.now() / 1000, upload.currentTime, reference.currentTime]);
                if (upload.currentTime < end && !upload.paused) return;
                clearInterval(timer);
                resolve(seen);
            }, 50);
        })""",
        end,
    )
    return [(at, upload, reference) for at, upload, reference in seen]


def longest_within(apart: Sequence[tuple[float, float]], most: float) -> float:
    """The longest time in seconds for which two were so near, by time and distance."""
    longest, begin = 0.0, None
    for at, distance in apart:
        if distance >= most:
            begin = None
        else:
            begin = at if begin is None else begin
            longest = max(longest, at - begin)
    return longest


async def until(page: Page, condition: str) -> None:
    """Wait for a condition. Playwright's own way evaluates text in the page, which it forbids."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await page.evaluate(condition):
            await asyncio.sleep(0.05)


async def open_alert(page: Page, site: Site, alert_id: str) -> None:
    """Its page, when both players are ready."""
    await page.goto(f"{site.worker.url}/alerts/{alert_id}")
    await until(
        page,
        "['upload', 'reference'].every(each => "
        "{ const v = document.getElementById(each + '-video'); "
        "return v.readyState >= 2 && !v.seeking && v.currentTime > 0 })",
    )


@pytest.mark.parametrize("name", SPEEDS)
async def test_both_players_show_the_matching_moment(page: Page, site: Site, name: str) -> None:
    start, end, backwards = SPEEDS[name]
    alert_id = await playing_alert(site, name)

    def matching(second: float) -> float:
        along = (second - 1) * (end - start) / 4
        return end - along if backwards else start + along

    await open_alert(page, site, alert_id)
    await page.keyboard.press("ArrowRight")
    await until(page, "document.getElementById('upload-video').currentTime === 2")
    upload, reference = await seconds_of(page)
    assert abs(reference - matching(upload)) < 0.1
    await page.keyboard.press(">")  # 1.5x
    await page.keyboard.press("Space")
    if not backwards:
        # As after a stall: so little is no seek's business, while both play.
        await until(page, "document.getElementById('upload-video').currentTime > 2.5")
        await page.evaluate("document.getElementById('reference-video').currentTime -= 0.25")
    apart = list[tuple[float, float]]()
    for end_of_look in range(5, 11):  # on a busy machine players stall again
        seen = await seen_while_playing(page, end_of_look)
        apart += [(at, abs(reference - matching(upload))) for at, upload, reference in seen]
        if longest_within(apart, 0.1) > 1:
            break
    assert longest_within(apart, 0.1) > 1, apart
    await page.keyboard.press("Space")
    await until(page, "!document.getElementById('reference-video').seeking")
    upload, reference = await seconds_of(page)
    assert upload > 3.5 and abs(reference - matching(upload)) < 0.1


LOOK_OF_UPLOAD = "getComputedStyle(document.getElementById('upload-video'))"
CARE: dict[str, tuple[dict[str, Any], str, bool]] = {
    "blurred": ({}, "blur(18px)", True),
    "grey": ({"previews": "grey", "muted": False}, "grayscale(1)", False),
    "plain": ({"previews": "plain"}, "none", True),
}
"""By name: settings, how videos look with them, and whether they are silent."""


@pytest.mark.parametrize("name", CARE)
async def test_reviewers_are_spared_as_the_settings_say(
    page: Page, site: Site, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    changes, look, silent = CARE[name]
    console = site.console.settings.console.model_copy(update=changes)
    whole = site.console.settings.model_copy(update={"console": console})
    monkeypatch.setattr(site.console, "settings", whole)
    await page.mouse.move(1, 1)
    await open_alert(page, site, await playing_alert(site, "forward"))
    assert await page.evaluate(f"{LOOK_OF_UPLOAD}.filter") == look
    muted = "['upload', 'reference'].map(each => document.getElementById(each + '-video').muted)"
    assert await page.evaluate(muted) == [silent, True]

    async def pressed(button: str) -> str | None:
        return await page.get_attribute(f"#{button}", "aria-pressed")

    assert await pressed("sound") == ("false" if silent else "true")
    await page.click("#sound")
    assert await page.evaluate(muted) == [not silent, True], "both at once would be noise"
    await page.keyboard.press("m")
    assert await page.evaluate(muted) == [silent, True]
    await page.click("#mirror")
    turned = "getComputedStyle(document.getElementById('reference-video')).transform"
    assert (await page.evaluate(turned)).startswith("matrix(-1,")
    assert await pressed("mirror") == "true"
    await page.keyboard.press("f")
    assert await page.evaluate(turned) == "none" and await pressed("mirror") == "false"
    if look == "none":
        assert not await page.locator("#veil").count()
        return
    await page.click("#veil")
    await until(page, f"{LOOK_OF_UPLOAD}.filter === 'none'")
    assert await pressed("veil") == "true"
    await page.keyboard.press("v")
    await until(page, f"{LOOK_OF_UPLOAD}.filter === '{look}'")
    await page.hover("#upload-video")
    await until(page, f"{LOOK_OF_UPLOAD}.filter === 'none'")


async def test_a_format_that_the_browser_refuses_is_played_from_a_copy(
    page: Page, site: Site
) -> None:
    hevc = {"codec": "libx265", "options": {"x265-params": "log-level=none"}}
    alert_id = await playing_alert(site, "forward", hevc)
    await open_alert(page, site, alert_id)
    players = "['upload', 'reference'].map(each => document.getElementById(each + '-video'))"
    sources = await page.evaluate(f"{players}.map(each => each.currentSrc)")
    assert [each.rpartition("/")[2] for each in sources] == ["playable.webm"] * 2
    assert await page.evaluate(f"{players}.every(each => each.videoWidth > 0)")
    assert not await page.locator(".making:visible, .unplayable:visible").count()
    await page.keyboard.press("ArrowRight")
    await until(page, "document.getElementById('upload-video').currentTime === 2")
    upload, reference = await seconds_of(page)
    assert abs(reference - (upload + 10)) < 0.1


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


async def test_a_click_on_the_matrix_plays_that_moment(page: Page, site: Site) -> None:
    alert_id = await playing_alert(site, "forward")
    await open_alert(page, site, alert_id)
    await page.locator("#matrix").scroll_into_view_if_needed()
    box = await page.locator("#matrix").bounding_box()
    assert box is not None
    # Upload second 3 of 10, reference second 13 of 30.
    await page.mouse.click(box["x"] + box["width"] * 13 / 30, box["y"] + box["height"] * 0.3)
    await until(page, "!document.getElementById('upload-video').paused")
    await page.keyboard.press("Space")
    upload, reference = await seconds_of(page)
    assert 2.9 < upload < 5 and abs(reference - upload - 10) < 0.1


async def test_single_keys_can_be_switched_off(chromium: Browser, site: Site) -> None:
    alert = await site.alert()
    async with page_of(chromium, site) as page:
        await page.locator("select[name=keys]").select_option("off")
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


async def dead_webhook(site: Site) -> str:
    """One with a dead letter and two secrets, by a key that is nobody's: nothing is sent."""
    desk, now = site.console.desk, site.console.clock()
    url, kinds = "https://hooks.example/samesource", ["alert.raised", "alert.suppressed"]
    made = await desk.make_webhook(url, kinds, ["league"], "The league's", "no key", "anna", now)
    await desk.new_secret(made.webhook_id, "no key", now, 3600)
    await desk.put_test(made.webhook_id, "anna", now)
    (letter,) = await desk.claim_deliveries(made.webhook_id, now, 1, 60)
    await desk.note_failed(letter, 500, "it answered 500", None)
    return made.webhook_id


async def test_an_expired_session_leads_to_sign_in_and_back(
    chromium: Browser, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a part of a page, which htmx asks for, as from a page."""
    now, desk, later = site.console.clock(), site.console.desk, timedelta(days=1)
    token, _ = await desk.make_token("bea", "reviewer", ["pages"], [], "test", now, 7 * 86400)
    async with page_of(chromium, site, refused="/queue?") as page:
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
        assert await violations(page, contrast=True) == []
        await page.get_by_role("link", name="Sign out of your company's account too").click()
        await page.wait_for_url(f"{company.issuer}/out?*")


async def test_seconds_of_the_reference_are_excluded_by_drawing(
    chromium: Browser, site: Site
) -> None:
    alert = await site.alert()  # of a reference of 30 seconds
    async with page_of(chromium, site) as page:
        await page.goto(f"{site.worker.url}/alerts/{alert.alert_id}")
        box = await page.locator("#timeline").bounding_box()
        assert box is not None
        at = [box["x"] + box["width"] * second / 30 for second in (21, 6, 14)]
        middle = box["y"] + box["height"] / 2
        await page.mouse.click(at[1], middle)  # a click draws nothing
        assert await page.locator("#one-pair").is_checked()
        for begin, end in ((at[0], at[1]), (at[1], at[2])):
            await page.mouse.move(begin, middle)
            await page.mouse.down()
            await page.mouse.move((begin + end) / 2, middle + 200)
            await page.mouse.move(end, middle)
            await page.mouse.up()
        drawn = await page.evaluate("document.getElementById('drawn').getBoundingClientRect().x")
        assert abs(drawn - at[1]) < 3
        await shot(page, "exclusion-light")
        await page.keyboard.press("d")
        await page.keyboard.type("a jingle")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**said=dismissed*")
    (review,) = await site.console.queries.reviews_of_alert(alert.alert_id)
    assert (review.scope, review.note) == ("span", "a jingle")
    assert abs((review.reference_start_seconds or 0) - 6) <= 0.15
    assert abs((review.reference_end_seconds or 0) - 14) <= 0.15


async def test_seconds_of_the_reference_are_excluded_by_keys(chromium: Browser, site: Site) -> None:
    alert_id = await playing_alert(site, "forward")
    async with page_of(chromium, site) as page:
        await open_alert(page, site, alert_id)
        await page.keyboard.press("[")
        await page.keyboard.press("ArrowRight")
        await page.keyboard.press("ArrowRight")
        await until(page, "document.getElementById('reference-video').currentTime === 13")
        await page.keyboard.press("]")
        assert await page.get_by_text("Seconds 11.0 to 13.0 are chosen").count() == 1
        await page.keyboard.press("d")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**said=dismissed*")
    (review,) = await site.console.queries.reviews_of_alert(alert_id)
    span = (review.reference_start_seconds, review.reference_end_seconds)
    assert (review.scope, *span) == ("span", 11.0, 13.0)


@pytest.mark.parametrize("lang", LOOKS)
async def test_every_page_can_be_used_by_everybody(
    chromium: Browser, site: Site, lang: str
) -> None:
    owner = f"looked-at-{lang}"  # the alerts of all tests would be the same rows again
    alert_id = await playing_alert(site, "forward", reference_owner_id=owner)
    await site.alert(reference_owner_id=owner)
    held = await site.alert(reason="held", detail="200 others within an hour", title="A held one")
    await site.console.desk.note("anna", "confirmed", alert_id, site.console.clock(), "seen")
    await site.say(coloured(held.reference_id, (1, 0, 0), thumbnails=[RED] * 3))
    jingle = await site.alert(reference_id=held.reference_id)
    await site.say(
        verdict(
            jingle.alert_id, "dismissed", scope="span", reference_id=held.reference_id,
            video_id=jingle.video_id, reference_start_seconds=20, reference_end_seconds=22.5,
            note="a jingle that many use",
        )
    )  # fmt: skip
    alert, video_id = f"/alerts/{alert_id}", f"looked-at-{lang}"
    upload = await submitted(site, video_id)
    await site.say(rejected(video_id, 0))
    await site.say(decided(video_id, upload, decided_at=site.console.clock()))
    webhook = await dead_webhook(site)
    pages = {
        "webhooks": "/webhooks", "webhook": f"/webhooks/{webhook}",
        "queue": f"/queue?owner={owner}", "held": "/queue?state=held", "alert": alert,
        "audit": "/audit", "uploads": "/uploads", "upload": f"/uploads/{upload}",
        "overview": "/overview", "match": "/match", "policies": "/policies",
        "policy": "/policies/edit?owner=league-1", "library": "/library",
        "found": "/library?text=red", "entry": f"/library/entry?video={held.reference_id}",
        "rejected": "/rejected", "signin": "/signin",
    }  # fmt: skip
    async with page_of(chromium, site, locale=lang) as page:
        await page.add_init_script(axe())
        for name, path in pages.items():
            await page.goto(f"{site.worker.url}{path}")
            if name == "alert":
                await open_alert(page, site, alert_id)
                await page.keyboard.press("d")
            if name == "overview":
                await page.wait_for_selector("#lag table")
            assert await page.get_attribute("html", "lang") == lang[:2]
            for look, (scheme, width, height) in LOOKS[lang].items():
                await page.emulate_media(color_scheme=scheme)
                await page.set_viewport_size({"width": width, "height": height})
                await shot(page, f"{name}-{look}")
                wide = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
                assert wide <= 0, (name, look)
                assert await violations(page, contrast=look != "zh") == [], (name, look)


def axe() -> str:
    """The script of axe, for `violations`."""
    return files("axe_playwright_python").joinpath("axe.min.js").read_text()


async def violations(page: Page, *, contrast: bool) -> list[str]:
    """What axe, which is there already, finds against WCAG 2.2 AA.

    Args:
        page: as it is seen now.
        contrast: whether colours are looked at, which takes most of the time; another language has
            the same.
    """
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
    options = {
        "runOnly": tags, "preload": False, "rules": {"color-contrast": {"enabled": contrast}},
    }  # fmt: skip
    found = await page.evaluate(
        "options => axe.run(options).then(found => found.violations)", options
    )
    return [
        f"{each['id']}: {node['html'][:200]} {node['failureSummary'][:300]}"
        for each in found
        for node in each["nodes"]
    ]
