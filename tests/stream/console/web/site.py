"""A console on a broker of its own, fed through Kafka; tests ask it as browsers and machines do.

Serves the tests of pages and API.
"""

import asyncio
import base64
import io
import itertools
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

# Here, as anyio's parts are loaded when first needed, and pytest rewrites them: while other threads
# parse too, Python 3.11 may fail with a depth that doesn't fit.
import anyio._core._fileio  # noqa: F401
import httpx2
from fastapi import FastAPI
from PIL import Image

from stream.broker.client import Reader
from stream.broker.embedded import EmbeddedBroker
from stream.broker.sender import Headers, Sender
from stream.broker.settings import KafkaSettings
from stream.console.settings import ConsoleSettings
from stream.console.store.desk import Role
from stream.console.store.views import Place
from stream.console.web.app import create_app
from stream.console.web.console import Console
from stream.console.web.signin.rights import SCOPES
from stream.console.worker import ConsoleWorker
from stream.contract.base import Event
from stream.contract.events import (
    AlertRaised,
    AlertSuppressed,
    MatchedSegment,
    VideoEmbedded,
    VideoUploaded,
)
from stream.fetch.settings import FetchSettings
from stream.settings import Settings
from tests.stream.console.migrated import sqlite_file
from tests.stream.library_log import fingerprint, look

ORIGIN = "http://127.0.0.1"
RAISED = datetime(2026, 1, 1, tzinfo=UTC)
SPAN = MatchedSegment(
    video_start_seconds=1.0,
    video_end_seconds=5.0,
    reference_start_seconds=11.0,
    reference_end_seconds=15.0,
    score=0.9,
)
UPLOAD = {"video_id": "new", "uri": "https://cdn.example/new.mp4", "owner_id": "channel-1"}


@dataclass
class Browser:
    """Somebody who is signed in, and sends forms as the pages do."""

    client: httpx2.AsyncClient
    token: str = ""

    async def get(self, path: str, **headers: str) -> httpx2.Response:
        """Open a page."""
        return await self.client.get(path, headers=headers)

    async def send(
        self, path: str, fields: Mapping[str, Any] | None = None, **headers: str
    ) -> httpx2.Response:
        """Send a form with the session's token."""
        data = {"csrf": self.token, **(fields or {})}
        return await self.client.post(path, data=data, headers=headers)

    async def send_file(self, path: str, file: bytes) -> httpx2.Response:
        """The same with a file behind the token."""
        return await self.client.post(path, data={"csrf": self.token}, files={"file": file})


