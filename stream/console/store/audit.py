"""The audit log: every write, with who and why."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from stream.console.store import cursors
from stream.console.store.columns import key_of
from stream.console.store.database import Database
from stream.console.store.desk_tables import AuditLine
from stream.console.store.views import Page


@dataclass(frozen=True)
class AuditView:
    """A write."""

    number: int
    at: datetime
    person: str
    action: str
    about: str
    why: str | None
    detail: Mapping[str, Any]


class AuditLog:
    """Writes lines and lists them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def note(
        self,
        person: str,
        action: str,
        about: str,
        now: datetime,
        why: str | None = None,
        detail: Mapping[str, Any] | None = None,
    ) -> int:
        """Write a line of the audit log; its number."""
        line = AuditLine(
            at=now,
            person=person,
            action=action,
            about=about,
            about_key=key_of(about),
            why=why,
            detail=dict(detail or {}),
        )
        async with self._database.writing() as session:
            session.add(line)
            await session.flush()
            return line.number

    async def audit(
        self,
        person: str | None = None,
        about: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[AuditView]:
        """Lines of the audit log, the newest first: all, of a person, or about a thing."""
        of, query = repr(("audit", person, about)), select(AuditLine)
        if person is not None:
            query = query.where(AuditLine.person == person)
        if about is not None:
            query = query.where(AuditLine.about_key == key_of(about), AuditLine.about == about)
        if cursor is not None:
            query = query.where(AuditLine.number < cursors.read(cursor, of, int)[0])
        async with self._database.reading() as session:
            found = await session.scalars(query.order_by(AuditLine.number.desc()).limit(limit + 1))
            lines = tuple(map(_audit_view, found))
        if len(lines) <= limit:
            return Page(lines)
        return Page(lines[:limit], cursors.written(of, lines[limit - 1].number))


def _audit_view(row: AuditLine) -> AuditView:
    return AuditView(
        number=row.number,
        at=row.at,
        person=row.person,
        action=row.action,
        about=row.about,
        why=row.why,
        detail=row.detail,
    )
