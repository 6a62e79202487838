"""What projections of all topics share: the rows of a batch, and which of two messages is older."""

from datetime import datetime
from typing import Any, Protocol, TypeVar

from stream.console.store.tables import Table
from stream.contract.message import Source

RowT = TypeVar("RowT", bound=Table)


class Rows(Protocol):
    """The rows that a batch touches, in memory."""

    def get(self, table: type[RowT], key: Any) -> RowT | None:
        """The row under a primary key; None where there is none yet."""
        ...

    def add(self, key: Any, row: Table) -> None:
        """A new row under its primary key."""
        ...


def is_old(
    source: Source, at: datetime, partition: int | None, offset: int | None, known: datetime | None
) -> bool:
    """Whether a message lies before the one that a part of a row is from.

    One key lies on one partition, where offsets are its order. After partitions were added it may
    lie on another one, and then times are.
    """
    if partition is None or offset is None or known is None:
        return False
    if source.partition == partition:
        return source.offset < offset
    return (at, source.partition) < (known, partition)
