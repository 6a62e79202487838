"""Which spans of an alert are mirrored: on its page, by the API, and where it can't be said."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from stream.console.web.mirrored import Mirrors
from stream.console.web.problems import Problem
from stream.contract.events import AlertRaised, AlertSuppressed
from tests.stream.console.web.site import Site
from tests.stream.library_log import fingerprint, look
from tests.stream.videos import make_video, numbered

pytestmark = pytest.mark.asyncio(loop_scope="module")


def mirrored(index: int, width: int, height: int) -> np.ndarray:
    return numbered(index, width, height)[:, ::-1]


async def alert_of(site: Site, upload: Path, reference: Path) -> AlertRaised | AlertSuppressed:
    """An alert about two files."""
    alert = await site.alert()
    await site.say(
        fingerprint(alert.video_id, look(1), uri=upload.as_uri()).to_event(),
        fingerprint(alert.reference_id, look(2), uri=reference.as_uri()).to_event(),
    )
    return alert


def files(site: Site, name: str) -> tuple[Path, Path]:
    """A reference, and a copy of its seconds from 10 on that is mirrored."""
    folder = site.folder / "videos"
    reference = make_video(folder / f"{name}-r.mp4", count=200, frames_per_second=10)

    def copied(index: int, width: int, height: int) -> np.ndarray:
        return mirrored(index + 100, width, height)

    upload = make_video(folder / f"{name}-u.mp4", frames_per_second=10, draw=copied)
    return upload, reference


async def test_page_and_api_say_which_spans_are_mirrored(site: Site) -> None:
    alert = await alert_of(site, *files(site, "one"))
    browser = await site.browser("viewer")
    page = await browser.get(f"/alerts/{alert.alert_id}")
    assert f'data-from="/alerts/{alert.alert_id}/mirrored"' in page.text
    answer = await browser.get(f"/alerts/{alert.alert_id}/mirrored")
    assert answer.json() == {"mirrored": [True]}
    path = f"/api/v1/alerts/{alert.alert_id}/evidence"
    shown = (await (await site.machine()).get(path)).json()
    span = alert.segments[0].model_dump() | {"mirrored": True}
    assert shown == {"alert_id": alert.alert_id, "segments": [span]}


async def test_of_videos_that_are_gone_nothing_is_known(site: Site) -> None:
    upload, reference = files(site, "gone")
    machine = await site.machine()
    for alert in (await site.alert(), await alert_of(site, upload, reference)):
        reference.unlink(missing_ok=True)
        answer = await machine.get(f"/api/v1/alerts/{alert.alert_id}/evidence")
        assert [each["mirrored"] for each in answer.json()["segments"]] == [None]


async def test_nobody_sees_what_is_of_an_alert_of_others(site: Site) -> None:
    alert = await site.alert()
    holder = await site.browser("holder", owners=["somebody"])
    assert (await holder.get(f"/alerts/{alert.alert_id}/mirrored")).status_code == 404
    machine = await site.machine("holder", owners=["somebody"])
    path = f"/api/v1/alerts/{alert.alert_id}/evidence"
    assert (await machine.get(path)).status_code == 404
    assert (await site.client().get(path)).status_code == 401


async def test_an_alert_is_looked_at_once_and_not_too_many_wait(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream.console.web.mirrored.MAX_WAITING", 1)
    said = [await alert_of(site, *files(site, name)) for name in ("a", "b")]
    queries = site.console.queries
    rows = [await queries.alert(each.alert_id) for each in said]
    videos = await queries.videos_by_id(
        [id for each in said for id in (each.video_id, each.reference_id)]
    )
    made = Mirrors(site.settings.decode, site.console.videos)

    def ask(place: int) -> "asyncio.Task[object]":
        row = rows[place]
        assert row is not None
        pair = (videos[row.video_id], videos[row.reference_id])
        return asyncio.create_task(made.spans(row, *pair))

    try:
        first, again, other = ask(0), ask(0), ask(1)
        with pytest.raises(Problem) as refused:
            await other
        assert refused.value.status_code == 429
        assert await first is await again
        assert await ask(1) == [True]
        assert await ask(0) is await first, "kept"
    finally:
        made.close()
