"""Consoles that are killed again and again under load; serves `console_kills`."""

import asyncio
import math
import os
import random
import subprocess
import time
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, select

from benchmarks.delivery.console_load import KINDS, Load, asked, receiving
from stream.broker.client import send
from stream.broker.settings import KafkaSettings
from stream.console.settings import ConsoleSettings
from stream.console.store.database import Database
from stream.console.store.desk import Desk
from stream.console.store.desk_tables import WebhookDelivery
from stream.console.store.messages import TOPICS
from stream.console.web.signin.rights import SCOPES
from stream.times import now
from tests.stream.command import SAMESOURCE, environment
from tests.stream.console.store.said import random_log
from tests.stream.postgres import Postgres

MESSAGES = 150  # written before each kill, beside those of the load
WRITERS = 4
BATCH = 7  # messages in a transaction: many to die in
LONGEST_LIFE_SECONDS = 6.0  # of a console that is ready
KILLED_EARLY = 0.2  # of the consoles, while they start
START_SECONDS = 120.0
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Place:
    """Where a console is, whichever process it is."""

    url: str
    kafka: KafkaSettings
    port: int
    folder: Path

    def environment(self) -> dict[str, str]:
        """What tells the command so."""
        own = {
            "DATABASE_URL": self.url,
            "PORT": str(self.port),
            "BATCH_MESSAGES": str(BATCH),
            "REQUESTS_PER_MINUTE": "0",
            "WEBHOOK_HOSTS": '["127.0.0.1"]',
            "WEBHOOK_TIMEOUT_SECONDS": "2",
            "WEBHOOK_KEY_FILE": str(self.folder / "webhook.key"),
        }
        named = {f"SAMESOURCE_CONSOLE__{name}": value for name, value in own.items()}
        # Of this tree, as what reads the database in the end.
        return {**os.environ, "PYTHONPATH": str(ROOT), **environment(self.kafka), **named}

    def is_ready(self) -> bool:
        """Whether pages and API are served."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health/ready", timeout=5):
                return True
        except OSError:
            return False


class Life:
    """A process of the console."""

    def __init__(self, place: Place) -> None:
        self._place, self._was_ready = place, False
        with (place.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [SAMESOURCE, "console"], cwd=place.folder, env=place.environment(),
                stdout=log, stderr=log,
            )  # fmt: skip

    def is_over(self) -> bool:
        """Whether it couldn't begin without a database; ending later by itself is a fault."""
        over = self._process.poll() is not None
        if over and self._was_ready:
            raise SystemExit("the console ended by itself")
        return over

    def wait_until_ready(self) -> bool:
        """Until it serves; False where it ended."""
        until = time.monotonic() + START_SECONDS
        while not self._was_ready and not self.is_over():
            self._was_ready = self._place.is_ready()
            if time.monotonic() > until:
                raise SystemExit(f"the console isn't ready within {START_SECONDS:g} s")
            time.sleep(0.05)
        return self._was_ready

    def kill(self) -> None:
        """End it with no chance to tidy up."""
        self._process.kill()
        self._process.wait()


@dataclass
class Outcome:
    """What is left after the kills.

    Attributes:
        acknowledged: writes, by name.
        other: answers that were none, by status; 0 where the connection broke.
        told: of each message to the webhook, how often it came.
    """

    acknowledged: list[str]
    other: Counter[int]
    told: Counter[str]


def publish(kafka: KafkaSettings, seed: int) -> None:
    """Some more messages of all topics."""
    log = random_log(seed, MESSAGES)
    for topic in TOPICS:
        parts = [part for (name, _), part in log.items() if name == topic]
        send(kafka, topic, [(source.key, source.value, []) for part in parts for source in part])


def lives(place: Place, kills: int, server: Postgres | None, told_seconds: float) -> Outcome:
    """Let consoles serve under load, and kill them or the server.

    Args:
        place: of the consoles.
        kills: how many.
        server: of the database, if it is to be killed too.
        told_seconds: that the last one has for each message that the webhook is still to be told.
    """
    tokens = asyncio.run(_tokens(place.url))
    load = Load(place.kafka, place.port, tokens)
    with receiving() as receiver, _console(place) as first:
        body = {"url": receiver.url, "kinds": list(KINDS)}
        made = asked(place.port, tokens[0], "POST", "/api/v1/webhooks", body)
        if made != 201:
            raise SystemExit(f"the webhook can't be made: {made}")
        first.kill()
        with load.running():
            _kill_again_and_again(place, kills, server)
        with _console(place):
            left, until = math.inf, time.monotonic() + told_seconds
            while (waiting := asyncio.run(_waiting(place.url))) and time.monotonic() < until:
                if waiting < left:  # many are told a few at a time
                    left, until = waiting, time.monotonic() + told_seconds
                time.sleep(1)
        return Outcome(load.acknowledged, load.other, receiver.told)


def _kill_again_and_again(place: Place, kills: int, server: Postgres | None) -> None:
    chance = random.Random(kills)
    life: Life | None = None
    for number in range(kills):
        publish(place.kafka, number)
        if life is None or life.is_over():
            life = Life(place)
        if chance.random() > KILLED_EARLY:
            life.wait_until_ready()
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


@contextmanager
def _console(place: Place) -> Iterator[Life]:
    """One that serves as long as the block lasts, if nobody kills it."""
    life = Life(place)
    try:
        if not life.wait_until_ready():
            raise SystemExit("the console doesn't start: " + (place.folder / "log").read_text())
        yield life
    finally:
        life.kill()


async def _tokens(url: str) -> list[str]:
    """Of writers."""
    async with opened(url) as database:
        names, desk = [f"writer {number}" for number in range(WRITERS)], Desk(database)
        return [
            (await desk.make_token(name, "admin", SCOPES, (), "test", now(), 1e6))[0]
            for name in names
        ]


async def _waiting(url: str) -> int:
    """How many messages the webhook hasn't been told."""
    query = select(func.count()).where(WebhookDelivery.state == "waiting")
    async with opened(url) as database, database.reading() as session:
        return await session.scalar(query) or 0


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    """A console's database."""
    database = await Database.open(ConsoleSettings.model_validate({"database_url": url}))
    try:
        yield database
    finally:
        await database.close()
