"""Lines of the audit log for which the database was away: there once when it is back."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from stream.console.web import console, late_lines
from tests.stream.console.web.site import Site

pytestmark = pytest.mark.asyncio(loop_scope="module")
DATABASES = ("sqlite", "postgresql")
Note = Callable[..., Awaitable[Any]]


async def lines(site: Site, about: str, least: int) -> list[tuple[str, str, str | None]]:
    """All about a thing, the first one first, when there are so many."""
    async with asyncio.timeout(20):
        while len(found := (await site.console.desk.audit(about=about)).items) < least:
            await asyncio.sleep(0.02)
    return [(line.person, line.action, line.why) for line in reversed(found)]


def breaking(note: Note, times: int, *, afterwards: bool) -> Note:
    """The connection breaks so often: before the database has it, or before it says so."""
    left = [times]

    async def noted(*said: Any, **named: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            return await note(*said, **named)
        if afterwards:
            await note(*said, **named)
        raise ConnectionResetError("the server went away")

    return noted


@pytest.mark.logs_errors
@pytest.mark.parametrize("afterwards", [False, True])
async def test_each_write_has_its_line_once_when_the_database_is_back(
    site: Site, monkeypatch: pytest.MonkeyPatch, afterwards: bool
) -> None:
    monkeypatch.setattr(late_lines, "AGAIN_SECONDS", 0.05)
    desk, about = site.console.desk, f"late, {afterwards}"
    for name, times in (("note", 3), ("note_once", 2)):
        broken = breaking(getattr(desk, name), times, afterwards=afterwards)
        monkeypatch.setattr(desk, name, broken)
    for n in range(4):
        await site.console.note("ann", "dismissed", about, why=f"reason {n}", detail={"n": n})
        # There when the write is answered.
        assert len((await site.console.desk.audit(about=about)).items) == n + 1
    found = await lines(site, about, 4)
    assert found == [("ann", "dismissed", f"reason {n}") for n in range(4)]
    await asyncio.sleep(0.2)
    assert len(await lines(site, about, 4)) == 4


@pytest.mark.logs_errors
async def test_what_no_database_takes_is_given_up_and_holds_up_nothing(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(late_lines, "AGAIN_SECONDS", 0.05)
    desk, note_once = site.console.desk, site.console.desk.note_once

    async def refusing(line: Any) -> None:
        if line.why == "no":
            raise ValueError("no row")
        await note_once(line)

    monkeypatch.setattr(desk, "note", breaking(desk.note, 2, afterwards=False))
    monkeypatch.setattr(desk, "note_once", refusing)
    for why in ("no", "yes"):
        await site.console.note("ann", "dismissed", "given up", why=why)
    assert await lines(site, "given up", 1) == [("ann", "dismissed", "yes")]
    assert "the audit log lacks a line" in caplog.text and "no row" in caplog.text


@pytest.mark.logs_errors
async def test_of_lines_that_wait_there_are_only_so_many(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(late_lines, "AGAIN_SECONDS", 0.3)
    monkeypatch.setattr(late_lines, "MOST", 2)
    desk = site.console.desk
    monkeypatch.setattr(desk, "note", breaking(desk.note, 5, afterwards=False))
    monkeypatch.setattr(desk, "note_once", breaking(desk.note_once, 1, afterwards=False))
    await asyncio.gather(
        *(site.console.note("ann", "dismissed", "too many", why=str(n)) for n in range(5))
    )
    assert [why for _, _, why in await lines(site, "too many", 2)] == ["0", "1"]
    await asyncio.sleep(0.5)
    assert len(await lines(site, "too many", 2)) == 2


@pytest.mark.logs_errors
async def test_nobody_waits_longer_than_a_while_for_a_database_that_stays_away(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(late_lines, "AGAIN_SECONDS", 0.02)
    monkeypatch.setattr(console, "LATE_SECONDS", 0.2)
    desk = site.console.desk
    monkeypatch.setattr(desk, "note", breaking(desk.note, 1, afterwards=False))
    with monkeypatch.context() as away:
        away.setattr(desk, "note_once", breaking(desk.note_once, 1_000_000, afterwards=False))
        await site.console.note("ann", "dismissed", "away", why="later")
        assert not (await desk.audit(about="away")).items
    assert await lines(site, "away", 1) == [("ann", "dismissed", "later")]
