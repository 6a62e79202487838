"""Opening a database: from nothing, from the first revision, again, or not at all."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiosqlite
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from pydantic import ValidationError
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from stream.console.settings import ConsoleSettings
from stream.console.store import database as database_module
from stream.console.store.database import Database, is_away
from stream.console.store.desk import Desk
from stream.console.store.intake import Intake
from stream.console.store.messages import TOPICS
from stream.console.store.migrate import revision_of, revisions, upgrade
from stream.console.store.tables import Alert, Table
from stream.errors import DatabaseAwayError, DatabaseError
from tests.stream.console.store.rows_of import dump
from tests.stream.console.store.said import BEGIN, random_log
from tests.stream.postgres import Postgres

pytestmark = pytest.mark.asyncio
REREAD = ("0001",)  # after which rows have another form
ALERTS_REREAD = ("0002", "0003", "0004")  # after which those of alerts have one more column


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: Any, tmp_path: Path) -> ConsoleSettings:
    """Of a database of each kind with no tables at all."""
    url = f"sqlite:///{tmp_path}/console.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").new_database()
    return ConsoleSettings.model_validate({"database_url": url})


@asynccontextmanager
async def opened(settings: ConsoleSettings) -> AsyncIterator[Database]:
    database = await Database.open(settings)
    try:
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def connected(settings: ConsoleSettings) -> AsyncIterator[AsyncConnection]:
    """By no code of the store."""
    engine = create_async_engine(settings.driver_url)
    try:
        async with engine.begin() as connection:
            yield connection
    finally:
        await engine.dispose()


def differences(connection: Connection) -> Any:
    return compare_metadata(MigrationContext.configure(connection), Table.metadata)


async def test_an_empty_database_gets_all_tables(empty: ConsoleSettings) -> None:
    async with opened(empty):
        pass
    async with connected(empty) as connection:
        assert await connection.run_sync(differences) == []
        assert await connection.run_sync(revision_of) == revisions()[-1]


async def test_opening_again_changes_nothing(empty: ConsoleSettings) -> None:
    async with opened(empty) as database:
        secret = await Desk(database).begin_session("ann", "reviewer", [], BEGIN, 60)
    async with opened(empty) as database:
        person = await Desk(database).session(secret, BEGIN)
        assert person is not None and person.name == "ann"


@pytest.mark.parametrize("revision", revisions()[:-1])
async def test_every_old_schema_is_migrated_and_what_lives_only_there_is_kept(
    empty: ConsoleSettings, revision: str
) -> None:
    secret = await _old(empty, revision)
    async with opened(empty) as database:
        person = await Desk(database).token(secret, BEGIN)
        assert person is not None and person.scopes == ("alerts:read",)
        intake = Intake(database, dict.fromkeys(TOPICS, "log"), 3.0)
        # Rows of another form: everything is read from the beginning, or what has to be.
        known = {("alert.raised", 0): 17, ("alert.suppressed", 1): 17, ("video.decided", 0): 17}
        left = known if revision not in REREAD else {}
        if revision in ALERTS_REREAD:
            left = {("video.decided", 0): 17}
        assert await intake.positions(dict.fromkeys(known, 10**6)) == left
        assert await intake.positions({}) == {}, "a log that has lost its end is read anew"
        log = random_log(1, 60)
        await intake.take([source for part in log.values() for source in part])
        migrated = await dump(database)
    async with connected(empty) as connection:
        assert await connection.run_sync(differences) == []
        for table in reversed(Table.metadata.sorted_tables):
            await connection.execute(text(f"DROP TABLE {table.name}"))
        await connection.execute(text("DROP TABLE alembic_version"))
    async with opened(empty) as database:
        intake = Intake(database, dict.fromkeys(TOPICS, "log"), 3.0)
        await intake.take([source for part in log.values() for source in part])
        assert await dump(database) == migrated


async def test_alerts_that_an_earlier_release_has_read_get_their_policies(
    empty: ConsoleSettings,
) -> None:
    log = [source for part in random_log(1, 60).values() for source in part]
    async with opened(empty) as database:
        await Intake(database, dict.fromkeys(TOPICS, "log"), 3.0).take(log)
        rows = await dump(database)
        assert any(row["policy"] for row in rows["alerts"])
    async with connected(empty) as connection:
        for table, column in (("alerts", "policy"), ("sessions", "scopes")):
            await connection.execute(text(f"ALTER TABLE {table} DROP COLUMN {column}"))
        await connection.execute(text("UPDATE alembic_version SET version_num = '0004'"))
    async with opened(empty) as database:
        await Intake(database, dict.fromkeys(TOPICS, "log"), 3.0).take(log)
        assert await dump(database) == rows


async def _old(empty: ConsoleSettings, revision: str) -> str:
    """A database as an earlier release left it, with rows and a token; the token's secret."""
    async with connected(empty) as connection:
        await connection.run_sync(upgrade, revision)
        await connection.execute(
            text(
                'INSERT INTO positions (topic, "partition", next_offset, log_id) '
                "VALUES ('alert.raised', 0, 17, 'log'), ('alert.suppressed', 1, 17, 'log'), "
                "('video.decided', 0, 17, 'log')"
            )
        )
        await connection.execute(
            text("INSERT INTO tallies (kind, about, name, number) VALUES ('alerts', '', 'open', 9)")
        )
        secret = "samesource_0123456789abcdef_secret"
        until = BEGIN + timedelta(days=1)
        await connection.execute(
            text(
                "INSERT INTO tokens (token_id, secret_hash, name, role, scopes, owner_ids, "
                "made_by, made_at, expires_at) VALUES ('0123456789abcdef', "
                "'2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b', 'ci', "
                "'viewer', '[\"alerts:read\"]', '[]', 'ann', 0, :until)"
            ),
            {"until": round(until.timestamp() * 1e6)},
        )
    return secret


