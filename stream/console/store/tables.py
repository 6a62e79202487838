"""The tables of what the topics say: rows that messages make, and that deleting makes anew.

Each row is a function of the messages, in whatever order and however often they come:
`projection.py` says which. What lives only in the database is in `desk_tables.py`; `claimed_by`
and `claimed_until` of an alert are the one exception, so that a queue is one query.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import Index
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from stream.console.store.columns import Document, Moment, Whole, Words


class Table(DeclarativeBase):
    """All tables of the console."""

    type_annotation_map = {
        str: Words,
        int: Whole,
        datetime: Moment,
        dict[str, Any]: Document,
        list[Any]: Document,
    }


class Position(Table):
    """Where to go on in a partition: what lies before it is in the rows.

    Attributes:
        topic: the contract's name.
        next_offset: to read.
        log_id: tells the topic from one of that name that was made anew.
    """

    __tablename__ = "positions"

    topic: Mapped[str] = mapped_column(primary_key=True)
    partition: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    next_offset: Mapped[int]
    log_id: Mapped[str]


class Upload(Table):
    """One request: a submission of a video, and what became of it.

    Attributes:
        video_id: of whichever message came first.
        submitted_at: by Kafka; the submission's fields are unset where its message is gone.
        uploaded_at: by the platform.
        fingerprinted_at: by Kafka.
        decided_at: by the decision worker.
        error: code of the newest dead letter of the request, with its place.
        status: the outcome; `undecided`, or `unknown` where neither its submission nor its
            decision is on the topics any more.
        listed_at: the earliest that is known of it.
    """

    __tablename__ = "uploads"

    request_id: Mapped[str] = mapped_column(primary_key=True)
    request_key: Mapped[int]
    video_id: Mapped[str]
    video_key: Mapped[int]
    status: Mapped[str]
    listed_at: Mapped[datetime]

    submitted_partition: Mapped[int | None]
    submitted_offset: Mapped[int | None]
    submitted_at: Mapped[datetime | None]
    uploaded_at: Mapped[datetime | None]
    uri: Mapped[str | None]
    title: Mapped[str | None]
    owner_id: Mapped[str | None]
    role: Mapped[str | None]
    content_version: Mapped[str | None]
    attempts: Mapped[int | None]

    fingerprinted_offset: Mapped[int | None]
    fingerprinted_at: Mapped[datetime | None]
    fingerprint_stage_seconds: Mapped[dict[str, Any] | None]

    decided_partition: Mapped[int | None]
    decided_offset: Mapped[int | None]
    decided_at: Mapped[datetime | None]
    outcome: Mapped[str | None]
    reason: Mapped[str | None]
    alert_ids: Mapped[list[Any] | None]
    stage_seconds: Mapped[dict[str, Any] | None]

    rejected_partition: Mapped[int | None]
    rejected_offset: Mapped[int | None]
    rejected_at: Mapped[datetime | None]
    error: Mapped[str | None]
    error_message: Mapped[str | None]

    __table_args__ = (
        Index("uploads_of_video", "video_key", "listed_at", "request_key"),
        Index("uploads_by_status", "status", "listed_at", "request_key"),
        Index("uploads_by_time", "listed_at", "request_key"),
    )


class Video(Table):
    """What is known of a video: as the library log has it, with where its pictures lie.

    Attributes:
        status: `live`, `taken_down`, or `unknown` where the library log says nothing of it.
        owner_id: and role, title, uri: of the library log, else of the newest submission.
        fingerprint_offset: of its newest message on the library log, a takedown included.
        embedded_partition: where its vector and thumbnails lie, with the offset.
        thumbnails: how many lie there; None where its vector was taken down.
        seen_at: when it came into its present form, by Kafka.
    """

    __tablename__ = "videos"

    video_id: Mapped[str] = mapped_column(primary_key=True)
    video_key: Mapped[int]
    status: Mapped[str] = mapped_column(default="unknown")
    owner_id: Mapped[str | None]
    owner_key: Mapped[int | None]
    role: Mapped[str | None]
    title: Mapped[str | None]
    uri: Mapped[str | None]
    seen_at: Mapped[datetime]

    uploaded_partition: Mapped[int | None]
    uploaded_offset: Mapped[int | None]
    uploaded_at: Mapped[datetime | None]
    uploaded: Mapped[dict[str, Any] | None]

    fingerprint_partition: Mapped[int | None]
    fingerprint_offset: Mapped[int | None]
    fingerprint_at: Mapped[datetime | None]
    fingerprint: Mapped[dict[str, Any] | None]
    duration_seconds: Mapped[float | None]
    content_version: Mapped[str | None]
    model_version: Mapped[str | None]
    request_id: Mapped[str | None]

    embedded_partition: Mapped[int | None]
    embedded_offset: Mapped[int | None]
    embedded_at: Mapped[datetime | None]
    thumbnails: Mapped[int | None]

    __table_args__ = (
        Index("videos_by_time", "status", "role", "seen_at", "video_key"),
        Index("videos_of_owner", "owner_key", "status", "role", "seen_at", "video_key"),
    )


class Alert(Table):
    """The newest that was said of an alert, and what people made of it.

    Attributes:
        copied_seconds: of the video, together.
        said: `raised` or `suppressed`, with the place of that message.
        state: `open`, `held`, `suppressed`, `confirmed` or `dismissed`; follows from what was said
            and from the verdicts.
        policy: by which it was judged; older messages don't say.
        decided_by: the alert whose verdict gave this state; another's where its scope covers it.
        claimed_by: who works on it until `claimed_until`.
    """

    __tablename__ = "alerts"

    alert_id: Mapped[str] = mapped_column(primary_key=True)
    alert_key: Mapped[int]
    video_id: Mapped[str]
    video_key: Mapped[int]
    reference_id: Mapped[str]
    reference_key: Mapped[int]
    pair_key: Mapped[int]
    video_owner_id: Mapped[str]
    reference_owner_id: Mapped[str]
    reference_owner_key: Mapped[int]
    owners_key: Mapped[int]
    score: Mapped[float]
    copied_seconds: Mapped[float]
    segments: Mapped[list[Any]]
    model_version: Mapped[str]
    aligner_version: Mapped[str | None]
    key_frames_version: Mapped[str | None]
    library_offset: Mapped[int]
    raised_at: Mapped[datetime]
    said: Mapped[str]
    said_partition: Mapped[int]
    said_offset: Mapped[int]
    reason: Mapped[str | None]
    detail: Mapped[str | None]
    policy: Mapped[dict[str, Any] | None]

    state: Mapped[str]
    decided_by: Mapped[str | None]
    reviewer: Mapped[str | None]
    reviewed_at: Mapped[datetime | None]

    claimed_by: Mapped[str | None]
    claimed_until: Mapped[datetime | None]

    __table_args__ = (
        Index("alerts_newest", "state", "raised_at", "alert_key"),
        Index("alerts_longest", "state", "copied_seconds", "alert_key"),
        Index("alerts_surest", "state", "score", "alert_key"),
        Index("owner_newest", "reference_owner_key", "state", "raised_at", "alert_key"),
        Index("owner_longest", "reference_owner_key", "state", "copied_seconds", "alert_key"),
        Index("owner_surest", "reference_owner_key", "state", "score", "alert_key"),
        Index("reference_newest", "reference_key", "state", "raised_at", "alert_key"),
        Index("reference_longest", "reference_key", "state", "copied_seconds", "alert_key"),
        Index("reference_surest", "reference_key", "state", "score", "alert_key"),
        # With what orders and numbers of an upload's alerts need: uploads may have thousands.
        Index(
            "alerts_of_video",
            "video_key",
            "state",
            "raised_at",
            "alert_key",
            "copied_seconds",
            "score",
            "reference_owner_key",
            "claimed_until",
        ),
        Index("alerts_of_pair", "pair_key"),
        Index("alerts_of_owners", "owners_key"),
    )


# For what only reads: plain rows, which no session keeps, and statements that pass the ORM by.
ALERTS, VIDEOS = Alert.__table__, Video.__table__
ALERT_COLUMNS = tuple(ALERTS.columns)
# Without the messages of which they are made: no view has them.
VIDEO_COLUMNS = tuple(c for c in VIDEOS.columns if c.name not in ("uploaded", "fingerprint"))


class Verdict(Table):
    """The newest verdict under an alert's id.

    Attributes:
        verdict: `confirmed`, `dismissed` or `withdrawn`; None where a deletion took it back.
        reach: what else it speaks for: `pair`, `span` or `uploader`; None for the alert alone.
        video_id: as the verdict names them, with all that follows.
        pair_key: of the two videos that it, or its alert, names.
        removed_offset: of the newest deletion: what lies before it is gone.
    """

    __tablename__ = "verdicts"

    alert_id: Mapped[str] = mapped_column(primary_key=True)
    verdict: Mapped[str | None]
    scope: Mapped[str | None]
    reach: Mapped[str | None]
    reviewer: Mapped[str | None]
    reviewed_at: Mapped[datetime | None]
    note: Mapped[str | None]
    video_id: Mapped[str | None]
    reference_id: Mapped[str | None]
    reference_start_seconds: Mapped[float | None]
    reference_end_seconds: Mapped[float | None]
    video_owner_id: Mapped[str | None]
    reference_owner_id: Mapped[str | None]
    pair_key: Mapped[int | None]
    reference_key: Mapped[int | None]
    owners_key: Mapped[int | None]
    partition: Mapped[int | None]
    offset: Mapped[int | None]
    removed_offset: Mapped[int] = mapped_column(default=-1)

    __table_args__ = (
        Index("verdicts_on_pair", "pair_key", "reach"),
        Index("verdicts_on_reference", "reference_key", "reach"),
        Index("verdicts_on_uploader", "owners_key", "reach"),
    )


class Review(Table):
    """Every verdict that was ever given: a line of an alert's history."""

    __tablename__ = "reviews"

    topic: Mapped[str] = mapped_column(primary_key=True)
    partition: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    offset: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    alert_id: Mapped[str]
    alert_key: Mapped[int]
    verdict: Mapped[str]
    scope: Mapped[str | None]
    reviewer: Mapped[str]
    reviewed_at: Mapped[datetime]
    note: Mapped[str | None]
    reference_start_seconds: Mapped[float | None]
    reference_end_seconds: Mapped[float | None]

    __table_args__ = (Index("reviews_of_alert", "alert_key", "reviewed_at"),)


class Policy(Table):
    """A rights holder's newest policy; without a body where it was taken back."""

    __tablename__ = "policies"

    owner_id: Mapped[str] = mapped_column(primary_key=True)
    body: Mapped[dict[str, Any] | None]
    said_at: Mapped[datetime]
    partition: Mapped[int]
    offset: Mapped[int]


class Rejection(Table):
    """A dead letter; the original is read from Kafka, at this place."""

    __tablename__ = "rejections"

    partition: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    offset: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    place_key: Mapped[int]
    video_id: Mapped[str | None]
    request_id: Mapped[str]
    error: Mapped[str]
    message: Mapped[str]
    source_topic: Mapped[str]
    source_partition: Mapped[int]
    source_offset: Mapped[int]
    attempts: Mapped[int]
    rejected_at: Mapped[datetime]
    stage_seconds: Mapped[dict[str, Any]]

    __table_args__ = (
        Index("rejections_by_code", "error", "rejected_at", "place_key"),
        Index("rejections_by_time", "rejected_at", "place_key"),
    )


class Tally(Table):
    """A number that is kept, so that nobody has to count: see `tallies.py`."""

    __tablename__ = "tallies"

    kind: Mapped[str] = mapped_column(primary_key=True)
    about: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int]
