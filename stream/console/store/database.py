"""The database of the console: SQLite by default, PostgreSQL by URL; migrated when it is opened.

Asynchronous (aiosqlite, asyncpg): the follower and the web application share one event loop, and
asyncpg is the PostgreSQL driver whose licence fits. SQLite has one writer at a time: writers of
this process queue for it in order, and those of others wait for the lock of the file.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from contextvars import ContextVar
from functools import partial
from typing import Any, Self

from alembic.util.exc import CommandError
from asyncpg.exceptions import InternalClientError
from sqlalchemy import event, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine

from stream.console.settings import ConsoleSettings
from stream.console.store.columns import key_of
from stream.console.store.migrate import upgrade
from stream.console.store.one_change import connect
from stream.console.store.sizes import state_sizes
from stream.console.store.tables import Table
from stream.errors import DatabaseAwayError, DatabaseError, brief

BUSY_SECONDS = 30  # for which a writer of another process may hold SQLite's lock
AGAIN_SECONDS = 0.1  # between two tries of a lock that SQLite doesn't wait for
CONNECT_SECONDS = 10  # set by hand
WRITES = "console_writes"
PASSING_STATES = ("08", "53", "57", "58", "40")
"""PostgreSQL's classes: connection, resources, operator's intervention, system, rollback."""
PASSING_WORDS = ("locked", "busy", "disk i/o", "disk is full", "starting up", "not yet accepting")
"""Of SQLite, and of a PostgreSQL that lets nobody in yet."""
LOCK_NUMBER = 7_046_029_254_386_353_131
"""PostgreSQL's advisory lock of whoever migrates or projects: any number that nobody else takes."""


