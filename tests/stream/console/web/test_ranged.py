"""Remote videos in a player: by byte ranges from their source, or from a copy where it has none."""

import asyncio
import io
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import boto3  # type: ignore[import-untyped]
import httpx2
import pytest
import pytest_asyncio
from moto.server import ThreadedMotoServer

from stream.console.web import ranged
from stream.console.web.ranged import RangedVideos
from stream.fetch.settings import FetchSettings
from tests.stream.console.web.site import Site, running_site
from tests.stream.range_server import RangeServer, content, serving_ranges

pytestmark = pytest.mark.asyncio(loop_scope="module")
AT_ONCE = 2
SMALL = content(0, 100_000)
MIDDLE = {"Range": f"bytes={2**30}-{2**30 + 99_999}"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """A console that sends few videos at a time."""
    folder, fetch = tmp_path_factory.mktemp("site"), {"hosts": ["127.0.0.1", "localhost"]}
    async with running_site(folder, fetch=fetch, stream_concurrency=AT_ONCE) as made:
        yield made


@pytest.fixture
def server() -> Iterator[RangeServer]:
    with serving_ranges() as server:
        yield server


async def all_turns_free(site: Site) -> None:
    """Wait until no source is held."""
    async with asyncio.timeout(30):
        while site.console.ranged_videos._turns._value != AT_ONCE:
            await asyncio.sleep(0.01)


async def player(site: Site, uri: str) -> tuple[httpx2.AsyncClient, str]:
    """Somebody signed in, and where the video of an alert is played; over the real server."""
    await all_turns_free(site)  # of the test before
    alert = await site.alert(uri=uri)
    cookies = (await site.browser()).client.cookies
    client = httpx2.AsyncClient(base_url=site.worker.url, cookies=dict(cookies), timeout=60)
    return client, f"/alerts/{alert.alert_id}/video/play"


async def asked(site: Site, uri: str, **headers: str) -> httpx2.Response:
    """What a player gets."""
    client, path = await player(site, uri)
    async with client:
        return await client.get(path, headers=headers)


def is_copied(site: Site, uri: str) -> bool:
    """Whether there is a file of it."""
    return site.console.videos.is_here(uri)


async def test_a_seek_takes_from_the_source_what_it_asks_for(
    site: Site, server: RangeServer
) -> None:
    server.headers |= {"Content-Type": "text/html", "Last-Modified": "yesterday", "X-Own": "own"}
    client, path = await player(site, server.url())
    async with client:
        for _ in range(2):
            answer = await client.get(path, headers=MIDDLE)
            assert answer.status_code == 206
            assert answer.content == content(2**30, 2**30 + 100_000)
    assert server.sent == 200_000 and server.asked == [MIDDLE["Range"]] * 2
    assert not is_copied(site, server.url())
    told = answer.headers
    assert told["content-range"] == f"bytes {2**30}-{2**30 + 99_999}/{2**31}"
    assert (told["content-length"], told["accept-ranges"]) == ("100000", "bytes")
    assert (told["content-type"], told["content-disposition"]) == ("video/mp4", "inline")
    assert told["x-content-type-options"] == "nosniff"
    assert told["cache-control"] == "private, no-cache"
    # Of the source's own, nothing is told.
    assert "one" not in told["etag"] and not {"last-modified", "x-own", "server"} & {*told}


async def test_an_ending_alone_makes_it_a_video(site: Site, server: RangeServer) -> None:
    server.headers["Content-Type"] = "video/mp4"
    answer = await asked(site, server.url("/page.html?a.mp4"), **MIDDLE)
    assert answer.headers["content-type"] == "application/octet-stream"


async def test_without_a_range_it_is_sent_whole(site: Site, server: RangeServer) -> None:
    server.file = SMALL
    for headers in ({}, {"Range": "bytes=0-9,20-29"}, {"Range": "seconds=0-1"}):
        answer = await asked(site, server.url(), **headers)
        assert answer.status_code == 200 and answer.content == SMALL
        assert answer.headers["accept-ranges"] == "bytes"
        assert "content-range" not in answer.headers
    assert not is_copied(site, server.url())


async def test_a_part_of_another_version_is_sent_whole(site: Site, server: RangeServer) -> None:
    server.file = SMALL
    client, path = await player(site, server.url())
    async with client:
        tag = (await client.get(path, headers={"Range": "bytes=0-9"})).headers["etag"]
        part = {"Range": "bytes=10-19"}
        same = await client.get(path, headers=part | {"If-Range": tag})
        assert same.status_code == 206 and same.content == SMALL[10:20]
        other = await client.get(path, headers=part | {"If-Range": '"another"'})
        assert other.status_code == 200 and other.content == SMALL


async def test_bytes_that_arent_there_are_refused_with_the_size(
    site: Site, server: RangeServer
) -> None:
    answer = await asked(site, server.url(), Range=f"bytes={2**31}-")
    assert answer.status_code == 416 and answer.headers["content-range"] == f"bytes */{2**31}"
    assert answer.content == b"" and not is_copied(site, server.url())


async def test_a_source_without_ranges_is_copied(site: Site, server: RangeServer) -> None:
    server.file, server.ranges = SMALL, False
    client, path = await player(site, server.url())
    async with client:
        for start in (90_000, 50_000, 10):
            answer = await client.get(path, headers={"Range": f"bytes={start}-{start + 9}"})
            assert answer.status_code == 206 and answer.content == SMALL[start : start + 10]
    assert server.asked == ["bytes=90000-90009", None]


async def test_a_video_that_changes_is_copied(site: Site, server: RangeServer) -> None:
    server.file = SMALL
    client, path = await player(site, server.url())
    part = {"Range": "bytes=10-19"}
    async with client:
        first = await client.get(path, headers=part)
        server.file, server.headers["ETag"] = SMALL[::-1], '"two"'
        second = await client.get(path, headers=part)
        assert second.content == SMALL[::-1][10:20]
        assert second.headers["etag"] != first.headers["etag"]
        assert server.asked == [part["Range"], part["Range"], None]
        third = await client.get(path, headers=part)
        assert third.content == second.content and len(server.asked) == 3
        # When the copy had to give way, what it was of is what ranges are compared with.
        site.console.videos._copies.pop(server.url()).video.close()
        fourth = await client.get(path, headers=part)
        assert fourth.content == second.content and len(server.asked) == 4
        assert fourth.headers["etag"] == third.headers["etag"]


async def test_a_copy_of_the_same_version_takes_over_unnoticed(
    site: Site, server: RangeServer
) -> None:
    server.file = SMALL
    client, path = await player(site, server.url())
    async with client:
        first = await client.get(path, headers={"Range": "bytes=0-9"})
        await site.console.videos.file(server.url())  # as to see whether it is mirrored
        requests = len(server.asked)
        part = {"Range": "bytes=10-19", "If-Range": first.headers["etag"]}
        second = await client.get(path, headers=part)
    assert second.status_code == 206 and second.content == SMALL[10:20]
    assert second.headers["etag"] == first.headers["etag"] and len(server.asked) == requests


@pytest.mark.parametrize(("status", "told"), [(404, 404), (410, 404), (403, 403), (500, 404)])
async def test_a_refusal_is_told_as_of_a_copy(
    site: Site, server: RangeServer, status: int, told: int
) -> None:
    server.status = status
    answer = await asked(site, server.url(), **MIDDLE)
    assert answer.status_code == told and "etched" in answer.text


@pytest.mark.parametrize("target", ["http://127.0.0.2:{port}/a.mp4", "http://10.0.0.1/a.mp4"])
async def test_a_range_isnt_sought_where_a_redirect_may_not_lead(
    site: Site, server: RangeServer, target: str
) -> None:
    uri = server.url("/redirect?" + target.format(port=server.port))
    answer = await asked(site, uri, **MIDDLE)
    assert answer.status_code == 403 and "forbidden_uri" in answer.text
    assert len(server.asked) == 1 and server.sent == 0


async def test_a_browser_that_goes_away_ends_the_sources_answer(
    site: Site, server: RangeServer
) -> None:
    client, path = await player(site, server.url())
    async with client, client.stream("GET", path) as answer:
        assert answer.status_code == 200
        async for _ in answer.aiter_raw():
            break
    assert await asyncio.to_thread(server.until, "hung_up", 1)
    assert await asyncio.to_thread(server.until, "open", 0)
    assert server.sent < 2**26
    await all_turns_free(site)


async def test_a_browser_that_goes_away_before_an_answer_holds_nothing(
    site: Site,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client, path = await player(site, f"http://127.0.0.1:{silent.getsockname()[1]}/a.mp4")
        async with client:
            getting = asyncio.ensure_future(client.get(path))
            connection, _ = await asyncio.to_thread(silent.accept)
            connection.settimeout(30)
            with connection, connection.makefile("rb") as sent:
                head = await asyncio.to_thread(lambda: list(iter(sent.readline, b"\r\n")))
                assert any(b"bytes=0-" in line for line in head), head
                assert site.console.ranged_videos._turns._value == AT_ONCE - 1
                getting.cancel()
                assert await asyncio.to_thread(sent.read) == b"", "the connection is closed"
    await all_turns_free(site)


async def test_a_player_that_is_paused_holds_no_source(
    site: Site, server: RangeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranged, "LET_GO_SECONDS", 0.3)
    client, path = await player(site, server.url())
    async with client, client.stream("GET", path) as answer:
        pieces = answer.aiter_raw()
        data = bytearray(await anext(pieces))
        assert await asyncio.to_thread(server.until, "hung_up", 1)
        assert site.console.ranged_videos._turns._value == AT_ONCE
        before = server.sent
        while len(data) < before + 10**6:
            data += await anext(pieces)
        assert data == content(0, len(data))
    assert len(server.asked) >= 2 and server.asked[0] == "bytes=0-"


async def test_beyond_as_many_as_there_may_be_one_is_told_to_come_again(
    site: Site, server: RangeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranged, "TURN_SECONDS", 0.2)
    client, path = await player(site, server.url())
    async with client:
        async with client.stream("GET", path), client.stream("GET", path):
            answer = await client.get(path, headers=MIDDLE)
            assert answer.status_code == 429 and answer.headers["retry-after"] == "10"
            assert len(server.asked) == AT_ONCE
        monkeypatch.undo()
        assert (await client.get(path, headers=MIDDLE)).status_code == 206


async def test_a_source_that_breaks_off_ends_the_answer_and_may_be_asked_again(
    site: Site, server: RangeServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.cut_after = [50_000]
    client, path = await player(site, server.url())
    async with client:
        with pytest.raises(httpx2.RemoteProtocolError):
            await client.get(path, headers=MIDDLE)
        again = await client.get(path, headers=MIDDLE)
    assert again.content == content(2**30, 2**30 + 100_000)
    await all_turns_free(site)
    # It is no bug of ours: one line tells of it, and names no address.
    (line,) = (each for each in caplog.records if each.levelname in ("WARNING", "ERROR"))
    assert line.levelname == "WARNING" and "video.mp4" not in line.getMessage()


async def test_names_are_looked_up_where_that_holds_up_no_page(
    site: Site, server: RangeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads, look_up = dict[str, str](), socket.getaddrinfo

    def looked_up(host: str, *arguments: Any, **more: Any) -> Any:
        threads[host] = threading.current_thread().name
        return look_up(host, *arguments, **more)

    monkeypatch.setattr(socket, "getaddrinfo", looked_up)
    answer = await asked(site, f"http://localhost:{server.port}/a.mp4", **MIDDLE)
    assert answer.status_code == 206
    assert threads["localhost"].startswith("console-ranged")


async def test_an_object_is_played_by_ranges(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("ACCESS_KEY_ID", "key"), ("SECRET_ACCESS_KEY", "secret"),
                        ("DEFAULT_REGION", "us-east-1")):  # fmt: skip
        monkeypatch.setenv(f"AWS_{name}", value)
    store = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    await asyncio.to_thread(store.start)
    host, port = store.get_host_and_port()
    client = boto3.client("s3", endpoint_url=f"http://{host}:{port}")
    client.create_bucket(Bucket="videos")
    client.upload_fileobj(io.BytesIO(content(0, 10**7)), "videos", "a b.mp4")
    rules = FetchSettings(s3_endpoint_url=f"http://{host}:{port}", retries=0)
    by_ranges = RangedVideos(rules, 2)
    monkeypatch.setattr(site.console, "ranged_videos", by_ranges)
    try:
        part = await asked(site, "s3://videos/a b.mp4", Range="bytes=5000000-5999999")
        assert part.status_code == 206 and part.content == content(5_000_000, 6_000_000)
        assert part.headers["content-range"] == "bytes 5000000-5999999/10000000"
        assert part.headers["content-type"] == "video/mp4"
        beyond = await asked(site, "s3://videos/a b.mp4", Range="bytes=10000000-")
        assert beyond.status_code == 416
        assert (await asked(site, "s3://videos/gone.mp4", **MIDDLE)).status_code == 404
        assert not is_copied(site, "s3://videos/a b.mp4")
    finally:
        await asyncio.to_thread(by_ranges.close)
        client.close()
        await asyncio.to_thread(store.stop)
