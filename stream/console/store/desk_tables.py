"""The tables of what lives only in the database: back them up. `desk.py` asks and changes them."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index, Integer
from sqlalchemy.orm import Mapped, mapped_column

from stream.console.store.tables import Table

Counter = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts up this type alone


class Session(Table):
    """Somebody who is signed in; of the secret in the cookie only its hash is kept."""

    __tablename__ = "sessions"

    secret_hash: Mapped[str] = mapped_column(primary_key=True)
    person: Mapped[str]
    role: Mapped[str]
    owner_ids: Mapped[list[Any]]
    scopes: Mapped[list[Any] | None]
    made_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    expires_at: Mapped[datetime]

    __table_args__ = (Index("sessions_by_end", "expires_at"), Index("sessions_of", "person"))


class Token(Table):
    """A machine's way in; of the secret only its hash is kept."""

    __tablename__ = "tokens"

    token_id: Mapped[str] = mapped_column(primary_key=True)
    secret_hash: Mapped[str]
    name: Mapped[str]
    role: Mapped[str]
    scopes: Mapped[list[Any]]
    owner_ids: Mapped[list[Any]]
    made_by: Mapped[str]
    made_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class IdempotencyKey(Table):
    """A write that a client may repeat, and the answer that each repetition gets.

    Attributes:
        person: whose key it is; empty for what one at a time does, whoever asks.
    """

    __tablename__ = "idempotency_keys"

    person: Mapped[str] = mapped_column(primary_key=True)
    key_hash: Mapped[str] = mapped_column(primary_key=True)
    request_hash: Mapped[str]
    run: Mapped[str]
    begun_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    status: Mapped[int | None]
    headers: Mapped[dict[str, Any] | None]
    body: Mapped[str | None]

    __table_args__ = (Index("idempotency_keys_by_end", "expires_at"),)


class AuditLine(Table):
    """A write: who, what, about what and why."""

    __tablename__ = "audit_lines"

    number: Mapped[int] = mapped_column(Counter, primary_key=True, autoincrement=True)
    at: Mapped[datetime]
    person: Mapped[str]
    action: Mapped[str]
    about: Mapped[str]
    about_key: Mapped[int]
    why: Mapped[str | None]
    detail: Mapped[dict[str, Any]]

    __table_args__ = (
        Index("audit_of_person", "person", "number"),
        Index("audit_about", "about_key", "number"),
    )


class WebhookEndpoint(Table):
    """Where somebody wants to be told what happens.

    Its secrets aren't here: they are made from a key outside the database, and from what is here.

    Attributes:
        kinds: that it is told.
        owner_ids: of a rights holder's: it is told of their references alone. None is everything.
        secrets: numbers of those that sign, the newest first, each with the key that it is made
            by and when it ends.
        last_secret: the highest number that was ever given: none is given twice.
        disabled_at: since when it is told nothing, and `disabled_why`.
        paused_until: its server has asked for so much time.
    """

    __tablename__ = "webhook_endpoints"

    webhook_id: Mapped[str] = mapped_column(primary_key=True)
    url: Mapped[str]
    description: Mapped[str | None]
    kinds: Mapped[list[Any]]
    owner_ids: Mapped[list[Any] | None]
    secrets: Mapped[list[Any]]
    last_secret: Mapped[int]
    made_by: Mapped[str]
    made_at: Mapped[datetime]
    disabled_at: Mapped[datetime | None]
    disabled_why: Mapped[str | None]
    paused_until: Mapped[datetime | None]


class WebhookDelivery(Table):
    """Something that happened, for one endpoint.

    Attributes:
        message_id: the receiver's `webhook-id`: the same at every try, and for a message that
            comes twice.
        about: the id of the video or alert.
        owner_id: the rights holder whose it is; None where it is nobody's.
        state: `waiting`, `delivered` or `dead`, where all tries failed.
        next_at: when it is due; while somebody sends it, when they are taken for dead.
        run: of whoever sends it.
        attempts: that were begun.
        last_status: that the server answered at the last try; None where it didn't, `last_error`.
    """

    __tablename__ = "webhook_deliveries"

    message_id: Mapped[str] = mapped_column(primary_key=True)
    message_key: Mapped[int]
    webhook_id: Mapped[str]
    kind: Mapped[str]
    about: Mapped[str]
    owner_id: Mapped[str | None]
    body: Mapped[str]
    made_at: Mapped[datetime]
    state: Mapped[str]
    next_at: Mapped[datetime]
    run: Mapped[str | None]
    attempts: Mapped[int]
    last_at: Mapped[datetime | None]
    last_status: Mapped[int | None]
    last_error: Mapped[str | None]

    __table_args__ = (
        Index("webhook_deliveries_due", "webhook_id", "state", "next_at"),
        Index("webhook_deliveries_listed", "webhook_id", "state", "made_at", "message_key"),
        Index("webhook_deliveries_old", "state", "made_at"),
    )


class WebhookPosition(Table):
    """Where telling goes on in a partition, whatever of it is read again to make rows.

    Attributes:
        log_id: tells the topic from one of that name that was made anew.
        newest_ms: the latest timestamp so far.
        floor_ms: what is older isn't told: of a topic that was made anew, what was told before.
    """

    __tablename__ = "webhook_positions"

    topic: Mapped[str] = mapped_column(primary_key=True)
    partition: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    next_offset: Mapped[int]
    log_id: Mapped[str]
    newest_ms: Mapped[int]
    floor_ms: Mapped[int]
