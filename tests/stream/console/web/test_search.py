"""Search by words, on the page of the library and by the API."""

import asyncio
import struct
import threading
import zlib
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from PIL import Image

from models.text_video.serve import TextEncoder
from stream.broker.client import Reader
from stream.console.web import text_search
from stream.console.web.pictures import PictureVectors
from stream.console.web.text_search import TextSearch
from stream.contract.embedded import Moments, packed_moments
from stream.contract.events import ProbeAsked, VideoEmbedded
from stream.fingerprint.embed import open_text_encoder
from stream.fingerprint.settings import TextVideoSettings
from stream.search.settings import SearchSettings
from tests.stream.console.web.site import Site, jpeg, running_site
from tests.stream.library_log import fingerprint, look
from tests.stream.text_video_pair import DIMENSION, VERSION, make_pair
from tests.stream.videos import make_video

pytestmark = pytest.mark.asyncio(loop_scope="module")
COLOURS = {"ruby": (1, 0, 0), "rose": (1, 0.3, 0.3), "leaf": (0, 1, 0), "sea": (0, 0, 1)}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """A console whose text–video pair knows colours, and a library of four."""
    async with running_site(tmp_path_factory.mktemp("site")) as made:
        know_colours(made)
        for number, (name, colour) in enumerate(COLOURS.items()):
            owner = "reds" if colour[0] else "others"
            await made.say(
                fingerprint(name, look(number, 5), owner_id=owner, title=f"A {name}").to_event(),
                embedded(name, colour),
            )
        yield made


def know_colours(site: Site) -> None:
    """Have a console's words be those of colours."""
    settings = site.console.settings.model_copy(
        update={
            "text_video": TextVideoSettings(path=make_pair(site.folder / "pair")),
            "search": SearchSettings(snapshot_folder=site.folder / "view"),
        }
    )
    site.console.settings, site.console.search = settings, TextSearch(settings)
    site.console.pictures = PictureVectors(settings)


def embedded(name: str, colour: Any, **fields: Any) -> VideoEmbedded:
    vector = np.array([*colour, 0.1]) / np.linalg.norm([*colour, 0.1])
    return VideoEmbedded.from_json(
        {
            "video_id": name,
            "content_version": 1,
            "model_version": VERSION,
            "dimension": DIMENSION,
            "vector": vector.tolist(),
            "duration_seconds": 5.0,
        }
        | fields
    )


async def found(client: Any, text: str, **query: Any) -> list[str]:
    answer = await client.get("/api/v1/search", params={"text": text} | query)
    assert answer.status_code == 200, answer.text
    return [each["video_id"] for each in answer.json()["items"]]


async def test_the_most_alike_come_first(site: Site) -> None:
    machine = await site.machine("viewer", ["references"])
    assert (await found(machine, "red"))[:2] == ["ruby", "rose"]
    assert await found(machine, "蓝", limit=1) == ["sea"]
    answer = (await machine.get("/api/v1/search?text=red")).json()
    first = {"video_id": "ruby", "owner_id": "reds", "title": "A ruby", "duration_seconds": 5.0}
    assert first.items() <= answer["items"][0].items()
    assert answer["items"][0]["similarity"] > 0.99 and answer["model_version"] == VERSION


async def test_the_page_shows_them_and_says_what_is_doubtful(site: Site) -> None:
    browser = await site.browser("viewer")
    text = (await browser.get("/library?text=red")).text
    assert text.index("A ruby") < text.index("A rose") and "/library/entry?video=ruby" in text
    assert 'action="/match"' not in text
    assert 'action="/match"' in (await (await site.browser("reviewer")).get("/library")).text
    doubtful = (await browser.get("/library?text=unheard+of")).text
    assert "knows none of the query" in doubtful
    assert (await browser.get("/library?text=++")).status_code == 200


async def test_a_moment_is_named_where_it_shows_what_was_asked_for(site: Site) -> None:
    violet = np.array([[0.7, 0, 0.7, 0.1]], np.float32)
    seconds, vectors = packed_moments(
        Moments(np.array([3.25], np.float32), violet / np.linalg.norm(violet))
    )
    await site.say(
        fingerprint("film", look(9, 5), owner_id="others").to_event(),
        embedded("film", (0, 1, 0), moment_seconds=seconds, moment_vectors=vectors),
    )
    machine = await site.machine("admin")
    await until_found(machine, "red blue", "film", there=True)
    async with asyncio.timeout(20):
        while True:
            items = (await machine.get("/api/v1/search?text=red+blue")).json()["items"]
            moments = {each["video_id"]: each["moment_seconds"] for each in items}
            if moments.get("film") is not None:
                break
            await asyncio.sleep(0.05)
    assert moments["film"] == 3.25 and moments["ruby"] is None
    page = (await (await site.browser("admin")).get("/library?text=red+blue")).text
    assert "best at 0:03" in page
    assert (await machine.delete("/api/v1/references/film")).status_code == 202  # nobody else's
    await until_found(machine, "red blue", "film", there=False)


