"""Kills the console or its PostgreSQL again and again while topics grow, then compares all rows.

    python -m benchmarks.delivery.console_kills [--kills N]

A process follows the topics of an embedded broker into a database; on SQLite it is killed, on
PostgreSQL by turns it and the server with all its processes. In the end the rows, positions and
kept numbers are compared with those of a database that read everything in one life. Exits with 1
where they differ.
"""

import asyncio
import logging
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer

from stream.broker.client import send
from stream.broker.embedded import EmbeddedBroker
from stream.broker.settings import KafkaSettings
from stream.console.store.database import Database
from stream.console.store.follower import StoreFollower
from stream.console.store.messages import TOPICS
from tests.stream.console.store.following import settings_of
from tests.stream.console.store.rows_of import Dump, counted, dump, kept
from tests.stream.console.store.said import random_log
from tests.stream.postgres import Postgres, running

MESSAGES = 150  # written before each kill
LONGEST_LIFE_SECONDS = 4.0  # of a process, imports included
ROOT = Path(__file__).parents[2]


def publish(kafka: KafkaSettings, seed: int) -> None:
    """Some more messages of all topics."""
    log = random_log(seed, MESSAGES)
    for topic in TOPICS:
        parts = [part for (name, _), part in log.items() if name == topic]
        send(kafka, topic, [(source.key, source.value, []) for part in parts for source in part])


async def rows(url: str, servers: str) -> Dump:
    """All rows, read to the end of the topics; the kept numbers are what one counts."""
    settings = settings_of(url, servers, "")
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


class Life:
    """A process that follows the topics."""

    def __init__(self, url: str, servers: str, folder: Path) -> None:
        self._said = folder / "said"
        with self._said.open("wb") as said, (folder / "log").open("ab") as log:
            command = [sys.executable, "-m", "tests.stream.console.store.following", url]
            self._process = subprocess.Popen(
                [*command, servers, ""], cwd=ROOT, stdout=said, stderr=log
            )

    def is_over(self) -> bool:
        """Whether it couldn't begin without a database; ending later by itself is a fault."""
        over = self._process.poll() is not None
        if over and b"ready" in self._said.read_bytes():
            raise SystemExit("the console ended by itself")
        return over

    def kill(self) -> None:
        """End it with no chance to tidy up."""
        self._process.kill()
        self._process.wait()


def lives(url: str, servers: str, kills: int, server: Postgres | None, folder: Path) -> None:
    """Let processes follow the topics, and kill them or the server."""
    chance, kafka = random.Random(kills), settings_of(url, servers, "").kafka
    life: Life | None = None
    for number in range(kills):
        publish(kafka, number)
        if life is None or life.is_over():
            life = Life(url, servers, folder)
        time.sleep(chance.uniform(0, LONGEST_LIFE_SECONDS))
        if server is not None and number % 2:
            server.kill()
            time.sleep(chance.uniform(0, 1))
            server.start()
        else:
            life.kill()
            life = None
    if life is not None:
        life.kill()


def compare(name: str, url: str, kills: int, server: Postgres | None, folder: Path) -> bool:
    """Whether the rows are those of one undisturbed life."""
    with EmbeddedBroker() as broker:
        servers = broker.bootstrap_servers
        lives(url, servers, kills, server, folder)
        killed = asyncio.run(rows(url, servers))
        anew = asyncio.run(rows(f"sqlite:///{folder}/anew-{name}.db", servers))
    number = sum(map(len, killed.values()))
    print(f"{name}: {kills} kills, {number:,} rows, {'equal' if killed == anew else 'DIFFERENT'}")
    return killed == anew


def main(kills: Annotated[int, typer.Option(min=1)] = 100) -> None:
    """Kill so often on each database, then compare."""
    logging.disable(logging.WARNING)  # of messages that are strange on purpose
    with tempfile.TemporaryDirectory(prefix="samesource-kills-") as made, running() as server:
        folder = Path(made)
        same = compare("SQLite", f"sqlite:///{folder}/console.db", kills, None, folder)
        same &= compare("PostgreSQL", server.new_database(), kills, server, folder)
    raise SystemExit(0 if same else 1)


if __name__ == "__main__":
    typer.run(main)
