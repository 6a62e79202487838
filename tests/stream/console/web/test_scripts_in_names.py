"""Names, titles and reasons that are scripts: every page of the table shows them as text."""

from html.parser import HTMLParser
from urllib.parse import quote

import httpx2
import pytest

from stream.contract.events import Match
from tests.stream.console.web.routes import Known, everything_of, pages
from tests.stream.console.web.site import SPAN, Site
from tests.stream.console.web.test_matches import all_of, answering, refused

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCRIPT = "</title></script><script>alert(1)</script>\"'><img src=x onerror=alert(1)>{0}{{7*7}}"


class Page(HTMLParser):
    """What a browser would run or fetch of a page, beside what is ours."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.foreign = list[str]()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Of each element, what our pages have nowhere."""
        values = {name: value or "" for name, value in attrs}
        ours = all(
            values[name].startswith(("/", "#")) and not values[name].startswith("//")
            for name in ("src", "href", "action", "formaction", "data-from", "data-playable")
            if name in values
        )
        scripted = any(name.startswith("on") or name in ("style", "srcdoc") for name in values)
        if not ours or scripted or (tag == "script" and "src" not in values):
            self.foreign.append(self.get_starttag_text() or tag)


async def known_scripts(site: Site) -> Known:
    """All that there is, with the script in every text and id."""
    return await everything_of(site, f"owner {SCRIPT}", SCRIPT, ids=SCRIPT)


async def test_a_script_in_any_text_is_shown_as_text(site: Site) -> None:
    known, browser = await known_scripts(site), await site.browser()
    paths = pages()
    shown, find = set[str](), dict.fromkeys(("find", "text", "person", "next"), f"/{SCRIPT}")
    for path in paths:
        for query in known.queries[:1] if "{" in path else (*known.queries, find):
            answer = await browser.client.get(known.address(path, query), follow_redirects=True)
            shown |= {path} if is_text(answer) else set()
    # But for those that hold no text of others.
    assert shown == {*paths} - {"/", "/overview", "/overview/lag", "/queue/numbers", "/match"}
    # In the head of each page is who is signed in.
    scripted = await site.browser(name=f"anna {SCRIPT}")
    assert is_text(await scripted.get("/match"))


async def test_a_script_in_a_form_comes_back_as_text(site: Site) -> None:
    known, browser = await known_scripts(site), await site.browser()
    webhook = f"/webhooks/{known.ids['webhook_id']}"
    policy = {"owner": SCRIPT, "etag": "", "do": "save", "licensed": SCRIPT, "least_score": SCRIPT}
    forms = {
        "/library/like": {"like": SCRIPT},
        "/match": {"uri": SCRIPT},
        "/policies/edit": {**policy, "exclusions": SCRIPT, "note": SCRIPT},
        "/webhooks": {"url": SCRIPT, "owners": SCRIPT, "description": SCRIPT, "kinds": SCRIPT},
        webhook: {"do": "save", "url": SCRIPT, "description": SCRIPT},
        f"/alerts/{known.ids['alert_id']}/verdict": {
            "verdict": "dismissed", "scope": "span", "start": SCRIPT, "end": "1",
        },
        f"/queue/claim?{quote(SCRIPT)}": {"alert": SCRIPT},
    }  # fmt: skip
    async with answering(site, refused):
        answers = {path: await browser.send(path, fields) for path, fields in forms.items()}
    for path, answer in answers.items():
        # Of a queue's form nothing is told back, and a worker's refusal is no error of the page.
        assert is_text(answer) or "/queue" in path, path
        assert answer.status_code >= 400 or path == "/match", path
    answer = await site.client().post("/signin", data={"token": SCRIPT, "next": f"/{SCRIPT}"})
    assert answer.status_code == 403 and is_text(answer)


async def test_a_script_in_what_matches_is_text(site: Site) -> None:
    match = Match(
        reference_id=f"film {SCRIPT}", reference_owner_id=SCRIPT, reference_role="reference",
        score=0.9, segments=[SPAN],
    )  # fmt: skip
    browser = await site.browser("reviewer")
    async with answering(site, all_of(match)):
        assert is_text(await browser.send("/match", {"uri": "https://cdn.example/a.mp4"}))


async def test_the_test_would_see_one() -> None:
    for text in ("<img src=x>", "<a href='javascript:alert(1)'>", "<script>1</script>",
                 "<p onclick=a>", "<a href=//evil.example>"):  # fmt: skip
        assert Page(text).foreign


def is_text(answer: httpx2.Response) -> bool:
    """Whether a page shows the script; it is nothing but text there, if so."""
    assert answer.headers["content-type"].startswith("text/html"), answer.url
    assert Page(answer.text).foreign == [], answer.url
    return "&lt;script&gt;alert(1)" in answer.text and "{0}{{7*7}}" in answer.text
