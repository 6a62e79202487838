"""Fetching from a web server and an S3 server on this machine."""

import asyncio
import ipaddress
import time
from collections.abc import Iterator
from pathlib import Path

import boto3  # type: ignore[import-untyped]
import pytest
from moto.server import ThreadedMotoServer

from stream.errors import (
    ForbiddenUriError,
    NoPermitError,
    NotFoundError,
    RejectedError,
    TooLargeError,
    VideoTimeoutError,
)
from stream.fetch.addresses import CheckedResolver, is_public
from stream.fetch.fetch import FetchSettings, fetch
from stream.fetch.permits import LargeDownloads
from tests.stream.web_server import BODY, Server, serving

LOOPBACK = FetchSettings(hosts=("127.0.0.1", "localhost"), retries=2, retry_wait_seconds=0.01)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


def test_a_copy_is_deleted_after_use_and_an_original_is_not(server: Server, tmp_path: Path) -> None:
    with fetch(server.url("/video"), LOOPBACK, tmp_path) as copy:
        assert copy.path.read_bytes() == BODY
        assert (copy.size_bytes, copy.is_copy) == (len(BODY), True)
    assert list(tmp_path.iterdir()) == []
    original = tmp_path / "original.mp4"
    original.write_bytes(BODY)
    with fetch(original.as_uri(), FetchSettings(roots=(tmp_path,)), tmp_path) as video:
        assert (video.path, video.is_copy) == (original, False)
    assert original.exists()


@pytest.mark.parametrize("path", ["/busy_at_first", "/cut_at_first"])
def test_a_passing_failure_is_tried_again(server: Server, tmp_path: Path, path: str) -> None:
    with fetch(server.url(path), LOOPBACK, tmp_path) as copy:
        assert copy.path.read_bytes() == BODY
    assert server.requests[path] == 2


@pytest.mark.parametrize(
    ("path", "error", "says", "requests"),
    [
        ("/missing", NotFoundError, "404", 1),
        ("/locked", ForbiddenUriError, "403", 1),
        ("/broken", NotFoundError, r"500.*tried 3 times", 3),
    ],
)
def test_a_refusal_is_told_with_its_status(
    server: Server,
    tmp_path: Path,
    path: str,
    error: type[RejectedError],
    says: str,
    requests: int,
) -> None:
    with pytest.raises(error, match=says):
        fetch(server.url(path), LOOPBACK, tmp_path)
    assert server.requests[path] == requests
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["/video", "/endless"])
def test_a_video_over_the_size_limit_is_refused_with_and_without_its_length(
    server: Server, tmp_path: Path, path: str
) -> None:
    settings = LOOPBACK.model_copy(update={"max_bytes": len(BODY) - 1})
    with pytest.raises(TooLargeError, match="fetch.max_bytes = 10239"):
        fetch(server.url(path), settings, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_video_of_exactly_the_size_limit_is_taken(server: Server, tmp_path: Path) -> None:
    settings = LOOPBACK.model_copy(update={"max_bytes": len(BODY)})
    with fetch(server.url("/video"), settings, tmp_path) as copy:
        assert copy.size_bytes == len(BODY)


@pytest.mark.timed
def test_the_time_limit_is_for_all_and_not_for_each_read(server: Server, tmp_path: Path) -> None:
    settings = LOOPBACK.model_copy(update={"timeout_seconds": 0.5})
    began = time.monotonic()
    with pytest.raises(VideoTimeoutError, match="fetch.timeout_seconds = 0.5"):
        fetch(server.url("/slow"), settings, tmp_path)
    assert time.monotonic() - began < 3
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254", "10.0.0.1"]
)
def test_inside_addresses_are_refused_unless_named(
    server: Server, tmp_path: Path, host: str
) -> None:
    with pytest.raises(ForbiddenUriError, match="fetch.hosts"):
        fetch(server.url("/video", host), FetchSettings(retries=0), tmp_path)
    assert not server.requests


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "127.1"])
def test_odd_spellings_of_the_loopback_address_are_no_way_in(
    server: Server, tmp_path: Path, host: str
) -> None:
    with pytest.raises(RejectedError):
        fetch(server.url("/video", host), FetchSettings(retries=0), tmp_path)
    assert not server.requests


def test_private_addresses_can_be_allowed_for_all(server: Server, tmp_path: Path) -> None:
    with fetch(server.url("/video"), FetchSettings(private_addresses=True), tmp_path) as copy:
        assert copy.path.read_bytes() == BODY


def test_only_named_hosts_are_talked_to(server: Server, tmp_path: Path) -> None:
    settings = FetchSettings(hosts=("videos.example",), private_addresses=True)
    with pytest.raises(ForbiddenUriError, match=r"'127\.0\.0\.1' is not among fetch\.hosts"):
        fetch(server.url("/video"), settings, tmp_path)


def test_a_redirect_to_an_allowed_place_is_followed(server: Server, tmp_path: Path) -> None:
    with fetch(server.url("/redirect?/video"), LOOPBACK, tmp_path) as copy:
        assert copy.path.read_bytes() == BODY


