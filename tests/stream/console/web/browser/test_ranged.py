"""Two videos that lie on a web server, in a browser: played and sought by ranges, never copied."""

import asyncio

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.async_api import Page

from stream.console.web.ranged import RangedVideos
from stream.fetch.settings import FetchSettings
from tests.stream.console.web.browser.chromium import until
from tests.stream.console.web.browser.players import open_alert, seconds_of
from tests.stream.console.web.site import Site
from tests.stream.range_server import serving_ranges
from tests.stream.videos import make_video

pytestmark = pytest.mark.asyncio(loop_scope="module")
RANDOM = np.random.default_rng(7)


def noise(index: int, width: int, height: int) -> NDArray[np.uint8]:
    """What takes many bytes: a browser doesn't have all of it at once."""
    return RANDOM.integers(0, 256, (height, width, 3), np.uint8)


async def test_both_players_seek_in_videos_of_a_web_server(
    page: Page, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = make_video(
        site.folder / "noise.mp4", count=600, frames_per_second=10, size=(480, 360), key_every=10,
        draw=noise, options={"preset": "ultrafast", "g": "10"},
    )  # fmt: skip
    by_ranges = RangedVideos(FetchSettings(hosts=("127.0.0.1",)), 64)
    monkeypatch.setattr(site.console, "ranged_videos", by_ranges)
    spans = [
        {
            "video_start_seconds": 1.0, "video_end_seconds": 40.0, "score": 0.9,
            "reference_start_seconds": 11.0, "reference_end_seconds": 50.0,
        }
    ]  # fmt: skip
    with serving_ranges(file=video.read_bytes()) as server:
        alert = await site.alert(uri=server.url(), segments=spans)
        await open_alert(page, site, alert.alert_id)
        for second in (38, 6, 30):
            await page.locator("#seek").fill(str(second))
            await until(
                page,
                "['upload', 'reference'].every(each => { "
                "const v = document.getElementById(each + '-video'); "
                "return !v.seeking && v.readyState >= 3 })",
            )
            upload, reference = await seconds_of(page)
            assert upload == second and abs(reference - upload - 10) < 0.1
        await page.click("#play")
        await until(page, "document.getElementById('upload-video').currentTime > 32")
        await page.click("#play")
        await until(page, "!document.getElementById('reference-video').seeking")
        upload, reference = await seconds_of(page)
        assert abs(reference - upload - 10) < 0.1
        ranges = [int(each.split("=")[1].split("-")[0]) for each in server.asked if each]
        assert len(ranges) == len(server.asked) and max(ranges) > video.stat().st_size / 2
        assert not site.console.videos.is_here(server.url())
        await page.goto(f"{site.worker.url}/queue")
        assert await asyncio.to_thread(server.until, "open", 0)
    await asyncio.to_thread(by_ranges.close)
