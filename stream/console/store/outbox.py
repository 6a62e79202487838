"""What is to be told to webhooks: rows in the transaction that takes the messages. For `intake.py`.

Delivery contract: each message that comes while an endpoint is there has one row for it, however
often it is read and wherever a crash falls. What is read again, because rows are made anew, is
told to nobody: how far telling has come is kept beside the endpoints, and not made anew.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from stream.console.store.columns import key_of
from stream.console.store.database import insert_of
from stream.console.store.desk_tables import WebhookDelivery, WebhookEndpoint, WebhookPosition
from stream.console.store.messages import Message
from stream.contract.events import (
    AlertRaised,
    AlertReviewed,
    AlertSuppressed,
    Event,
    VideoDecided,
    VideoRejected,
)

TEST = "webhook.test"
HAPPENED_AT = {
    VideoDecided.topic: "decided_at",
    VideoRejected.topic: "rejected_at",
    AlertRaised.topic: "raised_at",
    AlertSuppressed.topic: "raised_at",
    AlertReviewed.topic: "reviewed_at",
}
KINDS = tuple(HAPPENED_AT)
"""What an endpoint can be told; each is the name of a topic."""
HOLDER_KINDS = (AlertRaised.topic, AlertSuppressed.topic)
"""Those whose messages name the rights holder, who may see no others."""
LEFT_OUT = {"event", "event_base64", "event_head_base64"}
"""Of a dead letter: the original, which may be a megabyte, and is on the topic."""
OVERLAP_MS = 3_600_000  # of a topic that was made anew: clocks of two clusters differ by less


async def follow_logs(
    session: AsyncSession, log_ids: Mapping[str, str], ends: Mapping[tuple[str, int], int]
) -> None:
    """Begin anew in topics that were made anew or have lost their end; not with what was told.

    Args:
        session: of the transaction.
        log_ids: of the topics now.
        ends: of their partitions.
    """
    for row in await session.scalars(select(WebhookPosition)):
        end, log_id = ends.get((row.topic, row.partition), 0), log_ids.get(row.topic, "")
        if row.log_id == log_id and row.next_offset <= end:
            continue
        row.next_offset, row.log_id = 0, log_id
        # By time, since offsets mean something else now; what comes twice has the same id.
        row.floor_ms = max(row.floor_ms, row.newest_ms - OVERLAP_MS)


async def put_out(
    session: AsyncSession,
    messages: Sequence[Message],
    log_ids: Mapping[str, str],
    now: datetime,
) -> None:
    """Make a delivery of each new message for each endpoint that wants it.

    Args:
        session: of the transaction that takes the messages into the rows.
        messages: in order of each partition.
        log_ids: of the topics.
        now: the time.
    """
    told = [each for each in messages if each.event is not None and each.source.topic in KINDS]
    if not told:
        return
    new = await _new(session, told, log_ids)
    endpoints = [
        *await session.scalars(select(WebhookEndpoint).where(WebhookEndpoint.disabled_at.is_(None)))
    ]
    rows = [row for each in new for row in _deliveries(each, endpoints, now)]
    if rows:
        await session.flush()
        connection = await session.connection()
        # A message that is on Kafka twice, to the last byte, is one.
        await connection.execute(insert_of(session, WebhookDelivery).on_conflict_do_nothing(), rows)


async def _new(
    session: AsyncSession, messages: Sequence[Message], log_ids: Mapping[str, str]
) -> list[Message]:
    """Those that were not told of; from now on they are."""
    rows = {
        (row.topic, row.partition): row for row in await session.scalars(select(WebhookPosition))
    }
    new = []
    for message in messages:
        source = message.source
        key = (source.topic, source.partition)
        if key not in rows:
            floors = (row.floor_ms for row in rows.values() if row.topic == source.topic)
            rows[key] = WebhookPosition(
                topic=source.topic,
                partition=source.partition,
                next_offset=0,
                log_id=log_ids[source.topic],
                newest_ms=0,
                floor_ms=max(floors, default=0),
            )
            session.add(rows[key])
        position = rows[key]
        if source.offset < position.next_offset:
            continue
        position.next_offset = source.offset + 1
        position.newest_ms = max(position.newest_ms, source.timestamp_ms)
        if source.timestamp_ms >= position.floor_ms:
            new.append(message)
    return new


def _deliveries(
    message: Message, endpoints: Sequence[WebhookEndpoint], now: datetime
) -> Iterator[dict[str, Any]]:
    event, kind = message.event, message.source.topic
    assert event is not None
    owner_id = owner_of(event)
    wanting = [each for each in endpoints if wants(each, kind, owner_id)]
    if not wanting:
        return
    said = event.model_dump(mode="json", exclude_none=True, exclude=LEFT_OUT)
    body = body_of(kind, said[HAPPENED_AT[kind]], said)
    about = said.get("alert_id") or said.get("video_id") or said.get("request_id") or ""
    for endpoint in wanting:
        yield delivery_row(
            webhook_id=endpoint.webhook_id,
            unique=message.source.value or b"",
            kind=kind,
            about=about,
            owner_id=owner_id,
            body=body,
            now=now,
        )


def owner_of(event: Event) -> str | None:
    """The rights holder whose an event is; None of one that is for those who see everything."""
    return event.reference_owner_id if isinstance(event, AlertRaised | AlertSuppressed) else None


def wants(endpoint: WebhookEndpoint, kind: str, owner_id: str | None) -> bool:
    """Whether an endpoint is told of an event, and may be."""
    if kind not in endpoint.kinds:
        return False
    return endpoint.owner_ids is None or (owner_id is not None and owner_id in endpoint.owner_ids)


def body_of(kind: str, happened_at: str, data: Mapping[str, Any]) -> str:
    """What the receiver gets, as Standard Webhooks has it."""
    return orjson.dumps({"type": kind, "timestamp": happened_at, "data": data}).decode()


def delivery_row(
    *,
    webhook_id: str,
    unique: bytes,
    kind: str,
    about: str,
    owner_id: str | None,
    body: str,
    now: datetime,
) -> dict[str, Any]:
    """A delivery that is due; `unique` tells the message from all others of its kind."""
    name = f"{webhook_id}\n{kind}\n".encode() + unique
    message_id = f"msg_{hashlib.blake2b(name, digest_size=16).hexdigest()}"
    return {
        "message_id": message_id,
        "message_key": key_of(message_id),
        "webhook_id": webhook_id,
        "kind": kind,
        "about": about,
        "owner_id": owner_id,
        "body": body,
        "made_at": now,
        "state": "waiting",
        "next_at": now,
        "attempts": 0,
    }
