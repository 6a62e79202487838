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


@dataclass(frozen=True)
class NewLine:
    """A write that has no line yet."""

    at: datetime
    person: str
    action: str
    about: str
    why: str | None
    detail: Mapping[str, Any]

    def row(self) -> AuditLine:
        """As the database has it."""
        return AuditLine(
            at=self.at,
            person=self.person,
            action=self.action,
            about=self.about,
            about_key=key_of(self.about),
            why=self.why,
            detail=dict(self.detail),
        )


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
        row = NewLine(now, person, action, about, why, detail or {}).row()
        async with self._database.writing() as session:
            session.add(row)
            await session.flush()
            return row.number

    async def note_once(self, line: NewLine) -> None:
        """The same; a line that is there already isn't written again."""
        row = line.row()
        there = select(AuditLine.number).where(
            AuditLine.about_key == row.about_key,
            AuditLine.about == row.about,
            AuditLine.person == row.person,
            AuditLine.action == row.action,
            AuditLine.at == row.at,
        )
        async with self._database.writing() as session:
            if (await session.scalars(there.limit(1))).first() is None:
                session.add(row)

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
