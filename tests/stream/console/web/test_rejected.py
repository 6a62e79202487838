"""The page of dead letters: by code, and each submitted again once."""

import asyncio
import itertools
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest

from stream.admin.replay import Since, read_since
from stream.broker.client import Reader
from stream.console.store.follower import StoreFollower
from stream.contract.events import VideoRejected, VideoUploaded
from stream.contract.message import Source, attempts_in
from tests.stream.console.web.site import Browser, Site

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCRIPT = "<script>alert(1)</script>"


def rejected(video_id: str, offset: int, **fields: Any) -> VideoRejected:
    """A dead letter of an upload long ago."""
    made: dict[str, Any] = {
        "video_id": video_id, "error": "not_found", "message": f"no video there {SCRIPT}",
        "source_topic": "video.uploaded", "source_partition": 0, "source_offset": offset,
        "attempts": 2, "request_id": f"0-{offset}-1000",
        "rejected_at": datetime(2026, 1, 2, tzinfo=UTC),
        "event": {"video_id": video_id, "uri": "https://cdn.example/v.mp4", "owner_id": "o"},
    }  # fmt: skip
    return VideoRejected.model_validate(made | fields)


async def replayed_at_once(
    monkeypatch: pytest.MonkeyPatch, letter: Mapping[str, str], people: Sequence[Browser]
) -> list[httpx2.Response]:
    """What two are told who submit a letter again.

    Whoever looks first at what came since goes on only once the other has looked, or is answered.
    """
    go, looks = threading.Event(), itertools.count(1)

    def together(*arguments: Any) -> Since:
        found = read_since(*arguments)
        if next(looks) == len(people):
            go.set()
        assert go.wait(60), "the other one neither looks nor is answered"
        return found

    async def told(person: Browser) -> httpx2.Response:
        answer = await person.send("/rejected/replay", letter)
        go.set()
        return answer

    monkeypatch.setattr("stream.console.kafka.read_since", together)
    return await asyncio.gather(*map(told, people))


async def place_of(site: Site, video_id: str) -> str:
    """Where the letter about a video lies, as the form says it."""
    page = await site.console.queries.rejections()
    (place,) = [each.place for each in page.items if each.video_id == video_id]
    return f"{place.partition}-{place.offset}"


async def test_letters_are_shown_by_code(site: Site) -> None:
    await site.say(rejected("gone", 1), rejected("broken", 2, error="corrupt"))
    browser = await site.browser("viewer")
    text = (await browser.get("/rejected")).text
    assert "gone" in text and "broken" in text
    assert "&lt;script&gt;" in text and SCRIPT not in text and "Submit again" not in text
    text = (await browser.get("/rejected?code=corrupt")).text
    assert "broken" in text and "gone" not in text
    assert (await browser.get("/rejected?cursor=nonsense")).status_code == 422


async def test_a_letter_is_submitted_again_once(site: Site) -> None:
    await site.say(rejected("mended", 3))
    browser = await site.browser("reviewer", "rosa")
    letter = {"letter": await place_of(site, "mended")}
    answer = await browser.send("/rejected/replay", letter)
    assert answer.headers["location"] == "/rejected?said=replayed"
    with Reader(site.settings.kafka, VideoUploaded.topic) as reader:
        found = [each for _, each in reader.until_now() if each.key() == b"mended"]
    assert [attempts_in(each.headers()) for each in found] == [3]
    again = await browser.send("/rejected/replay", letter)
    assert again.status_code == 409 and "submitted again since" in again.text
    (line,) = (await site.console.desk.audit(about="mended")).items
    assert (line.person, line.action) == ("rosa", "replay")


async def test_what_was_taken_down_since_stays_away(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = VideoUploaded(video_id="taken", uri="https://cdn.example/v.mp4", owner_id="o")
    (place,) = await site.console.kafka.say([event])
    request_id = await site.console.kafka.request_id(place)
    fields = {"source_partition": place.partition, "request_id": request_id}
    await site.say(rejected("taken", place.offset, **fields))
    follower = site.console.store.follower
    assert isinstance(follower, StoreFollower)
    take = follower._intake.take

    async def late(sources: Sequence[Source]) -> Any:
        await asyncio.sleep(2)
        return await take(sources)

    monkeypatch.setattr(follower._intake, "take", late)
    browser = await site.browser("admin")
    assert (await browser.send("/library/takedown", {"video": "taken"})).status_code == 303
    answer = await browser.send("/rejected/replay", {"letter": await place_of(site, "taken")})
    assert answer.status_code == 409 and "removed since: video.fingerprinted[0]@" in answer.text
    with Reader(site.settings.kafka, VideoUploaded.topic) as reader:
        assert len([each for _, each in reader.until_now() if each.key() == b"taken"]) == 1


async def test_of_two_who_replay_a_letter_at_once_one_is_told(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    await site.say(rejected("wanted by two", 5))
    letter = {"letter": await place_of(site, "wanted by two")}
    people = [await site.browser("reviewer", name) for name in ("anna", "bea")]
    answers = await replayed_at_once(monkeypatch, letter, people)
    assert sorted(each.status_code for each in answers) == [303, 409]
    with Reader(site.settings.kafka, VideoUploaded.topic) as reader:
        found = [each for _, each in reader.until_now() if each.key() == b"wanted by two"]
    assert len(found) == 1


@pytest.mark.parametrize("letter", ["", "x", "0-x", "-1-0", "0-99999999999999999999", "²-0"])
async def test_a_place_that_is_none_is_refused(site: Site, letter: str) -> None:
    answer = await (await site.browser("reviewer")).send("/rejected/replay", {"letter": letter})
    assert answer.status_code == 422


async def test_a_letter_that_is_nowhere_is_not_found(site: Site) -> None:
    browser = await site.browser("reviewer")
    assert (await browser.send("/rejected/replay", {"letter": "0-4000"})).status_code == 404
    viewer = await site.browser("viewer")
    assert (await viewer.send("/rejected/replay", {"letter": "0-0"})).status_code == 403
