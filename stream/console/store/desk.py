"""What lives only in the database: claims, sessions, tokens, webhooks, the audit log and more.

Back it up: all else is made anew from the topics.
"""

from contextlib import AbstractAsyncContextManager
from datetime import datetime

from sqlalchemy import delete

from stream.console.store.audit import AuditLog, AuditView
from stream.console.store.claims import Claims
from stream.console.store.deliveries import Deliveries, over
from stream.console.store.desk_tables import IdempotencyKey, Session, WebhookDelivery
from stream.console.store.repeats import Done, Fresh, OtherRequest, Repeats, Running
from stream.console.store.sign_ins import ROLES, Person, Role, SignIns, TokenView
from stream.console.store.webhooks import Webhooks

__all__ = [
    "ROLES",
    "AuditView",
    "Desk",
    "Done",
    "Fresh",
    "OtherRequest",
    "Person",
    "Role",
    "Running",
    "TokenView",
]


class Desk(Claims, SignIns, Repeats, Webhooks, Deliveries, AuditLog):
    """Changes the database; every call is a transaction of its own, but in `together`."""

    def together(self) -> AbstractAsyncContextManager[None]:
        """As `Database.together`: what is done has its line in the audit log, or isn't done."""
        return self._database.together()

    def alone(self, *words: str) -> AbstractAsyncContextManager[None]:
        """As `Database.alone`."""
        return self._database.alone(*words)

    async def tidy(self, now: datetime) -> int:
        """Drop sessions, keys and deliveries that are over; how many."""
        dropped = 0
        async with self._database.writing() as session:
            for query in (
                delete(Session).where(Session.expires_at <= now).returning(Session.secret_hash),
                delete(IdempotencyKey)
                .where(IdempotencyKey.expires_at <= now)
                .returning(IdempotencyKey.key_hash),
                delete(WebhookDelivery).where(over(now)).returning(WebhookDelivery.message_key),
            ):
                dropped += len((await session.execute(query)).all())
        return dropped