async def test_a_rights_holder_finds_their_own(site: Site) -> None:
    machine = await site.machine("holder", ["references"], ["others"])
    assert {*await found(machine, "red")} == {"leaf", "sea"}
    page = (await (await site.browser("holder", owners=["others"])).get("/library?text=red")).text
    assert "A leaf" in page and "ruby" not in page


async def test_what_comes_or_goes_later_is_followed(site: Site) -> None:
    machine = await site.machine("admin")
    await found(machine, "green")
    await site.say(
        fingerprint("moss", look(9, 5), owner_id="others").to_event(), embedded("moss", (0, 1, 0.2))
    )
    await until_found(machine, "green", "moss", there=True)
    assert (await machine.delete("/api/v1/references/moss")).status_code == 202
    await until_found(machine, "green", "moss", there=False)


async def until_found(machine: Any, text: str, name: str, *, there: bool) -> None:
    async with asyncio.timeout(20):
        while (name in await found(machine, text)) != there:
            await asyncio.sleep(0.05)


async def test_videos_of_another_model_are_counted(site: Site) -> None:
    await site.say(embedded("old", (1, 0, 0), model_version="text-video-of-before"))
    machine = await site.machine("viewer")
    async with asyncio.timeout(20):
        while not (left_out := (await machine.get("/api/v1/search?text=red")).json()["left_out"]):
            await asyncio.sleep(0.05)
    page = (await (await site.browser()).get("/library?text=red")).text
    assert f"which words don&#39;t find: {left_out}" in page


async def test_a_text_without_a_word_is_told(site: Site) -> None:
    machine = await site.machine("viewer")
    for query in ("?text=+++", "", "?text="):
        assert (await machine.get(f"/api/v1/search{query}")).status_code == 422


