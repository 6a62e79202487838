"""How long the console's pages take, as a browser on the same machine sees it; serves `console`.

The application that serves, in a process of its own, with gate, session, queries and templates. It
is asked over one connection, one page after another. What asks Kafka isn't among them: pictures of
an alert, the lag, searches by words.
"""

import html
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import orjson

from benchmarks.read_model.made_messages import Made
from benchmarks.read_model.questions import ORDERS, pages_before
from stream.console.store.views import STATES

ROOT = Path(__file__).parents[2]
MORE = re.compile(r'<a class="button" href="([^"]+)"[^>]*>More</a>')
API = "/api/v1/"
HOLDER = "of a rights holder"  # who sees theirs alone


@dataclass(frozen=True)
class Site:
    """Where a console is, what signs in to it, and the ids of a webhook and of a delivery."""

    port: int
    admin: str
    holder: str
    token: str
    webhook: str
    delivery: str


@contextmanager
def serving(url: str, made: Made) -> Iterator[Site]:
    """A console on a database, as long as the block lasts."""
    command = [sys.executable, "-m", "benchmarks.read_model.serving", url, made.end.isoformat()]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            yield Site(**orjson.loads(process.stdout.readline()))
        finally:
            process.kill()


class Browser:
    """Asks for pages, each time others."""

    def __init__(self, site: Site, connection: HTTPConnection, made: Made, seed: int = 3) -> None:
        self._site, self._connection = site, connection
        self._made, self._chance = made, random.Random(seed)

    def paths(self) -> dict[str, str]:
        """One of each kind, by name."""
        made = self._made
        owner, video = made.owner_id(), made.video_id()
        hook = f"webhooks/{self._site.webhook}"
        return {
            "queue": "/queue",
            "queue, another order": self._queue(),
            "queue, another state": self._queue(state=self._chance.choice(STATES)),
            "queue, a rights holder": self._queue(owner=owner),
            "queue, a reference": self._queue(reference=made.reference_id()),
            "queue, an upload": self._queue(video=video),
            "queue, score": self._queue(score=self._percent()),
            "queue, age": self._queue(days=self._days()),
            "queue, nobody's": self._queue(claimed="nobody"),
            "queue, everything": self._queue(
                owner=owner, score=self._percent(), days=self._days(), claimed="nobody"
            ),
            f"queue, {HOLDER}": self._queue(),
            "states of the queue": "/queue/numbers",
            "alert": f"/alerts/{made.alert_id()}",
            "alert, in a filter": f"/alerts/{made.alert_id()}?{urlencode({'owner': owner})}",
            "library": "/library",
            "library, uploads": "/library?role=upload",
            "library, an owner": "/library?owner=holder-1",
            f"library, {HOLDER}": "/library",
            "entry, a reference": f"/library/entry?video={made.reference_id()}",
            "entry, an upload": f"/library/entry?video={video}",
            "policies": "/policies",
            "policy": f"/policies/edit?owner={owner}",
            "rejected": "/rejected",
            "rejected, of a code": "/rejected?code=corrupt",
            "uploads": "/uploads",
            "uploads, undecided": "/uploads?outcome=undecided",
            "uploads, of a video": f"/uploads?find={video}",
            "upload": f"/uploads/{made.request_id()}",
            "overview": "/overview",
            "audit": "/audit",
            "audit, a person": f"/audit?person=moderator-{self._chance.randrange(20)}",
            "audit, an alert": f"/audit?about={made.alert_id()}",
            "webhooks": "/webhooks",
            "webhook": f"/{hook}?state=waiting",
            "would this match": "/match",
            "API, alerts": f"{API}alerts?order={self._order()}",
            "API, alerts, filtered": f"{API}alerts?state=open&state=held&owner_id={owner}",
            "API, 200 alerts": f"{API}alerts?limit=200",
            "API, alert": f"{API}alerts/{made.alert_id()}",
            "API, upload": f"{API}uploads/{made.request_id()}",
            "API, references": f"{API}references",
            "API, reference": f"{API}references/{made.reference_id()}",
            "API, policies": f"{API}policies",
            "API, policy": f"{API}policies/{owner}",
            "API, webhooks": f"{API}webhooks",
            "API, webhook": f"{API}{hook}",
            "API, deliveries": f"{API}{hook}/deliveries?state=waiting",
            "API, delivery": f"{API}{hook}/deliveries/{self._site.delivery}",
        }

    def seconds(self, name: str, path: str) -> float:
        """How long a page takes; of a list one somewhere in it: those before it don't count."""
        for _ in range(pages_before(self._chance)):
            following = self._following(path, self._ask(name, path))
            if following is None:
                break
            path = following
        start = time.perf_counter()
        self._ask(name, path)
        return time.perf_counter() - start

    def _ask(self, name: str, path: str) -> bytes:
        who = self._site.holder if HOLDER in name else self._site.admin
        headers = {"Cookie": f"samesource_session={who}"}
        if path.startswith(API):
            headers = {"Authorization": f"Bearer {self._site.token}"}
        self._connection.request("GET", path, headers=headers)
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status}, {body[:500]!r}")
        return body

    def _following(self, path: str, body: bytes) -> str | None:
        """The page behind one; None where it is the last."""
        if not path.startswith(API):
            more = MORE.search(body.decode())
            return None if more is None else html.unescape(more[1])
        cursor = orjson.loads(body).get("next")
        first = path.partition("&cursor=")[0]
        mark = "" if urlsplit(first).query else "?"
        return None if cursor is None else f"{first}{mark}&{urlencode({'cursor': cursor})}"

    def _queue(self, **fields: Any) -> str:
        return f"/queue?{urlencode({'sort': self._order(), **fields})}"

    def _order(self) -> str:
        return self._chance.choice(ORDERS)

    def _percent(self) -> str:
        return f"{self._chance.uniform(70, 99):.2f}"

    def _days(self) -> str:
        return f"{(self._made.end - self._made.moment()).total_seconds() / 86400:.2f}"


def page_times(
    url: str, made: Made, runs: int, warm_up: int, only: str = ""
) -> dict[str, list[float]]:
    """Seconds of each kind of page in whose name `only` is found; the first runs don't count."""
    times: dict[str, list[float]] = {}
    with (
        serving(url, made) as site,
        closing(HTTPConnection("127.0.0.1", site.port)) as connection,
    ):
        browser = Browser(site, connection, made)
        for run in range(-warm_up, runs):
            for name, path in browser.paths().items():
                if re.search(only, name) is None:
                    continue
                took = browser.seconds(name, path)
                if run >= 0:
                    times.setdefault(name, []).append(took)
    return times
