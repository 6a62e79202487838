"""One browser and somebody signed in for the tests of a file."""

import shutil
from collections.abc import AsyncIterator

import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright

from tests.stream.console.web.browser.chromium import signed_in, without_complaints
from tests.stream.console.web.site import Site
from tests.tools import not_installed


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chromium() -> AsyncIterator[Browser]:
    """The browser; without its own windows, which nobody sees here and which take half its CPU."""
    path = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    if path is None:
        not_installed("chromium-headless-shell")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=path,
            args=["--no-sandbox", "--autoplay-policy=no-user-gesture-required"],
        )
        yield browser
        await browser.close()


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