async def test_a_database_of_a_newer_release_is_left_alone(empty: ConsoleSettings) -> None:
    async with opened(empty):
        pass
    async with connected(empty) as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(DatabaseError, match="9999.*of this release"):
        await Database.open(empty)
    async with connected(empty) as connection:
        assert await connection.run_sync(revision_of) == "9999"


async def test_what_is_no_database_is_said_without_the_password(tmp_path: Path) -> None:
    (tmp_path / "file.db").write_bytes(b"this is no database " * 100)
    sqlite = ConsoleSettings.model_validate({"database_url": f"sqlite:///{tmp_path}/file.db"})
    with pytest.raises(DatabaseError, match="file is not a database"):
        await Database.open(sqlite)
    away = ConsoleSettings.model_validate(
        {"database_url": f"postgresql://ann:hidden@/x?host={tmp_path}"}
    )
    with pytest.raises(DatabaseError) as error:
        await Database.open(away)
    assert "hidden" not in str(error.value)
    assert "console.database_url" in str(error.value)


async def test_several_processes_may_open_an_empty_database_at_once(
    empty: ConsoleSettings,
) -> None:
    databases = await asyncio.gather(*(Database.open(empty) for _ in range(4)))
    for database in databases:
        await database.close()
    async with connected(empty) as connection:
        assert await connection.run_sync(differences) == []


async def test_an_empty_database_that_another_process_is_making_is_waited_for(
    tmp_path: Path,
) -> None:
    file = tmp_path / "console.db"
    other = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(1, other.execute, ["COMMIT"])
    timer.start()
    settings = ConsoleSettings(database_url=f"sqlite:///{file}")
    database = await Database.open(settings)
    await database.close()
    timer.join()
    other.close()


async def test_a_reader_sees_one_state_while_others_write(settings: ConsoleSettings) -> None:
    async with opened(settings) as database:
        desk, count = Desk(database), text("SELECT count(*) FROM audit_lines")
        await desk.note("ann", "sign in", "console", BEGIN)
        async with database.reading() as session:
            assert await session.scalar(count) == 1
            await desk.note("ann", "sign out", "console", BEGIN)
            assert await session.scalar(count) == 1
        async with database.reading() as session:
            assert await session.scalar(count) == 2


async def test_a_block_that_raises_leaves_nothing(settings: ConsoleSettings) -> None:
    async with opened(settings) as database:
        with pytest.raises(RuntimeError, match="halfway"):
            async with database.writing() as session:
                await session.execute(
                    text("INSERT INTO tallies (kind, about, name, number) VALUES ('a','b','c',1)")
                )
                raise RuntimeError("halfway")
        assert (await dump(database))["tallies"] == []


