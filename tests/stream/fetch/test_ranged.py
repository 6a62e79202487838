"""Remote videos by byte ranges: what a source is asked, and what is believed of its answers."""

import asyncio
import time
from collections.abc import Iterator

import boto3  # type: ignore[import-untyped]
import pytest
from moto.server import ThreadedMotoServer

from stream.errors import (
    ForbiddenUriError,
    NotFoundError,
    RejectedError,
    TooLargeError,
    VideoTimeoutError,
)
from stream.fetch.parts import WHOLE, ByteRange, NoRangesError, UnsatisfiableError, version_of
from stream.fetch.ranged import RangedVideo
from stream.fetch.settings import FetchSettings
from tests.stream.range_server import RangeServer, content, serving_ranges

LOOPBACK = FetchSettings(hosts=("127.0.0.1",), retries=1, retry_wait_seconds=0.01)
MIDDLE = ByteRange(2**30, 2**30 + 999_999)


@pytest.fixture
def server() -> Iterator[RangeServer]:
    with serving_ranges() as server:
        yield server


async def read(
    uri: str, asked: ByteRange, settings: FetchSettings = LOOPBACK
) -> tuple[bytes, RangedVideo]:
    """All bytes of a range."""
    video, data = RangedVideo(uri, settings), bytearray()
    await video.open(asked)
    while chunk := await video.read():
        data += chunk
    return bytes(data), video


@pytest.mark.parametrize(
    ("header", "asked"),
    [
        ("bytes=0-", WHOLE),
        ("bytes=5-9", ByteRange(5, 9)),
        ("bytes=-9", ByteRange(None, 9)),
        (" Bytes = 7- ", ByteRange(7, None)),
        (None, None),
        ("bytes=9-5", None),
        ("bytes=-", None),
        ("bytes=0-1,5-9", None),
        ("seconds=0-1", None),
        ("bytes=٣-", None),
        ("bytes=0x1-", None),
        ("bytes=" + "9" * 5000 + "-", None),
    ],
)
def test_one_range_alone_is_asked_for(header: str | None, asked: ByteRange | None) -> None:
    assert ByteRange.of(header) == asked


@pytest.mark.parametrize(
    ("asked", "span"),
    [
        (WHOLE, (0, 100)),
        (ByteRange(5, 9), (5, 10)),
        (ByteRange(5, 500), (5, 100)),
        (ByteRange(99, None), (99, 100)),
        (ByteRange(100, None), None),
        (ByteRange(None, 10), (90, 100)),
        (ByteRange(None, 500), (0, 100)),
        (ByteRange(None, 0), None),
    ],
)
def test_a_range_is_of_what_is_there(asked: ByteRange, span: tuple[int, int] | None) -> None:
    assert asked.span(100) == span


async def test_what_is_asked_for_is_all_that_is_sent(server: RangeServer) -> None:
    data, video = await read(server.url(), MIDDLE)
    assert data == content(2**30, 2**30 + 10**6)
    assert (video.start, video.end, video.size_bytes) == (2**30, 2**30 + 10**6, 2**31)
    assert server.asked == ["bytes=1073741824-1074741823"] and server.sent == 10**6


async def test_the_last_bytes_are_found_without_knowing_the_size(server: RangeServer) -> None:
    data, video = await read(server.url(), ByteRange(None, 1000))
    assert data == content(2**31 - 1000, 2**31) and video.start == 2**31 - 1000


async def test_what_nobody_reads_is_not_sent(server: RangeServer) -> None:
    video = RangedVideo(server.url(), LOOPBACK)
    await video.open(WHOLE)
    data = await video.read()
    assert data and data == content(0, len(data))
    await asyncio.sleep(0.5)
    # What the system keeps for two ends of a connection, and no more.
    assert server.sent < 2**25
    await video.let_go()
    assert await asyncio.to_thread(server.until, "hung_up", 1)


async def test_it_goes_on_where_it_was_let_go_of(server: RangeServer) -> None:
    video = RangedVideo(server.url(), LOOPBACK)
    await video.open(MIDDLE)
    data = await video.read()
    await video.let_go()
    while chunk := await video.read():
        data += chunk
    assert data == content(2**30, 2**30 + 10**6) and len(server.asked) == 2


async def test_a_source_that_hangs_up_is_asked_for_the_rest(server: RangeServer) -> None:
    server.cut_after = [300_000, 200_000]
    # What came before it hung up may be lost with the connection: then nothing has come between.
    patient = LOOPBACK.model_copy(update={"retries": 2})
    data, _ = await read(server.url(), MIDDLE, patient)
    assert data == content(2**30, 2**30 + 10**6)
    assert [each and each.rpartition("-")[2] for each in server.asked] == ["1074741823"] * 3


