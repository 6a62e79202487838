"""What webhooks are told: taken by whoever sends it, tried again, listed, and sent anew.

A delivery is claimed by one `UPDATE … WHERE it is due … RETURNING`, so that no two consoles send
it; whoever dies while they send gives it back by doing nothing. The receiver gets it at least
once, each time under the same `webhook-id`.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, get_args

from sqlalchemy import ColumnElement, and_, exists, insert, or_, select, update

from stream.console.store.by_time import ByTime
from stream.console.store.database import Database
from stream.console.store.desk_tables import WebhookDelivery, WebhookEndpoint
from stream.console.store.outbox import TEST, body_of, delivery_row
from stream.console.store.views import Page
from stream.console.store.webhooks import WebhookView, webhook_view

DeliveryState = Literal["waiting", "delivered", "dead"]
DELIVERY_STATES: tuple[DeliveryState, ...] = get_args(DeliveryState)
RUN_BYTES = 8
DELIVERED_KEPT = timedelta(days=7)  # a message that comes again meanwhile is known; set by hand
DEAD_KEPT = timedelta(days=90)  # as long as dead letters and suppressed alerts on their topics


@dataclass(frozen=True)
class DeliveryView:
    """Something that an endpoint is told, and how that went.

    Attributes:
        last_status: that the server answered at the last try; None where it didn't.
        last_error: why the last try failed.
        run: of whoever sends it, to say how it went.
    """

    message_id: str
    webhook_id: str
    kind: str
    about: str
    body: str
    made_at: datetime
    state: DeliveryState
    next_at: datetime
    attempts: int
    last_at: datetime | None
    last_status: int | None
    last_error: str | None
    run: str | None


class Deliveries:
    """Claims deliveries, notes how they went, and lists them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def due_webhooks(self, now: datetime) -> tuple[WebhookView, ...]:
        """Endpoints for which something is due."""
        due = exists().where(WebhookDelivery.webhook_id == WebhookEndpoint.webhook_id, *_due(now))
        open_ = or_(WebhookEndpoint.paused_until.is_(None), WebhookEndpoint.paused_until <= now)
        query = select(WebhookEndpoint).where(WebhookEndpoint.disabled_at.is_(None), open_, due)
        async with self._database.reading() as session:
            return tuple(map(webhook_view, await session.scalars(query)))

    async def claim_deliveries(
        self, webhook_id: str, now: datetime, number: int, seconds: float
    ) -> tuple[DeliveryView, ...]:
        """Take what is due for an endpoint: nobody else gets it for so many seconds."""
        first = (
            select(WebhookDelivery.message_id)
            .where(WebhookDelivery.webhook_id == webhook_id, *_due(now))
            .order_by(WebhookDelivery.next_at)
            .limit(number)
        )
        if self._database.is_postgresql:  # what somebody else is just claiming is left out
            first = first.with_for_update(skip_locked=True)
        # Apart, since PostgreSQL may ask a query inside `IN` several times, and take too many.
        taken = first.cte("taken")
        query = (
            update(WebhookDelivery)
            .where(WebhookDelivery.message_id.in_(select(taken.c.message_id)), *_due(now))
            .values(
                next_at=now + timedelta(seconds=seconds),
                run=secrets.token_hex(RUN_BYTES),
                attempts=WebhookDelivery.attempts + 1,
                last_at=now,
            )
            .execution_options(synchronize_session=False)
        )
        async with self._database.writing() as session:
            found = await session.scalars(query.returning(WebhookDelivery))
            return tuple(map(_view, found))

    async def note_delivered(self, delivery: DeliveryView, status: int) -> None:
        """It has arrived."""
        await self._note(delivery, {"state": "delivered", "last_status": status})

    async def note_failed(
        self, delivery: DeliveryView, status: int | None, error: str, next_at: datetime | None
    ) -> None:
        """It has not arrived: when to try again; None where that was the last try."""
        values: dict[str, Any] = {"last_status": status, "last_error": error}
        values |= {"state": "dead"} if next_at is None else {"next_at": next_at}
        await self._note(delivery, values)

    async def _note(self, delivery: DeliveryView, values: dict[str, Any]) -> None:
        query = (
            update(WebhookDelivery)
            .where(
                WebhookDelivery.message_id == delivery.message_id,
                # Who was taken for dead and ends late mustn't touch what their successor does.
                WebhookDelivery.run == delivery.run,
            )
            .values(run=None, **values)
            .execution_options(synchronize_session=False)
        )
        async with self._database.writing() as session:
            await session.execute(query)

    async def put_test(self, webhook_id: str, person: str, now: datetime) -> DeliveryView:
        """A test event that is due."""
        unique = secrets.token_bytes(RUN_BYTES)
        data = {"webhook_id": webhook_id, "sent_by": person}
        row = delivery_row(
            webhook_id=webhook_id,
            unique=unique,
            kind=TEST,
            about=webhook_id,
            owner_id=None,
            body=body_of(TEST, now.isoformat(), data),
            now=now,
        )
        query = insert(WebhookDelivery).values(**row).returning(WebhookDelivery)
        async with self._database.writing() as session:
            return _view((await session.scalars(query)).one())

    async def delivery(self, webhook_id: str, message_id: str) -> DeliveryView | None:
        """One; None where there is none of that endpoint."""
        async with self._database.reading() as session:
            row = await session.get(WebhookDelivery, message_id)
        return None if row is None or row.webhook_id != webhook_id else _view(row)

    async def deliveries(
        self, webhook_id: str, state: DeliveryState, cursor: str | None = None, limit: int = 50
    ) -> Page[DeliveryView]:
        """An endpoint's deliveries in a state, the newest first.

        Raises:
            QueryError: it isn't a cursor of this list.
        """
        of = repr(("deliveries", webhook_id, state))
        query = select(WebhookDelivery).where(
            WebhookDelivery.webhook_id == webhook_id, WebhookDelivery.state == state
        )
        listed = ByTime(of, WebhookDelivery.made_at, WebhookDelivery.message_key)
        async with self._database.reading() as session:
            rows = [*await session.scalars(listed.behind(query, cursor, limit))]
        return listed.page(rows, limit, _view)

    async def replay_delivery(self, webhook_id: str, message_id: str | None, now: datetime) -> int:
        """Make a dead delivery due again, or all of an endpoint; how many."""
        query = (
            update(WebhookDelivery)
            .where(WebhookDelivery.webhook_id == webhook_id, WebhookDelivery.state == "dead")
            .values(state="waiting", attempts=0, next_at=now)
            .execution_options(synchronize_session=False)
        )
        if message_id is not None:
            query = query.where(WebhookDelivery.message_id == message_id)
        async with self._database.writing() as session:
            found = await session.execute(query.returning(WebhookDelivery.message_key))
            return len(found.all())


def over(now: datetime) -> ColumnElement[bool]:
    """Which deliveries nobody needs any more."""
    return or_(
        and_(WebhookDelivery.state == "delivered", WebhookDelivery.made_at <= now - DELIVERED_KEPT),
        # Those that wait so long, too: their endpoint is switched off.
        and_(
            WebhookDelivery.state.in_(("dead", "waiting")),
            WebhookDelivery.made_at <= now - DEAD_KEPT,
        ),
    )


def _due(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return WebhookDelivery.state == "waiting", WebhookDelivery.next_at <= now


def _view(row: WebhookDelivery) -> DeliveryView:
    return DeliveryView(
        message_id=row.message_id,
        webhook_id=row.webhook_id,
        kind=row.kind,
        about=row.about,
        body=row.body,
        made_at=row.made_at,
        state=row.state,  # type: ignore[arg-type]
        next_at=row.next_at,
        attempts=row.attempts,
        last_at=row.last_at,
        last_status=row.last_status,
        last_error=row.last_error,
        run=row.run,
    )