class Database:
    """An open database of the newest schema.

    Attributes:
        engine: of SQLAlchemy.
        is_postgresql: or SQLite.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self.is_postgresql = engine.dialect.name == "postgresql"
        self._joined = ContextVar[AsyncSession | None]("joined", default=None)
        self._one_writer = nullcontext() if self.is_postgresql else asyncio.Lock()

    @classmethod
    async def open(cls, settings: ConsoleSettings) -> Self:
        """Connect, and migrate to the newest schema.

        Raises:
            DatabaseError: it can't be reached or used, or a newer release made it.
        """
        engine = _engine(settings)
        database = cls(engine)
        try:
            await database._migrate()
        except (SQLAlchemyError, DatabaseAwayError, CommandError) as error:
            await engine.dispose()
            where = engine.url.render_as_string(hide_password=True)
            raise DatabaseError(
                f"console.database_url = {where!r} can't be used ({brief(error, 300)}): name a "
                "database that is there and of this release"
            ) from error
        return database

    async def _migrate(self) -> None:
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                async with self._begun(writes=True) as connection:
                    # Consoles that start together would make the same tables, and all but one fail.
                    await self.lock(connection)
                    await connection.run_sync(upgrade)
                    if not self.is_postgresql:
                        await connection.run_sync(state_sizes)
                return
            except OperationalError as error:
                # Whoever makes a new file of SQLite one with a log ahead isn't waited for: the
                # others are refused at once.
                locked = not self.is_postgresql and "locked" in str(error.orig)
                if not locked or time.monotonic() > deadline:
                    raise
            await asyncio.sleep(AGAIN_SECONDS)

    async def close(self) -> None:
        """Disconnect."""
        await self.engine.dispose()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        """A session that sees one state of the database for the time of the block."""
        async with (
            self._begun(writes=False) as connection,
            AsyncSession(connection, autoflush=False) as session,
        ):
            yield session

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncSession]:
        """One transaction: committed at the end of the block, undone where it raises.

        In a block of `together`, it is a part of that one's.
        """
        if (joined := self._joined.get()) is not None:
            yield joined
            await joined.flush()
            return
        async with (
            self._begun(writes=True) as connection,
            # Rows are read on after the block, where there is nothing to load them anew by.
            AsyncSession(connection, autoflush=False, expire_on_commit=False) as session,
        ):
            yield session
            # The connection commits, not the session: what isn't flushed would be lost in silence.
            await session.flush()

    @asynccontextmanager
    async def together(self) -> AsyncIterator[None]:
        """All that this task writes in the block is one transaction. Start no task in it."""
        async with self.writing() as session:
            before = self._joined.set(session)
            try:
                yield
            finally:
                self._joined.reset(before)

    async def lock(self, connection: AsyncConnection | AsyncSession) -> None:
        """Be the only one that migrates or projects, until the transaction ends."""
        if self.is_postgresql:  # SQLite's writers are alone anyway
            await connection.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": LOCK_NUMBER})

    @asynccontextmanager
    async def alone(self, *words: str) -> AsyncIterator[None]:
        """For the time of the block, be the only console on this database that does something.

        Of one process let at most one wait here, or those who wait hold all connections. SQLite is
        one console's alone.
        """
        if not self.is_postgresql:
            yield
            return
        async with self._begun(writes=True) as connection:
            await connection.execute(
                text("SELECT pg_advisory_xact_lock(:n)"), {"n": key_of("alone", *words)}
            )
            yield

    @asynccontextmanager
    async def _begun(self, *, writes: bool) -> AsyncIterator[AsyncConnection]:
        options: dict[str, Any] = {WRITES: writes}
        if self.is_postgresql and not writes:
            # Else each statement would see a state of its own: rows, and numbers that don't fit.
            options |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        turn = self._one_writer if writes else nullcontext()
        # The turn first: writers that wait would hold every connection, and readers get none.
        async with turn, _away_is_told(), self.engine.connect() as connection:
            await connection.execution_options(**options)
            async with connection.begin():
                yield connection


@asynccontextmanager
async def _away_is_told() -> AsyncIterator[None]:
    """One error for all that asyncpg raises where nobody answers, which SQLAlchemy doesn't wrap.

    A name that isn't found, a socket that isn't there, a connection that breaks at an unlucky
    moment.
    """
    try:
        yield
    except (OSError, InternalClientError) as error:
        raise DatabaseAwayError(f"{type(error).__name__}: {brief(error, 300)}") from error


def is_away(error: BaseException) -> bool:
    """Whether a database may be well again: it is away, busy, or chose us to end a deadlock.

    Args:
        error: that a session raised, or who opened one.
    """
    if isinstance(error, DBAPIError):
        state, words = getattr(error.orig, "sqlstate", None), str(error.orig).lower()
        if error.connection_invalidated or str(state)[:2] in PASSING_STATES:
            return True
        # By words only without a state: PostgreSQL's text may quote anything, these words too.
        return state is None and any(word in words for word in PASSING_WORDS)
    # Plain ones too, as a driver raises them.
    return isinstance(error, DatabaseAwayError | OSError | PoolTimeout | InternalClientError)


def insert_of(session: AsyncSession, table: type[Table]) -> Any:
    """An insert that can be told what to do where a row is there already."""
    kind = session.get_bind().dialect.name
    made = postgresql.insert if kind == "postgresql" else sqlite.insert
    return made(table.metadata.tables[table.__tablename__])


def _engine(settings: ConsoleSettings) -> AsyncEngine:
    file = settings.database_file
    if file is None:
        return create_async_engine(
            settings.driver_url,
            pool_size=settings.database_connections,
            max_overflow=0,
            pool_pre_ping=True,  # or a restart of PostgreSQL fails the next requests
            connect_args={
                "timeout": CONNECT_SECONDS,
                "server_settings": {
                    "application_name": "samesource console",
                    "jit": "off",  # queries take milliseconds
                    # States and rights holders differ by thousands of times in their alerts.
                    "plan_cache_mode": "force_custom_plan",
                },
            },
        )
    file.parent.mkdir(parents=True, exist_ok=True)
    # Who is signed in, and who did what, is nobody else's on this machine. A file that is there
    # already stays as its owner made it.
    file.touch(mode=0o600)
    engine = create_async_engine(
        settings.driver_url,
        pool_size=settings.database_connections,
        max_overflow=0,
        async_creator=partial(connect, file.absolute(), BUSY_SECONDS),
    )
    event.listen(engine.sync_engine, "connect", _set_up_sqlite)
    event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _set_up_sqlite(connection: Any, _record: Any) -> None:
    # The driver would begin transactions by itself, and too late.
    connection.isolation_level = None
    cursor = connection.cursor()
    # Readers never wait for the writer; what was committed outlasts a power failure.
    # The cache is of 64 MiB, set by hand.
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "cache_size=-65536"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Any) -> None:
    # At once: who reads first and then writes can't get the lock where another has written since.
    writes = connection.get_execution_options().get(WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
