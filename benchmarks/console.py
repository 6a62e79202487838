"""How long the console's pages take over 1 million alerts, on SQLite and on PostgreSQL.

    python -m benchmarks.console [--alerts N] [--runs N] [--warm-up N] [--only sqlite]
        [--pages REGEX] [--sqlite FILE] [--postgresql URL] [--json FILE] [--limit-ms MS]

Through the code that serves: messages are taken in batches as from the topics. Then each query of
pages and API is asked, and each page of a console in a process of its own, with other filters,
orders and places in the list, one after another. The databases are made for the run, unless a file
or URL names one: what is empty is filled, and what was filled by a run before is taken as it is.
Exit code 1 where a page's p99 isn't under the limit.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Literal

import numpy as np
import orjson
import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy import insert, text

from benchmarks.copies.tables import machine
from benchmarks.read_model.made_messages import Made
from benchmarks.read_model.pages import DRY_RUN, page_times
from benchmarks.read_model.questions import Asker
from stream.console.settings import ConsoleSettings
from stream.console.store.database import Database
from stream.console.store.desk_tables import AuditLine, WebhookDelivery, WebhookEndpoint
from stream.console.store.intake import Intake
from stream.console.store.messages import TOPICS
from stream.console.store.queries import Queries
from stream.loading import settled
from tests.stream.postgres import running

BATCH = 500  # as the settings have it
ALERTS_OF_A_LINE = 3  # of the audit log: as many as have a verdict
DATABASES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}

Times = Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Figures:
    """One database. Latencies are milliseconds by query or page, `p50` and `p99`.

    Attributes:
        messages_per_second: None where it was filled before.
    """

    database: str
    alerts: int
    messages_per_second: float | None
    bytes: int
    queries: dict[str, dict[str, float]]
    pages: dict[str, dict[str, float]]


def measure(
    name: str, url: str, alerts: int, runs: int, warm_up: int, pages: str | None = None
) -> Figures:
    """Fill a database and ask it: everything, or only for pages of these names."""
    made = Made(alerts)
    asked = (runs, warm_up) if pages is None else (0, 0)
    rate, size, queries = asyncio.run(_filled_and_asked(url, made, *asked))
    return Figures(
        database=name,
        alerts=alerts,
        messages_per_second=rate,
        bytes=size,
        queries=_milliseconds(queries),
        pages=_milliseconds(page_times(url, made, runs, warm_up, pages or "")),
    )


async def _filled_and_asked(
    url: str, made: Made, runs: int, warm_up: int
) -> tuple[float | None, int, Times]:
    """Messages taken a second, bytes, and the seconds of each query."""
    database = await Database.open(ConsoleSettings.model_validate({"database_url": url}))
    try:
        there = sum((await Queries(database).alert_numbers()).values())
        if there not in (0, made.alerts):
            raise SystemExit(f"{url} holds {there:,} alerts, expected none or {made.alerts:,}")
        rate = None if there else await _fill(database, made)
        await _fill_desk(database, made)
        return rate, await _bytes(database, url), await _query_times(database, made, runs, warm_up)
    finally:
        await database.close()


async def _query_times(database: Database, made: Made, runs: int, warm_up: int) -> Times:
    asker, times = Asker(database, made), dict[str, list[float]]()
    settled()  # as the console is when it has started
    for run in range(-warm_up, runs):
        for question, ask in asker.questions().items():
            start = time.perf_counter()
            took = await ask()
            whole = time.perf_counter() - start
            if run >= 0:
                found = took if isinstance(took, float) else whole
                times.setdefault(question, []).append(found)
    return times


def _milliseconds(times: Times) -> dict[str, dict[str, float]]:
    return {
        name: {f"p{share}": float(np.percentile(found, share)) * 1000 for share in (50, 99)}
        for name, found in times.items()
    }


async def _fill(database: Database, made: Made) -> float:
    """Take all messages; how many a second."""
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
    return taken / seconds


async def _fill_desk(database: Database, made: Made) -> None:
    """An audit log and a webhook, if there are none: no topic brings them."""
    async with database.writing() as session:
        if await session.get(AuditLine, 1) is not None:
            return
        connection = await session.connection()
        await connection.execute(insert(WebhookEndpoint), [made.webhook()])
        verdicts = made.audit_lines(made.alerts // ALERTS_OF_A_LINE)
        for table, rows in ((AuditLine, verdicts), (WebhookDelivery, made.deliveries())):
            while part := [*islice(rows, BATCH)]:
                await connection.execute(insert(table), part)


async def _bytes(database: Database, url: str) -> int:
    if not database.is_postgresql:
        file = Path(url.partition(":///")[2])
        return sum(part.stat().st_size for part in file.parent.glob(f"{file.name}*"))
    async with database.reading() as session:
        return int(await session.scalar(text("SELECT pg_database_size(current_database())")) or 0)


def table_of(figures: Sequence[Figures]) -> Table:
    """For people."""
    table = Table(title=f"{figures[0].alerts:,} alerts, milliseconds")
    table.add_column("query or page")
    for one in figures:
        table.add_column(f"{one.database} p50", justify="right")
        table.add_column("p99", justify="right")
    for part in ("queries", "pages"):
        for name in getattr(figures[0], part):
            numbers = (getattr(one, part)[name][p] for one in figures for p in ("p50", "p99"))
            table.add_row(name, *(f"{number:.1f}" for number in numbers))
        table.add_section()
    taken = [one.messages_per_second for one in figures]
    rates = ("filled before" if rate is None else f"{rate:,.0f}" for rate in taken)
    sizes = (f"{one.bytes / one.alerts:,.0f}" for one in figures)
    for title, values in (("messages taken a second", rates), ("bytes an alert", sizes)):
        table.add_row(title, *(part for value in values for part in (value, "")))
    return table


def over(figures: Sequence[Figures], limit_ms: float) -> list[str]:
    """Pages whose p99 isn't under the limit."""
    return [
        f"{one.database}, {name}: p99 {found['p99']:.1f} ms, expected under {limit_ms:g}"
        for one in figures
        for name, found in one.pages.items()
        if DRY_RUN not in name and found["p99"] >= limit_ms
    ]


