"""Writes that a client may send twice: the second gets the answer of the first."""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, update

from stream.console.store.database import Database, insert_of
from stream.console.store.desk_tables import IdempotencyKey
from stream.console.store.sign_ins import hash_of

RUN_BYTES = 16
LONGEST_RUN = timedelta(minutes=2)  # of a write; the sends to Kafka end within 35 s


@dataclass(frozen=True)
class Fresh:
    """The first time: do it, then `finish_key` with this run, or `forget_key` where it failed."""

    run: str


@dataclass(frozen=True)
class Running:
    """Somebody is at it."""


@dataclass(frozen=True)
class OtherRequest:
    """The key was given with another request."""


@dataclass(frozen=True)
class Done:
    """It was done: this was the answer."""

    status: int
    headers: Mapping[str, str]
    body: str


class Repeats:
    """Remembers writes by their idempotency keys."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin_key(
        self, person: str, key: str, request: bytes, now: datetime, seconds: float = 86400.0
    ) -> Fresh | Running | OtherRequest | Done:
        """Begin a write under an idempotency key.

        Args:
            person: whose key it is: others may use the same.
            key: as the client gave it.
            request: all that makes two requests the same: method, path and body.
            now: the time.
            seconds: for which the key is remembered.
        """
        key_hash, request_hash = hash_of(key), hashlib.sha256(request).hexdigest()
        run, expires_at = secrets.token_hex(RUN_BYTES), now + timedelta(seconds=seconds)
        first = {
            "request_hash": request_hash,
            "run": run,
            "begun_at": now,
            "expires_at": expires_at,
            "status": None,
            "headers": None,
            "body": None,
        }
        async with self._database.writing() as session:
            insert = insert_of(session, IdempotencyKey).values(
                person=person, key_hash=key_hash, **first
            )
            # Inserted, not looked up first: of two at once, both would find no row.
            new = await session.execute(
                insert.on_conflict_do_nothing().returning(IdempotencyKey.run)
            )
            if new.first() is not None:
                return Fresh(run)
            # Locked: of two that find a dead run, one takes it over, which the other then sees.
            row = await session.get_one(IdempotencyKey, (person, key_hash), with_for_update=True)
            # A key that is over and not tidied away yet is a new one, whatever the request was.
            over = row.expires_at <= now
            if not over and row.request_hash != request_hash:
                return OtherRequest()
            if not over and row.status is not None:
                return Done(row.status, row.headers or {}, row.body or "")
            # Who began it and died gave no answer: after a while somebody else may do it.
            if not over and now - row.begun_at < LONGEST_RUN:
                return Running()
            for name, value in first.items():
                setattr(row, name, value)
            return Fresh(run)

    async def renew_key(self, person: str, key: str, run: str, now: datetime) -> bool:
        """Go on for another `LONGEST_RUN`; whether nobody else has begun it meanwhile."""
        query = (
            update(IdempotencyKey)
            .where(*_run(person, key, run))
            .values(begun_at=now)
            .returning(IdempotencyKey.run)
            .execution_options(synchronize_session=False)
        )
        async with self._database.writing() as session:
            return (await session.execute(query)).first() is not None

    async def finish_key(
        self, person: str, key: str, run: str, status: int, headers: Mapping[str, str], body: str
    ) -> None:
        """Note the answer, for repetitions."""
        query = (
            update(IdempotencyKey)
            .where(*_run(person, key, run))
            .values(status=status, headers=dict(headers), body=body)
            .execution_options(synchronize_session=False)
        )
        async with self._database.writing() as session:
            await session.execute(query)

    async def forget_key(self, person: str, key: str, run: str) -> None:
        """Nothing was done: the next one with the key is the first again."""
        async with self._database.writing() as session:
            await session.execute(delete(IdempotencyKey).where(*_run(person, key, run)))


def _run(person: str, key: str, run: str) -> tuple[ColumnElement[bool], ...]:
    return (
        IdempotencyKey.person == person,
        IdempotencyKey.key_hash == hash_of(key),
        # A run that was given up and ends late mustn't touch what its successor noted.
        IdempotencyKey.run == run,
    )
