"""Every key that the help and the documentation name, pressed; and where the focus is then."""

import re
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page

from tests.stream.console.web.browser.chromium import until
from tests.stream.console.web.browser.players import open_alert, playing_alert, seconds_of
from tests.stream.console.web.site import RAISED, Site

pytestmark = pytest.mark.asyncio(loop_scope="module")

DOCS = Path(__file__).parents[5] / "docs" / "console.md"
NAMES = {"←": "ArrowLeft", "→": "ArrowRight", "Esc": "Escape", "Space": " "}
FOCUS = "document.activeElement"
PRINTED = "abcdefghijklmnopqrstuvwxyz0123456789[]<>/? "


def documented(column: int) -> set[str]:
    """Keys of docs/console.md: of the queue (1) or of an alert (2)."""
    table = DOCS.read_text().partition("## Keys")[2].partition("\n## ")[0]
    rows = [line.split("|")[1:-1] for line in table.splitlines() if line.startswith("| `")]
    assert len(rows) > 15
    return {key for row in rows if row[column].strip() for key in keys_in(row[0])}


def keys_in(text: str, mark: str = "`") -> set[str]:
    """Keys that a text names, `1` … `9` all of them."""
    found = [NAMES.get(each, each) for each in re.findall(f"{mark}([^`]+){mark}", text)]
    return {*found, *(map(str, range(1, 10)) if "9" in found else ())}


class Keys:
    """A keyboard that remembers which keys were pressed."""

    def __init__(self, page: Page) -> None:
        self.page, self.pressed = page, set[str]()

    async def press(self, *keys: str) -> None:
        """One after the other."""
        for key in keys:
            self.pressed.add(key)
            await self.page.keyboard.press(key)

    async def to(self, key: str, url: str) -> None:
        """One that leads to another page."""
        await self.press(key)
        await self.page.wait_for_url(url)
        await self.page.wait_for_selector("[data-keys-ready]")

    async def helped(self) -> set[str]:
        """Keys that the page's own help names; it is opened by one."""
        await self.press("?")
        help = self.page.locator("details:has(> #keys)")
        assert await help.get_attribute("open") is not None
        assert await self.is_at("#keys")
        names = await help.locator(".keys kbd").all_inner_texts()
        await self.press("Escape")
        assert await help.get_attribute("open") is None
        assert await self.is_at("#keys"), "it goes back to what opened it"
        return keys_in(" ".join(f"`{each}`" for each in names))

    async def is_at(self, selector: str) -> bool:
        """Whether the focus is there."""
        return bool(await self.page.evaluate(f"{FOCUS}.matches({selector!r})"))


async def test_each_key_of_the_queue_does_what_it_says(page: Page, site: Site) -> None:
    ids = [(await site.alert(reference_owner_id="each key")).alert_id for _ in range(3)]
    queue = f"{site.worker.url}/queue?owner=each+key"
    keys = Keys(page)
    await page.goto(queue)
    told = await keys.helped()
    shown = [await each.get_attribute("id") for each in await page.locator("[data-row]").all()]
    assert len(shown) == len(ids)
    for key, place in (("j", 0), ("j", 1), ("j", 2), ("j", 2), ("k", 1), ("k", 0), ("k", 0)):
        await keys.press(key)
        assert await keys.is_at(f"#{shown[place]} a"), (key, place)
    box = page.locator(f"#{shown[0]} input")
    await keys.press("x")
    assert await box.is_checked()
    await keys.press("x")
    assert not await box.is_checked()
    await keys.press("x")
    await keys.to("t", "**said=claimed*")
    await keys.press("/")
    assert await keys.is_at("input[name=owner]")
    url, field = page.url, page.get_by_label("Rights holder", exact=True)
    await field.fill("")
    await page.keyboard.type(PRINTED)
    assert await field.input_value() == PRINTED and page.url == url
    assert await page.locator("details[open], [data-row] input:checked").count() == 0
    await keys.press("Escape")
    assert await keys.is_at("body"), "a field is left"
    await page.goto(queue)
    await keys.press("j", "x", "d")
    assert await keys.is_at("#many-note")
    await keys.press("Escape")
    assert await keys.is_at("summary[data-key=d]") and not await page.locator("[open]").count()
    await keys.press("x")  # of no row: nothing
    await keys.to("c", "**said=confirmed*")
    await keys.to("u", "**said=withdrawn*")
    await keys.press("j")
    await keys.to("Enter", "**/alerts/*")
    await page.goto(queue)
    await keys.to("g", "**/alerts/*")
    assert keys.pressed == told == documented(1)


