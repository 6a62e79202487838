"""Endpoints of webhooks: made, listed, changed and deleted. What they are told: `deliveries.py`."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from stream.console.store.database import Database
from stream.console.store.desk_tables import WebhookDelivery, WebhookEndpoint
from stream.console.store.outbox import TEST
from stream.errors import QueryError
from stream.texts import Text

ID_BYTES = 8
MAX_WEBHOOKS = 100  # each message is set against all of them; set by hand
LIVE_SECRETS = 2  # so that a receiver can learn the new one while the old one still signs


@dataclass(frozen=True)
class SecretView:
    """A secret without itself.

    Attributes:
        number: of the endpoint's secrets, from 1.
        key_id: of the key that it is made by.
        ends_at: when it signs no more; None for the newest.
    """

    number: int
    key_id: str
    made_at: datetime
    ends_at: datetime | None


@dataclass(frozen=True)
class WebhookView:
    """An endpoint, without its secrets.

    Attributes:
        secrets: that sign, the newest first; one that has ended may still be among them.
    """

    webhook_id: str
    url: str
    description: str | None
    kinds: tuple[str, ...]
    owner_ids: tuple[str, ...] | None
    secrets: tuple[SecretView, ...]
    made_by: str
    made_at: datetime
    disabled_at: datetime | None
    disabled_why: str | None
    paused_until: datetime | None

    def live_secrets(self, now: datetime) -> tuple[SecretView, ...]:
        """Those that sign now."""
        return tuple(each for each in self.secrets if each.ends_at is None or each.ends_at > now)


class Webhooks:
    """Makes endpoints and changes them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def make_webhook(
        self,
        url: str,
        kinds: Sequence[str],
        owner_ids: Sequence[str] | None,
        description: str | None,
        key_id: str,
        made_by: str,
        now: datetime,
    ) -> WebhookView:
        """A new endpoint: it is told what happens from now on.

        Args:
            url: where it is.
            kinds: that it is told.
            owner_ids: of a rights holder's; None for everything.
            description: for people.
            key_id: of the key that its first secret is made by.
            made_by: whom.
            now: the time.

        Raises:
            QueryError: there are too many.
        """
        row = WebhookEndpoint(
            webhook_id=f"wh_{secrets.token_hex(ID_BYTES)}",
            url=url,
            description=description,
            kinds=[*kinds],
            owner_ids=None if owner_ids is None else [*owner_ids],
            secrets=[_secret(1, key_id, now)],
            last_secret=1,
            made_by=made_by,
            made_at=now,
        )
        async with self._database.writing() as session:
            number = await session.scalar(select(func.count()).select_from(WebhookEndpoint))
            if (number or 0) >= MAX_WEBHOOKS:
                raise QueryError(
                    Text(
                        "there are {number} webhooks, expected {most} at most",
                        number=number,
                        most=MAX_WEBHOOKS,
                    )
                )
            session.add(row)
        return webhook_view(row)

    async def webhooks(self) -> tuple[WebhookView, ...]:
        """All of them, the newest first."""
        query = select(WebhookEndpoint).order_by(
            WebhookEndpoint.made_at.desc(), WebhookEndpoint.webhook_id
        )
        async with self._database.reading() as session:
            return tuple(map(webhook_view, await session.scalars(query)))

    async def webhook(self, webhook_id: str) -> WebhookView | None:
        """One; None where there is none."""
        async with self._database.reading() as session:
            row = await session.get(WebhookEndpoint, webhook_id)
        return None if row is None else webhook_view(row)

    async def locked_webhook(self, webhook_id: str) -> WebhookView | None:
        """The same; in a block of `together` nobody changes it until the end."""
        async with self._database.writing() as session:
            row = await _locked(session, webhook_id)
            return None if row is None else webhook_view(row)

    async def change_webhook(
        self, webhook_id: str, changes: Mapping[str, Any]
    ) -> WebhookView | None:
        """Change columns; what waits and is none of its business any more is dropped.

        Returns:
            As it is now; None where there is none.
        """
        async with self._database.writing() as session:
            row = await _locked(session, webhook_id)
            if row is None:
                return None
            for name, value in changes.items():
                setattr(row, name, value)
            await session.flush()
            await _drop_strangers(session, row)
        return webhook_view(row)

    async def disable_webhook(self, webhook_id: str, url: str, why: str, now: datetime) -> bool:
        """Tell an endpoint nothing more, if it still is at that address; whether that is new."""
        query = (
            update(WebhookEndpoint)
            .where(
                WebhookEndpoint.webhook_id == webhook_id,
                # Who has moved it meanwhile isn't meant.
                WebhookEndpoint.url == url,
                WebhookEndpoint.disabled_at.is_(None),
            )
            .values(disabled_at=now, disabled_why=why)
            .execution_options(synchronize_session=False)
        )
        async with self._database.writing() as session:
            found = await session.execute(query.returning(WebhookEndpoint.webhook_id))
            return found.first() is not None

    async def pause_webhook(self, webhook_id: str, until: datetime) -> None:
        """Send an endpoint nothing until then."""
        query = (
            update(WebhookEndpoint)
            .where(
                WebhookEndpoint.webhook_id == webhook_id,
                or_(WebhookEndpoint.paused_until.is_(None), WebhookEndpoint.paused_until < until),
            )
            .values(paused_until=until)
            .execution_options(synchronize_session=False)
        )
        async with self._database.writing() as session:
            await session.execute(query)

    async def new_secret(
        self, webhook_id: str, key_id: str, now: datetime, old_seconds: float
    ) -> WebhookView | None:
        """Give an endpoint a new secret; the one before signs beside it for a while.

        Args:
            webhook_id: whose.
            key_id: of the key that it is made by.
            now: the time.
            old_seconds: for which the one before still signs; any older one ends at once.
        """
        async with self._database.writing() as session:
            row = await _locked(session, webhook_id)
            if row is None:
                return None
            row.last_secret += 1
            before = dict(row.secrets[0])
            before["ends_at"] = (now + timedelta(seconds=old_seconds)).isoformat()
            kept = [before] if old_seconds > 0 else []
            row.secrets = [_secret(row.last_secret, key_id, now), *kept][:LIVE_SECRETS]
        return webhook_view(row)

    async def delete_webhook(self, webhook_id: str) -> bool:
        """Delete an endpoint and all that was or is to be told it; whether there was one."""
        async with self._database.writing() as session:
            query = delete(WebhookEndpoint).where(WebhookEndpoint.webhook_id == webhook_id)
            found = await session.execute(query.returning(WebhookEndpoint.webhook_id))
            await session.execute(
                delete(WebhookDelivery).where(WebhookDelivery.webhook_id == webhook_id)
            )
            return found.first() is not None


