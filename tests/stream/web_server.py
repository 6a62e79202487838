"""A web server on this machine with one path for each kind of trouble; serves the tests."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

BODY = bytes(range(256)) * 40


@dataclass
class Server:
    """A web server with one path for each kind of trouble.

    Attributes:
        port: on this machine.
        requests: by path.
        files: what is below `/file/` and `/held/`.
        go: until it is set, half of what is below `/held/` is held back.
    """

    port: int
    requests: "Counter[str]" = field(default_factory=Counter)
    files: dict[str, bytes] = field(default_factory=dict)
    go: threading.Event = field(default_factory=threading.Event)

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

    def get_slow_but_short(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        for _ in range(5):
            self.wfile.write(b"x")
            self.wfile.flush()
            time.sleep(0.1)

    def get_silent(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.connection.recv(1)  # until the other side leaves

    def get_file(self) -> None:
        self._send(self._file())

    def get_held(self) -> None:
        body = self._file()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            self.server_state.go.wait()
            self.wfile.write(body[len(body) // 2 :])
        except OSError:
            return

    def _file(self) -> bytes:
        return self.server_state.files[self.path.rpartition("/")[2]]

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


@contextmanager
def serving() -> Iterator[Server]:
    """Serve while the block runs."""
    handler = type("Handler", (_Handler,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as listening:
        handler.server_state = Server(listening.server_address[1])  # type: ignore[attr-defined]
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield handler.server_state  # type: ignore[attr-defined]
        handler.server_state.go.set()  # type: ignore[attr-defined]
        listening.shutdown()
        thread.join()
