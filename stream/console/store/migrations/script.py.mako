"""${message}."""

import sqlalchemy as sa
from alembic import op

from stream.console.store.columns import Document, Moment, Words

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    """Apply."""
    ${upgrades if upgrades else "pass"}
