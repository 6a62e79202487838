"""Sessions are bound to the scopes of the token that they were begun by.

Those of before don't say by what they were begun, so whoever is signed in does it again.
"""

import sqlalchemy as sa
from alembic import op

from stream.console.store.columns import Document

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the column, and end all sessions."""
    op.execute("DELETE FROM sessions")
    op.add_column("sessions", sa.Column("scopes", Document(), nullable=True))
