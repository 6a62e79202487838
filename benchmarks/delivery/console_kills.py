"""Kills the console or its PostgreSQL again and again under load, then compares all rows.

    python -m benchmarks.delivery.console_kills [--kills N] [--only sqlite]

`samesource console` runs on a real Kafka whose topics grow, while others write through its
API and a webhook is told. On SQLite it is killed, on PostgreSQL by turns it and the server with all
its processes. In the end the rows, positions and kept numbers are compared with those of a database
that read everything in one life. Each write that was acknowledged is looked for in them and in the
audit log, each message for the webhook in what it was told. Exits with 1 where anything is missing,
twice or different.
"""

import asyncio
import logging
import tempfile
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from sqlalchemy import select

from benchmarks.delivery.console_lives import Outcome, Place, lives, opened
from benchmarks.delivery.console_load import KINDS
from stream.broker.client import Reader
from stream.broker.local import LocalKafka, held_port
from stream.broker.settings import KafkaSettings
from stream.broker.topics import create_topics
from stream.console.store.database import Database
from stream.console.store.desk_tables import AuditLine, WebhookDelivery
from stream.console.store.follower import StoreFollower
from stream.contract.events import AlertRaised, AlertReviewed
from stream.errors import BadEventError
from stream.settings import load_settings
from tests.stream.console.store.rows_of import Dump, counted, dump, kept
from tests.stream.postgres import Postgres, running

TOLD_SECONDS = 120.0  # what a killed console was sending is sent again after a minute
DATABASES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}


@dataclass(frozen=True)
class Figures:
    """What became of the writes and messages.

    Attributes:
        other: answers that acknowledged nothing, by status; 0 where the connection broke.
        different: rows that aren't those of one undisturbed life, by table.
        lost: acknowledged writes that aren't in the rows; `twice`: that are there more than once.
        unnoted: those without a line in the audit log. A console that is killed while its database
            is away takes the lines with it that it still had to write; the process's log has them.
        to_tell: messages for the webhook; `unmade` of them without a delivery, or too many.
        untold: deliveries that never came; `again`: that came more than once.
    """

    rows: int
    acknowledged: int
    other: dict[int, int]
    different: dict[str, int]
    lost: int
    twice: int
    unnoted: int
    to_tell: int
    unmade: int
    untold: int
    again: int

    @property
    def is_wrong(self) -> bool:
        """Whether anything is missing, twice or different."""
        return bool(self.different or self.lost or self.twice or self.unmade or self.untold)


async def rows(url: str, kafka: KafkaSettings) -> Dump:
    """All rows, read to the end of the topics; the kept numbers are what one counts."""
    settings = load_settings(kafka=kafka, console={"database_url": url})
    database = await Database.open(settings.console)
    failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    follower = StoreFollower(settings, database, failure)
    await follower.start()
    try:
        if await kept(database) != await counted(database):
            raise SystemExit("the kept numbers aren't those of counting")
        return await dump(database, positions=True)
    finally:
        await follower.stop()
        await database.close()


def differences(one: Dump, other: Dump) -> dict[str, int]:
    """How many rows of each table are in one of the two alone."""
    sides = [
        {name: {repr(_said(row)) for row in side[name]} for name in side} for side in (one, other)
    ]
    return {name: len(rows) for name in one if (rows := sides[0][name] ^ sides[1][name])}


def _said(row: Mapping[str, Any]) -> dict[str, Any]:
    """What topics say: a claim lives in the database alone."""
    return {name: value for name, value in row.items() if not name.startswith("claimed_")}


def names_in(dump: Dump) -> Counter[str]:
    """How often each write is in the rows, by its name."""
    return Counter(
        str(row[column])
        for table, column in (
            ("reviews", "note"),
            ("uploads", "video_id"),
            ("policies", "owner_id"),
        )
        for row in dump[table]
    )


async def noted(url: str) -> Counter[str]:
    """The same of the audit log: a verdict's name is its note, which is why."""
    async with opened(url) as database, database.reading() as session:
        lines = await session.execute(select(AuditLine.why, AuditLine.about))
        return Counter(why or about for why, about in lines)


async def deliveries(url: str) -> set[str]:
    """The ids of what the webhook is told."""
    async with opened(url) as database, database.reading() as session:
        return {*await session.scalars(select(WebhookDelivery.message_id))}


def to_tell(kafka: KafkaSettings) -> int:
    """Messages for the webhook on the topics; what is there twice is one."""
    found: set[tuple[str, bytes]] = set()
    with Reader(kafka, *KINDS) as reader:
        for topic, message in reader.until_now():
            value = message.value()
            kind = AlertRaised if topic == AlertRaised.topic else AlertReviewed
            try:
                kind.from_bytes(value)
            except BadEventError:
                continue
            found.add((topic, value or b""))
    return len(found)


def judge(place: Place, outcome: Outcome) -> Figures:
    """What there is, set against what was acknowledged and read in one life."""
    killed = asyncio.run(rows(place.url, place.kafka))
    anew = asyncio.run(rows(f"sqlite:///{place.folder}/anew.db", place.kafka))
    names, lines = names_in(killed), asyncio.run(noted(place.url))
    made, expected = asyncio.run(deliveries(place.url)), to_tell(place.kafka)
    return Figures(
        rows=sum(map(len, killed.values())),
        acknowledged=len(outcome.acknowledged),
        other=dict(outcome.other),
        different=differences(killed, anew),
        lost=sum(names[name] == 0 for name in outcome.acknowledged),
        twice=sum(names[name] > 1 or lines[name] > 1 for name in outcome.acknowledged),
        unnoted=sum(lines[name] == 0 for name in outcome.acknowledged),
        to_tell=expected,
        unmade=abs(expected - len(made)),
        untold=len(made - outcome.told.keys()),
        again=sum(outcome.told[each] > 1 for each in made),
    )


def measure(
    kafka: KafkaSettings,
    url: str,
    kills: int,
    server: Postgres | None,
    folder: Path,
    told_seconds: float,
) -> Figures:
    """Kill so often, on topics that are empty, then judge; see `lives`."""
    with held_port() as port:  # while its console is dead, too
        place = Place(url, kafka, port, folder)
        return judge(place, lives(place, kills, server, told_seconds))


def main(
    kills: Annotated[int, typer.Option(min=1)] = 100,
    only: Annotated[Literal["sqlite", "postgresql"] | None, typer.Option()] = None,
) -> None:
    """Kill so often on each database, then compare."""
    logging.disable(logging.WARNING)  # of messages that are strange on purpose
    wrong = False
    for kind in DATABASES if only is None else [only]:
        with ExitStack() as made:
            folder = Path(
                made.enter_context(tempfile.TemporaryDirectory(prefix="samesource-kills-"))
            )
            local = made.enter_context(LocalKafka(folder / "kafka"))
            kafka = KafkaSettings(bootstrap_servers=local.bootstrap_servers)
            create_topics(kafka)
            server = made.enter_context(running()) if kind == "postgresql" else None
            url = f"sqlite:///{folder}/console.db" if server is None else server.new_database()
            figures = measure(kafka, url, kills, server, folder, TOLD_SECONDS)
        print(f"{DATABASES[kind]}, {kills} kills: {figures}")
        wrong |= figures.is_wrong or (kind == "sqlite" and figures.unnoted > 0)
    raise SystemExit(int(wrong))


if __name__ == "__main__":
    typer.run(main)
