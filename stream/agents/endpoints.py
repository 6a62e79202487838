"""The HTTP endpoints of a worker's process: `/metrics`, `/health/live` and `/health/ready`.

Served by a thread of its own, so that an event loop which hangs is seen as well. What the workers
say of themselves is in `health.py`.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from threading import Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import orjson
from prometheus_client import make_wsgi_app

from stream.agents.health import Health, Healthy
from stream.agents.lags import LAG_METRICS
from stream.errors import SettingsError
from stream.worker_settings import WorkerSettings

STUCK_SECONDS = 300.0  # nothing that a loop does by itself takes as long, unlike one video
BEAT_SECONDS = 1.0  # between signs that the event loop turns; far below any `stalled_seconds`

StartResponse = Callable[..., Any]


class HealthPage:
    """Answers `/health/live` and `/health/ready`: 200 or 503, and why, as JSON."""

    def __init__(self, worker: WorkerSettings) -> None:
        self._stalled = worker.stalled_seconds
        self._workers: Sequence[Healthy] = ()
        self._starting: str | None = "starting"
        self._beat = time.monotonic()

    def starts(self, workers: Sequence[Healthy]) -> None:
        """These are the workers that start: one that comes to a standstill meanwhile isn't live."""
        self._workers = workers

    def started(self, workers: Sequence[Healthy]) -> None:
        """These are the workers that run."""
        self._workers, self._starting = workers, None

    @property
    def is_up(self) -> bool:
        """Whether the workers run."""
        return self._starting is None

    async def beat(self) -> None:
        """Show, for as long as it runs, that the event loop isn't stuck."""
        while True:
            self._beat = time.monotonic()
            await asyncio.sleep(BEAT_SECONDS)

    def problems(self, kind: str) -> dict[str, str]:
        """Why the process isn't `live` or `ready`, by the name of what isn't."""
        found = {}
        stuck = time.monotonic() - self._beat
        if stuck > min(self._stalled, STUCK_SECONDS):
            found["event loop"] = f"stuck for {stuck:.0f} s"
        if kind == "ready" and self._starting:
            found["process"] = self._starting
        for health in self.now():
            if health.stands_still_seconds > self._stalled:
                seconds = health.stands_still_seconds
                found[health.name] = f"no progress for {seconds:.0f} s, although there is work"
            elif kind == "ready" and self.is_up and health.not_ready is not None:
                found[health.name] = health.not_ready
        return found

    def __call__(self, kind: str, start_response: StartResponse) -> Iterable[bytes]:
        """The answer for `live` or `ready`: 200 or 503, and JSON that names what is wrong."""
        problems = self.problems(kind)
        body = {
            "status": "failing" if problems else "ok",
            "problems": problems,
            "lag": {
                health.name: {f"{lag.topic}/{lag.partition}": lag.messages for lag in health.lags}
                for health in self.now()
            },
        }
        status = "503 Service Unavailable" if problems else "200 OK"
        start_response(status, [("Content-Type", "application/json")])
        return [orjson.dumps(body)]

    def now(self) -> list[Health]:
        """How each worker is that starts or runs."""
        return [worker.health() for worker in self._workers]


class _Server(ThreadingMixIn, WSGIServer):
    # A client that keeps its connection open doesn't hold up the end.
    daemon_threads = True
    allow_reuse_address = True


class _Silent(WSGIRequestHandler):
    # Probes come every few seconds: a line for each would bury the rest.
    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def serving(worker: WorkerSettings, page: HealthPage) -> Iterator[int | None]:
    """Serve metrics and health for the time of the block, where the settings name a port.

    Yields:
        The port.

    Raises:
        SettingsError: the port is taken, or the address isn't this machine's.
    """
    if worker.metrics_port is None:
        yield None
        return
    metrics: Callable[..., Iterable[bytes]] = make_wsgi_app()

    def answer(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path in ("/health/live", "/health/ready"):
            return page(path.rpartition("/")[2], start_response)
        if path in ("/", "/metrics"):
            return metrics(environ, start_response)
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"/metrics, /health/live or /health/ready\n"]

    host, port = worker.metrics_host, worker.metrics_port
    try:
        server = make_server(host, port, answer, _Server, _Silent)
    except OSError as error:
        raise SettingsError(
            f"worker.metrics_port = {port} on worker.metrics_host = {host!r} can't be used "
            f"({error}): name a port that is free, or end who has it"
        ) from error
    thread = Thread(target=server.serve_forever, name="health", daemon=True)
    thread.start()
    try:
        with LAG_METRICS.of(page.now):
            yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
