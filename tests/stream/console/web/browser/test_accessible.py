"""Every page in every state is one that everybody can use: axe looks, and nothing is too wide."""

import base64
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from stream.console.store.desk import Role
from stream.errors import BrokerError
from tests.stream.console.store.said import verdict
from tests.stream.console.web.browser.axe import axe, violations
from tests.stream.console.web.browser.chromium import (
    NOTHING,
    shot,
    signed_in,
    until,
    without_complaints,
)
from tests.stream.console.web.browser.players import open_alert, playing_alert
from tests.stream.console.web.routes import pages
from tests.stream.console.web.site import Site, jpeg, running_site
from tests.stream.console.web.test_matches import FOUND, all_of, answering
from tests.stream.console.web.test_rejected import rejected
from tests.stream.console.web.test_search import embedded as coloured
from tests.stream.console.web.test_search import know_colours
from tests.stream.console.web.test_uploads import decided, submitted

pytestmark = pytest.mark.asyncio(loop_scope="module")

RED = base64.b64encode(jpeg("red")).decode()
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
PARTS = {"/", "/overview/lag", "/queue/numbers"}  # of pages, and what leads to one
SUBMIT = """([path, fields]) => {
    const form = document.createElement('form');
    const csrf = document.querySelector('input[name=csrf]').value;
    Object.assign(form, { method: 'post', action: path });
    for (const [name, value] of Object.entries({ csrf, ...fields })) {
        const input = document.createElement('input');
        Object.assign(input, { type: 'hidden', name, value });
        form.append(input);
    }
    document.body.append(form);
    form.submit();
}"""


@dataclass(frozen=True)
class State:
    """A page, and what somebody does there before it is looked at.

    Attributes:
        status: of the last answer; whatever is none of 200 is expected to be complained of.
    """

    path: str
    does: Callable[[Page], Awaitable[None]] | None = None
    status: int = 200


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """A console that finds videos by the words of colours."""
    async with running_site(tmp_path_factory.mktemp("site")) as made:
        know_colours(made)
        yield made


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


def sends(path: str, **fields: str) -> Callable[[Page], Awaitable[None]]:
    """Send a form as a page would."""

    async def does(page: Page) -> None:
        async with page.expect_navigation():
            await page.evaluate(SUBMIT, [path, fields])

    return does


def presses(*keys: str) -> Callable[[Page], Awaitable[None]]:
    """Press keys."""

    async def does(page: Page) -> None:
        await page.wait_for_selector("[data-keys-ready]")
        for key in keys:
            await page.keyboard.press(key)

    return does


async def become(page: Page, site: Site, role: Role | None) -> None:
    """Have another session from now on, or none."""
    await page.context.clear_cookies(name="samesource_session")
    if role is not None:
        now = site.console.clock()
        secret = await site.console.desk.begin_session("anna", role, (), now, 3600)
        cookie: Any = {"name": "samesource_session", "value": secret, "url": site.worker.url}
        await page.context.add_cookies([cookie])


