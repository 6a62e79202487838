"""What is put out for webhooks: each new message once, for those who want it and may see it."""

from collections.abc import Sequence

import orjson
import pytest
from sqlalchemy import select

from stream.console.store import intake as intake_module
from stream.console.store.batch import forget_all
from stream.console.store.database import Database
from stream.console.store.desk import Desk
from stream.console.store.desk_tables import WebhookDelivery
from stream.console.store.intake import Intake
from stream.console.store.messages import TOPICS
from stream.console.store.outbox import KINDS, put_out
from stream.console.store.queries import Queries
from stream.contract.events import AlertRaised, VideoDecided, VideoRejected
from stream.contract.message import Source
from tests.stream.console.store.said import BEGIN, Writer, alert, random_log, verdict

pytestmark = pytest.mark.asyncio
FAR = {(topic, partition): 10**6 for topic in TOPICS for partition in range(8)}


def intake_of(database: Database, log_id: str = "log") -> Intake:
    return Intake(database, dict.fromkeys(TOPICS, log_id), 3.0)


async def endpoint(database: Database, *kinds: str, owners: Sequence[str] | None = None) -> str:
    made = await Desk(database).make_webhook(
        "https://a.example/", kinds or KINDS, owners, None, "key", "ann", BEGIN
    )
    return made.webhook_id


async def put(database: Database, webhook_id: str) -> list[str]:
    """What is to be told an endpoint, by what it is about."""
    query = select(WebhookDelivery.about).where(WebhookDelivery.webhook_id == webhook_id)
    async with database.reading() as session:
        return sorted(await session.scalars(query))


async def test_everybody_is_told_what_they_want_and_may_see(database: Database) -> None:
    writer, intake = Writer(), intake_of(database)
    await intake.take([writer.say(alert("before"))])
    all_of_it = await endpoint(database)
    league = await endpoint(database, "alert.raised", owners=["league"])
    # As no page lets anybody do it: what names no rights holder is nobody's.
    greedy = await endpoint(database, *KINDS, owners=["studio"])
    off = await endpoint(database)
    await Desk(database).change_webhook(off, {"disabled_at": BEGIN})
    decided = VideoDecided(
        video_id="upload a", content_version=1, outcome="clear", alert_ids=[], reason="no match",
        decided_at=BEGIN, request_id="r", stage_seconds={},
    )  # fmt: skip
    letter = VideoRejected(
        error="corrupt", message="broken", source_topic="video.uploaded", source_partition=0,
        source_offset=1, attempts=1, request_id="r2", rejected_at=BEGIN, event={"secret": "whole"},
    )  # fmt: skip
    said = [
        alert("ours"), alert("theirs", reference_owner_id="studio"), alert("held", reason="held"),
        verdict("ours", "confirmed"), decided, letter,
    ]  # fmt: skip
    await intake.take([writer.say(each) for each in said])
    assert await put(database, all_of_it) == ["held", "ours", "ours", "r2", "theirs", "upload a"]
    assert await put(database, league) == ["ours"]
    assert await put(database, greedy) == ["theirs"]
    assert await put(database, off) == []
    async with database.reading() as session:
        rows = {row.kind: row for row in await session.scalars(select(WebhookDelivery))}
    told = orjson.loads(rows["alert.suppressed"].body)
    assert told["type"] == "alert.suppressed" and told["timestamp"] == "2026-03-01T12:00:00Z"
    assert told["data"]["reason"] == "held" and told["data"]["segments"]
    assert "whole" not in rows["video.rejected"].body


async def test_a_message_that_comes_again_is_one(database: Database) -> None:
    writer, intake = Writer(), intake_of(database)
    webhook_id = await endpoint(database)
    first = writer.say(alert("one"))
    await intake.take([first])
    await intake.take([first, writer.say(alert("one")), writer.say(alert("two"))])
    assert await put(database, webhook_id) == ["one", "two"]


async def test_history_is_not_told_when_rows_are_made_anew(database: Database) -> None:
    intake, log = intake_of(database), random_log(3, 60)
    await intake.take([source for part in log.values() for source in part])
    webhook_id = await endpoint(database)
    async with database.writing() as session:
        await forget_all(session)
    assert await intake.positions(FAR) == {}
    await intake.take([source for part in log.values() for source in part])
    assert await put(database, webhook_id) == []
    event = alert("new")
    part = log[(AlertRaised.topic, 0)]
    await intake.take([Source(AlertRaised.topic, 0, len(part), 0, event.to_bytes(), event.key())])
    assert await put(database, webhook_id) == ["new"]


async def test_of_a_topic_that_was_made_anew_only_what_is_new_is_told(database: Database) -> None:
    first = await endpoint(database)
    hour = 3_600_000
    old, between, new = (alert(name) for name in ("old", "between", "new"))
    topic = AlertRaised.topic
    await intake_of(database).take(
        [Source(topic, 0, 90, hour, old.to_bytes(), old.key()),
         Source(topic, 0, 91, 5 * hour, between.to_bytes(), between.key())]
    )  # fmt: skip
    later = await endpoint(database)
    # The history was copied, with its times, and into more partitions.
    other = intake_of(database, "another log")
    assert await other.positions(FAR) == {}
    await other.take(
        [Source(topic, 0, 0, hour, old.to_bytes(), old.key()),
         Source(topic, 1, 0, hour, old.to_bytes(), old.key()),
         Source(topic, 0, 1, 5 * hour, between.to_bytes(), between.key()),
         Source(topic, 0, 2, 6 * hour, new.to_bytes(), new.key())]
    )  # fmt: skip
    assert await put(database, first) == ["between", "new", "old"]
    assert "old" not in await put(database, later)
    assert "new" in await put(database, later)


async def test_a_log_that_has_lost_its_end_is_told_on(database: Database) -> None:
    webhook_id, intake = await endpoint(database), intake_of(database)
    one, two = alert("one"), alert("two")
    await intake.take([Source(one.topic, 0, 90, 10, one.to_bytes(), one.key())])
    assert await intake.positions({(one.topic, 0): 5}) == {}
    await intake.take([Source(two.topic, 0, 5, 20, two.to_bytes(), two.key())])
    assert await put(database, webhook_id) == ["one", "two"]


async def test_rows_and_what_is_told_of_them_come_together_or_not_at_all(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    webhook_id, intake, writer = await endpoint(database), intake_of(database), Writer()

    async def killed(*arguments: object) -> None:
        await put_out(*arguments)  # type: ignore[arg-type]
        raise RuntimeError("killed")

    source = writer.say(alert("one"))
    with monkeypatch.context() as patched:
        patched.setattr(intake_module, "put_out", killed)
        with pytest.raises(RuntimeError, match="killed"):
            await intake.take([source])
    assert await Queries(database).alert("one") is None
    assert await put(database, webhook_id) == []
    await intake.take([source])
    assert await put(database, webhook_id) == ["one"]
