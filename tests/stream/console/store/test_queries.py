"""Every query says what plain Python says of the same rows; pages neither skip nor repeat."""

import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from stream.console.settings import ConsoleSettings
from stream.console.store import listing
from stream.console.store.database import Database
from stream.console.store.desk import Desk
from stream.console.store.intake import Intake
from stream.console.store.messages import TOPICS
from stream.console.store.queries import Queries
from stream.console.store.views import (
    STATES,
    AlertFilter,
    AlertView,
    Order,
    Page,
    QueueGroup,
    UploadView,
    VideoView,
)
from stream.contract.events import (
    Event,
    PolicyUpdated,
    VideoDecided,
    VideoEmbedded,
    VideoFingerprinted,
    VideoRejected,
    VideoUploaded,
)
from stream.contract.message import Source
from stream.errors import QueryError
from tests.stream.console.store.said import BEGIN, Writer, alert, segment, verdict

pytestmark = pytest.mark.asyncio
ORDERS: tuple[Order, ...] = ("newest", "longest", "surest")
ALL = AlertFilter(states=STATES)


@pytest.fixture
async def database(settings: ConsoleSettings) -> AsyncIterator[Database]:
    opened = await Database.open(settings)
    yield opened
    await opened.close()


async def take(database: Database, sources: Iterable[Source]) -> None:
    await Intake(database, dict.fromkeys(TOPICS, "log"), 3.0).take([*sources])


async def say(database: Database, *events: Event) -> Writer:
    writer = Writer()
    for event in events:
        writer.say(event)
    await take(database, writer.all())
    return writer


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
        and (filter.least_score is None or view.score >= filter.least_score)
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
        least_score=perhaps(0.8, 0.9),
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
        assert group.longest_seconds == max(view.copied_seconds for view in alerts)
        assert group.best_score == max(view.score for view in alerts)


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


def uploaded(video_id: str = "upload a", **fields: Any) -> VideoUploaded:
    uri = f"https://example.org/{video_id}.mp4"
    return VideoUploaded(video_id=video_id, uri=uri, **{"owner_id": "fan", "title": "T"} | fields)


def fingerprinted(video_id: str, request_id: str, **fields: Any) -> VideoFingerprinted:
    said: dict[str, Any] = {
        "owner_id": "fan",
        "role": "upload",
        "model_version": "m",
        "content_version": 1,
        "duration_seconds": 30.0,
        "dimension": 4,
        "key_frame_seconds": "",
        "descriptors": "",
        "stage_seconds": {"decode": 2.5},
    }
    return VideoFingerprinted(video_id=video_id, request_id=request_id, **said | fields)


def decided(request_id: str, at: datetime, outcome: Any = "clear", **fields: Any) -> VideoDecided:
    said: dict[str, Any] = {
        "video_id": "upload a",
        "content_version": 1,
        "alert_ids": [],
        "reason": "nothing",
        "stage_seconds": {"search": 0.5},
    }
    return VideoDecided(request_id=request_id, decided_at=at, outcome=outcome, **said | fields)


async def test_an_upload_is_told_from_submission_to_decision(database: Database) -> None:
    writer, queries = Writer(), Queries(database)
    submitted = writer.say(uploaded(uploaded_at=BEGIN))
    await take(database, writer.all())
    view = await queries.upload(submitted.request_id)
    assert view is not None
    assert (view.status, view.outcome, view.wait_seconds) == ("undecided", None, None)
    assert (view.title, view.owner_id, view.role, view.uploaded_at) == ("T", "fan", "upload", BEGIN)
    writer.say(fingerprinted("upload a", submitted.request_id))
    at = view.submitted_at or BEGIN
    writer.say(decided(submitted.request_id, at + timedelta(seconds=9), "matched"))
    await take(database, writer.all())
    view = await queries.upload(submitted.request_id)
    assert view is not None
    assert (view.status, view.wait_seconds) == ("matched", 9.0)
    assert view.stage_seconds == {"decode": 2.5, "search": 0.5}
    assert view.fingerprinted_at is not None
    assert await queries.upload("nothing") is None


