"""Webhooks: who is told, what is to be told, and how far telling has come."""

import sqlalchemy as sa
from alembic import op

from stream.console.store.columns import Document, Moment, Whole, Words

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the tables; what was read before they were there is told to nobody."""
    op.create_table(
        "webhook_endpoints",
        sa.Column("webhook_id", Words(), nullable=False),
        sa.Column("url", Words(), nullable=False),
        sa.Column("description", Words(), nullable=True),
        sa.Column("kinds", Document(), nullable=False),
        sa.Column("owner_ids", Document(), nullable=True),
        sa.Column("secrets", Document(), nullable=False),
        sa.Column("last_secret", Whole(), nullable=False),
        sa.Column("made_by", Words(), nullable=False),
        sa.Column("made_at", Moment(), nullable=False),
        sa.Column("disabled_at", Moment(), nullable=True),
        sa.Column("disabled_why", Words(), nullable=True),
        sa.Column("paused_until", Moment(), nullable=True),
        sa.PrimaryKeyConstraint("webhook_id"),
    )
    op.create_table(
        "webhook_deliveries",
        sa.Column("message_id", Words(), nullable=False),
        sa.Column("message_key", Whole(), nullable=False),
        sa.Column("webhook_id", Words(), nullable=False),
        sa.Column("kind", Words(), nullable=False),
        sa.Column("about", Words(), nullable=False),
        sa.Column("owner_id", Words(), nullable=True),
        sa.Column("body", Words(), nullable=False),
        sa.Column("made_at", Moment(), nullable=False),
        sa.Column("state", Words(), nullable=False),
        sa.Column("next_at", Moment(), nullable=False),
        sa.Column("run", Words(), nullable=True),
        sa.Column("attempts", Whole(), nullable=False),
        sa.Column("last_at", Moment(), nullable=True),
        sa.Column("last_status", Whole(), nullable=True),
        sa.Column("last_error", Words(), nullable=True),
        sa.PrimaryKeyConstraint("message_id"),
    )
    op.create_index(
        "webhook_deliveries_due",
        "webhook_deliveries",
        ["webhook_id", "state", "next_at"],
        unique=False,
    )
    op.create_index(
        "webhook_deliveries_listed",
        "webhook_deliveries",
        ["webhook_id", "state", "made_at", "message_key"],
        unique=False,
    )
    op.create_index(
        "webhook_deliveries_old", "webhook_deliveries", ["state", "made_at"], unique=False
    )
    op.create_table(
        "webhook_positions",
        sa.Column("topic", Words(), nullable=False),
        sa.Column("partition", Whole(), nullable=False),
        sa.Column("next_offset", Whole(), nullable=False),
        sa.Column("log_id", Words(), nullable=False),
        sa.Column("newest_ms", Whole(), nullable=False),
        sa.Column("floor_ms", Whole(), nullable=False),
        sa.PrimaryKeyConstraint("topic", "partition"),
    )
