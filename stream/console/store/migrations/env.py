"""Runs the revisions on the connection that `migrate.py` gives; Alembic loads this by its path."""

from alembic import context

import stream.console.store.desk_tables  # noqa: F401, so that all tables are known
from stream.console.store.tables import Table

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Table.metadata,
    render_as_batch=True,  # SQLite changes few columns in place: tables are copied
    transactional_ddl=True,  # Alembic doubts it of SQLite, which can undo a half migration
)
with context.begin_transaction():
    context.run_migrations()