@dataclass
class Site:
    """A running console."""

    settings: Settings
    worker: ConsoleWorker
    console: Console
    app: FastAPI
    folder: Path
    sender: Sender
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def asked(self) -> list[Path]:
        """Files that somebody asks about."""
        return [*(self.folder / "videos" / "asked").iterdir()]

    def client(self, **headers: str) -> httpx2.AsyncClient:
        """A stranger: no cookie, no token; redirects are not followed."""
        return httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=self.app), base_url=ORIGIN, headers=headers
        )

    async def browser(
        self, role: Role = "admin", name: str = "anna", owners: Sequence[str] = ()
    ) -> Browser:
        """Somebody with a session of that role."""
        now = self.console.clock()
        secret = await self.console.desk.begin_session(name, role, owners, now, 3600)
        client = self.client()
        client.cookies.set("samesource_session", secret)
        # A short page: whatever other tests have raised is left out.
        page = await client.get("/queue?owner=nobody")
        found = re.search(r'name="csrf" value="([0-9a-f]{64})"', page.text)
        assert found is not None, page.text
        return Browser(client, found[1])

    async def machine(
        self,
        role: Role = "admin",
        scopes: Sequence[str] = SCOPES,
        owners: Sequence[str] = (),
        name: str = "robot",
    ) -> httpx2.AsyncClient:
        """A machine with a token of that role."""
        secret, _ = await self.console.desk.make_token(
            name, role, scopes, owners, "test", self.console.clock(), 3600
        )
        return self.client(Authorization=f"Bearer {secret}")

    async def say(self, *events: Event) -> None:
        """Put events on Kafka, and wait until they are in the rows."""
        by_topic: dict[str, list[tuple[bytes | None, bytes | None, Headers]]] = {}
        for event in events:
            by_topic.setdefault(event.topic, []).append((event.key(), event.to_bytes(), ()))
        # At once: the follower takes what is there in one transaction.
        sent = await asyncio.gather(
            *(asyncio.to_thread(self.sender.send, *each) for each in by_topic.items())
        )
        for each in itertools.chain(*sent):
            at = Place(each.topic, each.partition, each.offset)
            assert await self.console.store.follower.until(at, 60)

    def submitted(self, video_id: str) -> list[VideoUploaded]:
        """What is on Kafka of an upload."""
        return [VideoUploaded.from_bytes(each.value()) for each in self.submissions(video_id)]

    def submissions(self, video_id: str) -> list[Any]:
        """The same, as messages with their headers."""
        with Reader(self.settings.kafka, VideoUploaded.topic) as reader:
            messages = [each for _, each in reader.until_now()]
        return [each for each in messages if each.key() == video_id.encode()]

    async def alert(self, **fields: Any) -> AlertRaised | AlertSuppressed:
        """Two videos and an alert about them; `fields` of the alert, `title` and `uri` of both."""
        number = next(self._numbers)
        title, uri = fields.pop("title", None), fields.pop("uri", None)
        made: dict[str, Any] = {
            "alert_id": f"{number:032x}",
            "video_id": f"upload-{number}",
            "reference_id": f"film-{number}",
            "video_owner_id": f"channel-{number}",
            "reference_owner_id": f"league-{number}",
            "score": 0.9,
            "segments": [SPAN],
            "model_version": "encoder-1",
            "library_offset": 1,
            "raised_at": RAISED,
        } | fields
        kind = AlertSuppressed if "reason" in made else AlertRaised
        event = kind.model_validate(made)
        rows = look(number, 30)
        copy = look(number + 1000, 10)
        copy[1:5] = rows[11:15]
        told = {"title": title, "uri": uri}
        await self.say(
            fingerprint(event.video_id, copy, owner_id=event.video_owner_id, **told).to_event(),
            fingerprint(
                event.reference_id,
                rows,
                role="reference",
                owner_id=event.reference_owner_id,
                **told,
            ).to_event(),
            embedded(event.video_id),
            event,
        )
        return event


def embedded(video_id: str) -> VideoEmbedded:
    """Its vector, with three small pictures."""
    return VideoEmbedded(
        video_id=video_id,
        model_version="pair-1",
        dimension=2,
        vector=[1.0, 0.0],
        duration_seconds=10.0,
        thumbnails=[base64.b64encode(jpeg(colour)).decode() for colour in ("red", "lime", "blue")],
    )


def jpeg(colour: str, size: tuple[int, int] = (160, 90)) -> bytes:
    """A small picture of one colour."""
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, "JPEG")
    return file.getvalue()


@asynccontextmanager
async def running_site(
    folder: Path, *, fetch: Mapping[str, Any] | None = None, **console: Any
) -> AsyncIterator[Site]:
    """A console whose videos may lie in `folder / "videos"`, as files that are asked about do."""
    (folder / "videos").mkdir()
    with EmbeddedBroker(topic_prefix="t.") as broker:
        settings = Settings(
            kafka=KafkaSettings(
                broker="embedded", bootstrap_servers=broker.bootstrap_servers, topic_prefix="t."
            ),
            fetch=FetchSettings.model_validate(
                {"roots": (folder / "videos",), "retries": 0} | dict(fetch or {})
            ),
            console=ConsoleSettings.model_validate(
                {
                    "port": 0,
                    "database_url": sqlite_file(folder / "console.db"),
                    "match_store": str(folder / "videos" / "asked"),
                }
                | console
            ),
        )
        worker = ConsoleWorker(settings)
        try:
            await worker.start()
            made = worker.console
            assert made is not None
            yield Site(settings, worker, made, create_app(made), folder, Sender(settings.kafka))
        finally:
            await worker.stop()
