"""Reads alerts in an order, through a filter, by an index: what queue, lists and claims share.

A list is cut into branches, one for each state and rights holder, because an index holds each of
them in order; one statement asks all of them. Of a branch at most `SCANNED` rows are looked at; the
filter's other conditions are asked of these. So the time of a page has a bound, whatever is asked.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, exists, literal, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased
from sqlalchemy.sql import operators
from sqlalchemy.sql.expression import UnaryExpression

from stream.console.store.branches import Branches
from stream.console.store.columns import key_of, microseconds
from stream.console.store.tables import Alert
from stream.console.store.views import AlertFilter, Order

SCANNED = 500  # rows of a branch that one look looks at
SCANNED_TOGETHER = 5000  # of all branches: a rights holder may have hundreds
SCANNED_FIRST = 4  # times the rows that are wanted, at the first look: mostly that's enough
LOOKS = 2  # after the first, until there are enough
PAGE_LOOKS = 1  # the same of a page of the queue, which leads on: somebody waits for it

ORDER_COLUMNS: dict[Order, str] = {
    "newest": "raised_at",
    "longest": "copied_seconds",
    "surest": "score",
}
OTHER = aliased(Alert)  # made once: it has each column again
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


def branches_of(filter: AlertFilter) -> Branches:
    """Those of a filter, one for each state and rights holder; none if it lets nothing through."""
    states = [*dict.fromkeys(filter.states)]
    owners = None if filter.owner_id is None else [filter.owner_id]
    visible = filter.visible_owner_ids
    if visible is not None:
        owners = [owner for owner in dict.fromkeys(visible) if filter.owner_id in (None, owner)]
    if owners is None:
        return Branches([Alert.state], [(state,) for state in states])
    keys = [key_of(owner) for owner in owners]
    pairs = [(state, key) for state in states for key in keys]
    return Branches([Alert.state, Alert.reference_owner_key], pairs)


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
    branches = branches_of(listing.filter)
    if not branches.number:
        return Found((), None)
    each = min(SCANNED, max(1, SCANNED_TOGETHER // branches.number))
    for scanned in (min(each, SCANNED_FIRST * (limit + 1)), *[each] * looks):
        found = await _look(session, listing, branches, after, limit - len(rows), scanned)
        rows, after = (*rows, *found.rows), found.on
        if after is None or len(rows) >= limit:
            break
    return Found(rows, after)


async def _look(
    session: AsyncSession,
    listing: Listing,
    branches: Branches,
    after: Where | None,
    limit: int,
    scanned: int,
) -> Found:
    """One look at all branches, of each at most so many rows."""
    filter, order, backwards = listing.filter, listing.order, listing.backwards
    place = tuple_(*_place(Alert, order))
    directions = _place(Alert, order)
    if not backwards:
        directions = [part.desc() for part in directions]
    conditions = [*branches.conditions, *_by_index(filter, order)]
    if after is not None:
        bound = _bound(after, order)
        conditions.append(place > bound if backwards else place < bound)
    # Where the look ends; not as a subquery, out of whose order SQLite would sort all rows again.
    last = [
        select(part).where(*conditions).order_by(*directions).offset(scanned - 1).limit(1)
        for part in _place(Alert, order)
    ]
    ends = await session.execute(branches.each(*last))
    horizons = [(value, key) for value, key in ends if key is not None]
    # Behind the nearest one a branch may hold rows that nobody has looked at yet.
    nearest: Callable[[list[Where]], Where] = min if backwards else max
    horizon = nearest(horizons) if horizons else None
    if horizon is not None:
        bound = _bound(horizon, order)
        conditions.append(place <= bound if backwards else place >= bound)
    query = (
        select(Alert.alert_id, Alert.video_id, Alert.video_key, *_place(Alert, order))
        .where(*conditions, *_by_row(Alert, filter, _unindexed))
        .order_by(*directions)
        .limit(limit + 1)
    )
    if listing.as_of is not None:
        query = query.where(_unindexed(Alert.raised_at) <= listing.as_of)
    if listing.firsts:
        query = query.where(_is_first(listing))
    if listing.lock:
        query = query.with_for_update(skip_locked=True, of=Alert)
    rows = (await session.execute(query)).all()
    if len(rows) > limit:
        return Found(tuple(rows[:limit]), where_is(rows[limit - 1], order))
    return Found(tuple(rows), horizon)


def _place(alert: Any, order: Order) -> list[Any]:
    return [getattr(alert, ORDER_COLUMNS[order]), alert.alert_key]


def _bound(place: Where, order: Order) -> ColumnElement[Any]:
    # Typed, or an instant would be taken for a date, where the column holds microseconds.
    columns = _place(Alert, order)
    return tuple_(*(literal(value, c.type) for value, c in zip(place, columns, strict=True)))


def _by_index(filter: AlertFilter, order: Order) -> list[ColumnElement[bool]]:
    """What an index of `alerts` begins with beside the branch."""
    found = []
    if filter.reference_id is not None:
        found.append(Alert.reference_key == key_of(filter.reference_id))
    if filter.video_id is not None:
        found.append(Alert.video_key == key_of(filter.video_id))
    if order == "newest":
        # Within the index, or all looks could go by on rows that are too new.
        found += _within_age(Alert.raised_at, filter)
    if order == "surest" and filter.min_score is not None:
        found.append(Alert.score >= filter.min_score)
    return found


def _unindexed(column: Any) -> ColumnElement[Any]:
    """A number that SQLite looks up in no index: it would take one in another order than ours."""
    return UnaryExpression(column, operator=operators.custom_op("+"), type_=column.type)


def _by_row(
    alert: Any, filter: AlertFilter, read: Callable[[Any], Any] = lambda column: column
) -> list[ColumnElement[bool]]:
    """All conditions on a row but its state and rights holder; ids, where an index has keys.

    Args:
        alert: the table, or an alias of it.
        filter: the conditions.
        read: how numbers are written.
    """
    found = _within_age(read(alert.raised_at), filter)
    # By key too: the index of an upload's alerts has it, and the row isn't read for others.
    owner_key = alert.reference_owner_key
    if filter.owner_id is not None:
        found.append(read(owner_key) == key_of(filter.owner_id))
    if filter.visible_owner_ids is not None:
        found.append(read(owner_key).in_([key_of(owner) for owner in filter.visible_owner_ids]))
    for column, wanted in (
        (alert.reference_owner_id, filter.owner_id),
        (alert.reference_id, filter.reference_id),
        (alert.video_id, filter.video_id),
        (alert.video_owner_id, filter.uploader_id),
        (alert.reason, filter.reason),
    ):
        if wanted is not None:
            found.append(column == wanted)
    if filter.visible_owner_ids is not None:
        found.append(alert.reference_owner_id.in_(filter.visible_owner_ids))
    if filter.min_score is not None:
        found.append(read(alert.score) >= filter.min_score)
    if filter.claimed is not None:
        found.append(_claimed(alert, filter))
    return found


def _within_age(raised_at: Any, filter: AlertFilter) -> list[ColumnElement[bool]]:
    found, since = [], since_of(filter)
    if since is not None:
        found.append(raised_at >= since)
    if filter.before is not None:
        found.append(raised_at < filter.before)
    return found


def since_of(filter: AlertFilter) -> datetime | None:
    """The instant since which a filter lets alerts through, by `since` and `within`."""
    if filter.within is None:
        return filter.since
    if filter.now is None:
        raise ValueError(f"{filter.within = } without now")
    oldest = filter.now - filter.within
    return oldest if filter.since is None else max(oldest, filter.since)


def _claimed(alert: Any, filter: AlertFilter) -> ColumnElement[bool]:
    if filter.now is None:
        raise ValueError(f"{filter.claimed = } without now")
    claimed = and_(alert.claimed_until.is_not(None), alert.claimed_until > filter.now)
    nobodys = or_(alert.claimed_until.is_(None), alert.claimed_until <= filter.now)
    mine = alert.claimed_by == filter.reviewer
    if filter.claimed in ("nobody", "free"):
        return nobodys if filter.claimed == "nobody" else or_(nobodys, mine)
    return and_(claimed, mine if filter.claimed == "me" else ~mine)


def _is_first(listing: Listing) -> ColumnElement[bool]:
    """Whether no other alert of the upload that the filter lets through comes before."""
    other, filter = OTHER, listing.filter
    # As one comparison: of two with OR, SQLite would look up each by an index of all alerts.
    earlier = tuple_(*_place(other, listing.order)) > tuple_(*_place(Alert, listing.order))
    conditions = [
        other.video_key == Alert.video_key,
        other.video_id == Alert.video_id,
        other.state.in_(filter.states),
        earlier,
        *_by_row(other, filter),
    ]
    if listing.as_of is not None:
        conditions.append(other.raised_at <= listing.as_of)
    return ~exists().where(*conditions)


def conditions(filter: AlertFilter) -> list[ColumnElement[bool]]:
    """All conditions of a filter, for rows that are found otherwise."""
    return [Alert.state.in_(filter.states), *_by_row(Alert, filter)]


def name_of(kind: str, filter: AlertFilter, order: str) -> str:
    """Of a list, for its cursors. Who asks, and when, makes no other list of it."""
    return repr((kind, order, replace(filter, now=None)))


def written_where(place: Where, order: Order) -> tuple[int | float, int]:
    """A place as JSON."""
    value, key = place
    return (microseconds(value) if order == "newest" else value), key
