"""The page of an alert: its videos, its evidence, and the policy that led to it."""

import asyncio
import io

import pytest
from PIL import Image

from stream.admin.review import LATER
from stream.contract.events import PolicyUpdated
from stream.errors import BrokerError
from tests.stream.console.store.said import applied
from tests.stream.console.web.site import Site, embedded
from tests.stream.library_log import fingerprint, look
from tests.stream.videos import make_video

pytestmark = pytest.mark.asyncio(loop_scope="module")
DATABASES = ("sqlite", "postgresql")


async def test_the_policy_that_led_here_is_shown(site: Site) -> None:
    alert = await site.alert()
    policy = PolicyUpdated.from_json(
        {"owner_id": alert.reference_owner_id, "least_seconds": 3.5,
         "licensed_owner_ids": ["partner"],
         "exclusions": [{"reference_id": alert.reference_id, "start_seconds": 0.0,
                         "end_seconds": 90.0}]}
    )  # fmt: skip
    await site.say(policy)
    text = (await (await site.browser()).get(f"/alerts/{alert.alert_id}")).text
    assert "<dd>3.5</dd>" in text and "partner" in text and "0:00.0–1:30.0" in text


async def test_the_policy_of_an_alert_is_shown_as_it_was_with_what_holds_now(site: Site) -> None:
    then = applied(3.5, alerts_per_hour=200, exclusions=2, excluded_seconds=12.0)
    alert = await site.alert(policy=then)
    was = {"owner_id": alert.reference_owner_id, "least_seconds": 3.5, "alerts_per_hour": 200}
    spans = [{"reference_id": alert.reference_id, "start_seconds": 0.0, "end_seconds": 9.0}]
    await site.say(PolicyUpdated.from_json(was | {"exclusions": spans * 2}))
    browser, page = await site.browser(), f"/alerts/{alert.alert_id}"
    text = (await browser.get(page)).text
    for fact in ("3.5", "200", "no", "2", "12.0 s"):
        assert f"<dd>{fact}</dd>" in text
    assert "As it was when this alert was judged." in text
    assert "Changed since" not in text and "<b>now" not in text
    now = {"least_seconds": 60, "least_score": 0.5, "licensed_owner_ids": [alert.video_owner_id]}
    await site.say(PolicyUpdated.from_json({"owner_id": alert.reference_owner_id} | now))
    text = (await browser.get(page)).text
    assert "Changed since: what holds now stands beside it." in text
    for fact, holds in (("3.5", "60"), ("0 %", "50 %"), ("200", "no limit"), ("no", "yes")):
        assert f"<dd>{fact} · <b>now {holds}</b></dd>" in text
    await site.console.come_back(await site.console.kafka.remove_policy(alert.reference_owner_id))
    text = (await browser.get(page)).text
    assert "the rest by the settings · <b>now settings</b>" in text
    assert "<dd>3.5 · <b>now 0</b></dd>" in text
    assert "现为 0" in (await browser.get(page, **{"Accept-Language": "zh"})).text


async def test_a_policy_that_changed_since_the_alert_says_so(site: Site) -> None:
    owner = "changes-its-mind"
    await site.say(PolicyUpdated(owner_id=owner, least_seconds=3.5))
    policy = await site.console.queries.policy(owner)
    assert policy is not None
    browser = await site.browser()
    for raised_at, tells in ((policy.said_at, False), (policy.said_at - LATER, True)):
        alert = await site.alert(reference_owner_id=owner, raised_at=raised_at)
        text = (await browser.get(f"/alerts/{alert.alert_id}")).text
        assert ("Changed since this alert, on " in text) == tells
    page = await browser.get(f"/alerts/{alert.alert_id}", **{"Accept-Language": "zh"})
    assert "此告警之后已于 " in page.text
    await site.console.come_back(await site.console.kafka.remove_policy(owner))
    text = (await browser.get(f"/alerts/{alert.alert_id}")).text
    assert "None of its own" in text and "Changed since this alert, on " in text


async def test_an_admin_takes_down_either_video_from_the_alert(site: Site) -> None:
    alert = await site.alert()
    admin, path = await site.browser("admin", "adam"), f"/alerts/{alert.alert_id}"
    text = (await admin.get(f"{path}?sort=surest")).text
    for video_id in (alert.video_id, alert.reference_id):
        assert f'href="/library/entry?video={video_id}"' in text
        assert f'name="video" value="{video_id}"' in text
    assert f'name="back" value="{path}?sort=surest"' in text
    fields = {"video": alert.video_id, "note": "a leak", "back": f"{path}?sort=surest"}
    answer = await admin.send("/library/takedown", fields)
    assert answer.headers["location"] == f"{path}?sort=surest&said=taken+down"
    text = (await admin.get(answer.headers["location"])).text
    assert "The takedown is on Kafka." in text
    assert f'name="video" value="{alert.video_id}"' not in text
    assert f'name="video" value="{alert.reference_id}"' in text
    (line,) = (await site.console.desk.audit(about=alert.video_id)).items
    assert (line.person, line.action, line.why) == ("adam", "take down", "a leak")
    found = await site.console.queries.alert(alert.alert_id)
    assert found is not None and found.state == "open"


