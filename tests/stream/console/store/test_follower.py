"""The follower on the embedded broker: kills, deletions and restarts give the same rows."""

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from stream.broker.client import send
from stream.broker.embedded import EmbeddedBroker
from stream.broker.settings import KafkaSettings
from stream.console.settings import ConsoleSettings
from stream.console.store.database import Database
from stream.console.store.desk import Desk
from stream.console.store.desk_tables import WebhookDelivery
from stream.console.store.follower import StoreFollower
from stream.console.store.messages import TOPICS
from stream.console.store.outbox import KINDS
from stream.console.store.queries import Queries
from stream.console.store.views import Place
from stream.contract.topics import load_topics
from stream.settings import Settings
from tests.stream.console.migrated import postgresql_database, sqlite_file
from tests.stream.console.store.following import settings_of
from tests.stream.console.store.rows_of import counted, dump, kept
from tests.stream.console.store.said import BEGIN, Log, alert, random_log, verdict
from tests.stream.postgres import Postgres

pytestmark = pytest.mark.asyncio
ROOT = Path(__file__).parents[4]
PREFIX = "t."
BeginLife = Callable[..., int]
"""Given a database's URL, servers and a prefix: the process id."""
NO_HEADERS: list[tuple[str, bytes]] = []


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    topics = [topic for topic in load_topics() if topic.name in TOPICS]
    with EmbeddedBroker(topic_prefix=PREFIX, topics=topics) as broker:
        yield broker


