"""Whoever writes while their session ends: a page keeps what they wrote, and they send it again."""

import html
import re

import httpx2
import pytest

from tests.stream.console.web.site import Browser, Site

pytestmark = pytest.mark.asyncio(loop_scope="module")

OURS = {"Sec-Fetch-Site": "same-origin"}
NOTE = 'two "lines"\nand <b>more</b>'
FIELDS = {"verdict": "dismissed", "scope": "pair", "note": NOTE}


async def ended(site: Site) -> Browser:
    """Somebody whose session has just ended."""
    browser = await site.browser("reviewer")
    await site.console.desk.end_session(browser.client.cookies["samesource_session"])
    return browser


def form_of(page: httpx2.Response) -> tuple[str, list[tuple[str, str]]]:
    """Where its form goes, and what a browser would send by it."""
    form = re.search(
        r'<form class="card" method="post" action="([^"]*)">(.*?)</form>', page.text, re.S
    )
    assert form is not None, page.text
    fields = re.findall(r'type="hidden" name="([^"]*)" value="([^"]*)"', form[2])
    return html.unescape(form[1]), [(name, html.unescape(value)) for name, value in fields]


async def test_what_somebody_wrote_is_sent_again_after_signing_in(site: Site) -> None:
    alert = await site.alert()
    path = f"/alerts/{alert.alert_id}/verdict?state=held&owner=a%26b"
    browser = await ended(site)
    page = await browser.send(path, FIELDS, **OURS)
    assert page.status_code == 401 and "Your session has ended" in page.text
    assert page.headers["cache-control"] == "no-store"
    action, fields = form_of(page)
    assert action == path and dict(fields) == {"csrf": "", **FIELDS}
    # In another tab they sign in; the form of this one has no token of the new session.
    browser.client.cookies.update((await site.browser("reviewer")).client.cookies)
    again = await browser.client.post(action, data=dict(fields), headers=OURS)
    assert again.status_code == 403 and "of an earlier session" in again.text
    action, fields = form_of(again)
    done = await browser.client.post(action, data=dict(fields), headers=OURS)
    assert done.status_code == 303, done.text
    (review,) = await site.console.queries.reviews_of_alert(alert.alert_id)
    assert (review.verdict, review.scope, review.note) == ("dismissed", "pair", NOTE)


async def test_every_value_of_a_field_is_kept(site: Site) -> None:
    fields = {"alert": ["1" * 32, "2" * 32], "verdict": "confirmed"}
    page = await (await ended(site)).send("/queue/verdicts", fields, **OURS)
    _, kept = form_of(page)
    assert [value for name, value in kept if name == "alert"] == fields["alert"]


@pytest.mark.parametrize("headers", [{}, {"Sec-Fetch-Site": "none"}], ids=str)
async def test_what_no_page_of_ours_has_sent_is_not_kept(
    site: Site, headers: dict[str, str]
) -> None:
    """Nobody is offered to send what another site has written."""
    for browser, status in ((await ended(site), 401), (await site.browser(), 403)):
        browser.token = ""
        answer = await browser.send("/queue/verdicts", FIELDS, **headers)
        assert answer.status_code == status and "lines" not in answer.text
        assert "Send it again" not in answer.text
    strangers = await site.client().post("/queue/verdicts", data=FIELDS, headers=headers)
    assert strangers.headers["content-type"] == "application/problem+json"


async def test_a_token_that_was_typed_is_not_shown(site: Site) -> None:
    browser = await site.browser()
    typed = {"token": "ssk-typed", "next": "/queue"}
    answer = await browser.client.post("/signin", data=typed, headers=OURS)
    assert answer.status_code == 403 and "ssk-typed" not in answer.text


async def test_a_file_is_chosen_again(site: Site) -> None:
    browser = await ended(site)
    files = {"file": b"x" * 2**21}
    answer = await browser.client.post("/match", files=files, headers=OURS)
    assert answer.status_code == 401 and "Then fill in the form again." in answer.text
    assert "Send it again" not in answer.text
    chinese = await browser.send("/undo", {}, **OURS, **{"Accept-Language": "zh"})
    assert "会话已结束" in chinese.text


async def test_whoever_is_out_already_signs_out(site: Site) -> None:
    answer = await (await ended(site)).send("/signout", None, **OURS)
    assert (answer.status_code, answer.headers["location"]) == (303, "/signin")


async def test_a_form_that_is_broken_or_too_long_is_told(site: Site) -> None:
    browser = await ended(site)
    long = await browser.send("/undo", {"note": "x" * (2**20 + 1)}, **OURS)
    assert long.status_code == 413
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    broken = await browser.client.post("/undo", content=b"a=%ff", headers=OURS | form)
    assert broken.status_code == 400


async def test_the_page_to_come_back_to_is_one_that_can_be_opened(site: Site) -> None:
    """What answers a form isn't: colours and language are chosen on it all the same."""
    browser = await site.browser()
    answer = await browser.send("/library/like", {"like": "file:///none"})
    (back,) = re.findall(r'name="back" value="([^"]*)"', answer.text)
    chosen = await browser.send("/preferences", {"back": back, "theme": "dark"})
    assert (await browser.get(chosen.headers["location"])).status_code == 200
