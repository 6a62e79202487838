"""Claims of alerts: who works on which, so that no two people take the same.

A claim is a lease: who goes home gives it back by doing nothing. Two people never get the same
alert: claims are an `UPDATE … WHERE nobody has it … RETURNING`; SQLite's writers come one by one,
and on PostgreSQL what somebody else is just claiming is left out by `FOR UPDATE SKIP LOCKED`. A
claim ends with the rows, where they are made anew.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from stream.console.store.database import Database
from stream.console.store.groups import alerts_in
from stream.console.store.listing import Listing, Where, look_on, where_is
from stream.console.store.tables import Alert
from stream.console.store.views import ALL_OPEN, AlertFilter, AlertView, Order


class Claims:
    """Takes alerts and gives them back."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim_next(
        self,
        reviewer: str,
        now: datetime,
        filter: AlertFilter = ALL_OPEN,
        order: Order = "newest",
        number: int = 1,
        seconds: float = 900.0,
    ) -> tuple[AlertView, ...]:
        """Take the first alerts that nobody works on; nobody else gets them meanwhile."""
        free = replace(filter, claimed="nobody", now=now)
        async with self._database.writing() as session:
            return await self._first(session, reviewer, now, free, order, None, number, seconds)

    async def claim_after(
        self,
        alert_id: str,
        reviewer: str,
        now: datetime,
        filter: AlertFilter = ALL_OPEN,
        order: Order = "newest",
        seconds: float = 900.0,
    ) -> AlertView | None:
        """Take the first alert behind one of a list that nobody else works on; None where none is.

        Whoever looks at their own claims alone goes on among those.
        """
        claimed: Literal["me", "free"] = "me" if filter.claimed == "me" else "free"
        free = replace(filter, claimed=claimed, reviewer=reviewer, now=now)
        async with self._database.writing() as session:
            row = await session.get(Alert, alert_id)
            if row is None:
                return None
            place = where_is(row, order)
            taken = await self._first(session, reviewer, now, free, order, place, 1, seconds)
        return taken[0] if taken else None

    async def _first(
        self,
        session: AsyncSession,
        reviewer: str,
        now: datetime,
        free: AlertFilter,
        order: Order,
        after: Where | None,
        number: int,
        seconds: float,
    ) -> tuple[AlertView, ...]:
        listing = Listing(free, order, lock=self._database.is_postgresql)
        found = await look_on(session, listing, after, number)
        until = now + timedelta(seconds=seconds)
        ids = [row.alert_id for row in found.rows]
        taken = await _take(session, reviewer, ids, now, until)
        alerts = await alerts_in(session, [*taken])
        return tuple(alerts[alert_id] for alert_id in ids if alert_id in taken)

    async def claim(
        self, reviewer: str, alert_ids: Sequence[str], now: datetime, seconds: float = 900.0
    ) -> tuple[str, ...]:
        """Take these, or go on with them: the ids of those that nobody else works on."""
        wanted = sorted({*alert_ids})
        async with self._database.writing() as session:
            if self._database.is_postgresql:  # in one order for all, or two might wait for ever
                locking = select(Alert.alert_id).where(Alert.alert_id.in_(wanted))
                await session.execute(locking.order_by(Alert.alert_id).with_for_update())
            until = now + timedelta(seconds=seconds)
            return tuple(sorted(await _take(session, reviewer, wanted, now, until)))

    async def release(
        self, reviewer: str, alert_ids: Sequence[str] | None = None
    ) -> tuple[str, ...]:
        """Give back these claims, or all of one's own: the ids of those that there were."""
        query = (
            update(Alert)
            # Asked in the statement: a claim that ran out may be somebody else's by now.
            .where(Alert.claimed_by == reviewer)
            .values(claimed_by=None, claimed_until=None)
            .execution_options(synchronize_session=False)
        )
        if alert_ids is not None:
            query = query.where(Alert.alert_id.in_(alert_ids))
        async with self._database.writing() as session:
            return tuple(sorted(await session.scalars(query.returning(Alert.alert_id))))


async def _take(
    session: AsyncSession,
    reviewer: str,
    alert_ids: Sequence[str],
    now: datetime,
    until: datetime,
) -> set[str]:
    """Claim those of some alerts that nobody else works on; their ids."""
    # In the statement itself: of two who name one alert, the second finds it taken.
    free = or_(
        Alert.claimed_until.is_(None), Alert.claimed_until <= now, Alert.claimed_by == reviewer
    )
    query = (
        update(Alert)
        .where(Alert.alert_id.in_(alert_ids), free)
        .values(claimed_by=reviewer, claimed_until=until)
        .execution_options(synchronize_session=False)
    )
    return {*(await session.execute(query.returning(Alert.alert_id))).scalars()}
