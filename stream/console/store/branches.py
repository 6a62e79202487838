"""Parts of an index that a list is read from, asked by one statement; serves lists by filter.

An index holds the rows of one state, or of one rights holder, in order, but not those of several
together.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, TextualSelect, bindparam, column, select, text
from sqlalchemy.orm import InstrumentedAttribute

Column = ColumnElement[Any] | InstrumentedAttribute[Any]


class Branches:
    """Some parts of an index, each with one value of its first columns.

    Their values are parameters: one statement is for all that are as many.

    Attributes:
        number: of them.
        table: of their values; None of a single one.
        values: of one, in the order of the columns: of the table, or parameters.
        conditions: that a row is in one.
    """

    def __init__(self, columns: Sequence[Column], number: int) -> None:
        """Name them.

        Args:
            columns: the first ones of the index.
            number: of branches; none where nothing is asked for.
        """
        self.number = number
        self.values: Sequence[Any] = [
            bindparam(_name(0, place), type_=each.type) for place, each in enumerate(columns)
        ]
        # Of a single one the index gives the order: nothing has to be sorted.
        self.table = _table(columns, number).cte("branches") if number > 1 else None
        if self.table is not None:
            self.values = [*self.table.c]
        self.conditions: list[ColumnElement[bool]] = [
            each == value for each, value in zip(columns, self.values, strict=True)
        ]

    def each(self, *queries: Select[Any]) -> Select[Any]:
        """A row for each branch, of what queries for one value find in it."""
        found = select(*(query.correlate(self.table).scalar_subquery() for query in queries))
        return found if self.table is None else found.select_from(self.table)


def branch_values(rows: Sequence[tuple[Any, ...]]) -> dict[str, Any]:
    """The parameters of branches: for each, the values of the columns."""
    return {
        _name(branch, place): value
        for branch, values in enumerate(rows)
        for place, value in enumerate(values)
    }


def _table(columns: Sequence[Column], number: int) -> TextualSelect:
    """As text, since SQLAlchemy compiles its own `values` anew for each question."""
    rows = (
        ", ".join(f":{_name(branch, place)}" for place in range(len(columns)))
        for branch in range(number)
    )
    typed = (
        bindparam(_name(branch, place), type_=each.type)
        for branch in range(number)
        for place, each in enumerate(columns)
    )
    # Both databases call the columns of such rows so.
    named = (column(f"column{place + 1}", each.type) for place, each in enumerate(columns))
    listed = text(f"VALUES {', '.join(f'({row})' for row in rows)}")
    return listed.bindparams(*typed).columns(*named)


def _name(branch: int, place: int) -> str:
    return f"branch_{branch}_{place}"
