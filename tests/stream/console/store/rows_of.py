"""All rows of a database as plain values, to be compared, and numbers counted from them anew."""

from collections import Counter
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from stream.console.store.batch import PROJECTED
from stream.console.store.database import Database
from stream.console.store.tables import Position, Table, Tally
from stream.console.store.tallies import tallies_of

Dump = dict[str, list[dict[str, Any]]]


async def dump(database: Database, *, positions: bool = False) -> Dump:
    """The rows that are made from the topics, by table, in a fixed order."""
    tables = (*PROJECTED, Position) if positions else PROJECTED
    async with database.reading() as session:
        return {table.__tablename__: await _rows(session, table) for table in tables}


async def _rows(session: AsyncSession, table: type[Table]) -> list[dict[str, Any]]:
    rows = (await session.execute(select(table.__table__))).mappings()
    return sorted((dict(row) for row in rows), key=repr)


async def counted(database: Database) -> Counter[tuple[str, str, str]]:
    """What the tallies should say, by counting."""
    numbers: Counter[tuple[str, str, str]] = Counter()
    async with database.reading() as session:
        for table in PROJECTED:
            for row in await session.scalars(select(table)):
                numbers.update(tallies_of(row))
    return numbers


async def kept(database: Database) -> Counter[tuple[str, str, str]]:
    """What the tallies say."""
    async with database.reading() as session:
        rows = await session.scalars(select(Tally))
        return Counter({(row.kind, row.about, row.name): row.number for row in rows})
