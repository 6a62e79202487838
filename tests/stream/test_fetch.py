"""Fetching: from a real web server and a real S3 server on this machine, and from its disks."""

import asyncio
import ipaddress
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

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
from stream.fetch import FetchSettings, fetch
from stream.sources.addresses import CheckedResolver, is_public

BODY = bytes(range(256)) * 40
LOOPBACK = FetchSettings(hosts=("127.0.0.1", "localhost"), retries=2, retry_wait_seconds=0.01)


@dataclass
class Server:
    """A web server with one path for each kind of trouble."""

    port: int
    requests: "Counter[str]" = field(default_factory=Counter)

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        """An address of this server."""
        return f"http://{host}:{self.port}{path}"


class _Handler(BaseHTTPRequestHandler):
    server_state: Server

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.server_state.requests[path] += 1
        getattr(self, "get_" + path.strip("/").partition("/")[0])()

    def get_video(self) -> None:
        self._send(BODY)

    def get_missing(self) -> None:
        self._status(404)

    def get_locked(self) -> None:
        self._status(403)

    def get_broken(self) -> None:
        self._status(500)

    def get_busy_at_first(self) -> None:
        if self.server_state.requests["/busy_at_first"] == 1:
            self._status(503)
        else:
            self._send(BODY)

    def get_cut_at_first(self) -> None:
        if self.server_state.requests["/cut_at_first"] == 1:
            self.send_response(200)
            self.send_header("Content-Length", str(len(BODY)))
            self.end_headers()
            self.wfile.write(BODY[:100])
        else:
            self._send(BODY)

    def get_endless(self) -> None:
        self.send_response(200)
        self.end_headers()
        try:
            while True:
                self.wfile.write(BODY)
        except OSError:
            return

    def get_slow(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        try:
            for _ in range(100):
                self.wfile.write(b"x")
                self.wfile.flush()
                time.sleep(0.1)
        except OSError:
            return

    def get_redirect(self) -> None:
        self.send_response(302)
        self.send_header("Location", unquote(self.path.partition("?")[2]))
        self.end_headers()

    def _send(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _status(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    handler = type("Handler", (_Handler,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as listening:
        handler.server_state = Server(listening.server_address[1])  # type: ignore[attr-defined]
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield handler.server_state  # type: ignore[attr-defined]
        listening.shutdown()
        thread.join()


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
        ("fe80::1", False),
        ("fc00::1", False),
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


@pytest.mark.parametrize(
    ("uri", "error", "says"),
    [
        ("ftp://host/video", ForbiddenUriError, "fetch.schemes"),
        ("videos/one.mp4", ForbiddenUriError, "no scheme"),
        ("file://elsewhere/one.mp4", ForbiddenUriError, "three slashes"),
        ("file:one.mp4", ForbiddenUriError, "not absolute"),
        ("http://", NotFoundError, "https://host/path"),
        ("http://nowhere.invalid/one.mp4", NotFoundError, "nowhere.invalid"),
        ("s3://bucket", NotFoundError, "s3://bucket/key"),
    ],
)
def test_an_unusable_uri_is_told_with_its_cure(
    tmp_path: Path, uri: str, error: type[RejectedError], says: str
) -> None:
    with pytest.raises(error, match=says):
        fetch(uri, FetchSettings(retries=0), tmp_path)


def test_a_scheme_can_be_switched_off(tmp_path: Path) -> None:
    with pytest.raises(ForbiddenUriError, match="'file' is not among fetch.schemes = https"):
        fetch("/one.mp4", FetchSettings(schemes=("https",)), tmp_path)


@pytest.mark.parametrize(
    "name", ["plain.mp4", "with space.mp4", "100%.mp4", "视频#1?.mp4", "a%20b"]
)
def test_local_names_work_as_path_and_as_uri(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(BODY)
    settings = FetchSettings(roots=(tmp_path,))
    assert fetch(str(path), settings, tmp_path).path == path
    assert fetch(path.as_uri(), settings, tmp_path).path == path
    assert fetch(path.as_uri().replace("file://", "file://localhost"), settings, tmp_path)


def test_the_working_directory_is_the_root_where_none_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "one.mp4").write_bytes(BODY)
    (tmp_path / "two.mp4").write_bytes(BODY)
    monkeypatch.chdir(inside)
    assert fetch(str(inside / "one.mp4"), FetchSettings(), tmp_path).size_bytes == len(BODY)
    for outside in (tmp_path / "two.mp4", inside / ".." / "two.mp4", tmp_path / "nothing.mp4"):
        with pytest.raises(ForbiddenUriError, match="SAMESOURCE_FETCH__ROOTS"):
            fetch(str(outside), FetchSettings(), tmp_path)


def test_a_link_out_of_the_roots_is_refused(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "two.mp4").write_bytes(BODY)
    (inside / "link.mp4").symlink_to(tmp_path / "two.mp4")
    with pytest.raises(ForbiddenUriError, match="outside the allowed folders"):
        fetch(str(inside / "link.mp4"), FetchSettings(roots=(inside,)), tmp_path)
    fetched = fetch(str(inside / "link.mp4"), FetchSettings(roots=(tmp_path,)), tmp_path)
    assert fetched.path == tmp_path / "two.mp4"


def test_what_is_no_plain_file_is_refused(tmp_path: Path) -> None:
    settings = FetchSettings(roots=(tmp_path,))
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "loop.mp4").symlink_to(tmp_path / "loop.mp4")
    for name, error, says in [
        ("pipe.mp4", ForbiddenUriError, "pipe, socket or device"),
        ("", NotFoundError, "is a folder"),
        ("nothing.mp4", NotFoundError, "no file at"),
        ("nothing/at/all.mp4", NotFoundError, "no file at"),
        ("loop.mp4", NotFoundError, "no usable file"),
        ("nul\0.mp4", NotFoundError, "no usable file"),
        ("x" * 300, NotFoundError, "no usable file"),
    ]:
        with pytest.raises(error, match=says):
            fetch(f"{tmp_path}/{name}", settings, tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "locked.mp4"
    path.write_bytes(BODY)
    path.chmod(0)
    with pytest.raises(ForbiddenUriError, match="can't be read"):
        fetch(str(path), FetchSettings(roots=(tmp_path,)), tmp_path)


def test_a_local_file_over_the_size_limit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "big.mp4"
    path.write_bytes(BODY)
    settings = FetchSettings(roots=(tmp_path,), max_bytes=100)
    with pytest.raises(TooLargeError, match="10240 bytes or more, over fetch.max_bytes = 100"):
        fetch(str(path), settings, tmp_path)


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
