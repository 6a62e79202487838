"""Parts of an index that a list is read from, asked by one statement; serves lists by filter.

An index holds the rows of one state, or of one rights holder, in order, but not those of several
together.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import CTE, ColumnElement, Select, column, select, values
from sqlalchemy.orm import InstrumentedAttribute


class Branches:
    """Some parts of an index, each with one value of its first columns.

    Attributes:
        number: of them.
        conditions: that a row is in one.
    """

    def __init__(
        self, columns: Sequence[InstrumentedAttribute[Any]], rows: Sequence[tuple[Any, ...]]
    ) -> None:
        """Name them.

        Args:
            columns: the first ones of the index.
            rows: their values, for each branch; none where nothing is asked for.
        """
        self.number = len(rows)
        self._table: CTE | None = None
        of_one: Sequence[Any] = rows[0] if rows else ()
        # Of a single one the index gives the order: nothing has to be sorted.
        if self.number > 1:
            named = (column(each.key, each.type) for each in columns)
            self._table = values(*named, name="branches").data(rows).cte()
            of_one = [*self._table.c]
        self.conditions: list[ColumnElement[bool]] = [
            each == value for each, value in zip(columns, of_one, strict=self.number > 0)
        ]

    def each(self, *queries: Select[Any]) -> Select[Any]:
        """A row for each branch, of what queries for one value find in it."""
        found = select(*(query.correlate(self._table).scalar_subquery() for query in queries))
        return found if self._table is None else found.select_from(self._table)
