"""Reads alerts in an order, through a filter, by an index: what queue, lists and claims share.

A list is cut into branches, one for each state and rights holder, because an index holds each of
them in order; one statement asks all of them. Of a branch at most `SCANNED` rows are looked at; the
filter's other conditions are asked of these. So the time of a page has a bound, whatever is asked.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Integer,
    Row,
    Select,
    bindparam,
    select,
    tuple_,
)
from sqlalchemy.ext.asyncio import AsyncSession

from stream.console.store.branches import Branches, branch_values
from stream.console.store.columns import key_of, microseconds
from stream.console.store.filters import (
    ORDER_COLUMNS,
    STATEMENTS,
    Kind,
    Values,
    by_index,
    by_row,
    is_first,
    place_of,
    unindexed,
    values_of,
)
from stream.console.store.tables import ALERTS, Alert
from stream.console.store.views import AlertFilter, Order

SCANNED = 500  # rows of a branch that one look looks at
SCANNED_TOGETHER = 5000  # of all branches: a rights holder may have hundreds
SCANNED_FIRST = 4  # times the rows that are wanted, at the first look: mostly that's enough
LOOKS = 2  # after the first, until there are enough
PAGE_LOOKS = 1  # the same of a page of the queue, which leads on: somebody waits for it

Where = tuple[Any, int]
"""A place in an order: the value and the alert's key, both descending."""


@dataclass(frozen=True)
class Found:
    """What a look at all branches found.

    Attributes:
        rows: `alert_id`, `video_id`, `video_key` and the place, in order. The rest of an alert is
            loaded when it is known which are shown: each branch finds a page of them.
        on: where the next look goes on; None where nothing is left.
    """

    rows: tuple[Row[Any], ...]
    on: Where | None


def branches_of(filter: AlertFilter) -> list[tuple[Any, ...]]:
    """Those of a filter: each state, or each state and rights holder's key; none for nothing."""
    states = [*dict.fromkeys(filter.states)]
    owners = None if filter.owner_id is None else [filter.owner_id]
    visible = filter.visible_owner_ids
    if visible is not None:
        owners = [owner for owner in dict.fromkeys(visible) if filter.owner_id in (None, owner)]
    if owners is None:
        return [(state,) for state in states]
    keys = [key_of(owner) for owner in owners]
    return [(state, key) for state in states for key in keys]


@lru_cache(STATEMENTS)
def branches_like(number: int, columns: int) -> Branches:
    """So many branches: of a state each, or of a state and a rights holder."""
    return Branches((ALERTS.c.state, ALERTS.c.reference_owner_key)[:columns], number)


def where_is(row: Alert | Row[Any], order: Order) -> Where:
    """The place of an alert in an order."""
    return getattr(row, ORDER_COLUMNS[order]), row.alert_key


@dataclass(frozen=True)
class Listing:
    """A list of alerts, and how it is read.

    Attributes:
        filter: which.
        order: descending.
        as_of: none that were raised later.
        firsts: only the first alert of each upload.
        backwards: from its other end.
        lock: PostgreSQL: only rows that nobody has locked, locked until the transaction ends.
    """

    filter: AlertFilter
    order: Order
    as_of: datetime | None = None
    firsts: bool = False
    backwards: bool = False
    lock: bool = False


