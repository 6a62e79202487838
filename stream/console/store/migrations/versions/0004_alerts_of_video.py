"""The index of an upload's alerts answers alone for their orders and numbers."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make the index anew; no row changes."""
    op.drop_index("alerts_of_video", "alerts")
    op.create_index(
        "alerts_of_video",
        "alerts",
        [
            "video_key",
            "state",
            "raised_at",
            "alert_key",
            "copied_seconds",
            "score",
            "reference_owner_key",
            "claimed_until",
        ],
        unique=False,
    )