async def test_only_an_admin_is_offered_a_takedown(site: Site) -> None:
    alert = await site.alert()
    browser, path = await site.browser("reviewer"), f"/alerts/{alert.alert_id}"
    text = (await browser.get(path)).text
    assert "/library/takedown" not in text and f'entry?video={alert.video_id}"' in text
    refused = await browser.send("/library/takedown", {"video": alert.video_id, "back": path})
    assert refused.status_code == 403
    holder = await site.browser("holder", owners=[alert.reference_owner_id])
    text = (await holder.get(path)).text
    assert f'entry?video={alert.reference_id}"' in text
    assert f'entry?video={alert.video_id}"' not in text


async def test_the_matrix_shows_what_is_copied(site: Site) -> None:
    alert = await site.alert()
    path = f"/alerts/{alert.alert_id}/matrix.png"
    answer = await (await site.browser()).get(path)
    assert answer.headers["content-type"] == "image/png"
    picture = Image.open(io.BytesIO(answer.content)).convert("RGB")
    across, down = picture.width / 30, picture.height / 10
    # Upload seconds 1 to 5 are the reference's 11 to 15: bright on the diagonal, dark beside it.
    along = [_brightness(picture, (11.5 + n) * across, (1.5 + n) * down) for n in range(4)]
    beside = [_brightness(picture, (20.5 + n) * across, (1.5 + n) * down) for n in range(4)]
    assert min(along) > max(beside) + 50
    edge = picture.getpixel((round(11 * across), round(3 * down)))
    assert edge == (255, 138, 30)


def _brightness(picture: Image.Image, across: float, down: float) -> float:
    colour = picture.getpixel((round(across), round(down)))
    assert isinstance(colour, tuple)
    return sum(colour) / 3


async def test_without_a_fingerprint_there_is_no_matrix(site: Site) -> None:
    from stream.contract.events import AlertRaised

    made = await site.alert()
    alert = AlertRaised.model_validate(
        made.model_dump() | {"alert_id": "lone", "video_id": "unheard of"}
    )
    await site.say(alert)
    browser = await site.browser()
    assert (await browser.get("/alerts/lone/matrix.png")).status_code == 404
    assert (await browser.get("/alerts/lone/video/strip.jpg")).status_code == 404
    assert (await browser.get("/alerts/lone/video/play")).status_code == 404
    assert (await browser.get("/alerts/lone")).status_code == 200


async def test_pictures_stand_over_the_seconds_that_they_show(site: Site) -> None:
    alert = await site.alert()
    picture = embedded(alert.video_id)
    (place,) = site.sender.send(picture.topic, [(picture.key(), picture.to_bytes(), ())])
    at = {"partition": place.partition, "offset": place.offset}
    # Its three key frames are in the first half of it.
    made = fingerprint(
        alert.video_id, look(1, 3), duration_seconds=6.0, owner_id="c", embedded_at=at
    )
    await site.say(made.to_event())
    answer = await (await site.browser()).get(f"/alerts/{alert.alert_id}/video/strip.jpg")
    strip = Image.open(io.BytesIO(answer.content)).convert("RGB")
    for second, place_of in ((0.5, 0), (1.5, 1), (2.5, 2), (5.5, None)):
        colour = strip.getpixel((round(strip.width * second / 6), 40))
        assert isinstance(colour, tuple)
        bright = [n for n, value in enumerate(colour) if value > 128]
        assert bright == ([] if place_of is None else [place_of]), second


async def test_the_queue_shows_what_is_copied(site: Site) -> None:
    alert = await site.alert()
    picture = embedded(alert.video_id)
    (place,) = site.sender.send(picture.topic, [(picture.key(), picture.to_bytes(), ())])
    at = {"partition": place.partition, "offset": place.offset}
    # Its key frames show red, lime and blue; the longer of the spans has the last in its middle.
    made = fingerprint(alert.video_id, look(1, 3), owner_id="c", embedded_at=at)
    spans = [(0.0, 1.0, 4.0, 5.0), (1.9, 3.1, 7.0, 8.2)]
    fields = ("video_start_seconds", "video_end_seconds", "reference_start_seconds",
              "reference_end_seconds")  # fmt: skip
    several = [dict(zip(fields, span, strict=True)) | {"score": 0.9} for span in spans]
    again = alert.model_dump() | {"alert_id": "a" * 32, "segments": several}
    await site.say(made.to_event(), type(alert).model_validate(again))
    browser, still = await site.browser(), f"/alerts/{'a' * 32}/video/still.jpg"
    queue = (await browser.get(f"/queue?video={alert.video_id}")).text
    assert f'src="{still}"' in queue
    assert "/reference/still.jpg" not in queue  # it has no thumbnails
    assert (await browser.get(still.replace("video", "reference"))).status_code == 404
    shown = Image.open(io.BytesIO((await browser.get(still)).content)).convert("RGB")
    red, lime, blue = shown.getpixel((80, 48))  # type: ignore[misc]
    assert blue > 200 > 50 > max(red, lime)


