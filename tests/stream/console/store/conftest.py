"""Databases for the tests of the store: SQLite in a temporary folder, PostgreSQL."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from stream.console.settings import ConsoleSettings
from stream.console.store.database import Database
from stream.console.store.desk import Desk
from tests.stream.console.migrated import postgresql_database, sqlite_file


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request: Any, tmp_path: Path) -> ConsoleSettings:
    """Of a database of each kind: of the newest schema, without rows."""
    if request.param == "postgresql":
        url = postgresql_database(request.getfixturevalue("postgres"))
    else:
        url = sqlite_file(tmp_path / "console.db")
    return ConsoleSettings.model_validate({"database_url": url})


@pytest.fixture
async def database(settings: ConsoleSettings) -> AsyncIterator[Database]:
    opened = await Database.open(settings)
    yield opened
    await opened.close()


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)
