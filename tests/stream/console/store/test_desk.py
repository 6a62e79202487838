"""What lives only in the database: claims, sessions, tokens, idempotency keys and the audit log."""

import asyncio
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text

from stream.console.settings import ConsoleSettings
from stream.console.store.database import Database
from stream.console.store.desk import Desk, Done, Fresh, OtherRequest, Running
from stream.console.store.intake import Intake
from stream.console.store.messages import TOPICS
from stream.console.store.queries import Queries
from stream.console.store.sign_ins import TOKEN_PREFIX
from stream.console.store.views import ALL_OPEN, AlertFilter
from stream.contract.message import Source
from stream.errors import QueryError
from tests.stream.console.store.said import BEGIN, alert, verdict

pytestmark = pytest.mark.asyncio
NOW = BEGIN


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


async def raise_alerts(database: Database, number: int) -> None:
    said = [
        alert(f"alert {n}", at=at(n), video_id=f"upload {n}", score=0.5 + n / 1000)
        for n in range(number)
    ]
    sources = [Source(one.topic, 0, n, 0, one.to_bytes(), one.key()) for n, one in enumerate(said)]
    await Intake(database, dict.fromkeys(TOPICS, "log"), 3.0).take(sources)


async def test_the_first_free_alerts_are_claimed_in_the_order_of_the_queue(
    database: Database, desk: Desk
) -> None:
    await raise_alerts(database, 5)
    (first,) = await desk.claim_next("ann", NOW)
    second = await desk.claim_next("bob", NOW, number=2)
    assert first.alert_id == "alert 4"
    assert [one.alert_id for one in second] == ["alert 3", "alert 2"]
    view = await Queries(database).alert("alert 4")
    assert view == first
    assert (first.claimed_by, first.claimed_until) == ("ann", at(900))


async def test_two_reviewers_at_once_never_get_the_same(
    settings: ConsoleSettings, database: Database
) -> None:
    await raise_alerts(database, 40)
    # As two consoles on one database: each with connections, and a queue of writers, of its own.
    other = await Database.open(settings)
    desks = {"ann": Desk(database), "bob": Desk(other), "eve": Desk(other)}
    claims = await asyncio.gather(
        *(desk.claim_next(name, NOW, number=3) for _ in range(4) for name, desk in desks.items())
    )
    ids = [one.alert_id for claim in claims for one in claim]
    await other.close()
    assert len(ids) == len({*ids})
    async with database.reading() as session:
        rows = await session.execute(
            text("SELECT alert_id FROM alerts WHERE claimed_by IS NOT NULL")
        )
        assert {row[0] for row in rows} == {*ids}
    assert len(ids) >= 30, "on PostgreSQL a claim passes over what others are just claiming"


async def test_who_go_on_from_one_alert_at_once_never_get_the_same(
    settings: ConsoleSettings, database: Database
) -> None:
    await raise_alerts(database, 12)
    other = await Database.open(settings)
    desks = {"ann": Desk(database), "bob": Desk(other), "eve": Desk(other)}
    await desks["ann"].claim("dan", ["alert 7"], NOW)
    found = await asyncio.gather(*(desks[name].claim_after("alert 9", name, NOW) for name in desks))
    await other.close()
    ids = [each.alert_id for each in found if each is not None]
    assert len(ids) == len({*ids}) == 3
    # PostgreSQL leaves out what another is just looking at, so it needn't be the nearest three.
    assert {*ids} <= {f"alert {n}" for n in range(9)} - {"alert 7"}


async def test_going_on_keeps_to_ones_own_and_to_the_filter(database: Database, desk: Desk) -> None:
    await raise_alerts(database, 6)
    await desk.claim("ann", ["alert 3", "alert 1"], NOW)
    await desk.claim("bob", ["alert 4"], NOW)
    mine = AlertFilter(claimed="me", reviewer="ann", now=NOW)

    async def after(alert_id: str, filter: AlertFilter = ALL_OPEN) -> str | None:
        found = await desk.claim_after(alert_id, "ann", at(60), filter)
        assert found is None or (found.claimed_by, found.claimed_until) == ("ann", at(960))
        return None if found is None else found.alert_id

    assert await after("alert 5") == "alert 3"
    assert await after("alert 3", mine) == "alert 1"
    assert await after("alert 3") == "alert 2"
    assert await after("alert 3", AlertFilter(min_score=0.9)) is None
    assert await after("alert 0") is None and await after("unheard of") is None


async def test_naming_the_same_alerts_at_once_one_gets_each(
    settings: ConsoleSettings, database: Database
) -> None:
    await raise_alerts(database, 10)
    other = await Database.open(settings)
    ids = [f"alert {n}" for n in range(10)]
    claims = await asyncio.gather(
        Desk(database).claim("ann", ids, NOW),
        Desk(other).claim("bob", ids[::-1], NOW),
        Desk(database).claim("eve", ids[3:], NOW),
    )
    await other.close()
    got = [alert_id for claim in claims for alert_id in claim]
    assert sorted(got) == sorted(ids)


