"""Reads alerts in an order, through a filter, by an index: what queue, lists and claims share.

A list is cut into branches, one for each state and rights holder, because an index holds each of
them in order; one statement asks all of them. Of a branch at most `SCANNED` rows are looked at; the
filter's other conditions are asked of these. So the time of a page has a bound, whatever is asked.

A statement is made once for all lists that differ by values alone: making it takes longer than
asking it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Integer,
    Row,
    Select,
    and_,
    bindparam,
    exists,
    or_,
    select,
    tuple_,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql import operators
from sqlalchemy.sql.expression import UnaryExpression

from stream.console.store.branches import Branches, branch_values
from stream.console.store.columns import key_of, microseconds
from stream.console.store.tables import ALERTS, Alert
from stream.console.store.views import AlertFilter, Order

SCANNED = 500  # rows of a branch that one look looks at
SCANNED_TOGETHER = 5000  # of all branches: a rights holder may have hundreds
SCANNED_FIRST = 4  # times the rows that are wanted, at the first look: mostly that's enough
LOOKS = 2  # after the first, until there are enough
PAGE_LOOKS = 1  # the same of a page of the queue, which leads on: somebody waits for it
STATEMENTS = 200  # that are kept, of 30 KB each; set by hand

ORDER_COLUMNS: dict[Order, str] = {
    "newest": "raised_at",
    "longest": "copied_seconds",
    "surest": "score",
}
OTHERS = ALERTS.alias()
Where = tuple[Any, int]
"""A place in an order: the value and the alert's key, both descending."""
Values = dict[str, Any]
"""Parameters of a statement, by name."""


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


@dataclass(frozen=True)
class Kind:
    """All of a list but its values: lists of one kind are asked for by the same statements.

    Attributes:
        names: of the values that there are; see `values_of`.
        claimed: of the filter, as what follows is of the listing.
    """

    names: frozenset[str]
    claimed: str | None
    order: Order
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
        for part in _place(ALERTS.c, kind.order)
    )
    return branches.each(*last)


@lru_cache(STATEMENTS)
def _rows(kind: Kind, branches: Branches) -> Select[Any]:
    """What a look finds as far as its end."""
    alert = ALERTS.c
    place = tuple_(*_place(alert, kind.order))
    query = (
        select(alert.alert_id, alert.video_id, alert.video_key, *_place(alert, kind.order))
        .where(*_within(kind, branches), *_by_row(alert, kind, _unindexed))
        .order_by(*_directions(kind))
        .limit(bindparam("limit", type_=Integer))
    )
    if "horizon_key" in kind.names:
        bound = _bound("horizon", kind.order)
        query = query.where(place <= bound if kind.backwards else place >= bound)
    if "as_of" in kind.names:
        query = query.where(_unindexed(alert.raised_at) <= bindparam("as_of"))
    if kind.firsts:
        query = query.where(_is_first(kind))
    if kind.lock:
        query = query.with_for_update(skip_locked=True, of=ALERTS)
    return query


def _within(kind: Kind, branches: Branches) -> list[ColumnElement[bool]]:
    """What a look looks at."""
    found = [*branches.conditions, *_by_index(kind)]
    if "after_key" in kind.names:
        place, bound = tuple_(*_place(ALERTS.c, kind.order)), _bound("after", kind.order)
        found.append(place > bound if kind.backwards else place < bound)
    return found


def _directions(kind: Kind) -> list[Any]:
    place = _place(ALERTS.c, kind.order)
    return place if kind.backwards else [part.desc() for part in place]


def _place(alert: Any, order: Order) -> list[Any]:
    return [getattr(alert, ORDER_COLUMNS[order]), alert.alert_key]


def _bound(name: str, order: Order) -> ColumnElement[Any]:
    # Typed, or an instant would be taken for a date, where the column holds microseconds.
    value, key = _place(ALERTS.c, order)
    return tuple_(
        bindparam(f"{name}_value", type_=value.type), bindparam(f"{name}_key", type_=key.type)
    )


def _by_index(kind: Kind) -> list[ColumnElement[bool]]:
    """What an index of `alerts` begins with beside the branch."""
    alert = ALERTS.c
    found = [
        column == bindparam(name)
        for name, column in (
            ("reference_key", alert.reference_key),
            ("video_key", alert.video_key),
        )
        if name in kind.names
    ]
    if kind.order == "newest":
        # Within the index, or all looks could go by on rows that are too new.
        found += _within_age(alert.raised_at, kind)
    if kind.order == "surest" and "min_score" in kind.names:
        found.append(alert.score >= bindparam("min_score"))
    return found


def _unindexed(column: Any) -> ColumnElement[Any]:
    """A number that SQLite looks up in no index: it would take one in another order than ours."""
    return UnaryExpression(column, operator=operators.custom_op("+"), type_=column.type)


