"""Alerts by chance, and what plain Python says of them; serves the tests of queries."""

import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from sqlalchemy import event

from stream.console.store.database import Database
from stream.console.store.queries import Queries
from stream.console.store.views import (
    STATES,
    AlertFilter,
    AlertView,
    Order,
    Page,
)
from stream.contract.events import (
    Event,
)
from tests.stream.console.store.said import BEGIN, alert, segment, verdict

ORDERS: tuple[Order, ...] = ("newest", "longest", "surest")
ALL = AlertFilter(states=STATES)


def some_alerts(seed: int, number: int) -> list[Event]:
    """Few values of everything, so that they tie and meet."""
    chance = random.Random(seed)
    said: list[Event] = []
    for n in range(number):
        said.append(
            alert(
                f"alert {n}",
                at=BEGIN + timedelta(seconds=chance.randrange(30)),
                reason=chance.choice([None, None, None, "held", "licensed"]),
                video_id=f"upload {chance.randrange(12)}",
                reference_id=f"reference {chance.randrange(5)}",
                video_owner_id=chance.choice(["fan", "channel"]),
                reference_owner_id=chance.choice(["league", "studio", "label"]),
                score=chance.choice([0.7, 0.8, 0.9, 0.95]),
                segments=[segment(0, chance.choice([5, 10, 20]))],
            )
        )
        if chance.random() < 0.2:
            word = chance.choice(["confirmed", "dismissed"])
            scope: dict[str, Any] = {"scope": "alert"} if word == "dismissed" else {}
            said.append(verdict(f"alert {n}", word, **scope))
    return said


async def everything(database: Database, number: int) -> list[AlertView]:
    """The alerts that `some_alerts` made, each asked for by itself."""
    queries = Queries(database)
    found = [await queries.alert(f"alert {n}") for n in range(number)]
    views = [view for view in found if view is not None]
    assert len(views) == number
    return views


VALUES: dict[Order, Callable[[AlertView], Any]] = {
    "newest": lambda view: view.raised_at,
    "longest": lambda view: view.copied_seconds,
    "surest": lambda view: view.score,
}


def lets_through(filter: AlertFilter, view: AlertView) -> bool:
    """The filter, in plain words."""
    visible = filter.visible_owner_ids
    free = view.claimed_until is None or filter.now is None or view.claimed_until <= filter.now
    claims = {
        None: True,
        "nobody": free,
        "me": not free and view.claimed_by == filter.reviewer,
        "others": not free and view.claimed_by != filter.reviewer,
    }
    return (
        view.state in filter.states
        and filter.owner_id in (None, view.reference_owner_id)
        and filter.reference_id in (None, view.reference_id)
        and filter.video_id in (None, view.video_id)
        and filter.uploader_id in (None, view.video_owner_id)
        and filter.reason in (None, view.reason)
        and (visible is None or view.reference_owner_id in visible)
        and (filter.min_score is None or view.score >= filter.min_score)
        and (filter.since is None or view.raised_at >= filter.since)
        and (filter.before is None or view.raised_at < filter.before)
        and claims[filter.claimed]
    )


def random_filter(chance: random.Random) -> AlertFilter:
    def perhaps(*values: Any) -> Any:
        return chance.choice([None, None, *values])

    return AlertFilter(
        states=tuple(chance.sample(STATES, chance.randrange(1, 6))),
        owner_id=perhaps("league", "studio"),
        visible_owner_ids=perhaps(("league",), ("studio", "label"), ()),
        reference_id=perhaps("reference 1"),
        video_id=perhaps("upload 3"),
        uploader_id=perhaps("fan"),
        reason=perhaps("held"),
        min_score=perhaps(0.8, 0.9),
        since=perhaps(BEGIN + timedelta(seconds=8)),
        before=perhaps(BEGIN + timedelta(seconds=22)),
        claimed=perhaps("nobody", "me", "others"),
        reviewer="ann",
        now=BEGIN,
    )


async def all_pages(
    ask: Callable[[str | None], Awaitable[Page[Any]]], most: int = 500
) -> list[Any]:
    found, cursor = list[Any](), None
    for _ in range(most):
        page = await ask(cursor)
        found += page.items
        cursor = page.next
        if cursor is None:
            return found
    raise AssertionError("it never ends")


@contextmanager
def statements(database: Database) -> Iterator[list[tuple[str, Any]]]:
    """Those that are executed in the block, with their parameters."""
    found: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        found.append((statement, parameters))

    event.listen(database.engine.sync_engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(database.engine.sync_engine, "before_cursor_execute", note)
