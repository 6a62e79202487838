"""Every page in every state is one that everybody can use: axe looks, and nothing is too wide."""

import base64
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from stream.errors import BrokerError
from tests.stream.console.store.said import verdict
from tests.stream.console.web.browser.axe import Rules, axe, violations
from tests.stream.console.web.browser.chromium import (
    Refused,
    become,
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
from tests.stream.library_log import fingerprint
from tests.stream.library_log import look as frames

pytestmark = pytest.mark.asyncio(loop_scope="module")

RED = base64.b64encode(jpeg("red")).decode()
Scheme = Literal["light", "dark"]
LOOKS: dict[str, dict[str, tuple[Scheme, int, int, Rules | None]]] = {
    "en-US": {
        "light": ("light", 1280, 900, "all"),
        "dark": ("dark", 1280, 900, None),
        "phone": ("light", 360, 780, "all"),
    },
    "zh-CN": {"zh": ("light", 1280, 900, "others"), "zh-dark": ("dark", 1280, 900, "colours")},
}
"""By language, what a page is seen by while it is open: colours, pixels, and axe's rules. The dark
colours are looked at in one language: they are those of the other one."""
BAR = """[
    ...[...document.querySelectorAll('.top, .top > :last-child')].map(each => each.offsetHeight),
    document.documentElement.scrollWidth - innerWidth,
]"""
"""Heights of the bar and of one thing in it, and how far the page is wider than the screen."""
UNSENT: Refused = {"/video/play": 404, "video/play": 404}  # to its player, and to who asks why
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
        path: None where somebody goes on from whatever is open.
        status: of the last answer; whatever is none of 200 is expected to be complained of.
        refused: what else is.
    """

    path: str | None
    does: Callable[[Page], Awaitable[None]] | None = None
    status: int = 200
    refused: Refused = field(default_factory=dict)


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
    unsent = await site.alert(reference_owner_id=owner)
    away = (site.folder / "videos" / "away.mp4").as_uri()
    await site.say(fingerprint(unsent.video_id, frames(1), uri=away).to_event())
    alert, upload = f"/alerts/{alert_id}", await submitted(site, owner)
    await site.say(rejected(owner, 0))
    await site.say(decided(owner, upload, decided_at=site.console.clock()))
    webhook, queue = f"/webhooks/{await dead_webhook(site)}", f"/queue?owner={owner}"
    policy = {"owner": "league-1", "etag": ""}

    async def opens(page: Page) -> None:
        await open_alert(page, site, alert_id)
        await page.keyboard.press("d")

    async def says_why_unsent(page: Page) -> None:
        await page.locator(".unsent:visible button").wait_for()

    async def lags(page: Page) -> None:
        await page.wait_for_selector("#lag table")

    async def filters(page: Page) -> None:
        await page.locator("input[name=owner]").fill(owner)
        await page.keyboard.press("Enter")
        await until(page, f"location.search.includes('owner={owner}')")

    async def opens_all(page: Page) -> None:
        await page.evaluate("document.querySelectorAll('details').forEach(o => o.open = true)")

    async def has_one_line_of_pages(page: Page) -> None:
        await become(page, site, "admin", "anna.of.the.rights.department@company.example")
        await page.reload()
        for width in (1024, 1200, 1280):
            await page.set_viewport_size({"width": width, "height": 900})
            bar, line, beyond = await page.evaluate(BAR)
            assert bar < 2 * line and beyond <= 0, width

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
        "queue-help": State(None, presses("?")),
        "queue-panel": State(None, presses("Escape", "j", "x", "d")),
        "held": State("/queue?state=held"),
        "alert": State(alert, opens),
        "alert-unsent": State(f"/alerts/{unsent.alert_id}", says_why_unsent, refused=UNSENT),
        "audit": State("/audit"),
        "uploads": State("/uploads"),
        "upload": State(f"/uploads/{upload}"),
        "overview": State("/overview", lags),
        "match": State("/match", has_one_line_of_pages),  # of all, its name is the longest
        "policies": State("/policies"),
        "policy": State("/policies/edit?owner=league-1"),
        "library": State("/library"),
        "found": State("/library?text=red"),
        "entry": State(f"/library/entry?video={held.reference_id}"),
        "entry-open": State(None, opens_all),
        "rejected": State("/rejected"),
        "signin": State("/signin"),
        # A dialog is open, a part was swapped, something was said.
        "queue-swapped": State("/queue", filters),
        "queue-said": State(f"{queue}&said=confirmed&number=2&taken=1&refused=1&undo=x"),
        "alert-open": State(f"/alerts/{held.alert_id}?state=held", opens_all),
        "match-found": State(None, matches),
        "policy-tried": State(None, sends("/policies/edit", **policy, do="try", days="9")),
        "webhook-made": State(None, sends("/webhooks", **new_hook)),
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
        "like-wrong": State(None, sends("/library/like", like="ftp://x"), 422),
        "policy-wrong": State(
            None, sends("/policies/edit", **policy, do="save", least_score="x"), 422
        ),
        "webhook-wrong": State(None, sends("/webhooks", url="http://10.0.0.1/"), 422),
        "kafka-away": State(None, says_without_kafka, 503),
        "forbidden": State(None, looks_as_viewer, 403),
        "admin-again": State(None, is_admin_again),
        "kept": State(None, is_late, 401),
        "signin-wrong": State(None, sends("/signin", token="none"), 403),
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
        if re.fullmatch(rf"{pattern}(\?.*)?", state.path or "")
    }
    assert seen == {*pages()} - PARTS, "a page that is looked at in no state"
    wrong = list[str]()
    async with signed_in(chromium, site, locale=lang) as page:
        await page.add_init_script(axe())
        for name, state in states.items():
            refused = state.refused if state.status == 200 else {"": state.status}
            async with without_complaints(page, refused):
                if state.path is not None:
                    await page.goto(f"{site.worker.url}{state.path}")
                if state.does is not None:
                    await state.does(page)
                wrong += await looked_at(page, name, lang)
    assert not wrong, "\n\n".join(wrong)


async def looked_at(page: Page, name: str, lang: str) -> list[str]:
    """What is wrong with a page, in all its looks."""
    assert await page.get_attribute("html", "lang") == lang[:2]
    wrong = list[str]()
    for look, (scheme, width, height, rules) in LOOKS[lang].items():
        await page.emulate_media(color_scheme=scheme)
        await page.set_viewport_size({"width": width, "height": height})
        await shot(page, f"{name}-{look}")
        bar, line, beyond = await page.evaluate(BAR)
        if beyond > 0:
            wrong.append(f"{name}, {look}: wider than the screen")
        if width >= 1024 and bar > 2 * line:
            wrong.append(f"{name}, {look}: the bar of pages is {bar} pixels high")
        found = [] if rules is None else await violations(page, rules)
        wrong += [f"{name}, {look}: {each}" for each in found]
    return wrong