@pytest.fixture(scope="module")
def begin_life() -> Iterator[BeginLife]:
    """Begins processes that follow; they are forked, since the imports of each cost the most."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.stream.console.store.following"],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as parent:  # fmt: skip
        assert parent.stdin is not None and parent.stdout is not None
        stdin, stdout = parent.stdin, parent.stdout

        def begin(*arguments: str) -> int:
            stdin.write(" ".join(arguments) + "\n")
            stdin.flush()
            return int(stdout.readline())

        yield begin


def of(settings: ConsoleSettings, broker: EmbeddedBroker) -> Settings:
    url = settings.database_url.get_secret_value()
    return settings_of(url, broker.bootstrap_servers, PREFIX)


def publish(kafka: KafkaSettings, log: Log) -> None:
    for topic in TOPICS:
        parts = [part for (name, _), part in log.items() if name == topic]
        messages = [(s.key, s.value, NO_HEADERS) for part in parts for s in part]
        send(kafka, topic, messages)


@asynccontextmanager
async def following(settings: Settings) -> AsyncIterator[tuple[StoreFollower, Database]]:
    database = await Database.open(settings.console)
    failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    follower = StoreFollower(settings, database, failure)
    await follower.start()
    try:
        yield follower, database
        assert not failure.done(), failure
    finally:
        await follower.stop()
        await database.close()


async def rows_made_anew(settings: Settings, folder: Path) -> object:
    """The rows of a database that read everything in one life, in batches as large as any."""
    url = sqlite_file(folder / f"anew-{random.random()}.db")
    servers = settings.kafka.bootstrap_servers
    async with following(settings_of(url, servers, PREFIX, batch_messages=500)) as (_, database):
        return await dump(database, positions=True)


async def test_what_is_there_is_read_before_start_returns_and_the_rest_follows(
    settings: ConsoleSettings, broker: EmbeddedBroker
) -> None:
    whole = of(settings, broker)
    first, second = alert("one"), alert("two")
    await asyncio.to_thread(send, whole.kafka, first.topic, [(b"k", first.to_bytes(), [])])
    async with following(whole) as (follower, database):
        queries = Queries(database)
        assert await queries.alert("one") is not None
        assert await queries.alert("two") is None
        assert set(follower.lag().values()) <= {0}
        await asyncio.to_thread(send, whole.kafka, first.topic, [(b"k", second.to_bytes(), [])])
        view = await queries.alert("one")
        assert view is not None
        place = Place(first.topic, view.place.partition, view.place.offset + 1)
        assert await follower.until(place, 20)
        assert await queries.alert("two") is not None
        assert await queries.holds(place)
        beyond = Place(first.topic, place.partition, place.offset + 1)
        assert not await follower.until(beyond, 0.05)
        assert not await queries.holds(beyond)


async def test_a_deleted_database_is_made_anew_from_the_topics(
    tmp_path: Path, broker: EmbeddedBroker
) -> None:
    file = tmp_path / "console.db"
    settings = settings_of(sqlite_file(file), broker.bootstrap_servers, PREFIX)
    await asyncio.to_thread(publish, settings.kafka, random_log(1, 80))
    async with following(settings) as (_, database):
        before = await dump(database, positions=True)
    for left in tmp_path.glob("console.db*"):
        left.unlink()
    async with following(settings) as (_, database):
        assert await dump(database, positions=True) == before


async def test_a_second_life_goes_on_where_the_first_ended(
    settings: ConsoleSettings, broker: EmbeddedBroker, tmp_path: Path
) -> None:
    whole = of(settings, broker)
    for seed in (1, 2, 3):
        await asyncio.to_thread(publish, whole.kafka, random_log(seed, 40))
        async with following(whole) as (_, database):
            rows = await dump(database, positions=True)
            assert await kept(database) == await counted(database)
    assert rows == await rows_made_anew(whole, tmp_path)


async def test_two_consoles_may_feed_one_database(
    settings: ConsoleSettings, broker: EmbeddedBroker, tmp_path: Path
) -> None:
    whole = of(settings, broker)
    await asyncio.to_thread(publish, whole.kafka, random_log(1, 60))
    async with following(whole) as (_, database), following(whole):
        await asyncio.to_thread(publish, whole.kafka, random_log(2, 60))
        anew = await rows_made_anew(whole, tmp_path)
        async with asyncio.timeout(30):
            while await dump(database, positions=True) != anew:
                await asyncio.sleep(0.05)
        assert await kept(database) == await counted(database)


async def test_a_topic_that_was_made_anew_is_read_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url = sqlite_file(tmp_path / "console.db")
    topics = [topic for topic in load_topics() if topic.name in TOPICS]
    for alert_ids in (("one", "two", "three"), ("four",)):
        said = [alert(one) for one in alert_ids]
        with EmbeddedBroker(topic_prefix=PREFIX, topics=topics) as broker:
            settings = settings_of(url, broker.bootstrap_servers, PREFIX)
            messages = [(b"k", one.to_bytes(), NO_HEADERS) for one in said]
            await asyncio.to_thread(send, settings.kafka, said[0].topic, messages)
            async with following(settings) as (_, database):
                rows = await dump(database)
                assert {row["alert_id"] for row in rows["alerts"]} == {*alert_ids}
    assert "made anew" in caplog.text


async def test_killed_again_and_again_it_loses_and_doubles_nothing(
    settings: ConsoleSettings, broker: EmbeddedBroker, tmp_path: Path, begin_life: BeginLife
) -> None:
    whole, chance = of(settings, broker), random.Random(7)
    url, servers = whole.console.database_url.get_secret_value(), broker.bootstrap_servers
    database = await Database.open(settings)
    await Desk(database).make_webhook("https://a.example/", KINDS, None, None, "k", "ann", BEGIN)
    await database.close()
    engine = create_async_engine(whole.console.driver_url)  # as another process would see it
    for life in range(5):
        await asyncio.to_thread(publish, whole.kafka, random_log(life, 120))
        before = await _positions(engine)
        pid = begin_life(url, servers, PREFIX)
        async with asyncio.timeout(60):
            while await _positions(engine) == before:
                assert psutil.pid_exists(pid), f"life {life} ended by itself"
                await asyncio.sleep(0.01)
        await asyncio.sleep(chance.uniform(0.0, 0.25))
        assert psutil.pid_exists(pid), f"life {life} ended by itself"
        os.kill(pid, signal.SIGKILL)
        async with asyncio.timeout(60):
            while psutil.pid_exists(pid):
                await asyncio.sleep(0.01)
    await engine.dispose()
    async with following(whole) as (_, database):
        rows = await dump(database, positions=True)
        assert await kept(database) == await counted(database)
        async with database.reading() as session:
            told = {*await session.scalars(select(WebhookDelivery.body))}
            number = await session.scalar(select(func.count()).select_from(WebhookDelivery))
    assert rows == await rows_made_anew(whole, tmp_path)
    said = {
        (source.topic, source.value)
        for life in range(5)
        for part in random_log(life, 120).values()
        for source in part
        if source.topic in KINDS and source.value is not None and source.value != b"{"
    }
    assert number == len(said) and len(told) == len(said), "what is to be told, too"


async def _positions(engine: AsyncEngine) -> object:
    async with engine.connect() as connection:
        query = text('SELECT topic, "partition", next_offset FROM positions ORDER BY 1, 2')
        return [tuple(row) for row in await connection.execute(query)]


async def test_a_database_that_is_killed_is_waited_for(
    postgres: Postgres, broker: EmbeddedBroker, tmp_path: Path
) -> None:
    settings = settings_of(postgresql_database(postgres), broker.bootstrap_servers, PREFIX)
    async with following(settings) as (_, database):
        for life in range(3):
            await asyncio.to_thread(publish, settings.kafka, random_log(life, 100))
            await asyncio.sleep(0.05 * life)
            await asyncio.to_thread(postgres.kill)
            await asyncio.to_thread(publish, settings.kafka, random_log(10 + life, 30))
            await asyncio.to_thread(postgres.start)
        anew = await rows_made_anew(settings, tmp_path)
        async with asyncio.timeout(60):
            while await dump(database, positions=True) != anew:
                await asyncio.sleep(0.2)
        assert await kept(database) == await counted(database)


async def test_verdicts_come_back_through_the_topic(
    settings: ConsoleSettings, broker: EmbeddedBroker
) -> None:
    whole = of(settings, broker)
    said = verdict("one", "confirmed")
    async with following(whole) as (follower, database):
        raised = alert("one")
        await asyncio.to_thread(
            send, whole.kafka, raised.topic, [(raised.key(), raised.to_bytes(), [])]
        )
        await asyncio.to_thread(send, whole.kafka, said.topic, [(said.key(), said.to_bytes(), [])])
        async with asyncio.timeout(30):
            while (view := await Queries(database).alert("one")) is None or view.state == "open":
                await asyncio.sleep(0.02)
    assert (view.state, view.reviewer) == ("confirmed", "ann")