async def test_a_claim_can_be_renewed_ends_by_itself_and_is_given_back(
    database: Database, desk: Desk
) -> None:
    await raise_alerts(database, 1)
    assert await desk.claim("ann", ["alert 0", "nothing"], NOW, seconds=10) == ("alert 0",)
    assert await desk.claim("bob", ["alert 0"], at(9)) == ()
    assert await desk.claim("ann", ["alert 0"], at(9), seconds=10) == ("alert 0",)
    assert await desk.claim_next("bob", at(18)) == ()
    assert [one.alert_id for one in await desk.claim_next("bob", at(19))] == ["alert 0"]
    assert await desk.release("ann") == ()
    assert await desk.release("bob", ["nothing"]) == ()
    assert await desk.release("bob") == ("alert 0",)
    assert await desk.claim("ann", ["alert 0"], at(19)) == ("alert 0",)


async def test_a_claim_takes_only_what_the_filter_lets_through(
    database: Database, desk: Desk
) -> None:
    await raise_alerts(database, 6)
    some = AlertFilter(min_score=0.503, before=at(5))
    claimed = await desk.claim_next("ann", NOW, some, order="surest", number=9)
    assert [one.alert_id for one in claimed] == ["alert 4", "alert 3"]
    assert await desk.claim_next("bob", NOW, AlertFilter(visible_owner_ids=("studio",))) == ()


async def test_a_claim_outlasts_what_the_topics_say_meanwhile(
    database: Database, desk: Desk
) -> None:
    await raise_alerts(database, 1)
    await desk.claim("ann", ["alert 0"], NOW)
    said = verdict("alert 0", "confirmed")
    await Intake(database, dict.fromkeys(TOPICS, "log"), 3.0).take(
        [Source(said.topic, 0, 0, 0, said.to_bytes(), said.key())]
    )
    view = await Queries(database).alert("alert 0")
    assert view is not None
    assert (view.state, view.claimed_by) == ("confirmed", "ann")


async def test_what_is_written_together_is_there_as_a_whole_or_not_at_all(
    database: Database, desk: Desk
) -> None:
    await raise_alerts(database, 2)

    async def take(alert_id: str, fails: bool) -> None:
        async with desk.together():
            await desk.claim("ann", [alert_id], NOW)
            await desk.note("ann", "take", alert_id, NOW)
            if fails:
                raise RuntimeError("cut short")

    with pytest.raises(RuntimeError):
        await take("alert 0", fails=True)
    # Others at the same time have transactions of their own.
    await asyncio.gather(take("alert 1", fails=False), desk.note("bob", "look", "alert 1", NOW))
    queries = Queries(database)
    found = [await queries.alert(f"alert {n}") for n in range(2)]
    assert [each and each.claimed_by for each in found] == [None, "ann"]
    assert [line.about for line in (await desk.audit()).items] == ["alert 1"] * 2


async def test_a_session_lasts_until_its_end(desk: Desk) -> None:
    secret = await desk.begin_session("ann", "holder", ["league"], NOW, 100)
    person = await desk.session(secret, at(99))
    assert person is not None
    assert (person.name, person.role, person.owner_ids, person.scopes) == (
        "ann", "holder", ("league",), None,
    )  # fmt: skip
    assert await desk.session(secret, at(100)) is None
    assert await desk.session("another", NOW) is None


async def test_signing_out_ends_a_session_here_or_everywhere(desk: Desk) -> None:
    secrets = [await desk.begin_session("ann", "reviewer", [], NOW, 100) for _ in range(3)]
    other = await desk.begin_session("bob", "viewer", [], NOW, 100)
    await desk.end_session(secrets[0])
    assert await desk.session(secrets[0], NOW) is None
    assert await desk.session(secrets[1], NOW) is not None
    assert await desk.end_sessions_of("ann") == 2
    assert await desk.session(secrets[1], NOW) is None
    assert await desk.session(other, NOW) is not None


async def test_no_secret_is_in_the_database(database: Database, desk: Desk) -> None:
    session = await desk.begin_session("ann", "reviewer", [], NOW, 100)
    token, _ = await desk.make_token("ci", "viewer", ["alerts:read"], [], "ann", NOW, 100)
    async with database.reading() as reading:
        for table in ("sessions", "tokens"):
            kept = str((await reading.execute(text(f"SELECT * FROM {table}"))).all())
            assert session not in kept
            assert token.removeprefix(TOKEN_PREFIX).partition("_")[2] not in kept


async def test_a_token_is_good_until_it_ends_or_is_revoked(desk: Desk) -> None:
    secret, view = await desk.make_token(
        "ci", "holder", ["alerts:read", "match"], ["league"], "ann", NOW, 100
    )
    person = await desk.token(secret, at(70))
    assert person is not None
    assert (person.name, person.role, person.owner_ids, person.scopes) == (
        "ci", "holder", ("league",), ("alerts:read", "match"),
    )  # fmt: skip
    assert await desk.token(secret, at(100)) is None
    (kept,) = await desk.tokens()
    assert (kept.token_id, kept.used_at, kept.made_by) == (view.token_id, at(70), "ann")
    assert await desk.revoke_token(view.token_id, at(71))
    assert not await desk.revoke_token(view.token_id, at(72))
    assert await desk.token(secret, at(71)) is None