async def test_a_source_that_hangs_up_each_time_is_given_up(server: RangeServer) -> None:
    server.cut_after = [300_000, 0, 0]
    with pytest.raises(NotFoundError, match=r"127\.0\.0\.1 can't be read.*tried 2 times"):
        await read(server.url(), MIDDLE)


@pytest.mark.parametrize("coding", ["identity", "AWS-chunked", ""])
async def test_what_is_called_coded_and_isnt_is_read(server: RangeServer, coding: str) -> None:
    server.headers["Content-Encoding"] = coding
    data, _ = await read(server.url(), MIDDLE)
    assert data == content(2**30, 2**30 + 10**6)


async def test_a_source_may_send_less_at_a_time(server: RangeServer) -> None:
    server.most = 400_000
    data, _ = await read(server.url(), MIDDLE)
    assert data == content(2**30, 2**30 + 10**6) and len(server.asked) == 3


@pytest.mark.parametrize(
    "fields",
    [
        {"ranges": False},
        {"headers": {}},
        {"headers": {"ETag": '"one"', "Content-Encoding": "gzip"}},
        {"headers": {"ETag": '"one"', "Content-Range": "bytes 0-9/*"}},
        {"headers": {"ETag": '"one"', "Content-Range": "bytes 5-9/100"}},
        {"headers": {"ETag": '"one"', "Content-Range": f"bytes {2**30}-{2**30}/{2**30}"}},
        {"file": b""},
    ],
)
async def test_what_cant_be_believed_is_to_be_copied(fields: dict[str, object]) -> None:
    with serving_ranges(**fields) as server, pytest.raises(NoRangesError):
        await read(server.url(), WHOLE if "file" in fields else MIDDLE)
    assert await asyncio.to_thread(server.until, "open", 0)


@pytest.mark.parametrize("asked", [ByteRange(2**31, None), ByteRange(2**40, 2**41)])
async def test_a_range_beyond_the_end_is_told_with_the_size(
    server: RangeServer, asked: ByteRange
) -> None:
    with pytest.raises(UnsatisfiableError) as raised:
        await read(server.url(), asked)
    assert raised.value.size_bytes == 2**31


async def test_another_version_is_never_mixed_in(server: RangeServer) -> None:
    video = RangedVideo(server.url(), LOOPBACK)
    await video.open(MIDDLE)
    await video.read()
    await video.let_go()
    server.headers["ETag"] = '"two"'
    with pytest.raises(NoRangesError, match="another one"):
        await video.read()
    await video.let_go()


def test_a_version_is_told_by_all_that_a_source_says() -> None:
    told = [(9, '"a"', None), (9, '"a"', "x"), (9, None, "x"), (8, None, "x"), (9, '"b"', None)]
    assert len({version_of(*each) for each in told}) == len(told)
    assert version_of(9, None, None) is None


@pytest.mark.parametrize(
    ("status", "error"),
    [(404, NotFoundError), (410, NotFoundError), (403, ForbiddenUriError), (500, NotFoundError)],
)
async def test_a_refusal_is_told_as_of_a_copy(
    server: RangeServer, status: int, error: type[RejectedError]
) -> None:
    server.status = status
    with pytest.raises(error, match=str(status)) as raised:
        await read(server.url("/a.mp4?X-Signature=hunter2"), MIDDLE)
    assert "hunter2" not in str(raised.value)
    assert len(server.asked) == (2 if status == 500 else 1)


async def test_a_video_over_the_size_limit_is_refused(server: RangeServer) -> None:
    settings = LOOPBACK.model_copy(update={"max_bytes": 2**31 - 1})
    with pytest.raises(TooLargeError, match="fetch.max_bytes"):
        await read(server.url(), MIDDLE, settings)
    with pytest.raises(TooLargeError, match="fetch.max_bytes"):
        await read(server.url(), ByteRange(0, 9), settings)


@pytest.mark.parametrize(
    "target", ["http://127.0.0.2:{port}/a", "http://[::1]:{port}/a", "http://169.254.169.254/a"]
)
async def test_a_redirect_to_a_forbidden_host_is_refused(server: RangeServer, target: str) -> None:
    with pytest.raises(ForbiddenUriError, match="not among"):
        await read(server.url("/redirect?" + target.format(port=server.port)), MIDDLE)
    assert len(server.asked) == 1 and server.sent == 0


async def test_a_redirect_takes_the_range_along(server: RangeServer) -> None:
    data, _ = await read(server.url("/redirect?/a%2520b.mp4"), MIDDLE)
    assert len(data) == 10**6 and server.asked == [str(MIDDLE)] * 2


