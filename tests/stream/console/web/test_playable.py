"""Copies that browsers play: made once, a few at a time, and kept within a limit."""

import asyncio
from pathlib import Path

import pytest

from stream.console.web.matches import BusyError
from stream.console.web.playable import Playables
from stream.decode.settings import DecodeSettings
from stream.errors import InternalError, VideoTimeoutError
from tests.stream.videos import make_long_video, make_video

SETTINGS = DecodeSettings(processes=1)


def long_video(folder: Path) -> Path:
    """Of forty seconds: to encode it takes some."""
    one = make_video(folder / "one.mp4", size=(640, 480))
    return make_long_video(folder / "long.mp4", one, 40)


async def test_copies_are_made_once_and_the_oldest_give_way(tmp_path: Path) -> None:
    videos = [make_video(tmp_path / f"{name}.mp4", count=10) for name in "ab"]
    made = Playables(SETTINGS, 0)
    try:
        first = await made.file(videos[0], "a")
        assert await made.file(videos[0], "a") == first
        second = await made.file(videos[1], "b")
        assert second.is_file() and not first.exists()
        assert (await made.file(videos[0], "a")).is_file()
    finally:
        made.close()
    assert not second.exists()


async def test_more_than_a_few_copies_are_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream.console.web.playable.MAX_WAITING", 1)
    videos = [make_video(tmp_path / f"{name}.mp4", count=10) for name in "ab"]
    made = Playables(SETTINGS, 0)
    try:
        first = asyncio.create_task(made.file(videos[0], "a"))
        await asyncio.sleep(0)
        with pytest.raises(BusyError):
            await made.file(videos[1], "b")
        assert (await first).is_file()
        assert (await made.file(videos[1], "b")).is_file()
    finally:
        made.close()


async def test_an_encoding_has_the_time_limit_of_decoding(tmp_path: Path) -> None:
    video = long_video(tmp_path)
    made = Playables(SETTINGS.model_copy(update={"timeout_seconds": 0.1}), 0)
    try:
        with pytest.raises(VideoTimeoutError):
            await made.file(video, "a")
        assert not list(made._folder.iterdir())
    finally:
        made.close()


async def test_an_encoding_that_is_under_way_holds_up_no_end(tmp_path: Path) -> None:
    video = long_video(tmp_path)
    made = Playables(SETTINGS, 0)
    waiting = [asyncio.create_task(made.file(video, tag)) for tag in "ab"]
    async with asyncio.timeout(60):
        while made._child.doing is None:
            await asyncio.sleep(0.01)
        made.close()
        ends = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(each, InternalError | asyncio.CancelledError) for each in ends)
