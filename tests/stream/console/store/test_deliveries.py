"""Deliveries of webhooks: one console sends each, those that fail are kept, and sent anew."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text

from stream.console.settings import ConsoleSettings
from stream.console.store.database import Database
from stream.console.store.desk import Desk
from stream.console.store.intake import Intake
from stream.console.store.messages import TOPICS
from stream.console.store.outbox import KINDS
from stream.errors import QueryError
from tests.stream.console.store.said import BEGIN, Writer, alert

pytestmark = pytest.mark.asyncio


def at(seconds: float) -> datetime:
    return datetime.now(BEGIN.tzinfo) + timedelta(seconds=seconds)


async def told(database: Database, number: int, *, owners: Sequence[str] = ("league",)) -> str:
    """An endpoint that is to be told of so many alerts of each owner; its id."""
    made = await Desk(database).make_webhook(
        "https://a.example/", KINDS, None, None, "key", "ann", BEGIN
    )
    writer = Writer(1)
    said = [
        alert(f"{owner} {n}", reference_owner_id=owner) for owner in owners for n in range(number)
    ]
    # Of a log of its own, so that several of them are of one database.
    intake = Intake(database, dict.fromkeys(TOPICS, made.webhook_id), 3.0)
    await intake.positions({})
    await intake.take([writer.say(each) for each in said])
    return made.webhook_id


async def test_two_consoles_never_send_the_same(
    settings: ConsoleSettings, database: Database, desk: Desk
) -> None:
    webhook_id = await told(database, 40)
    other, now = await Database.open(settings), at(1)
    claims = await asyncio.gather(
        *(
            each.claim_deliveries(webhook_id, now, 3, 60)
            for each in (desk, Desk(other), Desk(other)) * 5
        )
    )
    await other.close()
    ids = [one.message_id for claim in claims for one in claim]
    assert len(ids) == len({*ids}) and len(ids) >= 30
    assert all(one.attempts == 1 for claim in claims for one in claim)


async def test_who_dies_while_they_send_is_followed_by_somebody_else(
    database: Database, desk: Desk
) -> None:
    webhook_id = await told(database, 1)
    assert [one.webhook_id for one in await desk.due_webhooks(at(1))] == [webhook_id]
    (first,) = await desk.claim_deliveries(webhook_id, at(1), 9, 60)
    assert await desk.due_webhooks(at(2)) == ()
    assert await desk.claim_deliveries(webhook_id, at(2), 9, 60) == ()
    (second,) = await desk.claim_deliveries(webhook_id, at(62), 9, 60)
    assert (second.message_id, second.attempts) == (first.message_id, 2)
    # The first wasn't dead after all: what it says counts no more.
    await desk.note_failed(first, 500, "it answered 500", None)
    await desk.note_delivered(second, 204)
    found = await desk.delivery(webhook_id, first.message_id)
    assert found is not None
    assert (found.state, found.last_status, found.run) == ("delivered", 204, None)
    assert await desk.claim_deliveries(webhook_id, at(1e6), 9, 60) == ()


async def test_what_fails_for_good_is_listed_and_sent_anew(database: Database, desk: Desk) -> None:
    webhook_id = await told(database, 5)
    for each in await desk.claim_deliveries(webhook_id, at(1), 9, 60):
        await desk.note_failed(each, None, "no answer", None)
    page = await desk.deliveries(webhook_id, "dead", limit=3)
    rest = await desk.deliveries(webhook_id, "dead", page.next, limit=3)
    assert len({one.message_id for one in (*page.items, *rest.items)}) == 5
    assert (rest.next, len(rest.items)) == (None, 2)
    with pytest.raises(QueryError, match="isn't of this list"):
        await desk.deliveries(webhook_id, "waiting", page.next)
    one = page.items[0]
    assert (one.last_error, one.last_status, one.state) == ("no answer", None, "dead")
    assert await desk.replay_delivery(webhook_id, one.message_id, at(2)) == 1
    assert await desk.replay_delivery(webhook_id, one.message_id, at(2)) == 0
    assert await desk.replay_delivery("wh_other", None, at(2)) == 0
    assert await desk.replay_delivery(webhook_id, None, at(2)) == 4
    again = await desk.claim_deliveries(webhook_id, at(3), 9, 60)
    assert len(again) == 5 and {each.attempts for each in again} == {1}


async def test_what_waits_goes_with_the_right_to_see_it(database: Database, desk: Desk) -> None:
    webhook_id = await told(database, 2, owners=("league", "studio"))
    await desk.put_test(webhook_id, "ann", at(0))
    changed = await desk.change_webhook(webhook_id, {"owner_ids": ["league"]})
    assert changed is not None and changed.owner_ids == ("league",)
    waiting = (await desk.deliveries(webhook_id, "waiting")).items
    assert sorted(one.about for one in waiting) == ["league 0", "league 1", webhook_id]
    await desk.change_webhook(webhook_id, {"kinds": ["video.decided"]})
    waiting = (await desk.deliveries(webhook_id, "waiting")).items
    assert [one.kind for one in waiting] == ["webhook.test"]


async def test_an_endpoint_that_is_off_or_asks_for_time_is_left_alone(
    database: Database, desk: Desk
) -> None:
    webhook_id = await told(database, 1)
    url = "https://a.example/"
    await desk.pause_webhook(webhook_id, at(100))
    await desk.pause_webhook(webhook_id, at(50))
    assert await desk.due_webhooks(at(99)) == ()
    assert len(await desk.due_webhooks(at(101))) == 1
    assert not await desk.disable_webhook(webhook_id, "https://moved.example/", "gone", at(0))
    assert await desk.disable_webhook(webhook_id, url, "gone", at(0))
    assert not await desk.disable_webhook(webhook_id, url, "gone again", at(0))
    assert await desk.due_webhooks(at(101)) == ()
    assert await desk.delete_webhook(webhook_id)
    assert not await desk.delete_webhook(webhook_id)
    assert (await desk.deliveries(webhook_id, "waiting")).items == ()


async def test_a_new_secret_signs_beside_the_one_before(database: Database, desk: Desk) -> None:
    made = await desk.make_webhook("https://a.example/", KINDS, None, None, "k", "ann", BEGIN)
    for number, seconds in ((2, 100.0), (3, 100.0)):
        now = BEGIN + timedelta(seconds=number)
        changed = await desk.new_secret(made.webhook_id, "k", now, seconds)
        assert changed is not None
        assert [each.number for each in changed.live_secrets(now)] == [number, number - 1]
    assert changed is not None
    assert [each.number for each in changed.live_secrets(now + timedelta(seconds=100))] == [3]
    changed = await desk.new_secret(made.webhook_id, "other key", now, 0)
    assert changed is not None
    assert [(each.number, each.key_id) for each in changed.secrets] == [(4, "other key")]
    assert await desk.new_secret("wh_none", "k", now, 0) is None


async def test_what_nobody_needs_any_more_is_dropped(database: Database, desk: Desk) -> None:
    webhook_id = await told(database, 3)
    first, second, _ = await desk.claim_deliveries(webhook_id, at(1), 9, 60)
    await desk.note_delivered(first, 200)
    await desk.note_failed(second, 500, "it answered 500", None)
    day = 86400
    assert await desk.tidy(at(6 * day)) == 0
    assert await desk.tidy(at(8 * day)) == 1
    assert await desk.tidy(at(89 * day)) == 0
    assert await desk.tidy(at(91 * day)) == 2
    async with database.reading() as session:
        assert await session.scalar(text("SELECT count(*) FROM webhook_deliveries")) == 0