@pytest.mark.parametrize(
    ("uri", "settings"),
    [
        ("http://127.0.0.1:{port}/a", FetchSettings()),
        ("http://localhost:{port}/a", FetchSettings()),
        ("http://127.0.0.1:{port}/a", FetchSettings(hosts=("videos.example",))),
        ("http://127.0.0.1:{port}/a", FetchSettings(schemes=("https",))),
        ("ftp://127.0.0.1/a", FetchSettings()),
        ("s3://other/a", FetchSettings(buckets=("videos",))),
    ],
)
async def test_what_may_not_be_fetched_is_not_asked(
    server: RangeServer, uri: str, settings: FetchSettings
) -> None:
    with pytest.raises(ForbiddenUriError):
        await read(uri.format(port=server.port), MIDDLE, settings)
    assert not server.asked


@pytest.mark.timed
@pytest.mark.parametrize("wait_seconds", [0.2, 5.0])
async def test_a_source_below_the_least_rate_is_left(
    server: RangeServer, wait_seconds: float
) -> None:
    server.wait_seconds = wait_seconds
    settings = LOOPBACK.model_copy(
        update={"min_bytes_per_second": 10**6, "rate_window_seconds": 0.5}
    )
    began = time.monotonic()
    with pytest.raises(VideoTimeoutError, match="too slow.*fetch.min_bytes_per_second"):
        await read(server.url(), MIDDLE, settings)
    assert time.monotonic() - began < 2 and len(server.asked) == 1


@pytest.mark.timed
async def test_a_reader_that_takes_its_time_is_not_the_sources_fault(server: RangeServer) -> None:
    settings = LOOPBACK.model_copy(
        update={"min_bytes_per_second": 10**7, "rate_window_seconds": 0.3, "timeout_seconds": 0.4}
    )
    video = RangedVideo(server.url(), settings)
    await video.open(ByteRange(0, 499_999))
    data = b""
    while chunk := await video.read():
        data += chunk
        await asyncio.sleep(0.2)
    assert data == content(0, 500_000) and len(server.asked) == 1


@pytest.mark.timed
async def test_the_time_limit_is_for_each_answer(server: RangeServer) -> None:
    server.wait_seconds = 5
    settings = LOOPBACK.model_copy(update={"timeout_seconds": 0.5})
    video = RangedVideo(server.url(), settings)
    await video.open(MIDDLE)
    with pytest.raises(VideoTimeoutError, match="fetch.timeout_seconds = 0.5"):
        await video.read()


@pytest.fixture(scope="module")
def store() -> Iterator[FetchSettings]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "key")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        client = boto3.client("s3", endpoint_url=endpoint)
        client.create_bucket(Bucket="videos")
        client.put_object(Bucket="videos", Key="a folder/视频 1.mp4", Body=content(0, 10**7))
        client.put_object(Bucket="videos", Key="empty.mp4", Body=b"")
        yield FetchSettings(s3_endpoint_url=endpoint, retries=0)
        client.close()
        server.stop()


OBJECT = "s3://videos/a folder/视频 1.mp4"


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        (ByteRange(5_000_000, 5_999_999), 5_000_000, 6_000_000),
        (ByteRange(9_999_000, None), 9_999_000, 10**7),
        (ByteRange(None, 1000), 9_999_000, 10**7),
        (WHOLE, 0, 10**7),
    ],
)
async def test_a_range_of_an_object(
    store: FetchSettings, asked: ByteRange, start: int, end: int
) -> None:
    data, video = await read(OBJECT, asked, store)
    assert data == content(start, end)
    assert (video.start, video.end, video.size_bytes) == (start, end, 10**7)


async def test_an_object_is_read_on_where_it_was_let_go_of(
    store: FetchSettings,
) -> None:
    video = RangedVideo(OBJECT, store)
    await video.open(ByteRange(1, 999_999))
    data = await video.read()
    await video.let_go()
    while chunk := await video.read():
        data += chunk
    assert data == content(1, 10**6)


@pytest.mark.parametrize(
    ("uri", "asked", "error"),
    [
        ("s3://videos/nothing.mp4", WHOLE, NotFoundError),
        ("s3://videos/a folder", WHOLE, NotFoundError),
        ("s3://nowhere/one.mp4", WHOLE, NotFoundError),
        ("s3://videos/empty.mp4", WHOLE, NoRangesError),
        (OBJECT, ByteRange(10**7, None), UnsatisfiableError),
    ],
)
async def test_a_range_of_an_object_that_cant_be_had(
    store: FetchSettings, uri: str, asked: ByteRange, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await read(uri, asked, store)


async def test_an_object_over_the_size_limit_is_refused(store: FetchSettings) -> None:
    with pytest.raises(TooLargeError):
        await read(OBJECT, ByteRange(0, 9), store.model_copy(update={"max_bytes": 10**7 - 1}))
