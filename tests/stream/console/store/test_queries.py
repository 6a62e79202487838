"""Every query says what plain Python says of the same rows; pages neither skip nor repeat."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Dialect, update
from sqlalchemy.sql.compiler import SQLCompiler

from stream.console.store import listing
from stream.console.store.database import Database
from stream.console.store.desk import Desk
from stream.console.store.queries import Queries
from stream.console.store.sign_ins import MAX_OWNERS
from stream.console.store.tables import Alert
from stream.console.store.views import (
    STATES,
    AlertFilter,
    AlertView,
    Order,
    QueueGroup,
)
from stream.contract.events import Event
from stream.errors import QueryError
from tests.stream.console.store.plain import (
    ALL,
    ORDERS,
    VALUES,
    all_pages,
    everything,
    lets_through,
    random_filter,
    some_alerts,
    statements,
)
from tests.stream.console.store.said import BEGIN, alert, say, segment, take, verdict

pytestmark = pytest.mark.asyncio


async def test_lists_queues_and_neighbours_are_those_of_plain_python(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Small, so that horizons of branches, looks and pages all fall inside of the rows.
    monkeypatch.setattr(listing, "SCANNED", 7)
    await say(database, *some_alerts(1, 40))
    await Desk(database).claim("ann", [f"alert {n}" for n in range(0, 40, 5)], BEGIN)
    await Desk(database).claim("bob", [f"alert {n}" for n in range(1, 40, 5)], BEGIN)
    views, queries = await everything(database, 40), Queries(database)
    chance = random.Random(database.engine.dialect.name)  # each kind is asked something else
    for _ in range(15):
        filter, order = random_filter(chance), chance.choice(ORDERS)
        limit = chance.choice([1, 3, 50])
        wanted = [view for view in views if lets_through(filter, view)]
        listed = await all_pages(lambda c: queries.alerts(filter, order, c, limit))  # noqa: B023
        _same_order(listed, wanted, order)
        groups = await all_pages(lambda c: queries.queue(filter, order, c, limit, 2))  # noqa: B023
        _are_groups_of(groups, listed, order)
        for place, view in enumerate(listed[:6]):
            before, behind = await queries.neighbours(view.alert_id, filter, order)
            _is_neighbour(before, listed, place - 1)
            _is_neighbour(behind, listed, place + 1)


def _same_order(listed: Sequence[AlertView], wanted: Sequence[AlertView], order: Order) -> None:
    assert Counter(view.alert_id for view in listed) == Counter(view.alert_id for view in wanted)
    values = [VALUES[order](view) for view in listed]
    assert values == sorted(values, reverse=True)


def _is_neighbour(alert_id: str | None, listed: Sequence[AlertView], place: int) -> None:
    there = listed[place].alert_id if 0 <= place < len(listed) else None
    # A look is bounded: far away, it may find nothing.
    assert alert_id in (None, there)


def _are_groups_of(groups: Sequence[QueueGroup], listed: Sequence[AlertView], order: Order) -> None:
    """By their first alerts, with the first of each, and numbers of all."""
    of: dict[str, list[AlertView]] = {}
    for view in listed:
        of.setdefault(view.video_id, []).append(view)
    assert [group.video_id for group in groups] == [*of]
    for group in groups:
        alerts = of[group.video_id]
        assert group.alerts == tuple(alerts[:2])
        assert group.number == len(alerts)
        assert group.newest_at == max(view.raised_at for view in alerts)


@pytest.mark.parametrize("order", ORDERS)
async def test_uploads_whose_ids_have_one_key_are_both_in_the_queue(
    database: Database, order: Order
) -> None:
    """Whoever gives ids can find two such, with enough patience."""
    await say(database, *some_alerts(2, 20))
    async with database.writing() as session:
        await session.execute(update(Alert).values(video_key=1))
    views = await everything(database, 20)
    page = await Queries(database).queue(ALL, order, alerts_each=2)
    assert {group.video_id for group in page.items} == {view.video_id for view in views}
    for group in page.items:
        assert group.alerts and {one.video_id for one in group.alerts} == {group.video_id}


@pytest.mark.parametrize("order", ORDERS)
async def test_the_neighbours_of_an_alert_are_those_in_the_list(
    database: Database, order: Order
) -> None:
    await say(database, *some_alerts(7, 16))
    queries = Queries(database)
    listed = [view.alert_id for view in (await queries.alerts(ALL, order, limit=100)).items]
    around = [None, *listed, None]
    for place, alert_id in enumerate(listed):
        told = await queries.neighbours(alert_id, ALL, order)
        assert told == (around[place], around[place + 2])
    assert await queries.neighbours("nothing", ALL, order) == (None, None)


@pytest.mark.parametrize("order", ORDERS)
async def test_pages_neither_skip_nor_repeat_while_rows_arrive(
    database: Database, order: Order
) -> None:
    queries, chance = Queries(database), random.Random(4)
    writer = await say(database, *some_alerts(3, 30))
    open_alerts = [view for view in await everything(database, 30) if view.state == "open"]
    there = [view.alert_id for view in open_alerts]
    groups_there = {view.video_id for view in open_alerts}
    listed, grouped = list[str](), list[str]()
    cursor, group_cursor, more = None, None, True
    while more:
        page = await queries.alerts(order=order, cursor=cursor, limit=2)
        listed += [view.alert_id for view in page.items]
        cursor = page.next
        # What is new is newer: it moves its uploads up, but not out of the pages that follow.
        late = alert(
            f"late {len(listed)}",
            at=BEGIN + timedelta(hours=1, seconds=len(listed)),
            video_id=f"upload {chance.randrange(15)}",
            score=chance.choice([0.7, 0.99]),
            segments=[segment(0, chance.choice([4, 90]))],
        )
        more = cursor is not None
        if group_cursor is not None or not grouped:
            groups = await queries.queue(order=order, cursor=group_cursor, limit=1)
            grouped += [group.video_id for group in groups.items]
            group_cursor = groups.next
            assert all(
                view.raised_at < BEGIN + timedelta(hours=1)
                for group in groups.items[1:]
                for view in group.alerts
            )
        await take(database, [writer.say(late)])
    while group_cursor is not None:
        groups = await queries.queue(order=order, cursor=group_cursor, limit=1)
        grouped += [group.video_id for group in groups.items]
        group_cursor = groups.next
    assert sorted(alert_id for alert_id in listed if "late" not in alert_id) == sorted(there)
    assert len(listed) == len({*listed})
    assert sorted(grouped) == sorted(groups_there)


async def test_a_page_is_bounded_whatever_the_filter(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "SCANNED", 5)
    await say(database, *(alert(f"alert {n}", at=BEGIN + timedelta(seconds=n)) for n in range(40)))
    queries, rare = Queries(database), AlertFilter(uploader_id="nobody")
    page = await queries.alerts(rare)
    assert page.items == () and page.next is not None
    assert await all_pages(lambda cursor: queries.alerts(rare, "newest", cursor)) == []


async def test_fifty_owner_ids_are_asked_for_in_as_few_statements_as_one(
    database: Database,
) -> None:
    owners = tuple(f"holder {n}" for n in range(MAX_OWNERS))
    events = (
        alert(f"alert {n}", at=BEGIN + timedelta(seconds=n), reference_owner_id=f"holder {n % 60}",
              video_id=f"upload {n // 2}")
        for n in range(120)
    )  # fmt: skip
    await say(database, *events)
    queries, seen = Queries(database), {f"upload {n // 2}" for n in range(120) if n % 60 < 50}
    with statements(database) as one:
        await queries.queue(AlertFilter(visible_owner_ids=owners[:1]))
    many = AlertFilter(visible_owner_ids=owners)
    with statements(database) as all_:
        page = await queries.queue(many)
    assert len(all_) == len(one)
    assert {group.video_id for group in page.items} == seen
    every = replace(many, states=STATES)  # which makes 250 branches
    with statements(database) as all_:
        listed = await all_pages(lambda cursor: queries.alerts(every, "surest", cursor, 200))
    assert len(listed) == 100 and len(all_) < 10


async def test_lists_that_differ_by_values_alone_are_compiled_once(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await say(database, *some_alerts(8, 20))
    queries, compiled, made = Queries(database), list[object](), SQLCompiler.__init__

    def init(self: SQLCompiler, dialect: Dialect, statement: Any, *args: Any, **words: Any) -> None:
        compiled.append(statement)
        made(self, dialect, statement, *args, **words)

    monkeypatch.setattr(SQLCompiler, "__init__", init)
    some = AlertFilter(visible_owner_ids=("league", "studio"), min_score=0.1, since=BEGIN)
    await queries.queue(some)
    assert compiled
    compiled.clear()
    other = replace(some, min_score=0.2, since=BEGIN + timedelta(seconds=1))
    await queries.queue(replace(other, visible_owner_ids=("studio", "label")))
    assert compiled == []


async def test_numbers_are_those_of_counting(database: Database) -> None:
    await say(database, *some_alerts(5, 50))
    views, queries = await everything(database, 50), Queries(database)
    counts = Counter(view.state for view in views)
    assert await queries.alert_numbers() == {state: counts[state] for state in STATES}
    some = Counter(view.state for view in views if view.reference_owner_id in ("league", "label"))
    assert await queries.alert_numbers(["league", "label"]) == {
        state: some[state] for state in STATES
    }
    assert sum((await queries.alert_numbers([])).values()) == 0
    holders = await all_pages(lambda cursor: queries.holders(cursor, limit=2))
    assert [holder.owner_id for holder in holders] == ["label", "league", "studio"]
    for holder in holders:
        own = Counter(view.state for view in views if view.reference_owner_id == holder.owner_id)
        assert holder.alerts == own


async def test_an_alert_of_another_rights_holder_is_not_to_be_seen(database: Database) -> None:
    await say(database, alert("alert 0"))
    queries = Queries(database)
    assert await queries.alert("alert 0", ["studio"]) is None
    assert await queries.alert("alert 0", []) is None
    assert await queries.alert("alert 0", ["league", "studio"]) is not None
    assert await queries.alert("nothing") is None
    assert (await queries.matches_of("upload a", "video", ["studio"])).items == ()


async def test_matches_of_a_video_are_what_it_copies_and_what_copies_it(database: Database) -> None:
    await say(
        database,
        alert("alert 0"),
        alert("alert 1", reason="licensed", reference_id="reference 2"),
        alert("alert 2", video_id="upload b", reference_id="upload a"),
    )
    queries = Queries(database)
    copies = await queries.matches_of("upload a", "video")
    assert {view.alert_id for view in copies.items} == {"alert 0", "alert 1"}
    copied = await queries.matches_of("upload a", "reference")
    assert {view.alert_id for view in copied.items} == {"alert 2"}


async def test_the_history_of_an_alert_and_of_its_pair_is_every_verdict(
    database: Database,
) -> None:
    said = [
        verdict("alert 0", "dismissed", at=BEGIN, scope="alert", note="parody"),
        verdict("alert 0", "withdrawn", at=BEGIN + timedelta(seconds=1)),
        verdict("alert 1", "confirmed", at=BEGIN + timedelta(seconds=2), reviewer="bob"),
        verdict("alert 2", "confirmed", at=BEGIN + timedelta(seconds=3)),
    ]
    await say(
        database,
        alert("alert 0"),
        alert("alert 1"),
        alert("alert 2", reference_id="reference 2"),
        *said,
    )
    queries = Queries(database)
    own = await queries.reviews_of_alert("alert 0")
    assert [(one.verdict, one.scope, one.note) for one in own] == [
        ("withdrawn", None, None), ("dismissed", "alert", "parody"),
    ]  # fmt: skip
    pair = await queries.reviews_of_pair("reference 1", "upload a")
    assert [(one.alert_id, one.reviewer) for one in pair] == [
        ("alert 1", "bob"), ("alert 0", "ann"), ("alert 0", "ann"),
    ]  # fmt: skip
    assert await queries.reviews_of_pair("upload a", "nothing") == ()


@pytest.mark.parametrize(
    "cursor", ["", "x", "é", "a" * 5000, "bnVsbA", "W10", "WzEsMiwzXQ", "W251bGwsMSwyXQ"]
)
async def test_a_cursor_of_nothing_is_refused(database: Database, cursor: str) -> None:
    queries = Queries(database)
    for ask in (
        lambda: queries.alerts(cursor=cursor),
        lambda: queries.queue(cursor=cursor),
        lambda: queries.uploads(cursor=cursor),
        lambda: queries.rejections(cursor=cursor),
        lambda: queries.library(cursor=cursor),
        lambda: queries.holders(cursor=cursor),
        lambda: queries.policies(cursor=cursor),
    ):
        with pytest.raises(QueryError, match="isn't of this list"):
            await ask()


async def test_an_age_is_that_of_the_first_page(database: Database) -> None:
    await say(
        database,
        alert("best", at=BEGIN, video_id="old", score=0.9),
        alert("next", at=BEGIN + timedelta(hours=2), video_id="new", score=0.8),
        alert("last", at=BEGIN + timedelta(hours=2), video_id="old", score=0.7),
    )
    queries = Queries(database)
    filter = AlertFilter(within=timedelta(hours=3), now=BEGIN + timedelta(hours=3))
    first = await queries.queue(filter, "surest", limit=1)
    # By now the best is too old, which would make the last one its upload's first.
    later = replace(filter, now=BEGIN + timedelta(hours=4))
    rest = await queries.queue(later, "surest", first.next, limit=10)
    assert [[one.alert_id for one in group.alerts] for group in first.items + rest.items] == [
        ["best", "last"], ["next"],
    ]  # fmt: skip
    listed = await queries.alerts(later, "surest")
    assert [one.alert_id for one in listed.items] == ["next", "last"]


async def test_a_cursor_is_of_one_order_and_filter(database: Database) -> None:
    await say(database, *some_alerts(1, 30))
    queries = Queries(database)
    cursor = (await queries.alerts(limit=2)).next
    assert cursor is not None
    await queries.alerts(cursor=cursor)
    with pytest.raises(QueryError):
        await queries.alerts(order="surest", cursor=cursor)
    with pytest.raises(QueryError):
        await queries.alerts(AlertFilter(visible_owner_ids=("studio",)), cursor=cursor)
    with pytest.raises(QueryError):
        await queries.queue(cursor=cursor)


async def test_the_dismissed_seconds_of_a_reference_are_those_that_hold(database: Database) -> None:
    def span(
        alert_id: str, start: float, reference_id: str = "film", word: str = "dismissed"
    ) -> Event:
        seconds = {"reference_start_seconds": start, "reference_end_seconds": start + 2}
        scope: dict[str, Any] = {"scope": "span", **seconds} if word == "dismissed" else {}
        at = BEGIN + timedelta(minutes=1 if word == "withdrawn" else 0)
        return verdict(
            alert_id, word, at=at, video_id="v", reference_id=reference_id, note="a jingle", **scope
        )

    await say(
        database,
        *(alert(one, reference_id="film", reference_owner_id=f"owner of {one}") for one in "abc"),
        span("b", 9), span("a", 3), span("c", 5), span("c", 5, word="withdrawn"),
        span("gone", 1), span("d", 0, "another film"),
    )  # fmt: skip
    queries = Queries(database)
    found = await queries.spans_dismissed("film")
    assert [(one.alert_id, one.start_seconds, one.end_seconds) for one in found] == [
        ("gone", 1, 3), ("a", 3, 5), ("b", 9, 11),
    ]  # fmt: skip
    assert {(one.reviewer, one.note) for one in found} == {("ann", "a jingle")}
    # Another owner's, from when the reference was theirs.
    mine = await queries.spans_dismissed("film", ("owner of b",))
    assert [one.alert_id for one in mine] == ["b"]
    assert await queries.spans_dismissed("film", ()) == ()
