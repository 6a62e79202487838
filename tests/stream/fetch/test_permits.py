"""Large downloads wait for permits of their own; small ones never do."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from stream.errors import NoPermitError, VideoTimeoutError
from stream.fetch.fetch import FetchSettings, fetch
from stream.fetch.permits import LargeDownloads
from tests.stream.web_server import BODY, Server, serving

LOOPBACK = FetchSettings(hosts=("127.0.0.1",), retries=1, retry_wait_seconds=0.01)
SLOW = LOOPBACK.model_copy(update={"min_bytes_per_second": 1000, "rate_window_seconds": 0.3})


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


def nothing() -> None:
    pass


def test_a_small_download_needs_no_place(server: Server, tmp_path: Path) -> None:
    permit = LargeDownloads(0, len(BODY)).permit()
    with fetch(server.url("/video"), LOOPBACK, tmp_path, permit=permit) as copy:
        assert copy.path.read_bytes() == BODY


@pytest.mark.parametrize("path", ["/video", "/endless"])
def test_a_large_download_or_one_of_unknown_size_leaves_where_no_place_is_free(
    server: Server, tmp_path: Path, path: str
) -> None:
    small_bytes = len(BODY) - 1 if path == "/video" else 10**9
    with pytest.raises(NoPermitError):
        fetch(server.url(path), LOOPBACK, tmp_path, permit=LargeDownloads(0, small_bytes).permit())
    assert server.requests[path] == 1
    assert list(tmp_path.iterdir()) == []


def test_a_download_gives_its_place_back_however_it_ends(server: Server, tmp_path: Path) -> None:
    downloads = LargeDownloads(1, 0)
    for path in ("/video", "/slow", "/video"):
        with downloads.permit() as permit:
            try:
                fetch(server.url(path), SLOW, tmp_path, permit=permit)
            except VideoTimeoutError:
                assert path == "/slow"
            assert downloads.take(past_others=False), f"before all is done with {path}"
            downloads.give_back()


@pytest.mark.timed
def test_one_that_is_too_slow_is_tried_again_as_a_large_one(server: Server, tmp_path: Path) -> None:
    with pytest.raises(NoPermitError):
        fetch(server.url("/slow"), SLOW, tmp_path, permit=LargeDownloads(0, 1000).permit())
    assert server.requests["/slow"] == 1
    with pytest.raises(VideoTimeoutError, match="tried 2 times"):
        fetch(server.url("/slow"), SLOW, tmp_path, permit=LargeDownloads(1, 1000).permit())


async def test_places_are_given_first_come_first_served() -> None:
    downloads, came = LargeDownloads(1, 0), list[str]()
    holds = downloads.permit()
    holds.expect(1)

    async def wait(name: str) -> None:
        with downloads.permit() as permit:
            await permit.come(nothing)
            came.append(name)
            permit.expect(1)  # it has it

    tasks = [asyncio.create_task(wait(name)) for name in "ab"]
    await asyncio.sleep(0)
    assert downloads.waiting == 2
    holds.leave()
    with pytest.raises(NoPermitError), downloads.permit() as newcomer:
        newcomer.expect(1)
    await asyncio.wait_for(asyncio.gather(*tasks), 10)
    assert came == ["a", "b"]
    assert downloads.waiting == 0


async def test_who_must_leave_waits_no_longer() -> None:
    downloads = LargeDownloads(0, 0)
    is_over = False

    def check() -> None:
        if is_over:
            raise KeyError

    tasks = [asyncio.create_task(downloads.permit().come(check)) for _ in range(3)]
    await asyncio.wait(tasks, timeout=0.1)
    is_over = True
    results = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)
    assert [type(result) for result in results] == [KeyError] * 3
    assert downloads.waiting == 0