async def test_while_vectors_are_read_it_is_told(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_begin = threading.Event()

    def later(settings: TextVideoSettings) -> TextEncoder:
        may_begin.wait()
        return open_text_encoder(settings)

    monkeypatch.setattr(text_search, "open_text_encoder", later)
    monkeypatch.setattr(text_search, "WAIT_SECONDS", 0.05)
    search = TextSearch(site.console.settings)
    monkeypatch.setattr(site.console, "search", search)
    try:
        machine, browser = await site.machine("viewer"), await site.browser()
        answer = await machine.get("/api/v1/search?text=red")
        assert answer.status_code == 503 and answer.headers["retry-after"] == "5"
        page = await browser.get("/library?text=red")
        assert page.status_code == 503 and "being read" in page.text
    finally:
        may_begin.set()
    async with asyncio.timeout(20):
        while (await machine.get("/api/v1/search?text=red")).status_code != 200:
            await asyncio.sleep(0.05)
    await search.close()


async def test_a_view_that_has_ended_is_read_anew(site: Site) -> None:
    machine = await site.machine("viewer")
    await found(machine, "red")
    opening = site.console.search._opening
    assert opening is not None
    opening.result().failure.set_exception(RuntimeError("a bug"))
    opening.result().failure.exception()
    assert (await found(machine, "red"))[0] == "ruby"
    assert site.console.search._opening is not opening


async def test_a_picture_or_a_clip_finds_what_looks_like_it(site: Site) -> None:
    machine, browser = await site.machine("reviewer"), await site.browser("reviewer")
    folder = site.folder / "videos"
    still = folder / "still.png"
    Image.new("RGB", (64, 48), (250, 10, 10)).save(still)
    clip = make_video(folder / "sea.mp4", count=20, draw=plain((10, 10, 250)))
    for path, first in ((still, "ruby"), (clip, "sea")):
        answer = await machine.get("/api/v1/search", params={"uri": path.as_uri(), "limit": 1})
        assert [each["video_id"] for each in answer.json()["items"]] == [first]
    page = (await browser.send("/library/like", {"like": still.as_uri()})).text
    assert page.index("A ruby") < page.index("A leaf") and "still.png" in page


async def test_a_file_finds_what_looks_like_it_and_is_gone_then(site: Site) -> None:
    browser, viewer = await site.browser("reviewer"), await site.browser("viewer")
    answer = await browser.send_file("/library/like", jpeg("red"))
    assert answer.status_code == 200, answer.text
    assert answer.text.index("A ruby") < answer.text.index("A leaf")
    assert "Nothing here." not in answer.text and site.asked == []
    answer = await browser.send_file("/library/like", b"no picture")
    assert answer.status_code == 422 and 'role="alert"' in answer.text and site.asked == []
    assert (await viewer.send_file("/library/like", jpeg("red"))).status_code == 403


def plain(colour: tuple[int, int, int]) -> Any:
    """Draws frames of one colour."""
    return lambda index, width, height: np.full((height, width, 3), colour, np.uint8)


async def test_who_may_have_nothing_fetched_asks_by_no_picture(site: Site) -> None:
    viewer, browser = await site.machine("viewer"), await site.browser("viewer")
    query = {"uri": (site.folder / "videos" / "still.png").as_uri()}
    assert (await viewer.get("/api/v1/search", params=query)).status_code == 403
    assert (await browser.send("/library/like", {"like": query["uri"]})).status_code == 403
    assert 'action="/library/like"' not in (await browser.get("/library")).text


async def test_what_is_no_picture_is_told(site: Site) -> None:
    text = site.folder / "videos" / "text.png"
    text.write_text("no picture")
    machine, browser = await site.machine("reviewer"), await site.browser("reviewer")
    for uri in (text.as_uri(), "file:///etc/hostname", text.with_name("gone.png").as_uri()):
        answer = await machine.get("/api/v1/search", params={"uri": uri})
        assert answer.status_code == 422, answer.text
        page = await browser.send("/library/like", {"like": uri})
        assert page.status_code == 422 and 'role="alert"' in page.text
    assert (
        await machine.get("/api/v1/search", params={"uri": "a", "text": "b"})
    ).status_code == 422
    assert (await browser.send("/library/like")).status_code == 422


async def test_a_picture_that_is_small_to_send_and_huge_to_see_is_refused(site: Site) -> None:
    side = 30_000
    still, bomb = site.folder / "videos" / "small.png", site.folder / "videos" / "bomb.png"
    Image.new("RGB", (64, 48), (250, 10, 10)).save(still)
    packed = zlib.compress(bytes(side * (1 + side // 8)), 9)
    chunks = ((b"IHDR", struct.pack(">2I5B", side, side, 1, 0, 0, 0, 0)), (b"IDAT", packed))
    bomb.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
            for kind, data in (*chunks, (b"IEND", b""))
        )
    )
    assert bomb.stat().st_size < 200_000
    machine, browser = await site.machine("reviewer"), await site.browser("reviewer")
    answer = await machine.get("/api/v1/search", params={"uri": bomb.as_uri()})
    assert answer.status_code == 422, answer.text
    assert (await browser.send("/library/like", {"like": bomb.as_uri()})).status_code == 422
    alert = await site.alert(uri=bomb.as_uri())
    address = f"/alerts/{alert.alert_id}"
    assert (await browser.get(f"{address}/video/playable.webm")).status_code == 422
    assert (await browser.get(f"{address}/mirrored")).json() == {"mirrored": [None]}
    # Whoever asks next is answered.
    answer = await machine.get("/api/v1/search", params={"uri": still.as_uri()})
    assert answer.status_code == 200


async def test_without_a_pair_it_is_told(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = TextVideoSettings(path=site.folder / "nowhere")
    settings = site.console.settings.model_copy(update={"text_video": wrong})
    search = TextSearch(settings)
    monkeypatch.setattr(site.console, "search", search)
    answer = await (await site.machine("viewer")).get("/api/v1/search?text=red")
    assert answer.status_code == 503 and "text_video" in answer.json()["detail"]
    await search.close()


async def test_a_clip_is_asked_about_without_being_added(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream.console.web.pages.match.WAIT_SECONDS", 0.2)
    reviewer = await site.browser("reviewer")
    answer = await reviewer.send("/match", {"uri": "https://cdn.example/clip.mp4"})
    assert answer.status_code == 504  # no worker runs here
    with Reader(site.settings.kafka, ProbeAsked.topic) as reader:
        asked = [ProbeAsked.from_bytes(each.value()) for _, each in reader.until_now()]
    assert [each.uri for each in asked] == ["https://cdn.example/clip.mp4"]
    assert asked[0].answer_by - site.console.clock() < timedelta(seconds=1)
