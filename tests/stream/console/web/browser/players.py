"""Alerts whose two videos play, and what their players show."""

from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

from playwright.async_api import Page

from tests.stream.console.web.browser.chromium import until
from tests.stream.console.web.site import Site
from tests.stream.videos import make_video

NUMBERS = count()
SPEEDS = {
    "forward": (11.0, 15.0, False),
    "backward": (11.0, 15.0, True),
    "fast": (10.0, 18.0, False),
    "slow": (11.0, 13.0, False),
}


def small_video(path: Path, **coding: Any) -> Path:
    """30 seconds that cost little to encode and to play."""
    quick = {"size": (160, 120), "options": {"preset": "ultrafast"}}
    return make_video(path, count=300, frames_per_second=10, **quick | coding)


async def playing_alert(
    site: Site, name: str, coding: Mapping[str, Any] | None = None, **fields: Any
) -> str:
    """An alert whose two videos are files; its id."""
    start, end, backwards = SPEEDS[name]
    path = site.folder / "videos" / f"{name}-{next(NUMBERS)}.mp4"
    video = small_video(path, **(coding or {}))
    segment = {
        "video_start_seconds": 1.0,
        "video_end_seconds": 5.0,
        "reference_start_seconds": start,
        "reference_end_seconds": end,
        "score": 0.9,
        "reversed": backwards,
    }
    title = f"Numbers, {name}"
    made: dict[str, Any] = {"uri": video.as_uri(), "title": title, "segments": [segment]}
    return (await site.alert(**made | fields)).alert_id


async def open_alert(page: Page, site: Site, alert_id: str, query: str = "") -> None:
    """Its page, when both players are ready."""
    await page.goto(f"{site.worker.url}/alerts/{alert_id}{query}")
    await until(
        page,
        "['upload', 'reference'].every(each => "
        "{ const v = document.getElementById(each + '-video'); "
        "return v.readyState >= 2 && !v.seeking && v.currentTime > 0 })",
    )


async def seconds_of(page: Page) -> tuple[float, float]:
    """What both players show."""
    upload, reference = await page.evaluate(
        "['upload', 'reference'].map(each => document.getElementById(each + '-video').currentTime)"
    )
    return float(upload), float(reference)
