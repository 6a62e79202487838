"""Takes messages into a database: rows, and the positions behind them, in one transaction.

What is in the rows already is left out, so that a crash, a second console or a reader that begins
anew loses nothing and doubles nothing. Serves `follower.py`, which brings the messages.
"""

import logging
from collections.abc import Mapping, Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from stream.console.store.batch import forget_all, take_batch
from stream.console.store.database import Database
from stream.console.store.messages import Message, read
from stream.console.store.outbox import follow_logs, put_out
from stream.console.store.tables import Position
from stream.contract.message import Source
from stream.errors import BadEventError, brief
from stream.times import now

log = logging.getLogger(__name__)

Positions = dict[tuple[str, int], int]
"""The offset to read next, by topic and partition."""


class Intake:
    """Takes messages of topics into a database."""

    def __init__(
        self, database: Database, log_ids: Mapping[str, str], min_piece_seconds: float
    ) -> None:
        """Nothing is taken yet.

        Args:
            database: whose rows and positions change.
            log_ids: what tells each topic from one of its name that was made anew.
            min_piece_seconds: of `PolicySettings`.
        """
        self._database, self._log_ids = database, log_ids
        self._min_piece_seconds = min_piece_seconds

    async def positions(self, ends: Mapping[tuple[str, int], int]) -> Positions:
        """Where to go on; nowhere, and without rows, where they are of other topics.

        Args:
            ends: of the partitions now.
        """
        async with self._database.writing() as session:
            # Another console may be taking messages just now, or be forgetting all rows.
            await self._database.lock(session)
            await follow_logs(session, self._log_ids, ends)
            found = await _all(session)
            for (topic, partition), position in found.items():
                end = ends.get((topic, partition), 0)
                # The same log may have lost its end: rows would tell of what nobody else sees.
                if position.log_id != self._log_ids.get(topic) or position.next_offset > end:
                    log.warning(
                        "%s is another one than the console's database was made from: all that is "
                        "made from the topics is made anew",
                        topic,
                    )
                    await forget_all(session)
                    return {}
            return {key: position.next_offset for key, position in found.items()}

    async def take(self, sources: Sequence[Source]) -> Positions:
        """Take some messages: all of them and the positions behind them, or nothing.

        Args:
            sources: in order of each partition; they may begin before the position.

        Returns:
            Where to go on.
        """
        async with self._database.writing() as session:
            # Before positions are read, or two consoles would take the same messages.
            await self._database.lock(session)
            positions = await _all(session)
            messages = [
                message
                for source in sources
                # In this order, so that the position moves behind a message that can't be read.
                if self._is_new(session, positions, source)
                and (message := _read(source)) is not None
            ]
            await take_batch(session, messages, self._min_piece_seconds)
            # Here, so that a kill leaves rows and what is to be told of them, or neither.
            await put_out(session, messages, self._log_ids, now())
            return {key: position.next_offset for key, position in positions.items()}

    def _is_new(
        self, session: AsyncSession, positions: dict[tuple[str, int], Position], source: Source
    ) -> bool:
        """Whether a message isn't in the rows; from now on it is."""
        key = topic, partition = source.topic, source.partition
        position = positions.get(key)
        if position is None:
            log_id = self._log_ids[topic]
            position = Position(topic=topic, partition=partition, next_offset=0, log_id=log_id)
            positions[key] = position
            session.add(position)
        if source.offset < position.next_offset:
            return False
        position.next_offset = source.offset + 1
        return True


async def _all(session: AsyncSession) -> dict[tuple[str, int], Position]:
    return {(row.topic, row.partition): row for row in await session.scalars(select(Position))}


def _read(source: Source) -> Message | None:
    try:
        return read(source)
    except BadEventError as error:
        log.warning("%s is passed over: %s", source, brief(error, 300))
        return None