def main(
    alerts: Annotated[int, typer.Option(min=1000)] = 1_000_000,
    runs: Annotated[int, typer.Option(min=1, help="Of each query and page.")] = 200,
    # SQLAlchemy compiles each kind of statement once a process.
    warm_up: Annotated[int, typer.Option(min=0, help="Runs before, that don't count.")] = 60,
    only: Annotated[Literal["sqlite", "postgresql"] | None, typer.Option()] = None,
    pages: Annotated[
        str | None, typer.Option(help="In whose names this is found, and no queries.")
    ] = None,
    sqlite: Annotated[Path | None, typer.Option(help="A file, which is kept.")] = None,
    postgresql: Annotated[str | None, typer.Option(help="URL of a database.")] = None,
    json: Annotated[Path | None, typer.Option()] = None,
    limit_ms: Annotated[float, typer.Option(min=0, help="Of each page's p99.")] = 100.0,
) -> None:
    """Fill both databases, ask them, print a table."""
    figures = []
    for kind in DATABASES if only is None else [only]:
        with ExitStack() as made:
            if kind == "postgresql":
                url = postgresql or made.enter_context(running()).new_database()
            else:
                folder = made.enter_context(TemporaryDirectory(prefix="samesource-console-"))
                url = f"sqlite:///{sqlite or Path(folder, 'console.db')}"
            figures.append(measure(DATABASES[kind], url, alerts, runs, warm_up, pages))
    Console(width=100).print(table_of(figures))
    if json is not None:
        found = {"machine": machine(), "figures": [asdict(one) for one in figures]}
        json.write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2))
    slow = over(figures, limit_ms)
    for each in slow:
        Console(stderr=True).print(each, soft_wrap=True)
    if slow:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
