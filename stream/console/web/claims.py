"""Alerts that people take and give back, with a line in the audit log for each time.

Those that a verdict takes for itself are in its own line.
"""

from collections.abc import Sequence
from typing import Literal

from stream.console.store.desk import Person
from stream.console.web.console import Console


async def take(console: Console, person: Person, alert_ids: Sequence[str]) -> tuple[str, ...]:
    """Take these: the ids of those that nobody else works on."""
    seconds = console.settings.console.claim_seconds
    async with console.desk.together():
        mine = await console.desk.claim(person.name, alert_ids, console.clock(), seconds)
        await note_claims(console, person, "take", mine)
    return mine


async def give_back(console: Console, person: Person, alert_ids: Sequence[str]) -> None:
    """Give back those of these that are theirs."""
    async with console.desk.together():
        given = await console.desk.release(person.name, alert_ids)
        await note_claims(console, person, "give back", given)


async def note_claims(
    console: Console, person: Person, action: Literal["take", "give back"], ids: Sequence[str]
) -> None:
    """Write who works on these now, or no longer; nothing where there are none."""
    if ids:
        about = ids[0] if len(ids) == 1 else f"{len(ids)} alerts"
        detail = {"alert_ids": [*ids]}
        await console.desk.note(person.name, action, about, console.clock(), detail=detail)
