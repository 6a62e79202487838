"""Sessions of people and tokens of machines.

Of their secrets, 256 random bits each, SHA-256 is kept: nobody guesses what slow hashing would
slow.
"""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, get_args

from sqlalchemy import ColumnElement, bindparam, delete, select, update

from stream.console.store.database import Database
from stream.console.store.desk_tables import Session, Token
from stream.console.store.tables import Table

Role = Literal["viewer", "reviewer", "admin", "holder"]
ROLES: tuple[Role, ...] = get_args(Role)
MAX_OWNERS = 50  # of a rights holder: lists ask for each by a query of its own
SECRET_BYTES, TOKEN_ID_BYTES = 32, 8
TOKEN_PREFIX = "samesource_"  # so that scanners of leaked secrets know one
# Not at each request: a write waits for its turn, behind the follower's batches.
SEEN_EVERY = timedelta(minutes=1)  # is written down that a session or token is in use
SESSIONS = Session.__table__
SESSION = select(*SESSIONS.columns).where(SESSIONS.c.secret_hash == bindparam("secret_hash"))
"""Asked with each request of a page: made once."""


@dataclass(frozen=True)
class Person:
    """Who is signed in, by session or token.

    Attributes:
        name: of the person, or of the token.
        owner_ids: that a rights holder's role is about; empty for others.
        scopes: of a token, or of that which a session was begun by; None of other sessions, which
            may what their role may.
        expires_at: of the session or token.
    """

    name: str
    role: Role
    owner_ids: tuple[str, ...]
    scopes: tuple[str, ...] | None
    expires_at: datetime


@dataclass(frozen=True)
class TokenView:
    """A token without its secret."""

    token_id: str
    name: str
    role: Role
    scopes: tuple[str, ...]
    owner_ids: tuple[str, ...]
    made_by: str
    made_at: datetime
    expires_at: datetime
    used_at: datetime | None
    revoked_at: datetime | None