async def test_each_key_of_an_alert_does_what_it_says(page: Page, site: Site) -> None:
    owner: dict[str, Any] = {"reference_owner_id": "played"}
    spans = [
        {
            "video_start_seconds": start, "video_end_seconds": start + 4.0, "score": 0.9,
            "reference_start_seconds": there, "reference_end_seconds": there + 4.0,
        }
        for start, there in ((1.0, 11.0), (6.0, 20.0))
    ]  # fmt: skip
    alert_id = await playing_alert(site, "forward", segments=spans, **owner)
    before, after = [
        (await site.alert(raised_at=RAISED + hours, **owner)).alert_id
        for hours in (timedelta(hours=1), timedelta(hours=-1))
    ]
    keys = Keys(page)

    async def attribute(selector: str, name: str = "aria-pressed") -> str | None:
        return await page.get_attribute(selector, name)

    async def value(selector: str) -> str:
        return await page.locator(selector).input_value()

    await open_alert(page, site, alert_id, "?owner=played")
    told = await keys.helped()
    await page.evaluate(f"{FOCUS}.blur()")  # there, the space bar would open the help again
    for playing in ("true", "false"):
        await keys.press(" ")
        await until(page, f"document.getElementById('play').ariaPressed === '{playing}'")
    await keys.press("2")
    assert await attribute("button[data-span='1']") == "true"
    assert await seconds_of(page) == (6.0, 20.0)
    await keys.press("1")
    assert await seconds_of(page) == (1.0, 11.0)
    await keys.press(*"3456789")  # spans that there are not
    assert await attribute("button[data-span='0']") == "true"
    await keys.press("ArrowRight")
    assert await seconds_of(page) == (2.0, 12.0)
    await keys.press("ArrowLeft")
    assert await seconds_of(page) == (1.0, 11.0)
    await keys.press(">")
    assert await value("#rate") == "1.5"
    await keys.press("<", "<")
    assert await value("#rate") == "0.5"
    for key, button in (("m", "#sound"), ("v", "#veil"), ("f", "#mirror")):
        assert await attribute(button) == "false"
        await keys.press(key)
        assert await attribute(button) == "true"
        await keys.press(key)
        assert await attribute(button) == "false"
    await keys.press("[", "ArrowRight", "]")
    assert (await value("#one-start"), await value("#one-end")) == ("11.0", "12.0")
    await keys.press("d")
    assert await keys.is_at("#one-note")
    was = [page.url, await seconds_of(page), await value("#rate"), await value("#one-start")]
    await page.keyboard.type(PRINTED)
    assert await value("#one-note") == PRINTED
    assert was == [page.url, await seconds_of(page), await value("#rate"), "11.0"]
    assert await attribute("#play") == await attribute("#sound") == "false"
    await keys.press("Escape")
    assert await keys.is_at("summary[data-key=d]") and not await page.locator("[open]").count()
    await keys.to("t", "**said=claimed*")
    await keys.to("t", "**said=released*")
    for there, back, other in (("n", "p", after), ("p", "n", before)):
        await keys.to(there, f"**/alerts/{other}?*")
        await keys.to(back, f"**/alerts/{alert_id}?*")
    await keys.to("c", f"**/alerts/{after}?*said=confirmed*")
    await keys.to("u", f"**/alerts/{after}?*said=withdrawn*")
    await keys.to("p", f"**/alerts/{alert_id}?*")
    await keys.to("c", f"**/alerts/{after}?*said=confirmed*")
    await page.goto(f"{site.worker.url}/alerts/{alert_id}?owner=played")
    await keys.to("w", f"**/alerts/{alert_id}?*said=withdrawn*")
    await keys.to("q", "**/queue?owner=played")
    assert keys.pressed == told == documented(2)


