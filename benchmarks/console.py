"""How long the console's queries take over 1 million alerts, on SQLite and on PostgreSQL.

    python -m benchmarks.console [--alerts N] [--runs N] [--postgresql URL] [--json FILE]

Through the code that serves: messages are taken in batches as from the topics, then each query of
pages and API is asked with other filters, orders and places in the list, one after another. The
databases are made for the run: SQLite in a temporary folder; PostgreSQL where a URL names an
empty one, or by its programs on this machine.
"""

import asyncio
import random
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import orjson
import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy import text

from benchmarks.copies.tables import machine
from stream.console.settings import ConsoleSettings
from stream.console.store.database import Database
from stream.console.store.desk import Desk
from stream.console.store.intake import Intake
from stream.console.store.messages import TOPICS
from stream.console.store.queries import Queries
from stream.console.store.views import STATES, AlertFilter, Order, Page, State
from stream.contract.events import (
    AlertRaised,
    AlertReviewed,
    AlertSuppressed,
    Event,
    MatchedSegment,
    PolicyUpdated,
    VideoDecided,
    VideoFingerprinted,
    VideoRejected,
    VideoUploaded,
)
from stream.contract.message import Source
from stream.loading import settled
from tests.stream.postgres import Postgres, running

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
SECONDS_BETWEEN = 2.5  # alerts: a million of them are a month
BATCH = 500  # as the settings have it
HOLDERS, UPLOADERS = 200, 20_000
ALERTS_OF_AN_UPLOAD, ALERTS_OF_A_REFERENCE = 3, 50  # on average; a few have many more
ORDERS: tuple[Order, ...] = ("newest", "longest", "surest")
DEEPEST = 20  # pages behind the first that are asked for
WARM_UP = 60  # runs that don't count: SQLAlchemy compiles each kind of statement once a process

Ask = Callable[[], Awaitable[object]]


@dataclass(frozen=True)
class Figures:
    """One database. Latencies are milliseconds by query, `p50` and `p99`."""

    database: str
    alerts: int
    messages_per_second: float
    bytes: int
    latencies: dict[str, dict[str, float]]


