"""Verdicts have scopes, and uploads a state: what is made from the topics is made anew.

Such tables need no care: without rows and positions, everything is read again from the topics.
"""

import sqlalchemy as sa
from alembic import op

from stream.console.store.columns import Document, Moment, Whole, Words

revision = "0002"
down_revision = "0001"

MADE_FROM_TOPICS = (
    "alerts",
    "policies",
    "positions",
    "rejections",
    "reviews",
    "tallies",
    "uploads",
    "verdicts",
    "videos",
)


def upgrade() -> None:
    """Drop what is made from the topics, and make its tables in their new form."""
    for table in MADE_FROM_TOPICS:
        op.drop_table(table)
    op.create_table(
        "alerts",
        sa.Column("alert_id", Words(), nullable=False),
        sa.Column("alert_key", Whole(), nullable=False),
        sa.Column("video_id", Words(), nullable=False),
        sa.Column("video_key", Whole(), nullable=False),
        sa.Column("reference_id", Words(), nullable=False),
        sa.Column("reference_key", Whole(), nullable=False),
        sa.Column("pair_key", Whole(), nullable=False),
        sa.Column("video_owner_id", Words(), nullable=False),
        sa.Column("reference_owner_id", Words(), nullable=False),
        sa.Column("reference_owner_key", Whole(), nullable=False),
        sa.Column("owners_key", Whole(), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("copied_seconds", sa.Double(), nullable=False),
        sa.Column("segments", Document(), nullable=False),
        sa.Column("model_version", Words(), nullable=False),
        sa.Column("aligner_version", Words(), nullable=True),
        sa.Column("key_frames_version", Words(), nullable=True),
        sa.Column("library_offset", Whole(), nullable=False),
        sa.Column("raised_at", Moment(), nullable=False),
        sa.Column("said", Words(), nullable=False),
        sa.Column("said_partition", Whole(), nullable=False),
        sa.Column("said_offset", Whole(), nullable=False),
        sa.Column("reason", Words(), nullable=True),
        sa.Column("detail", Words(), nullable=True),
        sa.Column("state", Words(), nullable=False),
        sa.Column("decided_by", Words(), nullable=True),
        sa.Column("reviewer", Words(), nullable=True),
        sa.Column("reviewed_at", Moment(), nullable=True),
        sa.Column("claimed_by", Words(), nullable=True),
        sa.Column("claimed_until", Moment(), nullable=True),
        sa.PrimaryKeyConstraint("alert_id"),
    )
    op.create_index(
        "alerts_longest", "alerts", ["state", "copied_seconds", "alert_key"], unique=False
    )
    op.create_index("alerts_newest", "alerts", ["state", "raised_at", "alert_key"], unique=False)
    op.create_index("alerts_of_owners", "alerts", ["owners_key"], unique=False)
    op.create_index("alerts_of_pair", "alerts", ["pair_key"], unique=False)
    op.create_index(
        "alerts_of_video", "alerts", ["video_key", "state", "raised_at", "alert_key"], unique=False
    )
    op.create_index("alerts_surest", "alerts", ["state", "score", "alert_key"], unique=False)
    op.create_index(
        "owner_longest",
        "alerts",
        ["reference_owner_key", "state", "copied_seconds", "alert_key"],
        unique=False,
    )
    op.create_index(
        "owner_newest",
        "alerts",
        ["reference_owner_key", "state", "raised_at", "alert_key"],
        unique=False,
    )
    op.create_index(
        "owner_surest",
        "alerts",
        ["reference_owner_key", "state", "score", "alert_key"],
        unique=False,
    )
    op.create_index(
        "reference_longest",
        "alerts",
        ["reference_key", "state", "copied_seconds", "alert_key"],
        unique=False,
    )
    op.create_index(
        "reference_newest",
        "alerts",
        ["reference_key", "state", "raised_at", "alert_key"],
        unique=False,
    )
    op.create_index(
        "reference_surest", "alerts", ["reference_key", "state", "score", "alert_key"], unique=False
    )
    op.create_table(
        "policies",
        sa.Column("owner_id", Words(), nullable=False),
        sa.Column("body", Document(), nullable=True),
        sa.Column("said_at", Moment(), nullable=False),
        sa.Column("partition", Whole(), nullable=False),
        sa.Column("offset", Whole(), nullable=False),
        sa.PrimaryKeyConstraint("owner_id"),
    )
    op.create_table(
        "positions",
        sa.Column("topic", Words(), nullable=False),
        sa.Column("partition", Whole(), autoincrement=False, nullable=False),
        sa.Column("next_offset", Whole(), nullable=False),
        sa.Column("log_id", Words(), nullable=False),
        sa.PrimaryKeyConstraint("topic", "partition"),
    )
    op.create_table(
        "rejections",
        sa.Column("partition", Whole(), autoincrement=False, nullable=False),
        sa.Column("offset", Whole(), autoincrement=False, nullable=False),
        sa.Column("place_key", Whole(), nullable=False),
        sa.Column("video_id", Words(), nullable=True),
        sa.Column("request_id", Words(), nullable=False),
        sa.Column("error", Words(), nullable=False),
        sa.Column("message", Words(), nullable=False),
        sa.Column("source_topic", Words(), nullable=False),
        sa.Column("source_partition", Whole(), nullable=False),
        sa.Column("source_offset", Whole(), nullable=False),
        sa.Column("attempts", Whole(), nullable=False),
        sa.Column("rejected_at", Moment(), nullable=False),
        sa.Column("stage_seconds", Document(), nullable=False),
        sa.PrimaryKeyConstraint("partition", "offset"),
    )
    op.create_index(
        "rejections_by_code", "rejections", ["error", "rejected_at", "place_key"], unique=False
    )
    op.create_index("rejections_by_time", "rejections", ["rejected_at", "place_key"], unique=False)
    op.create_table(
        "reviews",
        sa.Column("topic", Words(), nullable=False),
        sa.Column("partition", Whole(), autoincrement=False, nullable=False),
        sa.Column("offset", Whole(), autoincrement=False, nullable=False),
        sa.Column("alert_id", Words(), nullable=False),
        sa.Column("alert_key", Whole(), nullable=False),
        sa.Column("verdict", Words(), nullable=False),
        sa.Column("scope", Words(), nullable=True),
        sa.Column("reviewer", Words(), nullable=False),
        sa.Column("reviewed_at", Moment(), nullable=False),
        sa.Column("note", Words(), nullable=True),
        sa.Column("reference_start_seconds", sa.Double(), nullable=True),
        sa.Column("reference_end_seconds", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("topic", "partition", "offset"),
    )
    op.create_index("reviews_of_alert", "reviews", ["alert_key", "reviewed_at"], unique=False)
    op.create_table(
        "tallies",
        sa.Column("kind", Words(), nullable=False),
        sa.Column("about", Words(), nullable=False),
        sa.Column("name", Words(), nullable=False),
        sa.Column("number", Whole(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "about", "name"),
    )
    op.create_table(
        "uploads",
        sa.Column("request_id", Words(), nullable=False),
        sa.Column("request_key", Whole(), nullable=False),
        sa.Column("video_id", Words(), nullable=False),
        sa.Column("video_key", Whole(), nullable=False),
        sa.Column("status", Words(), nullable=False),
        sa.Column("listed_at", Moment(), nullable=False),
        sa.Column("submitted_partition", Whole(), nullable=True),
        sa.Column("submitted_offset", Whole(), nullable=True),
        sa.Column("submitted_at", Moment(), nullable=True),
        sa.Column("uploaded_at", Moment(), nullable=True),
        sa.Column("uri", Words(), nullable=True),
        sa.Column("title", Words(), nullable=True),
        sa.Column("owner_id", Words(), nullable=True),
        sa.Column("role", Words(), nullable=True),
        sa.Column("content_version", Words(), nullable=True),
        sa.Column("attempts", Whole(), nullable=True),
        sa.Column("fingerprinted_offset", Whole(), nullable=True),
        sa.Column("fingerprinted_at", Moment(), nullable=True),
        sa.Column("fingerprint_stage_seconds", Document(), nullable=True),
        sa.Column("decided_partition", Whole(), nullable=True),
        sa.Column("decided_offset", Whole(), nullable=True),
        sa.Column("decided_at", Moment(), nullable=True),
        sa.Column("outcome", Words(), nullable=True),
        sa.Column("reason", Words(), nullable=True),
        sa.Column("alert_ids", Document(), nullable=True),
        sa.Column("stage_seconds", Document(), nullable=True),
        sa.Column("rejected_partition", Whole(), nullable=True),
        sa.Column("rejected_offset", Whole(), nullable=True),
        sa.Column("rejected_at", Moment(), nullable=True),
        sa.Column("error", Words(), nullable=True),
        sa.Column("error_message", Words(), nullable=True),
        sa.PrimaryKeyConstraint("request_id"),
    )
    op.create_index(
        "uploads_by_status", "uploads", ["status", "listed_at", "request_key"], unique=False
    )
    op.create_index("uploads_by_time", "uploads", ["listed_at", "request_key"], unique=False)
    op.create_index(
        "uploads_of_video", "uploads", ["video_key", "listed_at", "request_key"], unique=False
    )
    op.create_table(
        "verdicts",
        sa.Column("alert_id", Words(), nullable=False),
        sa.Column("verdict", Words(), nullable=True),
        sa.Column("scope", Words(), nullable=True),
        sa.Column("reach", Words(), nullable=True),
        sa.Column("reviewer", Words(), nullable=True),
        sa.Column("reviewed_at", Moment(), nullable=True),
        sa.Column("note", Words(), nullable=True),
        sa.Column("video_id", Words(), nullable=True),
        sa.Column("reference_id", Words(), nullable=True),
        sa.Column("reference_start_seconds", sa.Double(), nullable=True),
        sa.Column("reference_end_seconds", sa.Double(), nullable=True),
        sa.Column("video_owner_id", Words(), nullable=True),
        sa.Column("reference_owner_id", Words(), nullable=True),
        sa.Column("pair_key", Whole(), nullable=True),
        sa.Column("reference_key", Whole(), nullable=True),
        sa.Column("owners_key", Whole(), nullable=True),
        sa.Column("partition", Whole(), nullable=True),
        sa.Column("offset", Whole(), nullable=True),
        sa.Column("removed_offset", Whole(), nullable=False),
        sa.PrimaryKeyConstraint("alert_id"),
    )
    op.create_index("verdicts_on_pair", "verdicts", ["pair_key", "reach"], unique=False)
    op.create_index("verdicts_on_reference", "verdicts", ["reference_key", "reach"], unique=False)
    op.create_index("verdicts_on_uploader", "verdicts", ["owners_key", "reach"], unique=False)
    op.create_table(
        "videos",
        sa.Column("video_id", Words(), nullable=False),
        sa.Column("video_key", Whole(), nullable=False),
        sa.Column("status", Words(), nullable=False),
        sa.Column("owner_id", Words(), nullable=True),
        sa.Column("owner_key", Whole(), nullable=True),
        sa.Column("role", Words(), nullable=True),
        sa.Column("title", Words(), nullable=True),
        sa.Column("uri", Words(), nullable=True),
        sa.Column("seen_at", Moment(), nullable=False),
        sa.Column("uploaded_partition", Whole(), nullable=True),
        sa.Column("uploaded_offset", Whole(), nullable=True),
        sa.Column("uploaded_at", Moment(), nullable=True),
        sa.Column("uploaded", Document(), nullable=True),
        sa.Column("fingerprint_partition", Whole(), nullable=True),
        sa.Column("fingerprint_offset", Whole(), nullable=True),
        sa.Column("fingerprint_at", Moment(), nullable=True),
        sa.Column("fingerprint", Document(), nullable=True),
        sa.Column("duration_seconds", sa.Double(), nullable=True),
        sa.Column("content_version", Words(), nullable=True),
        sa.Column("model_version", Words(), nullable=True),
        sa.Column("request_id", Words(), nullable=True),
        sa.Column("embedded_partition", Whole(), nullable=True),
        sa.Column("embedded_offset", Whole(), nullable=True),
        sa.Column("embedded_at", Moment(), nullable=True),
        sa.Column("thumbnails", Whole(), nullable=True),
        sa.PrimaryKeyConstraint("video_id"),
    )
    op.create_index(
        "videos_by_time", "videos", ["status", "role", "seen_at", "video_key"], unique=False
    )
    op.create_index(
        "videos_of_owner",
        "videos",
        ["owner_key", "status", "role", "seen_at", "video_key"],
        unique=False,
    )