@pytest.mark.parametrize("target", ["http://127.0.0.2:{port}/video", "http://[::1]:{port}/video"])
def test_a_redirect_to_an_inside_address_is_refused(
    server: Server, tmp_path: Path, target: str
) -> None:
    with pytest.raises(ForbiddenUriError, match="not among"):
        fetch(
            server.url("/redirect?" + target.format(port=server.port)),
            FetchSettings(hosts=("127.0.0.1",)),
            tmp_path,
        )
    assert server.requests["/video"] == 0


def test_a_redirect_to_a_file_is_refused(server: Server, tmp_path: Path) -> None:
    with pytest.raises(RejectedError):
        fetch(server.url("/redirect?file:///etc/hostname"), LOOPBACK, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_resolves_to_an_inside_address_is_never_connected_to() -> None:
    async def resolve(settings: FetchSettings) -> list[str]:
        return [found["host"] for found in await CheckedResolver(settings).resolve("localhost")]

    with pytest.raises(ForbiddenUriError, match="'localhost' has a private"):
        asyncio.run(resolve(FetchSettings()))
    assert asyncio.run(resolve(FetchSettings(hosts=("localhost",)))) == ["127.0.0.1"]


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("64:ff9b::5db8:d822", True),
        ("64:ff9b::7f00:1", False),
        ("::ffff:10.0.0.1", False),
        ("2002:7f00:1::", False),
        ("10.1.2.3", False),
        ("100.64.0.1", False),
        ("169.254.1.1", False),
        ("224.0.0.1", False),
        ("240.0.0.1", False),
        ("0.0.0.0", False),
        ("192.0.0.192", False),
        ("168.63.129.16", False),
        ("168.63.129.17", True),
        ("fe80::1", False),
        ("fec0::1", False),
        ("fc00::1", False),
        ("::10.0.0.1", False),
        ("::ffff:0:10.0.0.1", False),
        ("64:ff9b:1::a00:1", False),
        ("2001:0:4136:e378:8000:63bf:f5ff:fffe", False),
        ("ff02::1", False),
        ("::", False),
    ],
)
def test_an_address_is_public_only_where_all_of_it_is(address: str, public: bool) -> None:
    assert is_public(ipaddress.ip_address(address)) is public


def test_no_message_holds_a_password_or_a_signature(server: Server, tmp_path: Path) -> None:
    for path in ("/missing", "/broken", "/locked", "/redirect?http://u:hunter2@10.0.0.1/x"):
        url = server.url(path, "user:hunter2@127.0.0.1")
        with pytest.raises(RejectedError) as raised:
            fetch(url + ("" if "?" in path else "?X-Signature=hunter2"), LOOPBACK, tmp_path)
        assert "hunter2" not in str(raised.value)


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
        client.put_object(Bucket="videos", Key="a folder/视频 1.mp4", Body=BODY * 1000)
        client.create_bucket(Bucket="other")
        yield FetchSettings(s3_endpoint_url=endpoint, retries=0)
        client.close()
        server.stop()


def test_an_object_is_copied_whole(store: FetchSettings, tmp_path: Path) -> None:
    with fetch("s3://videos/a folder/视频 1.mp4", store, tmp_path) as copy:
        assert copy.path.read_bytes() == BODY * 1000
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("uri", "change", "error", "says"),
    [
        ("s3://videos/nothing.mp4", {}, NotFoundError, "no object 'nothing.mp4'"),
        ("s3://videos/a folder", {}, NotFoundError, "no object"),
        ("s3://nowhere/one.mp4", {}, NotFoundError, "nowhere"),
        ("s3://other/one.mp4", {"buckets": ("videos",)}, ForbiddenUriError, "fetch.buckets"),
        ("s3://videos/a folder/视频 1.mp4", {"max_bytes": 10**7}, TooLargeError, "max_bytes"),
        (
            "s3://videos/one.mp4",
            {"s3_endpoint_url": "http://127.0.0.1:9", "timeout_seconds": 60.0},
            NotFoundError,
            "can't be read",
        ),
    ],
)
def test_an_object_that_cant_be_had_is_told_with_its_reason(
    store: FetchSettings,
    tmp_path: Path,
    uri: str,
    change: dict[str, object],
    error: type[RejectedError],
    says: str,
) -> None:
    with pytest.raises(error, match=says):
        fetch(uri, store.model_copy(update=change), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_large_object_must_wait_for_its_place(store: FetchSettings, tmp_path: Path) -> None:
    uri = "s3://videos/a folder/视频 1.mp4"
    size = len(BODY) * 1000
    with pytest.raises(NoPermitError):
        fetch(uri, store, tmp_path, permit=LargeDownloads(0, size - 1).permit())
    assert list(tmp_path.iterdir()) == []
    assert fetch(uri, store, tmp_path, permit=LargeDownloads(0, size).permit()).size_bytes == size