class Made:
    """Messages about so many alerts, their uploads and references, in order of time."""

    def __init__(self, alerts: int, seed: int = 1) -> None:
        self.alerts = alerts
        self._chance = random.Random(seed)
        self._offsets = dict.fromkeys(TOPICS, 0)

    def video_id(self) -> str:
        """Of an upload; a few are copied from everywhere."""
        return f"upload-{self._skewed(self.alerts // ALERTS_OF_AN_UPLOAD)}"

    def reference_id(self) -> str:
        """Of a reference; a few are copied by everybody."""
        return f"reference-{self._skewed(self.alerts // ALERTS_OF_A_REFERENCE)}"

    def owner_id(self) -> str:
        """Of a rights holder."""
        return f"holder-{self._skewed(HOLDERS)}"

    def _skewed(self, many: int) -> int:
        return int(many * self._chance.random() ** 3)

    def messages(self) -> Iterator[Source]:
        """All of them."""
        for n in range(self.alerts // ALERTS_OF_A_REFERENCE):
            yield self._say(_fingerprinted(f"reference-{n}", f"made-{n}", "reference"), 0)
        for n in range(HOLDERS):
            yield self._say(PolicyUpdated(owner_id=f"holder-{n}", least_seconds=5.0), 0)
        for n in range(self.alerts):
            at = BEGIN + timedelta(seconds=SECONDS_BETWEEN * n)
            if n % ALERTS_OF_AN_UPLOAD == 0:
                yield from self._upload(n // ALERTS_OF_AN_UPLOAD, at)
            yield from self._alert(n, at)

    def _upload(self, number: int, at: datetime) -> Iterator[Source]:
        video_id = f"upload-{number}"
        uri = f"https://example.org/{number}.mp4"
        source = self._say(
            VideoUploaded(video_id=video_id, uri=uri, owner_id=self._uploader(), title="A title"),
            round(at.timestamp() * 1000),
        )
        yield source
        yield self._say(_fingerprinted(video_id, source.request_id, "upload"), source.timestamp_ms)
        outcome = self._chance.choice(["matched", "clear", None])
        if outcome is None and number % 50 == 0:
            yield self._say(_rejected(video_id, source, at), source.timestamp_ms)
        if outcome is not None:
            yield self._say(_decided(video_id, source, outcome, at), source.timestamp_ms)

    def _alert(self, number: int, at: datetime) -> Iterator[Source]:
        kind = self._chance.random()
        fields: dict[str, Any] = {
            "alert_id": f"{number:032x}",
            "video_id": self.video_id(),
            "reference_id": self.reference_id(),
            "video_owner_id": self._uploader(),
            "reference_owner_id": self.owner_id(),
            "score": round(self._chance.uniform(0.65, 1.0), 4),
            "segments": [self._segment() for _ in range(self._chance.choice([1, 1, 1, 2, 5]))],
            "model_version": "sha256-0f3c",
            "library_offset": number,
            "raised_at": at,
        }
        if kind < 0.7:
            yield self._say(AlertRaised(**fields), 0)
        else:
            reason: Any = "held" if kind > 0.95 else "licensed"
            yield self._say(AlertSuppressed(**fields, reason=reason, detail="got, expected"), 0)
        if kind < 0.35:
            word: Any = "confirmed" if kind < 0.2 else "dismissed"
            said = AlertReviewed(
                alert_id=fields["alert_id"],
                verdict=word,
                reviewer=f"moderator-{number % 20}",
                reviewed_at=at + timedelta(hours=1),
                scope="alert" if word == "dismissed" else None,
            )
            yield self._say(said, 0)

    def _uploader(self) -> str:
        return f"channel-{self._skewed(UPLOADERS)}"

    def _segment(self) -> MatchedSegment:
        start, seconds = self._chance.uniform(0, 600), self._chance.uniform(3, 120)
        return MatchedSegment(
            video_start_seconds=start,
            video_end_seconds=start + seconds,
            reference_start_seconds=start,
            reference_end_seconds=start + seconds,
            score=0.9,
        )

    def _say(self, event: Event, timestamp_ms: int) -> Source:
        offset = self._offsets[event.topic]
        self._offsets[event.topic] += 1
        return Source(event.topic, 0, offset, timestamp_ms, event.to_bytes(), event.key())


def _fingerprinted(video_id: str, request_id: str, role: Any) -> VideoFingerprinted:
    return VideoFingerprinted(
        video_id=video_id, content_version=1, owner_id="holder-1", role=role,
        request_id=request_id, model_version="m", duration_seconds=600.0, dimension=4,
        key_frame_seconds="", descriptors="",
    )  # fmt: skip


def _decided(video_id: str, source: Source, outcome: Any, at: datetime) -> VideoDecided:
    return VideoDecided(
        video_id=video_id, content_version=1, outcome=outcome, alert_ids=[], reason="as it is",
        decided_at=at + timedelta(seconds=9), request_id=source.request_id,
        stage_seconds={"decode": 3.0, "encode": 2.0, "search": 0.1},
    )  # fmt: skip


def _rejected(video_id: str, source: Source, at: datetime) -> VideoRejected:
    return VideoRejected(
        video_id=video_id, error="corrupt", message="no moov atom", source_topic=source.topic,
        source_partition=0, source_offset=source.offset, attempts=1,
        request_id=source.request_id, rejected_at=at,
    )  # fmt: skip


class Asker:
    """Makes questions, each time others."""

    def __init__(self, database: Database, made: Made, seed: int = 2) -> None:
        self.queries, self.desk = Queries(database), Desk(database)
        self._made, self._chance = made, random.Random(seed)

    def questions(self) -> dict[str, Ask]:
        """One of each kind, by name."""
        queries = self.queries
        return {
            "queue, open": lambda: self._page(lambda c: queries.queue(cursor=c)),
            "queue, order": self._queue,
            "queue, rights holder": lambda: self._queue(owner_id=self._made.owner_id()),
            "queue, reference": lambda: self._queue(reference_id=self._made.reference_id()),
            "queue, score": lambda: self._queue(min_score=self._chance.uniform(0.7, 0.999)),
            "queue, age": lambda: self._queue(before=self._when()),
            "queue, everything": lambda: self._queue(
                owner_id=self._made.owner_id(),
                min_score=self._chance.uniform(0.7, 0.99),
                since=self._when(),
                states=self._states(),
            ),
            "queue, a rare uploader": lambda: self._queue(uploader_id="nobody"),
            "queue, nobody's": lambda: self._queue(claimed="nobody", now=BEGIN),
            "alerts, every state": lambda: self._page(
                lambda c: queries.alerts(AlertFilter(states=STATES), cursor=c)
            ),
            "alert": lambda: queries.alert(self._alert_id()),
            "alert, neighbours": lambda: queries.neighbours(self._alert_id()),
            "alert, reviews": lambda: queries.reviews_of_alert(self._alert_id()),
            "pair, reviews": lambda: queries.reviews_of_pair(
                self._made.video_id(), self._made.reference_id()
            ),
            "matches of a reference": lambda: queries.matches_of(
                self._made.reference_id(), "reference"
            ),
            "matches of an upload": lambda: queries.matches_of(self._made.video_id(), "video"),
            "numbers of alerts": queries.alert_numbers,
            "rights holders": queries.holders,
            "library": lambda: self._page(lambda c: queries.library(cursor=c)),
            "uploads": lambda: self._page(lambda c: queries.uploads(cursor=c)),
            "uploads, undecided": lambda: self._page(lambda c: queries.uploads("undecided", c)),
            "uploads of a video": lambda: queries.uploads_of(self._made.video_id()),
            "dead letters": lambda: self._page(lambda c: queries.rejections(cursor=c)),
            "policies": queries.policies,
            "policy, cases of a dry run": lambda: queries.policy_cases(
                self._made.owner_id(), self._when()
            ),
            "overview": lambda: queries.overview(self._when()),
            "claim": lambda: self.desk.claim_next(
                f"moderator-{self._chance.randrange(9)}", self._when()
            ),
        }

    def _order(self) -> Order:
        return self._chance.choice(ORDERS)

    def _states(self) -> tuple[State, ...]:
        return tuple(self._chance.sample(STATES, 2))

    def _when(self) -> datetime:
        seconds = self._made.alerts * SECONDS_BETWEEN
        return BEGIN + timedelta(seconds=self._chance.uniform(0, seconds))

    def _alert_id(self) -> str:
        return f"{self._chance.randrange(self._made.alerts):032x}"

    async def _queue(self, **fields: Any) -> object:
        filter, order = AlertFilter(**fields), self._order()
        return await self._page(lambda cursor: self.queries.queue(filter, order, cursor))

    async def _page(self, ask: Callable[[str | None], Awaitable[Page[Any]]]) -> float:
        """The seconds of a page somewhere in the list; those before it don't count."""
        cursor = None
        for _ in range(self._chance.choice([0, 0, 1, self._chance.randrange(DEEPEST)])):
            following = (await ask(cursor)).next
            if following is None:
                break
            cursor = following
        start = time.perf_counter()
        await ask(cursor)
        return time.perf_counter() - start


async def measure(name: str, url: str, alerts: int, runs: int) -> Figures:
    """Fill a database and ask it."""
    database = await Database.open(ConsoleSettings.model_validate({"database_url": url}))
    made = Made(alerts)
    messages, seconds = await _fill(database, made)
    asker, times = Asker(database, made), dict[str, list[float]]()
    settled()  # as the console is when it has started
    for run in range(-WARM_UP, runs):
        for question, ask in asker.questions().items():
            start = time.perf_counter()
            took = await ask()
            whole = time.perf_counter() - start
            if run >= 0:
                found = took if isinstance(took, float) else whole
                times.setdefault(question, []).append(found)
    size = await _bytes(database, url)
    await database.close()
    return Figures(
        database=name,
        alerts=alerts,
        messages_per_second=messages / seconds,
        bytes=size,
        latencies={
            question: {
                "p50": float(np.percentile(found, 50)) * 1000,
                "p99": float(np.percentile(found, 99)) * 1000,
            }
            for question, found in times.items()
        },
    )


async def _fill(database: Database, made: Made) -> tuple[int, float]:
    """Take all messages; how many there were, and the seconds that it took."""
    intake = Intake(database, dict.fromkeys(TOPICS, "made"), 3.0)
    messages, seconds, told = made.messages(), 0.0, time.perf_counter()
    taken = 0
    while batch := [*islice(messages, BATCH)]:
        start = time.perf_counter()
        await intake.take(batch)
        seconds += time.perf_counter() - start
        taken += len(batch)
        if time.perf_counter() - told > 30:
            told = time.perf_counter()
            Console(stderr=True).print(f"{taken:,} messages, {taken / seconds:,.0f} a second")
    if database.is_postgresql:  # as its own daemon does within minutes
        async with database.engine.connect() as connection:
            alone = await connection.execution_options(isolation_level="AUTOCOMMIT")
            await alone.execute(text("VACUUM ANALYZE"))
    return taken, seconds


async def _bytes(database: Database, url: str) -> int:
    if not database.is_postgresql:
        return sum(file.stat().st_size for file in Path(url.partition(":///")[2]).parent.iterdir())
    async with database.reading() as session:
        return int(await session.scalar(text("SELECT pg_database_size(current_database())")) or 0)


def table_of(figures: Sequence[Figures]) -> Table:
    """For people."""
    table = Table(title=f"{figures[0].alerts:,} alerts, milliseconds")
    table.add_column("query")
    for one in figures:
        table.add_column(f"{one.database} p50", justify="right")
        table.add_column("p99", justify="right")
    for question in figures[0].latencies:
        numbers = (one.latencies[question][share] for one in figures for share in ("p50", "p99"))
        table.add_row(question, *(f"{number:.1f}" for number in numbers))
    rates = (f"{one.messages_per_second:,.0f}" for one in figures)
    sizes = (f"{one.bytes / one.alerts:,.0f}" for one in figures)
    for title, values in (("messages taken a second", rates), ("bytes an alert", sizes)):
        table.add_row(title, *(part for value in values for part in (value, "")))
    return table


def main(
    alerts: Annotated[int, typer.Option(min=1000)] = 1_000_000,
    runs: Annotated[int, typer.Option(min=1, help="Of each query.")] = 200,
    postgresql: Annotated[str | None, typer.Option(help="URL of an empty database.")] = None,
    json: Annotated[Path | None, typer.Option()] = None,
) -> None:
    """Fill both databases, ask them, print a table."""
    with tempfile.TemporaryDirectory(prefix="samesource-console-") as folder:
        url = f"sqlite:///{folder}/console.db"
        figures = [asyncio.run(measure("SQLite", url, alerts, runs))]
    server: Any = running() if postgresql is None else nullcontext()
    with server as started:
        named = started.new_database() if isinstance(started, Postgres) else str(postgresql)
        figures.append(asyncio.run(measure("PostgreSQL", named, alerts, runs)))
    Console(width=100).print(table_of(figures))
    if json is not None:
        found = {"machine": machine(), "figures": [asdict(one) for one in figures]}
        json.write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2))


if __name__ == "__main__":
    typer.run(main)