async def _locked(session: AsyncSession, webhook_id: str) -> WebhookEndpoint | None:
    return await session.get(WebhookEndpoint, webhook_id, with_for_update=True)


async def _drop_strangers(session: AsyncSession, row: WebhookEndpoint) -> None:
    """What waits was made for what it wanted before: now it may be another rights holder's."""
    # `IN ()` with nothing in it is nothing on both databases.
    strange: ColumnElement[bool] = WebhookDelivery.kind.not_in([*row.kinds, TEST])
    if row.owner_ids is not None:
        unseen = or_(
            WebhookDelivery.owner_id.is_(None), WebhookDelivery.owner_id.not_in(row.owner_ids)
        )
        strange = or_(strange, unseen & (WebhookDelivery.kind != TEST))
    await session.execute(
        delete(WebhookDelivery).where(
            WebhookDelivery.webhook_id == row.webhook_id,
            WebhookDelivery.state != "delivered",
            strange,
        )
    )


def _secret(number: int, key_id: str, now: datetime) -> dict[str, Any]:
    return {"number": number, "key_id": key_id, "made_at": now.isoformat(), "ends_at": None}


def webhook_view(row: WebhookEndpoint) -> WebhookView:
    """An endpoint."""
    return WebhookView(
        webhook_id=row.webhook_id,
        url=row.url,
        description=row.description,
        kinds=tuple(row.kinds),
        owner_ids=None if row.owner_ids is None else tuple(row.owner_ids),
        secrets=tuple(map(_secret_view, row.secrets)),
        made_by=row.made_by,
        made_at=row.made_at,
        disabled_at=row.disabled_at,
        disabled_why=row.disabled_why,
        paused_until=row.paused_until,
    )


def _secret_view(kept: Mapping[str, Any]) -> SecretView:
    ends_at = kept["ends_at"]
    return SecretView(
        number=kept["number"],
        key_id=kept["key_id"],
        made_at=datetime.fromisoformat(kept["made_at"]),
        ends_at=None if ends_at is None else datetime.fromisoformat(ends_at),
    )
