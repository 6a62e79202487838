"""Brings a database to the newest schema, or an empty one from nothing: Alembic's revisions."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

FOLDER = Path(__file__).parent / "migrations"


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Migrate, within the transaction of the connection.

    Raises:
        CommandError: the database is of a revision that this release doesn't know.
    """
    command.upgrade(_config(connection), revision)


def revision_of(connection: Connection) -> str | None:
    """The revision of a database; None for an empty one."""
    return MigrationContext.configure(connection).get_current_revision()


def revisions() -> list[str]:
    """All revisions, the first one first."""
    script = ScriptDirectory(str(FOLDER))
    return [found.revision for found in reversed([*script.walk_revisions()])]


def _config(connection: Connection) -> Config:
    config = Config()
    # Its reader fills in what stands behind a `%`, which a folder's name may have.
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