async def test_a_rejected_upload_says_why_and_where_its_dead_letter_lies(
    database: Database,
) -> None:
    writer, queries = Writer(), Queries(database)
    submitted = writer.say(uploaded())
    letter = VideoRejected(
        video_id="upload a", error="corrupt", message="no moov", source_topic="video.uploaded",
        source_partition=submitted.partition, source_offset=submitted.offset, attempts=2,
        request_id=submitted.request_id, rejected_at=BEGIN, stage_seconds={"fetch": 1.0},
    )  # fmt: skip
    place = writer.say(letter)
    await take(database, writer.all())
    view = await queries.upload(submitted.request_id)
    assert view is not None and view.rejected is not None
    assert (view.error, view.error_message, view.status) == ("corrupt", "no moov", "undecided")
    rejection = await queries.rejection(view.rejected.partition, view.rejected.offset)
    assert rejection is not None
    assert (rejection.place.offset, rejection.source.offset) == (place.offset, submitted.offset)
    assert (rejection.attempts, rejection.stage_seconds) == (2, {"fetch": 1.0})
    assert await queries.rejection(7, 7) is None


async def test_uploads_are_listed_by_submission_and_by_outcome(database: Database) -> None:
    writer, queries = Writer(), Queries(database)
    requests = [writer.say(uploaded(f"upload {n % 3}")) for n in range(12)]
    for n, source in enumerate(requests[:9]):
        outcome = ["clear", "matched", "rejected"][n // 3]
        writer.say(decided(source.request_id, BEGIN, outcome, video_id=f"upload {n % 3}"))
    await take(database, writer.all())
    newest_first = [source.request_id for source in requests[::-1]]

    async def listed(outcome: str | None) -> list[str]:
        pages = await all_pages(lambda cursor: queries.uploads(outcome, cursor, limit=2))
        return [view.request_id for view in pages]

    assert await listed(None) == newest_first
    assert await listed("undecided") == newest_first[:3]
    assert await listed("rejected") == newest_first[3:6]
    own: list[UploadView] = await all_pages(lambda c: queries.uploads_of("upload 1", c, limit=3))
    assert [view.request_id for view in own] == newest_first[1::3]


async def test_a_decision_whose_submission_is_gone_is_not_undecided(database: Database) -> None:
    await say(database, fingerprinted("upload a", "gone"))
    view = await Queries(database).upload("gone")
    assert view is not None and view.status == "unknown"
    assert (await Queries(database).overview(BEGIN)).undecided == 0


async def test_the_library_lists_what_is_live_by_role_and_owner(database: Database) -> None:
    writer, queries = Writer(), Queries(database)
    for n in range(9):
        owner = "league" if n % 2 else "studio"
        said = fingerprinted(f"reference {n}", f"request {n}", role="reference", owner_id=owner)
        writer.say(said)
    writer.say(fingerprinted("upload a", "request a"))
    writer.remove("video.fingerprinted", "reference 8")
    await take(database, writer.all())

    async def listed(**asked: Any) -> list[str]:
        pages: list[VideoView] = await all_pages(
            lambda cursor: queries.library(cursor=cursor, limit=2, **asked)
        )
        return [view.video_id.removeprefix("reference ") for view in pages]

    assert await listed() == [*"76543210"]
    assert await listed(owner_id="league") == [*"7531"]
    assert await listed(visible_owner_ids=["studio", "league"]) == [*"76543210"]
    assert await listed(owner_id="league", visible_owner_ids=["studio"]) == []
    assert await listed(role="upload") == ["upload a"]
    assert await listed(status="taken_down") == ["8"]
    assert (await queries.overview(BEGIN)).library == {"reference": 8, "upload": 1}


async def test_a_video_is_shown_as_the_library_log_has_it(database: Database) -> None:
    writer, queries = Writer(), Queries(database)
    writer.say(uploaded(title="As uploaded"))
    await take(database, writer.all())
    view = await queries.video("upload a")
    assert view is not None
    assert (view.status, view.title, view.fingerprint, view.embedded) == (
        "unknown", "As uploaded", None, None,
    )  # fmt: skip
    writer.say(fingerprinted("upload a", "r", title="As kept", uri="s3://kept/a.mp4"))
    writer.say(
        VideoEmbedded(video_id="upload a", model_version="m", dimension=1, vector=[1.0],
                      duration_seconds=30.0, thumbnails=["AA", "BB"])
    )  # fmt: skip
    await take(database, writer.all())
    view = await queries.video("upload a")
    assert view is not None and view.fingerprint is not None and view.embedded is not None
    assert (view.status, view.title, view.uri) == ("live", "As kept", "s3://kept/a.mp4")
    assert (view.duration_seconds, view.thumbnails) == (30.0, 2)
    assert view.fingerprint.offset == 0
    for topic in ("video.fingerprinted", "video.embedded"):
        writer.remove(topic, "upload a")
    await take(database, writer.all())
    view = await queries.video("upload a")
    assert view is not None
    assert (view.status, view.fingerprint, view.embedded, view.title) == (
        "taken_down", None, None, "As kept",
    )  # fmt: skip
    assert await queries.videos_by_id(["upload a", "nothing"]) == {"upload a": view}


async def test_the_newest_policy_holds_until_it_is_taken_back(database: Database) -> None:
    writer, queries = Writer(), Queries(database)
    for owner in ("studio", "league", "label"):
        writer.say(PolicyUpdated(owner_id=owner, least_seconds=5.0))
    await take(database, writer.all())
    first = await queries.policy("league")
    assert first is not None and first.policy is not None
    assert first.policy.least_seconds == 5.0
    writer.say(PolicyUpdated(owner_id="league", least_seconds=9.0))
    writer.remove("policy.updated", "label")
    await take(database, writer.all())
    second = await queries.policy("league")
    assert second is not None and second.policy is not None
    assert second.policy.least_seconds == 9.0
    assert second.etag != first.etag
    gone = await queries.policy("label")
    assert gone is not None and gone.policy is None
    assert await queries.policy("nobody") is None
    listed = await all_pages(lambda cursor: queries.policies(cursor, limit=1))
    assert [view.owner_id for view in listed] == ["league", "studio"]


async def test_a_dry_run_gets_all_alerts_of_its_days_with_durations(database: Database) -> None:
    await say(
        database,
        *some_alerts(6, 60),
        fingerprinted("upload 1", "r", duration_seconds=40.0),
        fingerprinted("reference 2", "r", duration_seconds=70.0),
    )
    since = BEGIN + timedelta(seconds=10)
    queries = Queries(database)
    cases = await all_pages(lambda cursor: queries.policy_cases("league", since, cursor, limit=7))
    wanted = replace(ALL, owner_id="league", since=since)
    views = [view for view in await everything(database, 60) if lets_through(wanted, view)]
    assert {case.alert.alert_id for case in cases} == {view.alert_id for view in views}
    for case in cases:
        assert case.video_seconds == (40.0 if case.alert.video_id == "upload 1" else None)
        assert case.reference_seconds == (
            70.0 if case.alert.reference_id == "reference 2" else None
        )


async def test_dead_letters_are_listed_by_code(database: Database) -> None:
    writer, queries = Writer(), Queries(database)
    for n in range(9):
        writer.say(
            VideoRejected(
                video_id=None, error="corrupt" if n % 3 else "timeout", message=str(n),
                source_topic="video.uploaded", source_partition=0, source_offset=n, attempts=1,
                request_id=f"request {n}", rejected_at=BEGIN + timedelta(seconds=n // 2),
            )
        )  # fmt: skip
    await take(database, writer.all())

    async def listed(error: str | None) -> list[str]:
        pages = await all_pages(lambda cursor: queries.rejections(error, cursor, limit=2))
        return [view.message for view in pages]

    assert sorted(await listed(None)) == [*"012345678"]
    assert await listed("timeout") == [*"630"]
    assert (await queries.overview(BEGIN)).rejected == {"corrupt": 6, "timeout": 3}


async def test_the_overview_says_throughput_waits_and_what_waits_longest(
    database: Database,
) -> None:
    writer, queries = Writer(), Queries(database)
    sources = [writer.say(uploaded(f"upload {n}")) for n in range(10)]
    at = [BEGIN + timedelta(milliseconds=1500 * (n + 1)) for n in range(10)]
    for n in range(8):
        waited = timedelta(seconds=3) if n < 7 else timedelta(hours=1)
        outcome = "matched" if n == 0 else "clear"
        writer.say(decided(sources[n].request_id, at[n] + waited, outcome))
    await take(database, writer.all())
    told = await queries.overview(BEGIN + timedelta(hours=2))
    assert told.undecided == 2
    assert told.oldest_undecided is not None
    assert told.oldest_undecided.request_id == sources[8].request_id
    assert [hour.outcomes for hour in told.hours] == [{"clear": 1}, {"matched": 1, "clear": 6}]
    assert told.hours[1].begins == BEGIN
    assert told.hours[1].waits.quantile(0.99) == timedelta(seconds=4)
    assert told.hours[0].waits.quantile(0.5) == timedelta(seconds=4096)
    assert (await queries.overview(BEGIN + timedelta(days=3))).hours == ()


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