async def test_who_loads_a_page_again_waits_for_the_same_picture(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A browser drops what it asked for before; what is being read for it goes on."""
    alert = await site.alert()
    read, begun, asked = site.console.kafka.thumbnails, asyncio.Event(), list[str]()

    async def slow(video_id: str, partition: int, offset: int) -> list[bytes]:
        asked.append(video_id)
        await begun.wait()
        return await read(video_id, partition, offset)

    monkeypatch.setattr(site.console.kafka, "thumbnails", slow)
    browser, path = await site.browser(), f"/alerts/{alert.alert_id}/video/strip.jpg"
    asking = [asyncio.ensure_future(browser.get(path)) for _ in range(5)]
    while not asked:
        await asyncio.sleep(0.01)
    asking.pop(0).cancel()
    begun.set()
    assert {answer.status_code for answer in await asyncio.gather(*asking)} == {200}
    assert (await browser.get(path)).status_code == 200
    assert asked == [alert.video_id]


async def test_a_picture_that_could_not_be_read_is_read_when_it_is_asked_for_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    alert = await site.alert()
    browser, path = await site.browser(), f"/alerts/{alert.alert_id}/video/strip.jpg"
    with monkeypatch.context() as away:
        away.setattr(site.console.kafka, "thumbnails", _away)
        assert (await browser.get(path)).status_code == 503
    assert (await browser.get(path)).status_code == 200


async def _away(*_: object) -> list[bytes]:
    raise BrokerError("Kafka at 127.0.0.1: no answer")


async def test_the_film_strip_is_in_order(site: Site) -> None:
    alert = await site.alert()
    answer = await (await site.browser()).get(f"/alerts/{alert.alert_id}/video/strip.jpg")
    strip = Image.open(io.BytesIO(answer.content)).convert("RGB")
    shown = [strip.getpixel((round(strip.width * (n + 0.5) / 3), 40)) for n in range(3)]
    for place, colour in enumerate(shown):
        assert isinstance(colour, tuple) and colour.index(max(colour)) == place


async def test_a_video_is_sent_by_ranges(site: Site) -> None:
    video = make_video(site.folder / "videos" / "ranges.mp4", count=20)
    alert = await site.alert(uri=video.as_uri())
    browser, path = await site.browser(), f"/alerts/{alert.alert_id}/video/play"
    whole = await browser.get(path)
    assert whole.status_code == 200 and whole.content == video.read_bytes()
    assert whole.headers["content-type"] == "video/mp4"
    assert whole.headers["cache-control"].startswith("private")
    part = await browser.get(path, Range="bytes=100-199")
    assert part.status_code == 206 and part.content == video.read_bytes()[100:200]
    assert (await browser.get(path, Range="bytes=99999999-")).status_code == 416


async def test_a_copy_of_a_video_is_sent_to_a_browser_that_cant_play_it(site: Site) -> None:
    video = make_video(site.folder / "videos" / "refused.mp4", count=20)
    alert = await site.alert(uri=video.as_uri())
    browser, path = await site.browser(), f"/alerts/{alert.alert_id}/video/playable.webm"
    copy = await browser.get(path)
    assert copy.status_code == 200 and copy.headers["content-type"] == "video/webm"
    part = await browser.get(path, Range="bytes=0-3")
    assert part.status_code == 206 and part.content == b"\x1a\x45\xdf\xa3"
    video.write_text("no video any more")
    answer = await browser.get(path)
    assert answer.status_code == 422 and "corrupt" in answer.text


async def test_a_page_in_chinese(site: Site) -> None:
    alert = await site.alert()
    browser = await site.browser()
    path = f"/alerts/{alert.alert_id}"
    text = (await browser.get(path, **{"Accept-Language": "zh-CN,en;q=0.5"})).text
    assert '<html lang="zh"' in text and "重复的片段" in text and "Copied seconds" not in text
    await browser.send("/preferences", {"lang": "zh", "theme": "dark", "keys": "off", "back": path})
    text = (await browser.get(path)).text
    assert '<html lang="zh" data-theme="dark" data-keys="off">' in text


async def test_previews_are_as_the_settings_say(site: Site) -> None:
    alert = await site.alert()
    text = (await (await site.browser()).get(f"/alerts/{alert.alert_id}")).text
    assert '<body class="veiled blurred">' in text
    assert text.count(" muted ") == 2