@pytest.mark.parametrize("wrong", ["", "samesource_", "samesource_0123456789abcdef_x", "a\0b", "é"])
async def test_what_is_no_token_opens_nothing(desk: Desk, wrong: str) -> None:
    secret, view = await desk.make_token("ci", "viewer", [], [], "ann", NOW, 100)
    assert await desk.token(wrong, NOW) is None
    assert await desk.token(secret[:-1], NOW) is None
    assert await desk.token(f"samesource_{view.token_id}_", NOW) is None


async def test_a_repeated_write_gets_the_first_answer(desk: Desk) -> None:
    begun = await desk.begin_key("ci", "k", b"POST /a {}", NOW)
    assert isinstance(begun, Fresh)
    assert await desk.begin_key("ci", "k", b"POST /a {}", at(1)) == Running()
    assert await desk.begin_key("ci", "k", b"POST /a {1}", at(1)) == OtherRequest()
    await desk.finish_key("ci", "k", begun.run, 202, {"location": "/b"}, '{"id": 1}')
    done = Done(202, {"location": "/b"}, '{"id": 1}')
    assert await desk.begin_key("ci", "k", b"POST /a {}", at(2)) == done
    assert await desk.begin_key("ci", "k", b"POST /a {1}", at(2)) == OtherRequest()
    assert isinstance(await desk.begin_key("another", "k", b"POST /a {}", at(2)), Fresh)
    assert isinstance(await desk.begin_key("ci", "k", b"POST /a {1}", at(86400)), Fresh)


async def test_a_write_that_failed_or_whose_process_died_can_be_begun_anew(desk: Desk) -> None:
    begun = await desk.begin_key("ci", "k", b"x", NOW)
    assert isinstance(begun, Fresh)
    await desk.forget_key("ci", "k", begun.run)
    begun = await desk.begin_key("ci", "k", b"x", NOW)
    assert isinstance(begun, Fresh)
    again = await desk.begin_key("ci", "k", b"x", at(120))
    assert isinstance(again, Fresh)
    # The first one wasn't dead: its answer comes too late to count.
    await desk.finish_key("ci", "k", begun.run, 500, {}, "late")
    await desk.forget_key("ci", "k", begun.run)
    assert await desk.begin_key("ci", "k", b"x", at(121)) == Running()


async def test_a_write_that_takes_long_goes_on_unless_another_has_begun_it(desk: Desk) -> None:
    begun = await desk.begin_key("ci", "k", b"x", NOW)
    assert isinstance(begun, Fresh)
    assert await desk.renew_key("ci", "k", begun.run, at(100))
    assert await desk.begin_key("ci", "k", b"x", at(219)) == Running()
    assert isinstance(await desk.begin_key("ci", "k", b"x", at(220)), Fresh)
    assert not await desk.renew_key("ci", "k", begun.run, at(221))


async def test_of_two_at_once_one_begins(settings: ConsoleSettings, desk: Desk) -> None:
    other = await Database.open(settings)
    begun = await asyncio.gather(
        *(one.begin_key("ci", "k", b"x", NOW) for one in (desk, Desk(other)) * 5)
    )
    await other.close()
    assert sorted(type(one).__name__ for one in begun) == ["Fresh", *["Running"] * 9]


async def test_the_audit_log_says_who_did_what_and_why(desk: Desk) -> None:
    for n in range(5):
        person = "ann" if n % 2 else "bob"
        await desk.note(person, "dismiss", f"alert {n}", at(n), why="parody", detail={"n": n})
    page = await desk.audit(limit=2)
    assert [line.about for line in page.items] == ["alert 4", "alert 3"]
    rest = await desk.audit(cursor=page.next, limit=9)
    assert [line.about for line in rest.items] == ["alert 2", "alert 1", "alert 0"]
    assert rest.next is None
    (line,) = (await desk.audit(about="alert 3")).items
    assert (line.person, line.action, line.at, line.why, line.detail) == (
        "ann", "dismiss", at(3), "parody", {"n": 3},
    )  # fmt: skip
    assert [line.about for line in (await desk.audit(person="ann")).items] == ["alert 3", "alert 1"]
    with pytest.raises(QueryError, match="isn't of this list"):
        await desk.audit(person="ann", cursor=page.next)


async def test_what_is_over_is_dropped(database: Database, desk: Desk) -> None:
    await desk.begin_session("ann", "reviewer", [], NOW, 10)
    kept = await desk.begin_session("bob", "reviewer", [], NOW, 100)
    await desk.begin_key("ci", "k", b"x", NOW, seconds=10)
    assert await desk.tidy(at(10)) == 2
    assert await desk.tidy(at(10)) == 0
    assert await desk.session(kept, at(10)) is not None