async def test_the_focus_stays_when_a_part_of_the_page_is_swapped(
    page: Page, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream.console.web.pages.queue.GROUPS", 1)
    ids = [(await site.alert(reference_owner_id="swapped")).alert_id for _ in range(3)]
    await page.goto(f"{site.worker.url}/queue?owner=swapped")
    keys = Keys(page)
    for rows in (2, 3):
        await page.get_by_role("link", name="More").focus()
        await keys.press("Enter")
        await until(page, f"document.querySelectorAll('[data-row]').length === {rows}")
        place = f"[...document.querySelectorAll('[data-row] a')].indexOf({FOCUS})"
        await until(page, f"{place} === {rows - 1}")
    assert len(ids) == rows and not await page.locator("#more").count()
    # The numbers renew themselves, whoever is at them; and the lag.
    for path, at, address in (
        ("/queue/numbers?owner=swapped", "#states", "#state-held"),
        ("/overview/lag", "#lag", "#lag-table"),
    ):
        if at == "#lag":
            await page.goto(f"{site.worker.url}/overview")
            await page.wait_for_selector(address)
        await page.locator(address).focus()
        await page.evaluate("at => { document.querySelector(at).dataset.old = 'yes' }", at)
        await page.evaluate(
            "([path, at]) => htmx.ajax('GET', path, { target: at, swap: 'outerHTML' })", [path, at]
        )
        await until(page, f"!document.querySelector('{at}').dataset.old")
        await until(page, f"{FOCUS}.matches('{address}')")


STOPS = 'a[href], button, input, select, textarea, summary, video, [tabindex="0"]'
TABBED = """() => {
    const at = document.activeElement, ring = getComputedStyle(at);
    const box = at.getBoundingClientRect();
    const found = [...document.querySelectorAll('STOPS')];
    const grow = parseFloat(ring.outlineOffset) + parseFloat(ring.outlineWidth);
    // The ring has to be in the sight that those around leave: on one side at least.
    let [left, top, right, bottom] = [-Infinity, -Infinity, Infinity, Infinity];
    for (let up = at.parentElement; up && up !== document.body; up = up.parentElement) {
        if (getComputedStyle(up).overflow === 'visible') continue;
        const edge = up.getBoundingClientRect();
        [left, top] = [Math.max(left, edge.left), Math.max(top, edge.top)];
        [right, bottom] = [Math.min(right, edge.right), Math.min(bottom, edge.bottom)];
    }
    const inSight = box.left - grow >= left - 1 || box.top - grow >= top - 1 ||
        box.right + grow <= right + 1 || box.bottom + grow <= bottom + 1;
    return { place: found.indexOf(at), name: at.outerHTML.slice(0, 120),
        isSeen: ring.outlineStyle !== 'none' && parseFloat(ring.outlineWidth) >= 2 && inSight,
        isOnScreen: box.bottom > 0 && box.top < innerHeight && box.width > 0 };
}""".replace("STOPS", STOPS)
"""What has the focus: its place among the stops, and whether somebody sees that it has."""
REACHED = """() => [...document.querySelectorAll('STOPS')]
    .map((each, place) => [each, place])
    .filter(([each]) => each.checkVisibility() && each.type !== 'hidden' && !each.disabled &&
        (each.type !== 'radio' || each.checked))
    .map(([, place]) => place)""".replace("STOPS", STOPS)
"""Places of the stops that Tab has to come to."""


@pytest.mark.parametrize("width", [1280, 360])
async def test_everything_is_reached_by_tab_and_seen_there(
    page: Page, site: Site, width: int
) -> None:
    alert_id = await playing_alert(site, "forward", reference_owner_id=f"tabbed {width}")
    await page.set_viewport_size({"width": width, "height": 900})
    alone = ("/webhooks", "/library", "/policies/edit?owner=o", "/match") if width > 1000 else ()
    for path in (f"/queue?owner=tabbed+{width}", "/audit", f"/alerts/{alert_id}", *alone):
        if "/alerts/" in path:
            await open_alert(page, site, alert_id)
            await page.evaluate("document.querySelector('details.panel').open = true")
        else:
            await page.goto(f"{site.worker.url}{path}")
        expected: Sequence[int] = await page.evaluate(REACHED)
        reached = list[int]()
        for _ in expected:
            await page.keyboard.press("Tab")
            at = await page.evaluate(TABBED)
            assert at["isSeen"] and at["isOnScreen"], (path, at)
            reached.append(at["place"])
        assert reached == [*expected], path
    await page.set_viewport_size({"width": 1280, "height": 900})