async def states_of(site: Site, owner: str, patch: pytest.MonkeyPatch) -> dict[str, State]:
    """All states of all pages, by names; those of whoever is signed out come last."""
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
    alert, upload = f"/alerts/{alert_id}", await submitted(site, owner)
    await site.say(rejected(owner, 0))
    await site.say(decided(owner, upload, decided_at=site.console.clock()))
    webhook, queue = f"/webhooks/{await dead_webhook(site)}", f"/queue?owner={owner}"
    policy = {"owner": "league-1", "etag": ""}

    async def opens(page: Page) -> None:
        await open_alert(page, site, alert_id)
        await page.keyboard.press("d")

    async def lags(page: Page) -> None:
        await page.wait_for_selector("#lag table")

    async def filters(page: Page) -> None:
        await page.locator("input[name=owner]").fill(owner)
        await page.keyboard.press("Enter")
        await until(page, f"location.search.includes('owner={owner}')")

    async def opens_all(page: Page) -> None:
        await page.evaluate("document.querySelectorAll('details').forEach(o => o.open = true)")

    async def matches(page: Page) -> None:
        async with answering(site, all_of(FOUND)):
            await sends("/match", uri="https://cdn.example/v.mp4")(page)

    async def says_without_kafka(page: Page) -> None:
        async def away(*_: object) -> None:
            raise BrokerError("no answer")

        with patch.context() as without:
            without.setattr(site.console.kafka, "say", away)
            await sends(f"{alert}/verdict", verdict="confirmed")(page)

    async def looks_as_viewer(page: Page) -> None:
        await become(page, site, "viewer")
        await page.goto(f"{site.worker.url}/audit")

    async def is_admin_again(page: Page) -> None:
        await become(page, site, "admin")
        await page.goto(f"{site.worker.url}{webhook}")

    async def is_late(page: Page) -> None:
        await become(page, site, None)
        note = {"verdict": "dismissed", "scope": "pair", "note": "a trailer"}
        await sends(f"{alert}/verdict", **note)(page)

    new_hook = {"url": "https://hooks.example/new", "kinds": "alert.raised"}
    return {
        "webhooks": State("/webhooks"),
        "webhook": State(webhook),
        "queue": State(queue),
        "held": State("/queue?state=held"),
        "alert": State(alert, opens),
        "audit": State("/audit"),
        "uploads": State("/uploads"),
        "upload": State(f"/uploads/{upload}"),
        "overview": State("/overview", lags),
        "match": State("/match"),
        "policies": State("/policies"),
        "policy": State("/policies/edit?owner=league-1"),
        "library": State("/library"),
        "found": State("/library?text=red"),
        "entry": State(f"/library/entry?video={held.reference_id}"),
        "rejected": State("/rejected"),
        "signin": State("/signin"),
        # A dialog is open, a part was swapped, something was said.
        "queue-panel": State(queue, presses("j", "x", "d")),
        "queue-help": State(queue, presses("?")),
        "queue-swapped": State("/queue", filters),
        "queue-said": State(f"{queue}&said=confirmed&number=2&taken=1&refused=1&undo=x"),
        "alert-open": State(f"/alerts/{held.alert_id}?state=held", opens_all),
        "entry-open": State(f"/library/entry?video={held.reference_id}", opens_all),
        "match-found": State("/match", matches),
        "policy-tried": State("/policies", sends("/policies/edit", **policy, do="try", days="9")),
        "webhook-made": State("/webhooks", sends("/webhooks", **new_hook)),
        "replayed": State("/rejected?said=replayed"),
        # Nothing is there.
        "queue-empty": State("/queue?owner=nobody"),
        "library-empty": State("/library?owner=nobody"),
        "library-none": State("/library?find=none"),
        "uploads-empty": State("/uploads?find=none"),
        "audit-empty": State("/audit?person=nobody"),
        "rejected-empty": State("/rejected?code=too_large"),
        "webhook-empty": State(f"{webhook}?state=delivered"),
        "no-alert": State("/alerts/none", status=404),
        "no-page": State("/none", status=404),
        # Something is wrong.
        "wrong": State("/queue?score=x", status=422),
        "like-wrong": State("/library", sends("/library/like", like="ftp://x"), 422),
        "policy-wrong": State(
            "/policies", sends("/policies/edit", **policy, do="save", least_score="x"), 422
        ),
        "webhook-wrong": State("/webhooks", sends("/webhooks", url="http://10.0.0.1/"), 422),
        "kafka-away": State(queue, says_without_kafka, 503),
        "forbidden": State(queue, looks_as_viewer, 403),
        "admin-again": State(queue, is_admin_again),
        "kept": State(queue, is_late, 401),
        "signin-wrong": State("/signin", sends("/signin", token="none"), 403),
        "signin-used": State("/signin/used", status=403),
    }


@pytest.mark.parametrize("lang", LOOKS)
async def test_every_page_can_be_used_by_everybody(
    chromium: Browser, site: Site, lang: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = f"looked-at-{lang}"  # the alerts of all tests would be the same rows again
    states = await states_of(site, owner, monkeypatch)
    patterns = {path: re.sub(r"\{\w+\}", "[^/?]+", path) for path in pages()}
    seen = {
        path
        for path, pattern in patterns.items()
        for state in states.values()
        if re.fullmatch(rf"{pattern}(\?.*)?", state.path)
    }
    assert seen == {*pages()} - PARTS, "a page that is looked at in no state"
    wrong = list[str]()
    async with signed_in(chromium, site, locale=lang) as page:
        await page.add_init_script(axe())
        for name, state in states.items():
            refused = NOTHING if state.status == 200 else {"": state.status}
            async with without_complaints(page, refused):
                await page.goto(f"{site.worker.url}{state.path}")
                if state.does is not None:
                    await state.does(page)
                wrong += await looked_at(page, name, lang)
    assert not wrong, "\n\n".join(wrong)


async def looked_at(page: Page, name: str, lang: str) -> list[str]:
    """What is wrong with a page, in all its looks."""
    assert await page.get_attribute("html", "lang") == lang[:2]
    wrong = list[str]()
    for look, (scheme, width, height) in LOOKS[lang].items():
        await page.emulate_media(color_scheme=scheme)
        await page.set_viewport_size({"width": width, "height": height})
        await shot(page, f"{name}-{look}")
        if await page.evaluate("document.documentElement.scrollWidth - innerWidth") > 0:
            wrong.append(f"{name}, {look}: wider than the screen")
        found = await violations(page, contrast=look != "zh")
        wrong += [f"{name}, {look}: {each}" for each in found]
    return wrong