async def look_on(
    session: AsyncSession, listing: Listing, after: Where | None, limit: int, looks: int = LOOKS
) -> Found:
    """Alerts of a list behind a place, until there are enough, or it has been long enough."""
    rows: tuple[Row[Any], ...] = ()
    of = branches_of(listing.filter)
    if not of:
        return Found((), None)
    branches = branches_like(len(of), len(of[0]))
    values = values_of(listing.filter) | branch_values(of)
    if listing.as_of is not None:
        values["as_of"] = listing.as_of
    each = min(SCANNED, max(1, SCANNED_TOGETHER // branches.number))
    for scanned in (min(each, SCANNED_FIRST * (limit + 1)), *[each] * looks):
        found = await _look(session, listing, branches, values, after, limit - len(rows), scanned)
        rows, after = (*rows, *found.rows), found.on
        if after is None or len(rows) >= limit:
            break
    return Found(rows, after)


async def _look(
    session: AsyncSession,
    listing: Listing,
    branches: Branches,
    values: Values,
    after: Where | None,
    limit: int,
    scanned: int,
) -> Found:
    """One look at all branches, of each at most so many rows."""
    values = values | {"scanned": scanned - 1, "limit": limit + 1}
    if after is not None:
        values |= {"after_value": after[0], "after_key": after[1]}
    ends = await session.execute(_ends(kind_of(listing, values), branches), values)
    horizons = [(value, key) for value, key in ends if key is not None]
    # Behind the nearest one a branch may hold rows that nobody has looked at yet.
    nearest: Callable[[list[Where]], Where] = min if listing.backwards else max
    horizon = nearest(horizons) if horizons else None
    if horizon is not None:
        values |= {"horizon_value": horizon[0], "horizon_key": horizon[1]}
    rows = (await session.execute(_rows(kind_of(listing, values), branches), values)).all()
    if len(rows) > limit:
        return Found(tuple(rows[:limit]), where_is(rows[limit - 1], listing.order))
    return Found(tuple(rows), horizon)


def kind_of(listing: Listing, values: Values) -> Kind:
    """The kind of a list for which there are these values."""
    return Kind(
        frozenset(values),
        listing.filter.claimed,
        listing.order,
        listing.firsts,
        listing.backwards,
        listing.lock,
    )


@lru_cache(STATEMENTS)
def _ends(kind: Kind, branches: Branches) -> Select[Any]:
    """Where a look ends in each branch; not in one with more than so many rows behind."""
    # Not as a subquery, out of whose order SQLite would sort all rows again.
    last = (
        select(part)
        .where(*_within(kind, branches))
        .order_by(*_directions(kind))
        .offset(bindparam("scanned", type_=Integer))
        .limit(1)
        for part in place_of(ALERTS.c, kind.order)
    )
    return branches.each(*last)


@lru_cache(STATEMENTS)
def _rows(kind: Kind, branches: Branches) -> Select[Any]:
    """What a look finds as far as its end."""
    alert = ALERTS.c
    place = tuple_(*place_of(alert, kind.order))
    query = (
        select(alert.alert_id, alert.video_id, alert.video_key, *place_of(alert, kind.order))
        .where(*_within(kind, branches), *by_row(alert, kind, unindexed))
        .order_by(*_directions(kind))
        .limit(bindparam("limit", type_=Integer))
    )
    if "horizon_key" in kind.names:
        bound = _bound("horizon", kind.order)
        query = query.where(place <= bound if kind.backwards else place >= bound)
    if "as_of" in kind.names:
        query = query.where(unindexed(alert.raised_at) <= bindparam("as_of"))
    if kind.firsts:
        query = query.where(is_first(kind))
    if kind.lock:
        query = query.with_for_update(skip_locked=True, of=ALERTS)
    return query


def _within(kind: Kind, branches: Branches) -> list[ColumnElement[bool]]:
    """What a look looks at."""
    found = [*branches.conditions, *by_index(kind)]
    if "after_key" in kind.names:
        place, bound = tuple_(*place_of(ALERTS.c, kind.order)), _bound("after", kind.order)
        found.append(place > bound if kind.backwards else place < bound)
    return found


def _directions(kind: Kind) -> list[Any]:
    place = place_of(ALERTS.c, kind.order)
    return place if kind.backwards else [part.desc() for part in place]


def _bound(name: str, order: Order) -> ColumnElement[Any]:
    # Typed, or an instant would be taken for a date, where the column holds microseconds.
    value, key = place_of(ALERTS.c, order)
    return tuple_(
        bindparam(f"{name}_value", type_=value.type), bindparam(f"{name}_key", type_=key.type)
    )


def name_of(kind: str, filter: AlertFilter, order: str) -> str:
    """Of a list, for its cursors. Who asks, and when, makes no other list of it."""
    return repr((kind, order, replace(filter, now=None)))


def written_where(place: Where, order: Order) -> tuple[int | float, int]:
    """A place as JSON."""
    value, key = place
    return (microseconds(value) if order == "newest" else value), key
