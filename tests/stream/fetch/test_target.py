"""What a web server gets to read: the request target of the URI, byte for byte."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from stream.errors import ForbiddenUriError, NotFoundError
from stream.fetch.fetch import FetchSettings, fetch

BODY = b"a video"
SETTINGS = FetchSettings(hosts=("127.0.0.1", "localhost"), retries=3, retry_wait_seconds=0.01)

SIGNED = [
    "/clip.mp4?X-Amz-Credential=AKIA%2F20261127%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Signature=ab12",
    "/clip.mp4?Expires=1&Signature=ab%2Fcd%2Bef%3D%3D&Key-Pair-Id=K",
    "/clip.mp4?sv=2024&sp=r&sig=a%2Fb%2Bc%3D&se=2026-11-27T19%3A00%3A00Z",
    "/it%27s%20%28final%29.mp4?sig=abc",
    "/a%2Bb%40c.mp4?sig=abc",
    "/clip.mp4?response-content-disposition=attachment%3B%20filename%3D%22a.mp4%22&sig=x",
    "/clip.mp4?Policy=eyJ~a-b_&sig=x",
    "/clip.mp4?empty=&sig=abc&flag",
    "/clip.mp4?a%7Eb=%2f%e9&sig=a+b",
    "/folder//./a/../%2e%2E/clip.mp4;v=1?x=a?b/c",
    "/clip.mp4?",
    "/100%.mp4?sig=%",
    "/a|b^c`{d}\\\"<e>'.mp4?[x]=|",
    "/",
    "/%E2%98%83/%FF.mp4",
]


@dataclass
class RawServer:
    """Keeps each request line as it came, and answers with what is set for its path."""

    port: int
    targets: list[bytes] = field(default_factory=list)
    locations: dict[bytes, bytes] = field(default_factory=dict)

    def url(self, target: str) -> str:
        """An address of this server."""
        return f"http://127.0.0.1:{self.port}{target}"

    def answer(self, target: bytes) -> bytes:
        """The whole answer."""
        if (location := self.locations.get(target)) is not None:
            return b"HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % location
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)


@contextmanager
def listening() -> Iterator[RawServer]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = RawServer(listener.getsockname()[1])
        thread = threading.Thread(target=_serve, args=(listener, server))
        thread.start()
        yield server
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def _serve(listener: socket.socket, server: RawServer) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection, connection.makefile("rb") as lines:
            method, target, _ = lines.readline().split(b" ")
            assert method == b"GET"
            while lines.readline().strip():
                pass
            server.targets.append(target)
            connection.sendall(server.answer(target))


@pytest.fixture
def server() -> Iterator[RawServer]:
    with listening() as server:
        yield server


@pytest.mark.parametrize("target", SIGNED)
def test_the_request_target_is_the_uris(server: RawServer, tmp_path: Path, target: str) -> None:
    with fetch(server.url(target), SETTINGS, tmp_path) as copy:
        assert copy.path.read_bytes() == BODY
    assert server.targets == [target.encode()]


@pytest.mark.parametrize("target", SIGNED)
@pytest.mark.parametrize("origin", ["", "http://127.0.0.1:{port}", "//localhost:{port}"])
def test_the_request_target_is_the_redirects(
    server: RawServer, tmp_path: Path, target: str, origin: str
) -> None:
    server.locations[b"/from"] = (origin.format(port=server.port) + target).encode()
    with fetch(server.url("/from"), SETTINGS, tmp_path) as copy:
        assert copy.path.read_bytes() == BODY
    assert server.targets == [b"/from", target.encode()]


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("/two words.mp4?a b", "/two%20words.mp4?a%20b"),
        ("/视频.mp4?q=ü", "/%E8%A7%86%E9%A2%91.mp4?q=%C3%BC"),
        ("/100% new.mp4", "/100%25%20new.mp4"),
        ("/a%2Fb c%27.mp4", "/a%2Fb%20c%27.mp4"),
        ("/a\r\nHost: b\t.mp4", "/a%0D%0AHost:%20b%09.mp4"),
        ("/clip.mp4#t=10", "/clip.mp4"),
        ("", "/"),
        ("?x=%2F", "/?x=%2F"),
    ],
)
def test_what_was_never_quoted_is_quoted(
    server: RawServer, tmp_path: Path, written: str, sent: str
) -> None:
    with fetch(server.url(written), SETTINGS, tmp_path) as copy:
        assert copy.path.read_bytes() == BODY
    assert server.targets == [sent.encode()]


@pytest.mark.parametrize(
    ("location", "sent"),
    [
        (b"b%2Fc.mp4?x=%27", b"/folder/b%2Fc.mp4?x=%27"),
        (b"../b%2Fc.mp4", b"/b%2Fc.mp4"),
        (b"?sig=%2F", b"/folder/a%40.mp4?sig=%2F"),
        ("/视频 1.mp4".encode(), b"/%E8%A7%86%E9%A2%91%201.mp4"),
        (b"/bad\xff.mp4", b"/bad%FF.mp4"),
    ],
)
def test_a_redirect_may_be_relative_or_unquoted(
    server: RawServer, tmp_path: Path, location: bytes, sent: bytes
) -> None:
    server.locations[b"/folder/a%40.mp4"] = location
    with fetch(server.url("/folder/a%40.mp4"), SETTINGS, tmp_path) as copy:
        assert copy.path.read_bytes() == BODY
    assert server.targets[1:] == [sent]


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "ftp://127.0.0.1/x", "s3://bucket/key", "data:,x", "FILE:x"]
)
def test_a_redirect_out_of_the_web_is_refused_at_once(
    server: RawServer, tmp_path: Path, location: str
) -> None:
    server.locations[b"/from"] = location.encode()
    with pytest.raises(ForbiddenUriError, match="redirects to scheme"):
        fetch(server.url("/from"), SETTINGS, tmp_path)
    assert server.targets == [b"/from"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("location", ["http://", "http://[::1", "https://h:port/", "//"])
def test_a_redirect_to_nowhere_is_told_at_once(
    server: RawServer, tmp_path: Path, location: str
) -> None:
    server.locations[b"/from"] = location.encode()
    with pytest.raises(NotFoundError, match="usable web address"):
        fetch(server.url("/from"), SETTINGS, tmp_path)
    assert server.targets == [b"/from"]


def test_redirects_in_a_circle_end(server: RawServer, tmp_path: Path) -> None:
    server.locations[b"/from"] = b"/from"
    with pytest.raises(NotFoundError, match="more than 10 redirects, the last to 127"):
        fetch(server.url("/from"), SETTINGS, tmp_path)
    assert len(server.targets) == 11


def test_a_host_in_another_script_is_still_resolved_by_its_ascii_name(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="bücher.invalid can't be read"):
        fetch("http://Bücher.invalid/a", FetchSettings(retries=0), tmp_path)
