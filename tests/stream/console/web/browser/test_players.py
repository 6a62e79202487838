"""An alert's two videos in a browser: in step, sparing reviewers, by matrix and timeline."""

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.async_api import Browser, Page, Request

from tests.stream.console.web.browser.chromium import (
    page_of,
    shot,
    until,
    without_complaints,
)
from tests.stream.console.web.browser.players import (
    SPEEDS,
    open_alert,
    playing_alert,
    seconds_of,
    small_video,
)
from tests.stream.console.web.site import Site
from tests.stream.library_log import fingerprint, look
from tests.stream.videos import make_video, numbered

pytestmark = pytest.mark.asyncio(loop_scope="module")


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
    await page.keyboard.press("v")  # to blur both would cost more than to play them
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


SPAN_ENDS = ("start", "end")
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
    turned = f"{LOOK_OF_UPLOAD}.transform"
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
    hevc = {
        "codec": "libx265",
        "options": {"preset": "ultrafast", "x265-params": "log-level=none"},
    }
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


async def test_of_a_video_that_cant_be_fetched_it_is_said_why_until_it_can(
    desk: Page, site: Site
) -> None:
    alert_id = await playing_alert(site, "forward")
    alert = await site.console.queries.alert(alert_id)
    assert alert is not None
    video, gone = site.folder / "videos" / "gone.mp4", site.folder / "away.mp4"
    small_video(gone)
    await site.say(fingerprint(alert.video_id, look(1), uri=video.as_uri()).to_event())
    asked = list[str]()

    def ask(request: Request) -> None:
        asked.append(request.url.rpartition("/")[2])

    desk.on("request", ask)
    words = desk.locator(".unsent:visible")
    # Once for the player, and once to ask why.
    async with without_complaints(desk, {"/video/play": 404, "video/play": 404}):
        await desk.goto(f"{site.worker.url}/alerts/{alert_id}")
        await words.get_by_text("the video can't be fetched: nothing at that address").wait_for()
        await until(desk, "document.getElementById('reference-video').readyState >= 2")
    assert await words.count() == 1 and not await desk.locator(".making:visible").count()
    await shot(desk, "unsent-light")
    async with without_complaints(desk):
        gone.rename(video)
        await words.get_by_role("button", name="Try again").click()
        await until(desk, "document.getElementById('upload-video').readyState >= 2")
        assert not await words.count()
        assert await desk.evaluate("document.activeElement.id") == "upload-video"
    desk.remove_listener("request", ask)
    assert "play" in asked and "playable.webm" not in asked


async def test_a_mirrored_copy_is_shown_mirrored_back(page: Page, site: Site) -> None:
    def copied(index: int, width: int, height: int) -> NDArray[np.uint8]:
        """Of the reference's seconds 10 on, mirrored from the third on."""
        picture = numbered(index + 100, width, height)
        return picture[:, ::-1] if index >= 30 else picture

    spans = [
        {
            "video_start_seconds": start, "video_end_seconds": end, "score": 0.9,
            "reference_start_seconds": start + 10, "reference_end_seconds": end + 10,
        }
        for start, end in ((1.0, 3.0), (3.0, 8.0))
    ]  # fmt: skip
    alert = await site.alert(segments=spans)
    for video_id, options in (
        (alert.video_id, {"draw": copied}),
        (alert.reference_id, {"count": 300}),
    ):
        path = site.folder / "videos" / f"{video_id}.mp4"
        make_video(path, frames_per_second=10, **options)
        await site.say(fingerprint(video_id, look(1), uri=path.as_uri()).to_event())
    await open_alert(page, site, alert.alert_id)
    await until(page, "document.getElementById('mirrored').textContent.startsWith('some of')")
    words = await page.locator("button[data-span]").all_inner_texts()
    assert ["mirrored" in each for each in words] == [False, True]
    turned = f"{LOOK_OF_UPLOAD}.transform"
    assert await page.evaluate(turned) == "none"
    await page.keyboard.press("2")
    await until(page, f"{turned}.startsWith('matrix(-1,')")
    assert await page.get_attribute("#mirror", "aria-pressed") == "true"
    await page.keyboard.press("f")
    await until(page, f"{turned} === 'none'")
    assert await page.get_attribute("#mirror", "aria-pressed") == "false"


async def test_a_session_that_ends_while_the_page_looks_for_mirrors_breaks_nothing(
    page: Page, site: Site
) -> None:
    alert = await site.alert()
    left = {"status": 303, "headers": {"Location": "/signin"}}
    await page.route("**/mirrored", lambda route: route.fulfill(**left))
    async with page.expect_request("**/mirrored"):
        await page.goto(f"{site.worker.url}/alerts/{alert.alert_id}")
    await asyncio.sleep(0.5)
    assert await page.locator("#mirrored").inner_text() == "not known"
    await page.unroute("**/mirrored")


async def test_a_second_that_is_sought_while_nothing_plays_is_of_the_span_there(
    page: Page, site: Site
) -> None:
    spans = [
        {
            "video_start_seconds": start, "video_end_seconds": start + 4.0, "score": 0.9,
            "reference_start_seconds": reference, "reference_end_seconds": reference + 4.0,
        }
        for start, reference in ((0.5, 20.5), (6.0, 2.0))
    ]  # fmt: skip
    video = small_video(site.folder / "videos" / "sought.mp4")
    alert = await site.alert(uri=video.as_uri(), segments=spans)
    await open_alert(page, site, alert.alert_id)
    await page.locator("#seek").fill("8")
    await until(page, "document.getElementById('upload-video').currentTime === 8")
    assert await seconds_of(page) == (8.0, 4.0)
    pressed = "button[data-span='1'][aria-pressed='true']"
    assert await page.locator(pressed).count() == 1
    await page.keyboard.press("[")  # the bar, which has the focus, takes no letters
    assert await page.locator("#one-start").input_value() == "4.0"
    for _ in range(4):
        await page.keyboard.press("ArrowLeft")
    assert await seconds_of(page) == (4.0, 24.0)
    # Between two spans, the line of the one that was shown goes on.
    await page.locator("#seek").fill("5")
    assert await seconds_of(page) == (5.0, 25.0)


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


async def test_seconds_of_the_reference_are_excluded_by_a_finger(
    chromium: Browser, site: Site
) -> None:
    alert = await site.alert()  # of a reference of 30 seconds
    phone: dict[str, Any] = {
        "viewport": {"width": 360, "height": 780},
        "has_touch": True,
        "is_mobile": True,
    }
    async with page_of(chromium, site, **phone) as page:
        await page.goto(f"{site.worker.url}/alerts/{alert.alert_id}")
        await page.locator("#timeline").scroll_into_view_if_needed()
        box = await page.locator("#timeline").bounding_box()
        assert box is not None
        hand = await page.context.new_cdp_session(page)
        middle = box["y"] + box["height"] / 2
        for kind, second in (("touchStart", 6), ("touchMove", 10), ("touchMove", 14)):
            at = {"x": box["x"] + box["width"] * second / 30, "y": middle}
            await hand.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [at]})
        await hand.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        drawn = [float(await page.locator(f"#one-{each}").input_value()) for each in SPAN_ENDS]
        assert abs(drawn[0] - 6) <= 0.15 and abs(drawn[1] - 14) <= 0.15
        # No tap: one that comes at once behind the drawing's end is none to a busy browser.
        await page.get_by_role("button", name="Dismiss", exact=True).click()
        await page.wait_for_url("**said=dismissed*")
    (review,) = await site.console.queries.reviews_of_alert(alert.alert_id)
    assert [review.reference_start_seconds, review.reference_end_seconds] == drawn


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
