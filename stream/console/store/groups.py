"""Alerts by their uploads, as a page of the queue shows them, and by ids.

Serves `alert_queries.py` and `claims.py`.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Integer,
    Row,
    Select,
    bindparam,
    func,
    literal_column,
    select,
    tuple_,
)
from sqlalchemy.ext.asyncio import AsyncSession

from stream.console.store.batch import KEYS, in_parts
from stream.console.store.branches import Branches, branch_values
from stream.console.store.filters import ORDER_COLUMNS, STATEMENTS, Kind, conditions, values_of
from stream.console.store.listing import Listing, kind_of
from stream.console.store.showing import alert_view
from stream.console.store.tables import ALERT_COLUMNS, ALERTS
from stream.console.store.video_queries import videos_in
from stream.console.store.views import AlertView, QueueGroup, VideoView

OWN = ALERTS.alias("own")  # of an upload
ALERTS_BY_ID = select(*ALERT_COLUMNS).where(ALERTS.c.alert_id.in_(KEYS))


async def groups_of(
    session: AsyncSession, firsts: Sequence[Row[Any]], listing: Listing, each: int
) -> tuple[tuple[QueueGroup, ...], dict[str, VideoView]]:
    """The uploads of these alerts, in their order, and the references that are known."""
    if not firsts:
        return (), {}
    alerts = await _best(session, firsts, listing, each)
    numbers = await _numbers_of_uploads(session, firsts, listing)
    references = {one.reference_id for group in alerts.values() for one in group}
    videos = await videos_in(session, [*alerts, *references])
    # None is missing here: all of it is asked of one state of the database.
    groups = tuple(
        QueueGroup(
            video_id=first.video_id,
            video=videos.get(first.video_id),
            alerts=tuple(alerts[first.video_id]),
            number=numbers[first.video_key][0],
            newest_at=numbers[first.video_key][1],
        )
        for first in firsts
    )
    return groups, {one: videos[one] for one in references if one in videos}


async def _numbers_of_uploads(
    session: AsyncSession, firsts: Sequence[Row[Any]], listing: Listing
) -> dict[int, tuple[int, datetime]]:
    """How many alerts of these uploads a list has, and when the newest was raised, by key."""
    keys = [first.video_key for first in firsts]
    values = values_of(listing.filter) | {"as_of": listing.as_of, "video_keys": keys}
    query = _numbers(kind_of(listing, values))
    return {key: (number, at) for key, number, at in await session.execute(query, values)}


@lru_cache(STATEMENTS)
def _numbers(kind: Kind) -> Select[Any]:
    alert = ALERTS.c
    # By keys, not by ids: an index answers alone, which matters for uploads with many alerts.
    of_these = alert.video_key.in_(bindparam("video_keys", expanding=True))
    numbers = select(alert.video_key, func.count(), func.max(alert.raised_at))
    return numbers.where(of_these, *_as_listed(kind, alert)).group_by(alert.video_key)


async def _best(
    session: AsyncSession, firsts: Sequence[Row[Any]], listing: Listing, each: int
) -> dict[str, list[AlertView]]:
    """Of each of these uploads the first alerts of a list, by its id."""
    keys = [*dict.fromkeys(first.video_key for first in firsts)]
    values = values_of(listing.filter) | branch_values([(key,) for key in keys])
    values |= {"as_of": listing.as_of, "each": each}
    is_postgresql = session.get_bind().dialect.name == "postgresql"
    query = _first_of_each(kind_of(listing, values), len(keys), is_postgresql)
    alerts: dict[str, list[AlertView]] = {}
    for row in await session.execute(query, values):
        alerts.setdefault(row.video_id, []).append(alert_view(row))
    # Ids can be made up until two have one key: then the other's alerts may have taken all places.
    left = [first.alert_id for first in firsts if first.video_id not in alerts]
    return alerts | {one.video_id: [one] for one in (await alerts_in(session, left)).values()}


@lru_cache(STATEMENTS)
def _first_of_each(kind: Kind, uploads: int, is_postgresql: bool) -> Select[Any]:
    """Each upload's by themselves, and not by ranks: it may have thousands, and few are wanted."""
    branches, own = Branches([OWN.c.video_key], uploads), OWN.c
    found = (
        select(*_place(own) if is_postgresql else (literal_column("own.rowid"),))
        .where(*branches.conditions, *_as_listed(kind, own))
        .order_by(*_order(kind, own))
        .limit(bindparam("each", type_=Integer))
    )
    query = select(*ALERT_COLUMNS).order_by(*_order(kind, ALERTS.c))
    # SQLite has no LATERAL, and PostgreSQL no rows that are found by a number.
    if is_postgresql:
        firsts = found.lateral()
        same = tuple_(*_place(ALERTS.c)) == tuple_(*_place(firsts.c))
        tables = [firsts] if branches.table is None else [branches.table, firsts]
        return query.select_from(*tables).where(same)
    is_found = literal_column("alerts.rowid").in_(found.correlate(branches.table))
    if branches.table is None:
        return query.where(is_found)
    return query.select_from(branches.table).join(ALERTS, is_found)


def _place(alert: Any) -> tuple[Any, ...]:
    """What tells an alert from others, as the index of an upload's alerts has it."""
    return alert.video_key, alert.state, alert.raised_at, alert.alert_key


def _order(kind: Kind, alert: Any) -> tuple[Any, ...]:
    return getattr(alert, ORDER_COLUMNS[kind.order]).desc(), alert.alert_key.desc()


def _as_listed(kind: Kind, alert: Any) -> list[ColumnElement[bool]]:
    # Of one upload too by its key alone: the index of an upload's alerts has no ids.
    by_keys = replace(kind, names=kind.names - {"video_id"})
    return [alert.raised_at <= bindparam("as_of"), *conditions(by_keys, alert)]


async def alerts_in(session: AsyncSession, alert_ids: Sequence[str]) -> dict[str, AlertView]:
    """Some alerts by id; those that are there."""
    rows = in_parts(session, ALERTS_BY_ID, sorted(alert_ids))
    return {row.alert_id: alert_view(row) async for row in rows}
