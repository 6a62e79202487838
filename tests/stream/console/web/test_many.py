"""A queue of ten thousand open alerts: its pages are as long as any, and lead on."""

import re
from datetime import timedelta

import pytest

from stream.console.web.pages.queue import ALERTS_EACH, GROUPS
from stream.contract.events import AlertRaised
from tests.stream.console.web.site import RAISED, SPAN, Site

pytestmark = pytest.mark.asyncio(loop_scope="module")
ALERTS, OF_AN_UPLOAD = 10_000, 10


def raised(number: int) -> AlertRaised:
    return AlertRaised(
        alert_id=f"{number:032x}",
        video_id=f"upload-{number // OF_AN_UPLOAD}",
        reference_id=f"film-{number % 500}",
        video_owner_id="channel",
        reference_owner_id=f"league-{number % 7}",
        score=0.9,
        segments=[SPAN],
        model_version="encoder-1",
        library_offset=1,
        raised_at=RAISED + timedelta(seconds=number),
    )


async def test_ten_thousand_open_alerts_are_a_queue_like_any(site: Site) -> None:
    await site.say(*map(raised, range(ALERTS)))
    browser = await site.browser("reviewer")
    path, seen = "/queue", []
    for _ in range(3):
        text = (await browser.get(path)).text
        assert f"open <b>{ALERTS}</b>" in text
        shown = re.findall(r'<li data-row id="alert-([^"]+)"', text)
        assert len(shown) == GROUPS * ALERTS_EACH
        seen += shown
        more = re.search(r'<p id="more"><a class="button" href="([^"]+)"', text)
        assert more is not None
        path = more[1].replace("&amp;", "&")
    uploads = [int(alert_id, 16) // OF_AN_UPLOAD for alert_id in seen]
    newest = ALERTS // OF_AN_UPLOAD - 1
    assert list(dict.fromkeys(uploads)) == [*range(newest, newest - 3 * GROUPS, -1)]
    assert len({*seen}) == len(seen)