def _by_row(
    alert: Any, kind: Kind, read: Callable[[Any], Any] = lambda column: column
) -> list[ColumnElement[bool]]:
    """All conditions on a row but its state and rights holder; ids, where an index has keys.

    Args:
        alert: the columns of the table, or of an alias of it.
        kind: which conditions.
        read: how numbers are written.
    """
    found, names = _within_age(read(alert.raised_at), kind), kind.names
    # By key too: the index of an upload's alerts has it, and the row isn't read for others.
    owner_key = alert.reference_owner_key
    if "owner_key" in names:
        found.append(read(owner_key) == bindparam("owner_key"))
    if "visible_keys" in names:
        found.append(read(owner_key).in_(bindparam("visible_keys", expanding=True)))
    for name, column in (
        ("owner_id", alert.reference_owner_id),
        ("reference_id", alert.reference_id),
        ("video_id", alert.video_id),
        ("uploader_id", alert.video_owner_id),
        ("reason", alert.reason),
    ):
        if name in names:
            found.append(column == bindparam(name))
    if "visible_ids" in names:
        found.append(alert.reference_owner_id.in_(bindparam("visible_ids", expanding=True)))
    if "min_score" in names:
        found.append(read(alert.score) >= bindparam("min_score"))
    if kind.claimed is not None:
        found.append(_claimed(alert, kind))
    return found


def _within_age(raised_at: Any, kind: Kind) -> list[ColumnElement[bool]]:
    found = []
    if "since" in kind.names:
        found.append(raised_at >= bindparam("since"))
    if "before" in kind.names:
        found.append(raised_at < bindparam("before"))
    return found


def values_of(filter: AlertFilter) -> Values:
    """What a filter's conditions compare with, by the names of their parameters."""
    if filter.claimed is not None and filter.now is None:
        raise ValueError(f"{filter.claimed = } without now")
    visible = filter.visible_owner_ids
    values: dict[str, Any] = {
        "states": filter.states,
        "owner_id": filter.owner_id,
        "reference_id": filter.reference_id,
        "video_id": filter.video_id,
        "uploader_id": filter.uploader_id,
        "reason": filter.reason,
        "min_score": filter.min_score,
        "since": since_of(filter),
        "before": filter.before,
        "visible_ids": visible,
        "visible_keys": None if visible is None else [key_of(owner) for owner in visible],
    }
    for name in ("owner", "reference", "video"):
        wanted = values[f"{name}_id"]
        values[f"{name}_key"] = None if wanted is None else key_of(wanted)
    given = {name: value for name, value in values.items() if value is not None}
    if filter.claimed is not None:
        given |= {"now": filter.now, "reviewer": filter.reviewer or ""}
    return given


def since_of(filter: AlertFilter) -> datetime | None:
    """The instant since which a filter lets alerts through, by `since` and `within`."""
    if filter.within is None:
        return filter.since
    if filter.now is None:
        raise ValueError(f"{filter.within = } without now")
    oldest = filter.now - filter.within
    return oldest if filter.since is None else max(oldest, filter.since)


def _claimed(alert: Any, kind: Kind) -> ColumnElement[bool]:
    now: BindParameter[datetime] = bindparam("now")
    claimed = and_(alert.claimed_until.is_not(None), alert.claimed_until > now)
    nobodys = or_(alert.claimed_until.is_(None), alert.claimed_until <= now)
    mine = alert.claimed_by == bindparam("reviewer")
    if kind.claimed in ("nobody", "free"):
        return nobodys if kind.claimed == "nobody" else or_(nobodys, mine)
    return and_(claimed, mine if kind.claimed == "me" else ~mine)


def _is_first(kind: Kind) -> ColumnElement[bool]:
    """Whether no other alert of the upload that the filter lets through comes before."""
    alert, other = ALERTS.c, OTHERS.c
    # As one comparison: of two with OR, SQLite would look up each by an index of all alerts.
    earlier = tuple_(*_place(other, kind.order)) > tuple_(*_place(alert, kind.order))
    found = [
        other.video_key == alert.video_key,
        other.video_id == alert.video_id,
        earlier,
        *conditions(kind, other),
    ]
    if "as_of" in kind.names:
        found.append(other.raised_at <= bindparam("as_of"))
    return ~exists().where(*found)


def conditions(kind: Kind, alert: Any) -> list[ColumnElement[bool]]:
    """All conditions of a filter, for rows that are found otherwise; see `_by_row`."""
    return [alert.state.in_(bindparam("states", expanding=True)), *_by_row(alert, kind)]


def name_of(kind: str, filter: AlertFilter, order: str) -> str:
    """Of a list, for its cursors. Who asks, and when, makes no other list of it."""
    return repr((kind, order, replace(filter, now=None)))


def written_where(place: Where, order: Order) -> tuple[int | float, int]:
    """A place as JSON."""
    value, key = place
    return (microseconds(value) if order == "newest" else value), key
