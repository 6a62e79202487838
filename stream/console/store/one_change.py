"""SQLite's driver, with one change of threads for a statement instead of four; see `database.py`.

aiosqlite has a thread for each connection. SQLAlchemy waits for it to make a cursor, to execute,
to fetch all rows and to close the cursor, which mostly takes longer than what SQLite does.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Self

import aiosqlite

CHUNK_ROWS = 64  # aiosqlite's own default, of what nobody asks for here


class Cursor:
    """Executes and fetches at once. SQLAlchemy asks for nothing else, but where it streams."""

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection
        self._rows: list[Any] = []
        self.description: Any = None
        self.rowcount, self.arraysize = -1, 1
        self.lastrowid: int | None = None

    async def __aenter__(self) -> Self:
        """There is nothing to wait for yet."""
        return self

    async def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Self:
        """Execute, and fetch all rows."""
        await self._do(sqlite3.Cursor.execute, sql, parameters)
        return self

    async def executemany(self, sql: str, parameters: Iterable[Sequence[Any]]) -> Self:
        """The same for each of several."""
        await self._do(sqlite3.Cursor.executemany, sql, parameters)
        return self

    async def fetchall(self) -> list[Any]:
        """The rows."""
        rows, self._rows = self._rows, []
        return rows

    async def close(self) -> None:
        """It is closed."""

    async def _do(self, execute: Any, sql: str, parameters: Any) -> None:
        in_its_thread: Any = self._connection._execute
        await in_its_thread(self._execute, execute, sql, parameters)

    def _execute(self, execute: Any, sql: str, parameters: Any) -> None:
        cursor = self._connection._conn.cursor()
        try:
            execute(cursor, sql, parameters)
            self._rows = cursor.fetchall() if cursor.description else []
            self.description = cursor.description
            # Behind the rows: before, it isn't known of what returns some.
            self.rowcount, self.lastrowid = cursor.rowcount, cursor.lastrowid
        finally:
            cursor.close()


class Connection(aiosqlite.Connection):
    """aiosqlite's, with such cursors."""

    def cursor(self) -> Cursor:  # type: ignore[override]
        """Without a change of threads."""
        return Cursor(self)


async def connect(file: Path, timeout_seconds: float) -> Connection:
    """A connection to a file, which waits so long for a lock."""
    made = Connection(lambda: sqlite3.connect(file, timeout_seconds), CHUNK_ROWS)
    made._thread.daemon = True  # as SQLAlchemy has it: one that is left open holds up no end
    await made
    return made
