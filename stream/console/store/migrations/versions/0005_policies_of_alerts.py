"""Alerts say by which policy they were judged.

An earlier release may have read messages that say so, and left that out: alerts are read again.
"""

import sqlalchemy as sa
from alembic import op

from stream.console.store.columns import Document

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the column, and begin anew in the topics of alerts; what is read again fills it."""
    op.add_column("alerts", sa.Column("policy", Document(), nullable=True))
    op.execute("DELETE FROM positions WHERE topic IN ('alert.raised', 'alert.suppressed')")