async def test_writers_of_one_process_wait_for_each_other(settings: ConsoleSettings) -> None:
    async with opened(settings) as database:
        desk = Desk(database)
        await asyncio.gather(*(desk.note("ann", "look", f"alert {n}", BEGIN) for n in range(30)))
        page = await desk.audit(limit=100)
        assert len(page.items) == 30


async def test_sqlite_is_told_of_every_index_of_alerts(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/console.db"
    names = {str(index.name) for index in Alert.__table__.indexes}  # type: ignore[attr-defined]
    settings = ConsoleSettings.model_validate({"database_url": url})
    async with opened(settings) as database, database.reading() as session:
        told = {*await session.scalars(text("SELECT idx FROM sqlite_stat1"))}
        listed = {row[1] for row in await session.execute(text("PRAGMA index_list(alerts)"))}
    assert told == names | {"sqlite_autoindex_alerts_1"} == listed


async def test_a_statement_changes_threads_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[object] = []
    in_its_thread: Any = aiosqlite.Connection._execute

    async def execute(self: aiosqlite.Connection, call: Any, *args: Any, **words: Any) -> Any:
        waits.append(call)
        return await in_its_thread(self, call, *args, **words)

    url = f"sqlite:///{tmp_path}/console.db"
    async with opened(ConsoleSettings.model_validate({"database_url": url})) as database:
        async with database.reading() as session:  # which opens a connection
            await session.execute(text("SELECT 1"))
        monkeypatch.setattr(aiosqlite.Connection, "_execute", execute)
        async with database.reading() as session:
            assert (await session.execute(text("VALUES (1), (2)"))).scalars().all() == [1, 2]
        assert len(waits) <= 4  # to begin, to ask, to end, and the pool makes sure of that


async def test_what_may_pass_is_told_from_what_never_will(
    postgres: Postgres, tmp_path: Path
) -> None:
    url = postgres.new_database()
    async with opened(ConsoleSettings.model_validate({"database_url": url})) as database:
        with pytest.raises(DBAPIError) as wrong:
            async with database.reading() as session:
                await session.execute(text("SELECT nothing FROM nowhere"))
        assert not is_away(wrong.value)
        with pytest.raises(DBAPIError) as killed:
            async with database.writing() as session:
                postgres.kill()
                await session.execute(text("SELECT 1"))
        assert is_away(killed.value)
        with pytest.raises(DatabaseAwayError) as away:
            async with database.reading() as session:
                await session.execute(text("SELECT 1"))
        assert is_away(away.value)
        postgres.start()
        async with database.reading() as session:
            assert await session.scalar(text("SELECT 1")) == 1
    assert not is_away(ValueError("a bug"))


async def test_a_sqlite_that_another_process_holds_is_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "BUSY_SECONDS", 0.1)
    settings = ConsoleSettings.model_validate({"database_url": f"sqlite:///{tmp_path}/console.db"})
    async with opened(settings) as ours, opened(settings) as theirs, theirs.writing():
        with pytest.raises(DBAPIError) as busy:
            await Desk(ours).note("ann", "look", "alert", BEGIN)
        assert is_away(busy.value)


async def test_the_file_is_nobody_elses(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "console.db"
    async with opened(ConsoleSettings.model_validate({"database_url": f"sqlite:///{file}"})):
        found = {path.name: path.stat().st_mode & 0o777 for path in file.parent.iterdir()}
    assert found["console.db"] == 0o600
    assert {*found.values()} == {0o600}


@pytest.mark.parametrize("url", ["", "console.db", "sqlite://", "mysql://host/name", "/var/x.db"])
async def test_a_url_of_no_database_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match="sqlite:///file"):
        ConsoleSettings.model_validate({"database_url": url})


async def test_a_password_is_not_shown() -> None:
    settings = ConsoleSettings.model_validate({"database_url": "postgresql://ann:hidden@host/name"})
    assert "hidden" not in repr(settings)
    assert settings.driver_url == "postgresql+asyncpg://ann:hidden@host/name"
    assert settings.database_file is None
