"""Asking the library by a file in a browser: chosen by keyboard, dropped, and without scripts."""

import asyncio
from pathlib import Path

import pytest
from playwright.async_api import Browser, FileChooser, Locator, Page

from stream.contract.events import ProbeAnswered, ProbeAsked
from stream.fetch.local import path_of
from tests.stream.console.web.browser.chromium import PATIENCE_SECONDS, page_of
from tests.stream.console.web.site import Site, jpeg
from tests.stream.console.web.test_matches import FOUND, all_of, answering

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("has_scripts", [True, False])
async def test_the_library_is_asked_by_a_file_that_is_chosen_by_keyboard_or_dropped(
    chromium: Browser, site: Site, tmp_path: Path, has_scripts: bool
) -> None:
    still = tmp_path / "still.png"
    still.write_bytes(jpeg("red"))
    seen: list[bytes] = []

    def answer(asked: ProbeAsked) -> list[ProbeAnswered]:
        seen.append(path_of(asked.uri).read_bytes())
        return all_of(FOUND)(asked)

    async with (
        answering(site, answer),
        page_of(chromium, site, java_script_enabled=has_scripts) as page,
    ):
        # Now: what opens before Chromium knows that somebody listens is closed again.
        choosers = asyncio.Queue[FileChooser]()
        page.on("filechooser", choosers.put_nowait)
        for way in ("keyboard", "drop"):
            await page.goto(f"{site.worker.url}/library")
            field = page.get_by_label("of it, chosen or dropped here")
            if way == "keyboard":
                await field.focus()
                await page.keyboard.press("Space")
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await (await choosers.get()).set_files(still)
                await page.keyboard.press("Tab")
                await page.keyboard.press("Enter")
            else:
                await drop(page, field, still)
                async with asyncio.timeout(PATIENCE_SECONDS):
                    while not await field.evaluate("field => field.files.length"):
                        await asyncio.sleep(0.05)
                await page.get_by_role("button", name="Would the file match?").click()
            await page.wait_for_url("**/match")
            assert await page.get_by_role("link", name="film").count() == 1
            await page.get_by_role("link", name="Search the library again").click()
            await page.wait_for_url("**/library")
    assert seen == [jpeg("red")] * 2


async def drop(page: Page, field: Locator, file: Path) -> None:
    """Drag a file from outside over a field, and let go."""
    await field.scroll_into_view_if_needed()
    box = await field.bounding_box()
    assert box is not None
    where = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    data = {"items": [], "files": [str(file)], "dragOperationsMask": 1}
    session = await page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver", "drop"):
        await session.send("Input.dispatchDragEvent", {"type": kind, "data": data, **where})
