"""Load on a console that is killed meanwhile: alerts, writes through its API, and webhooks.

Serves `console_kills`. What the API has acknowledged is remembered, to be looked for in the end.
"""

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any

from stream.broker.sender import Sender
from stream.broker.settings import KafkaSettings
from tests.stream.console.store.said import alert

KINDS = ("alert.raised", "alert.reviewed")  # that the webhook is told
ALERTS_APART_SECONDS, WRITES_APART_SECONDS = 0.05, 0.02
ANSWER_SECONDS = 20.0  # beyond which a writer gives up
AGAIN = 0.25  # of the acknowledged writes are sent once more under their key


class Receiver(ThreadingHTTPServer):
    """A webhook's server: it counts what it was told, by `webhook-id`."""

    def __init__(self) -> None:
        self.told: Counter[str] = Counter()
        super().__init__(("127.0.0.1", 0), _Hook)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.server_port}/hook"


class _Hook(BaseHTTPRequestHandler):
    def do_POST(self) -> None:  # noqa: N802  (its name in the standard library)
        self.rfile.read(int(self.headers["content-length"]))
        assert isinstance(self.server, Receiver)
        self.server.told[self.headers["webhook-id"]] += 1
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing is said of each."""


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A webhook's server."""
    with Receiver() as receiver:
        thread = threading.Thread(target=receiver.serve_forever)
        thread.start()
        try:
            yield receiver
        finally:
            receiver.shutdown()
            thread.join()


class Load:
    """Threads that raise alerts and write through the API, as long as they are let.

    Attributes:
        acknowledged: names of writes that were answered 2xx; each is in its message.
        other: how many were not, by status; 0 where the connection broke.
    """

    def __init__(self, kafka: KafkaSettings, port: int, tokens: Sequence[str]) -> None:
        self.acknowledged: list[str] = []
        self.other: Counter[int] = Counter()
        self._port, self._sender = port, Sender(kafka)
        self._alert_ids: list[str] = []
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._raise_alerts)]
        self._threads += [threading.Thread(target=self._write, args=(each,)) for each in tokens]

    @contextmanager
    def running(self) -> Iterator[None]:
        """Load, as long as the block lasts."""
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in self._threads:
                thread.join()

    def _raise_alerts(self) -> None:
        for number in count():
            if self._over.wait(ALERTS_APART_SECONDS):
                return
            event = alert(f"load {number}", video_id=f"load {number // 3}")
            self._sender.send(event.topic, [(event.key(), event.to_bytes(), ())])
            self._alert_ids.append(event.alert_id)

    def _write(self, token: str) -> None:
        chance = random.Random(token)
        for number in count():
            if self._over.wait(WRITES_APART_SECONDS):
                return
            name = f"{token[-6:]}-{number}"
            request = self._some_request(chance, name)
            if request is None:
                continue
            status = asked(self._port, token, *request, key=name)
            if 200 <= status < 300:
                self.acknowledged.append(name)
                if chance.random() < AGAIN:
                    asked(self._port, token, *request, key=name)
            else:
                self.other[status] += 1

    def _some_request(
        self, chance: random.Random, name: str
    ) -> tuple[str, str, dict[str, Any]] | None:
        """Method, path and body of a write with that name in it."""
        kind = chance.choice(["verdict", "verdict", "upload", "policy"])
        if kind == "upload":
            body = {"video_id": name, "uri": "https://example.org/1.mp4", "owner_id": "channel"}
            return "POST", "/api/v1/uploads", body
        if kind == "policy":
            return "PUT", f"/api/v1/policies/{name}", {"least_seconds": 5.0}
        if not self._alert_ids:
            return None
        verdict = chance.choice([{"verdict": "confirmed"}, {"verdict": "dismissed"}])
        path = f"/api/v1/alerts/{chance.choice(self._alert_ids)}/verdict".replace(" ", "%20")
        return "POST", path, {**verdict, "note": name}


def asked(
    port: int, token: str, method: str, path: str, body: Mapping[str, Any], key: str | None = None
) -> int:
    """The status of an answer; 0 where none came."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    if key is not None:
        headers["Idempotency-Key"] = key
    connection = HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS)
    try:
        connection.request(method, path, json.dumps(body), headers)
        return connection.getresponse().status
    except (OSError, HTTPException):
        time.sleep(0.1)  # it is being started again
        return 0
    finally:
        connection.close()
