"""Lists by time and key, the newest first, page by page. Serves `video_queries.py` and webhooks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Select, literal, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from stream.console.store import cursors
from stream.console.store.columns import microseconds, of_microseconds
from stream.console.store.views import Page

T = TypeVar("T")


@dataclass(frozen=True)
class ByTime:
    """A list.

    Attributes:
        of: the list, with everything that makes another one of it; for its cursors.
        at: column of the time.
        key: column that tells apart what is of one time.
    """

    of: str
    at: InstrumentedAttribute[Any]
    key: InstrumentedAttribute[Any]

    def behind(self, query: Select[Any], cursor: str | None, limit: int) -> Select[Any]:
        """In this order, behind a cursor: a page, and one row that tells whether more come.

        Raises:
            QueryError: it isn't a cursor of this list.
        """
        if (place := self.place(cursor)) is not None:
            query = query.where(tuple_(self.at, self.key) < tuple_(*place))
        return query.order_by(self.at.desc(), self.key.desc()).limit(limit + 1)

    def place(self, cursor: str | None) -> tuple[ColumnElement[Any], ColumnElement[Any]] | None:
        """What a cursor stands behind; None at the beginning.

        Raises:
            QueryError: it isn't a cursor of this list.
        """
        if cursor is None:
            return None
        at, key = cursors.read(cursor, self.of, int, int)
        return self._place(of_microseconds(at), key)

    def until(self, at: datetime, key: int) -> ColumnElement[bool]:
        """A condition: as far as this place, and no further."""
        return tuple_(self.at, self.key) >= tuple_(*self._place(at, key))

    def _place(self, at: datetime, key: int) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
        return literal(at, self.at.type), literal(key, self.key.type)

    def page(self, rows: Sequence[Any], limit: int, view: Callable[[Any], T]) -> Page[T]:
        """The page of what `behind` found, each row as it is shown."""
        items = tuple(map(view, rows[:limit]))
        if len(rows) <= limit:
            return Page(items)
        at, key = (getattr(rows[limit - 1], column.key) for column in (self.at, self.key))
        return Page(items, cursors.written(self.of, microseconds(at), key))
