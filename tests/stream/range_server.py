"""A web server on this machine that sends a large video by byte ranges; serves the tests.

What it sends is counted, and so is who hangs up amid it.
"""

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

BLOCK = bytes(range(251))
WRITTEN_BYTES = 2**16  # at a time


def content(start: int, end: int) -> bytes:
    """The bytes of the video in a half-open range."""
    repeated = BLOCK * ((end - start) // len(BLOCK) + 2)
    return repeated[start % len(BLOCK) :][: end - start]


@dataclass
class RangeServer:
    """A web server: `/video.mp4`, any other name the same, and `/redirect?ADDRESS`.

    Attributes:
        port: on this machine.
        size: of the video, in bytes.
        ranges: whether it knows them.
        headers: of each answer, beside those of its length.
        status: of each answer, where it isn't that of what is sent.
        file: the video, instead of `content`.
        most: bytes that it sends by one answer.
        wait_seconds: before each piece of it.
        cut_after: bytes that it sends before it hangs up, once each.
        asked: the header `Range` of each request.
        sent: bytes of bodies that were sent, or began to be.
        open: bodies that are being sent.
        hung_up: bodies that the other side left.
    """

    port: int
    size: int = 2**31
    ranges: bool = True
    headers: dict[str, str] = field(default_factory=lambda: {"ETag": '"one"'})
    status: int | None = None
    file: bytes | None = None
    most: int = 2**62
    wait_seconds: float = 0.0
    cut_after: list[int] = field(default_factory=list)
    asked: list[str | None] = field(default_factory=list)
    sent: int = 0
    open: int = 0
    hung_up: int = 0

    def url(self, path: str = "/video.mp4", host: str = "127.0.0.1") -> str:
        """An address of this server."""
        return f"http://{host}:{self.port}{path}"

    def content(self, start: int, end: int) -> bytes:
        """The bytes of its video in a half-open range."""
        return content(start, end) if self.file is None else self.file[start:end]

    def until(self, count: str, value: int) -> bool:
        """Wait until one of the counts has a value; whether it came to be."""
        by = time.monotonic() + 30
        while getattr(self, count) != value and time.monotonic() < by:
            time.sleep(0.01)
        return bool(getattr(self, count) == value)


class _Handler(BaseHTTPRequestHandler):
    state: RangeServer

    def do_GET(self) -> None:
        self.state.asked.append(self.headers["Range"])
        path, _, query = self.path.partition("?")
        if path == "/redirect":
            self.send_response(302)
            self.send_header("Location", unquote(query))
            self.end_headers()
        else:
            self._answer()

    def _answer(self) -> None:
        state = self.state
        size = state.size if state.file is None else len(state.file)
        found = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers["Range"] or "")
        start, end, status = 0, size, 200
        if found is not None and state.ranges:
            first, last = found.groups()
            start = int(first) if first else max(0, size - int(last))
            end = min(int(last) + 1, size) if first and last else size
            status = 206 if start < end else 416
            end = min(end, start + state.most)
        self.send_response(state.status or status)
        for name, value in state.headers.items():
            self.send_header(name, value)
        if status == 416:
            self.send_header("Content-Range", f"bytes */{size}")
            end = start
        elif status == 206:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
        self.send_header("Content-Length", str(end - start))
        self.end_headers()
        self._send(start, min(end, start + state.cut_after.pop(0)) if state.cut_after else end)

    def _send(self, start: int, end: int) -> None:
        state = self.state
        state.open += 1
        try:
            for at in range(start, end, WRITTEN_BYTES):
                time.sleep(state.wait_seconds)
                piece = state.content(at, min(at + WRITTEN_BYTES, end))
                state.sent += len(piece)  # before: who has read it all finds it counted
                self.wfile.write(piece)
        except OSError:
            state.hung_up += 1
        finally:
            state.open -= 1

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serving_ranges(**fields: object) -> Iterator[RangeServer]:
    """Serve while the block runs; `fields` of `RangeServer`."""
    handler = type("Handler", (_Handler,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as listening:
        state = RangeServer(listening.server_address[1], **fields)  # type: ignore[arg-type]
        handler.state = state  # type: ignore[attr-defined]
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield state
        listening.shutdown()
        thread.join()
