"""Takes a batch of messages into a database, within a transaction of its caller."""

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Row,
    Select,
    bindparam,
    delete,
    inspect,
    select,
    tuple_,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from stream.console.store.database import insert_of
from stream.console.store.messages import Message
from stream.console.store.projection import project, touched
from stream.console.store.states import Reach, Verdicts, complete, speech_of
from stream.console.store.tables import (
    Alert,
    Policy,
    Position,
    Rejection,
    Review,
    Table,
    Tally,
    Upload,
    Verdict,
    Video,
)
from stream.console.store.tallies import TallyKey, tallies_of

AT_ONCE = 5000  # parameters of one statement; both databases take over 30,000
PROJECTED = (Upload, Video, Alert, Verdict, Review, Policy, Rejection, Tally)
"""The tables whose rows are made from messages."""
KEYS: BindParameter[Any] = bindparam("keys", expanding=True)
"""The values of `in_parts`, in a query that is made once."""
RowT = TypeVar("RowT", bound=Table)


class Batch:
    """The rows that some messages touch, loaded; see `rows.Rows`."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session
        self._rows: dict[type[Table], dict[Any, Table]] = {table: {} for table in PROJECTED}
        self._before: Counter[TallyKey] = Counter()

    def get(self, table: type[RowT], key: Any) -> RowT | None:
        """The row under a primary key; None where there is none yet."""
        found = self._rows[table].get(key)
        return found if isinstance(found, table) else None

    def add(self, key: Any, row: Table) -> None:
        """A new row under its primary key."""
        self._rows[type(row)][key] = row

    def all(self, table: type[RowT]) -> list[RowT]:
        """The rows of a table, loaded and new."""
        return [row for row in self._rows[table].values() if isinstance(row, table)]

    async def load(self, table: type[RowT], keys: Iterable[Any]) -> None:
        """Load what there is under these primary keys."""
        columns = inspect(table).primary_key
        key: Any = columns[0] if len(columns) == 1 else tuple_(*columns)
        wanted = sorted({*keys} - self._rows[table].keys())
        async for row in chunked(self._session, table, key, wanted):
            self.take(row)

    def take(self, row: Table) -> None:
        """Keep a loaded row, as it is before anything changes it."""
        table = type(row)
        values = [getattr(row, str(column.key)) for column in inspect(table).primary_key]
        key = values[0] if len(values) == 1 else tuple(values)
        if key not in self._rows[table]:
            self._rows[table][key] = row
            self._before.update(tallies_of(row))

    def add_new(self, *, but: type[Table] | None = None) -> None:
        """Give what is new to the session.

        Args:
            but: no rows of this table.
        """
        for table, rows in self._rows.items():
            if table is not but:
                self._session.add_all(row for row in rows.values() if inspect(row).transient)

    def changed_tallies(self) -> dict[TallyKey, int]:
        """By how much each number changes."""
        after: Counter[TallyKey] = Counter()
        for rows in self._rows.values():
            for row in rows.values():
                after.update(tallies_of(row))
        after.subtract(self._before)
        return {key: change for key, change in after.items() if change}


async def take_batch(
    session: AsyncSession, messages: Sequence[Message], min_piece_seconds: float
) -> None:
    """Take messages into the rows; the caller's transaction holds all of it, or nothing.

    Taking some again changes nothing. Nobody else may do this at the same time.

    Args:
        session: of the transaction.
        messages: in order of each partition.
        min_piece_seconds: of `PolicySettings`.
    """
    batch = Batch(session)
    wanted: dict[type[Table], set[Any]] = {}
    for message in messages:
        for table, key in touched(message):
            wanted.setdefault(table, set()).add(key)
    for table, keys in wanted.items():
        await batch.load(table, keys)
    # Now, since messages change these very rows.
    said = {verdict.alert_id: _said(verdict) for verdict in batch.all(Verdict)}
    for message in messages:
        project(message, batch)
    await _settle(session, batch, said, min_piece_seconds)
    await _count(session, batch.changed_tallies())
    await session.flush()


def _said(verdict: Verdict) -> tuple[object, Reach]:
    reach = Reach()
    reach.add(verdict)
    return speech_of(verdict), reach


async def _settle(
    session: AsyncSession,
    batch: Batch,
    said: dict[str, tuple[object, Reach]],
    min_piece_seconds: float,
) -> None:
    """Give all alerts that a message or a verdict is about the state that follows."""
    spoken = Reach()
    for verdict in batch.all(Verdict):
        # All of them: an alert that came later may name the pair of its verdict.
        complete(verdict, batch.get(Alert, verdict.alert_id))
        before, reach = said.get(verdict.alert_id, (None, Reach()))
        if speech_of(verdict) != before:
            spoken.add(verdict)
            # What it spoke for before, too: a withdrawn dismissal reopens that.
            spoken.pairs |= reach.pairs
            spoken.references |= reach.references
            spoken.owners |= reach.owners
    # Verdicts first, so that they are found; alerts when their state is known.
    batch.add_new(but=Alert)
    await session.flush()
    for column, keys in (
        (Alert.pair_key, spoken.pairs),
        (Alert.reference_key, spoken.references),
        (Alert.owners_key, spoken.owners),
    ):
        async for row in chunked(session, Alert, column, sorted(keys)):
            batch.take(row)
    alerts = batch.all(Alert)
    if alerts:
        verdicts = await _verdicts_about(session, alerts)
        known = Verdicts(verdicts, min_piece_seconds)
        for alert in alerts:
            known.settle(alert)
    batch.add_new()


async def _verdicts_about(session: AsyncSession, alerts: Sequence[Alert]) -> list[Verdict]:
    reach, found = Reach(), dict[str, Verdict]()
    for alert in alerts:
        reach.add_alert(alert)
    for column, keys in (
        (Verdict.alert_id, {alert.alert_id for alert in alerts}),
        (Verdict.pair_key, reach.pairs),
        (Verdict.reference_key, reach.references),
        (Verdict.owners_key, reach.owners),
    ):
        async for verdict in chunked(session, Verdict, column, sorted(keys)):
            found[verdict.alert_id] = verdict
    return [*found.values()]


async def _count(session: AsyncSession, changes: dict[TallyKey, int]) -> None:
    """Change the kept numbers; one that comes to nothing is gone."""
    if not changes:
        return
    rows = [
        {"kind": kind, "about": about, "name": name, "number": change}
        for (kind, about, name), change in sorted(changes.items())
    ]
    insert = insert_of(session, Tally)
    number = Tally.number + insert.excluded.number
    added = insert.on_conflict_do_update(
        index_elements=["kind", "about", "name"], set_={"number": number}
    )
    # By the connection: of a session, this would be a statement for each of them.
    connection = await session.connection()
    await connection.execute(added, rows)
    less = [key for key, change in changes.items() if change < 0]
    if less:
        kinds, abouts = {kind for kind, _, _ in less}, {about for _, about, _ in less}
        await connection.execute(
            # Any other that this meets is above 0, since none is left at 0.
            delete(Tally).where(Tally.kind.in_(kinds), Tally.about.in_(abouts), Tally.number == 0)
        )


async def chunked(
    session: AsyncSession,
    table: type[RowT],
    key: ColumnElement[Any] | InstrumentedAttribute[Any],
    values: Sequence[Any],
) -> AsyncIterator[RowT]:
    """The rows whose key is among some values, asked for in parts."""
    async for (row,) in in_parts(session, select(table).where(key.in_(KEYS)), values):
        yield row


async def in_parts(
    session: AsyncSession, query: Select[*tuple[Any, ...]], values: Sequence[Any]
) -> AsyncIterator[Row[*tuple[Any, ...]]]:
    """What a query gives for rows whose key is among `KEYS`, which are these, in parts."""
    at_once, left = AT_ONCE // 3, iter(values)  # a key has three columns at the most
    while part := [*islice(left, at_once)]:
        for row in await session.execute(query, {KEYS.key: part}):
            yield row


async def forget_all(session: AsyncSession) -> None:
    """Drop everything that was made from messages: it is read anew."""
    for table in (*PROJECTED, Position):
        await session.execute(delete(table))


__all__ = ["AT_ONCE", "PROJECTED", "Batch", "chunked", "forget_all", "in_parts", "take_batch"]