class SignIns:
    """Begins and ends sessions, makes and revokes tokens."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin_session(
        self,
        person: str,
        role: Role,
        owner_ids: Sequence[str],
        now: datetime,
        seconds: float,
        scopes: Sequence[str] | None = None,
    ) -> str:
        """Sign somebody in; the secret of the cookie, which nobody can read again."""
        secret = secrets.token_urlsafe(SECRET_BYTES)
        row = Session(
            secret_hash=hash_of(secret),
            person=person,
            role=role,
            owner_ids=[*owner_ids],
            scopes=None if scopes is None else [*scopes],
            made_at=now,
            seen_at=now,
            expires_at=now + timedelta(seconds=seconds),
        )
        async with self._database.writing() as session:
            session.add(row)
        return secret

    async def session(self, secret: str, now: datetime) -> Person | None:
        """Who is signed in; None where the session is unknown, ended or too old."""
        async with self._database.reading() as session:
            row = (await session.execute(SESSION, {"secret_hash": hash_of(secret)})).one_or_none()
        if row is None or row.expires_at <= now:
            return None
        if now - row.seen_at > SEEN_EVERY:
            await self._seen(Session, Session.secret_hash == row.secret_hash, {"seen_at": now})
        scopes = None if row.scopes is None else tuple(row.scopes)
        return Person(row.person, _role(row.role), tuple(row.owner_ids), scopes, row.expires_at)

    async def end_session(self, secret: str) -> None:
        """Sign out."""
        async with self._database.writing() as session:
            await session.execute(delete(Session).where(Session.secret_hash == hash_of(secret)))

    async def end_sessions_of(self, person: str) -> int:
        """Sign somebody out everywhere; from how many places."""
        query = delete(Session).where(Session.person == person)
        async with self._database.writing() as session:
            return len((await session.execute(query.returning(Session.secret_hash))).all())

    async def end_other_roles_of(self, person: str, role: Role, owner_ids: Sequence[str]) -> int:
        """End what somebody may no longer do: sessions of another role or other owner ids."""
        async with self._database.writing() as session:
            found = await session.scalars(select(Session).where(Session.person == person))
            # Compared here: JSON is no value that both databases compare alike.
            others = [
                each.secret_hash
                for each in found
                if each.role != role or {*each.owner_ids} != {*owner_ids}
            ]
            await session.execute(delete(Session).where(Session.secret_hash.in_(others)))
        return len(others)

    async def make_token(
        self,
        name: str,
        role: Role,
        scopes: Sequence[str],
        owner_ids: Sequence[str],
        made_by: str,
        now: datetime,
        seconds: float,
    ) -> tuple[str, TokenView]:
        """A new token: its secret, which nobody can read again, and what is kept of it."""
        token_id, secret = secrets.token_hex(TOKEN_ID_BYTES), secrets.token_urlsafe(SECRET_BYTES)
        row = Token(
            token_id=token_id,
            secret_hash=hash_of(secret),
            name=name,
            role=role,
            scopes=[*scopes],
            owner_ids=[*owner_ids],
            made_by=made_by,
            made_at=now,
            expires_at=now + timedelta(seconds=seconds),
        )
        async with self._database.writing() as session:
            session.add(row)
        return f"{TOKEN_PREFIX}{token_id}_{secret}", _token_view(row)

    async def token(self, secret: str, now: datetime) -> Person | None:
        """Whose token it is; None where it is unknown, revoked or too old."""
        token_id, _, own = secret.removeprefix(TOKEN_PREFIX).partition("_")
        # Before the database is asked: whoever sends rubbish costs no query.
        if not secret.startswith(TOKEN_PREFIX) or len(token_id) != 2 * TOKEN_ID_BYTES:
            return None
        async with self._database.reading() as session:
            row = await session.get(Token, token_id)
        # In constant time: the id found the row, and is no secret.
        if row is None or not hmac.compare_digest(row.secret_hash, hash_of(own)):
            return None
        if row.revoked_at is not None or row.expires_at <= now:
            return None
        if row.used_at is None or now - row.used_at > SEEN_EVERY:
            await self._seen(Token, Token.token_id == token_id, {"used_at": now})
        return Person(
            row.name, _role(row.role), tuple(row.owner_ids), tuple(row.scopes), row.expires_at
        )

    async def tokens(self) -> tuple[TokenView, ...]:
        """All tokens, the newest first."""
        query = select(Token).order_by(Token.made_at.desc(), Token.token_id)
        async with self._database.reading() as session:
            return tuple(map(_token_view, await session.scalars(query)))

    async def revoke_token(self, token_id: str, now: datetime) -> bool:
        """End a token; whether there was one to end."""
        query = (
            update(Token)
            .where(Token.token_id == token_id, Token.revoked_at.is_(None))
            .values(revoked_at=now)
            .execution_options(synchronize_session=False)
        )
        async with self._database.writing() as session:
            return (await session.execute(query.returning(Token.token_id))).first() is not None

    async def _seen(
        self, table: type[Table], which: ColumnElement[bool], values: dict[str, Any]
    ) -> None:
        """Note, once in a while, that a session or token is in use."""
        query = update(table).where(which).values(**values)
        async with self._database.writing() as session:
            await session.execute(query.execution_options(synchronize_session=False))


def hash_of(secret: str) -> str:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()


def _role(text: str) -> Role:
    for role in ROLES:
        if role == text:
            return role
    raise ValueError(f"role {text!r}, expected one of {', '.join(ROLES)}")


def _token_view(row: Token) -> TokenView:
    return TokenView(
        token_id=row.token_id,
        name=row.name,
        role=_role(row.role),
        scopes=tuple(row.scopes),
        owner_ids=tuple(row.owner_ids),
        made_by=row.made_by,
        made_at=row.made_at,
        expires_at=row.expires_at,
        used_at=row.used_at,
        revoked_at=row.revoked_at,
    )
