"""Databases of the newest schema without rows: one is migrated, which takes far longer than a test.

Serves the tests of what the console keeps; that a database is migrated at all is the claim of
`store/test_database.py`.
"""

import asyncio
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import stream.console.store.desk_tables  # noqa: F401, so that all tables are known
from stream.console.settings import ConsoleSettings
from stream.console.store.database import Database
from stream.console.store.tables import Table
from tests.stream.postgres import Postgres


def sqlite_file(file: Path) -> str:
    """The URL of a new one in a file."""
    file.touch(mode=0o600)  # as the console makes it
    file.write_bytes(_migrated_file())
    return f"sqlite:///{file}"


def postgresql_database(server: Postgres) -> str:
    """The URL of the one on a server; it is emptied, so whoever had it before must be done."""
    url = _migrated_database(server)
    names = ", ".join(Table.metadata.tables)
    # A connection that was left behind would be waited for without end.
    server.execute(url, f"SET lock_timeout = '60s'; TRUNCATE {names} RESTART IDENTITY")
    return url


@cache
def _migrated_file() -> bytes:
    with tempfile.TemporaryDirectory(prefix="samesource-") as folder:
        file = Path(folder) / "console.db"
        _migrate(f"sqlite:///{file}")
        return file.read_bytes()


@cache
def _migrated_database(server: Postgres) -> str:
    url = server.new_database()
    _migrate(url)
    return url


def _migrate(url: str) -> None:
    async def migrate() -> None:
        database = await Database.open(ConsoleSettings.model_validate({"database_url": url}))
        await database.close()

    # In a thread: the caller may be in an event loop.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, migrate()).result()
