"""Pages of Debian's Chromium, by somebody signed in: `apt-get install chromium-headless-shell`.

What the browser writes to its console, and every request that fails, is an error.
"""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any

from playwright.async_api import Browser, Page, Request, Response

from stream.console.store.desk import Role
from tests.stream.console.web.site import Site

SHOTS = os.environ.get("CONSOLE_SHOTS")  # a folder for pictures of the pages, to look at
PATIENCE_SECONDS = 120  # for a page; mostly well under one, on a busy machine many
Refused = Mapping[str, int]
NOTHING: Refused = MappingProxyType({})
ASKED_FOR = ("document", "xhr", "fetch")
"""Kinds of requests by people and scripts. The others a browser stops by itself: parts of videos at
a seek, pictures and scripts of a page that is left while it loads; and, of a page that is left, the
look at which spans are mirrored."""


@asynccontextmanager
async def page_of(
    chromium: Browser, site: Site, refused: Refused = NOTHING, **options: Any
) -> AsyncIterator[Page]:
    """A browser of one's own, with other settings or an end of the session ahead."""
    async with signed_in(chromium, site, **options) as page, without_complaints(page, refused):
        yield page


@asynccontextmanager
async def signed_in(chromium: Browser, site: Site, **options: Any) -> AsyncIterator[Page]:
    """Somebody signed in, who has opened nothing yet."""
    context = await chromium.new_context(**{"viewport": {"width": 1280, "height": 900}} | options)
    context.set_default_timeout(1000 * PATIENCE_SECONDS)
    page = await context.new_page()
    await become(page, site, "admin")
    yield page
    await context.close()


async def become(page: Page, site: Site, role: Role | None, name: str = "anna") -> None:
    """Have another session from now on, or none."""
    await page.context.clear_cookies(name="samesource_session")
    if role is not None:
        now = site.console.clock()
        secret = await site.console.desk.begin_session(name, role, (), now, 3600)
        cookie: Any = {"name": "samesource_session", "value": secret, "url": site.worker.url}
        await page.context.add_cookies([cookie])


@asynccontextmanager
async def without_complaints(page: Page, refused: Refused = NOTHING) -> AsyncIterator[None]:
    """Fails at the end on what the browser complained of.

    But for requests that are expected to be refused, once each: by a part of their addresses, the
    statuses.
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
    for part, status in refused.items():
        # The browser tells of it, and so does the answer.
        for told in (f"{status} .*{re.escape(part)}.*", rf"error: .* status of {status} .*"):
            found = next((each for each in complaints if re.fullmatch(told, each)), None)
            assert found is not None, (told, complaints)
            complaints.remove(found)
    assert not complaints, complaints


def _failed(response: Response) -> list[str]:
    return [f"{response.status} {response.url}"] if response.status >= 400 else []


def _unanswered(request: Request) -> list[str]:
    by_itself = request.resource_type not in ASKED_FOR or request.url.endswith("/mirrored")
    given_up = request.failure == "net::ERR_ABORTED" and by_itself
    return [] if given_up else [f"{request.failure} {request.url}"]


async def shot(page: Page, name: str) -> None:
    """A picture of the page, where somebody wants to look at them."""
    if SHOTS:
        await page.screenshot(path=f"{SHOTS}/{name}.png", full_page=True)


async def until(page: Page, condition: str) -> None:
    """Wait for a condition. Playwright's own way evaluates text in the page, which it forbids."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await page.evaluate(condition):
            await asyncio.sleep(0.05)
