"""Conditions of a list of alerts as parts of a statement, and the values that they compare with.

Serves `listing.py` and `groups.py`. A statement is made once for all lists that differ by values
alone: making it takes longer than asking it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, and_, bindparam, exists, or_, tuple_
from sqlalchemy.sql import operators
from sqlalchemy.sql.expression import UnaryExpression

from stream.console.store.columns import key_of
from stream.console.store.tables import ALERTS
from stream.console.store.views import AlertFilter, Order

STATEMENTS = 200  # that are kept, of 30 KB each; set by hand
ORDER_COLUMNS: dict[Order, str] = {
    "newest": "raised_at",
    "longest": "copied_seconds",
    "surest": "score",
}
OTHERS = ALERTS.alias()
Values = dict[str, Any]
"""Parameters of a statement, by name."""


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


def place_of(alert: Any, order: Order) -> list[Any]:
    """The columns of an alert's place in an order."""
    return [getattr(alert, ORDER_COLUMNS[order]), alert.alert_key]


def by_index(kind: Kind) -> list[ColumnElement[bool]]:
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


def unindexed(column: Any) -> ColumnElement[Any]:
    """A number that SQLite looks up in no index: it would take one in another order than ours."""
    return UnaryExpression(column, operator=operators.custom_op("+"), type_=column.type)


def by_row(
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


def is_first(kind: Kind) -> ColumnElement[bool]:
    """Whether no other alert of the upload that the filter lets through comes before."""
    alert, other = ALERTS.c, OTHERS.c
    # As one comparison: of two with OR, SQLite would look up each by an index of all alerts.
    earlier = tuple_(*place_of(other, kind.order)) > tuple_(*place_of(alert, kind.order))
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
    """All conditions of a filter, for rows that are found otherwise; see `by_row`."""
    return [alert.state.in_(bindparam("states", expanding=True)), *by_row(alert, kind)]
