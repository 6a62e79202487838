"""Files of videos: in place, or as copies that are kept within a limit."""

import asyncio
from pathlib import Path

import pytest

from stream.console.settings import ConsoleSettings
from stream.console.web.media import NoRoomForBothError, Videos, entity_tag, media_type
from stream.errors import ForbiddenUriError, NotFoundError
from stream.fetch.settings import FetchSettings
from tests.stream.web_server import BODY, serving


@pytest.mark.parametrize(
    ("uri", "kind"),
    [("https://h/a.mp4?sig=x.html", "video/mp4"), ("file:///a.MOV", "video/mp4"),
     ("s3://b/a.mkv", "video/webm"), ("https://h/a", "application/octet-stream"),
     ("https://h/a.html", "application/octet-stream"),
     ("https://h/a.svg#x.mp4", "application/octet-stream")],
)  # fmt: skip
def test_nothing_but_videos_is_called_one(uri: str, kind: str) -> None:
    assert media_type(uri) == kind


async def test_a_local_video_is_used_in_place(tmp_path: Path) -> None:
    file = tmp_path / "a.mp4"
    file.write_bytes(b"video")
    videos = Videos(FetchSettings(roots=(tmp_path,)), 0)
    assert await videos.file(file.as_uri()) == file
    videos.close()
    assert file.read_bytes() == b"video"
    videos = Videos(FetchSettings(roots=(tmp_path / "other",)), 0)
    with pytest.raises(ForbiddenUriError):
        await videos.file(file.as_uri())
    videos.close()


async def test_people_who_ask_at_once_wait_for_one_download() -> None:
    with serving() as server:
        videos = Videos(FetchSettings(private_addresses=True), 10 * len(BODY))
        uri = server.url("/video/a.mp4")
        first, second = await asyncio.gather(videos.file(uri), videos.file(uri))
        assert first == second and first.read_bytes() == BODY
        assert await videos.file(uri) == first
        assert sum(server.requests.values()) == 1
        videos.close()
        assert not first.exists()


async def test_the_oldest_copies_give_way() -> None:
    with serving() as server:
        videos = Videos(FetchSettings(private_addresses=True), 2 * len(BODY))
        copies = [await videos.file(server.url(f"/video/{name}.mp4")) for name in "abc"]
        assert [copy.exists() for copy in copies] == [False, True, True]
        again = await videos.file(server.url("/video/a.mp4"))
        assert again.read_bytes() == BODY and not copies[1].exists()
        videos.close()


async def test_a_copy_that_is_forgotten_is_gone_and_a_video_in_place_is_not(tmp_path: Path) -> None:
    file = tmp_path / "a.mp4"
    file.write_bytes(BODY)
    with serving() as server:
        videos = Videos(FetchSettings(private_addresses=True, roots=(tmp_path,)), len(BODY))
        for uri in (server.url("/video/a.mp4"), file.as_uri()):
            copy = await videos.file(uri)
            videos.forget(uri)
            assert copy.exists() is (copy == file)
        videos.close()


async def test_two_that_are_looked_at_together_dont_drive_each_other_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with serving() as server:
        videos = Videos(FetchSettings(private_addresses=True), 2 * len(BODY) - 1)
        one, two, three = (server.url(f"/video/{name}.mp4") for name in ("one", "two", "three"))
        old = await videos.file(three)
        asked = [videos.file(one, two), videos.file(two, one)]
        first, second = await asyncio.gather(*asked, return_exceptions=True)
        stays = first if isinstance(first, Path) else second
        assert isinstance(stays, Path) and stays.read_bytes() == BODY and not old.exists()
        for _ in range(3):
            again = await asyncio.gather(
                videos.file(one, two), videos.file(two, one), return_exceptions=True
            )
            refused = [each for each in again if isinstance(each, NoRoomForBothError)]
            assert stays in again and len(refused) == 1
        assert sum(server.requests.values()) == 3, "each was fetched once"
        # When the one was not asked for in a while, the other one may have the room.
        monkeypatch.setattr("stream.console.web.media.LATELY_SECONDS", 0.0)
        other, kept = (two, one) if stays == first else (one, two)
        assert (await videos.file(other, kept)).read_bytes() == BODY
        assert not stays.exists()
        videos.close()


async def test_two_that_fit_together_stay_while_others_come_and_go() -> None:
    with serving() as server:
        videos = Videos(FetchSettings(private_addresses=True), 2 * len(BODY))
        one, two, three = (server.url(f"/video/{name}.mp4") for name in ("one", "two", "three"))
        await videos.file(three)
        files = await asyncio.gather(videos.file(one, two), videos.file(two, one))
        assert [file.exists() for file in files] == [True, True]
        videos.close()


def test_by_default_any_two_fit_together() -> None:
    assert 2 * FetchSettings().max_bytes <= ConsoleSettings().cache_bytes


async def test_a_download_that_failed_is_tried_again() -> None:
    with serving() as server:
        settings = FetchSettings(private_addresses=True, retries=0)
        videos = Videos(settings, 0)
        for _ in range(2):
            with pytest.raises(NotFoundError):
                await videos.file(server.url("/missing"))
        assert server.requests["/missing"] == 2
        videos.close()


def test_a_tag_changes_with_the_file(tmp_path: Path) -> None:
    file = tmp_path / "a.mp4"
    file.write_bytes(b"video")
    before = entity_tag(file)
    assert entity_tag(file) == before
    file.write_bytes(b"another")
    assert entity_tag(file) != before and str(tmp_path) not in before
