"""A crash anywhere in a batch loses nothing and doubles nothing, on both databases."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event

from stream.console.store.batch import forget_all
from stream.console.store.database import Database
from stream.console.store.intake import Intake
from stream.console.store.messages import TOPICS
from stream.contract.message import Source
from tests.stream.console.store.rows_of import counted, dump, kept
from tests.stream.console.store.said import Log, alert, in_some_order, random_log, verdict

pytestmark = pytest.mark.asyncio


class Crash(Exception):
    """The process ends here."""


def intake(database: Database, log_id: str = "log") -> Intake:
    return Intake(database, dict.fromkeys(TOPICS, log_id), 3.0)


@contextmanager
def crash_at(database: Database, number: int) -> Iterator[list[str]]:
    """The statement of this number isn't executed: everything ends there."""
    statements: list[str] = []

    def before(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)
        if len(statements) > number:
            raise Crash(statement)

    event.listen(database.engine.sync_engine, "before_cursor_execute", before)
    try:
        yield statements
    finally:
        event.remove(database.engine.sync_engine, "before_cursor_execute", before)


def ends(log: Log) -> dict[tuple[str, int], int]:
    return {key: len(part) for key, part in log.items()}


async def test_a_crash_between_any_two_statements_loses_and_doubles_nothing(
    database: Database,
) -> None:
    log = random_log(3, 60)
    first, second = _halves(log)
    await intake(database).take(first)
    before = await dump(database, positions=True)
    number = 0
    while True:
        with crash_at(database, number) as statements:
            try:
                await intake(database).take(second)
                break
            except Crash:
                number = len(statements)
        assert await dump(database, positions=True) == before, f"after {statements[-2:]}"
    assert number > 20
    assert await kept(database) == await counted(database)
    whole = await dump(database)
    async with database.writing() as session:
        await forget_all(session)
    await intake(database).take([*first, *second])
    assert await dump(database) == whole


async def test_what_is_in_the_rows_is_left_out_when_it_comes_again(database: Database) -> None:
    log = random_log(4, 60)
    taking = intake(database)
    for batch in in_some_order(log, 1):
        reached = await taking.take(_without_gaps(await taking.positions(ends(log)), batch))
    assert reached == ends(log)
    assert await taking.take([source for part in log.values() for source in part]) == reached
    assert await kept(database) == await counted(database)


async def test_rows_of_topics_that_were_made_anew_are_made_anew(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    log = random_log(5, 40)
    await intake(database).take([source for part in log.values() for source in part])
    assert await intake(database).positions(ends(log)) == ends(log)
    assert await intake(database, "another").positions(ends(log)) == {}
    assert "made anew" in caplog.text
    assert not any((await dump(database, positions=True)).values())


async def test_a_topic_that_is_shorter_than_the_rows_say_is_another_one(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    log = random_log(5, 40)
    await intake(database).take([source for part in log.values() for source in part])
    shorter = {key: end - 1 for key, end in ends(log).items()}
    assert await intake(database).positions(shorter) == {}


async def test_a_message_that_cannot_be_read_is_passed_over_and_named(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    good = alert("good")
    sources = [
        Source("alert.raised", 0, 0, 5, b"{"),
        Source("alert.raised", 0, 1, 5, good.to_bytes(), good.key()),
        Source("policy.updated", 0, 0, 5, b'{"owner_id": "league"}', b"another key"),
    ]
    reached = await intake(database).take(sources)
    assert reached == {("alert.raised", 0): 2, ("policy.updated", 0): 1}
    rows = await dump(database)
    assert [row["alert_id"] for row in rows["alerts"]] == ["good"]
    assert not rows["policies"]
    assert "alert.raised[0]@0 is passed over" in caplog.text
    assert "policy.updated[0]@0 is passed over" in caplog.text


async def test_ids_of_every_length_and_letter_can_be_kept(database: Database) -> None:
    longest = "\U0001f600" * 512
    strange = alert(
        longest, video_id=longest, reference_id="\0" * 512, video_owner_id="\x01\x02" * 256,
        reference_owner_id=longest, library_offset=2**64 - 1,
    )  # fmt: skip
    said = verdict(longest, "dismissed", scope="pair", video_id=longest, reference_id="\0" * 512)
    events = (strange, said)
    await intake(database).take(
        [Source(one.topic, 0, 0, 5, one.to_bytes(), one.key()) for one in events]
    )
    (row,) = (await dump(database))["alerts"]
    assert (row["video_id"], row["reference_id"], row["video_owner_id"]) == (
        longest, "\0" * 512, "\x01\x02" * 256,
    )  # fmt: skip
    assert row["state"] == "dismissed"


def _halves(log: Log) -> tuple[list[Source], list[Source]]:
    first, second = list[Source](), list[Source]()
    for part in log.values():
        first += part[: len(part) // 2]
        second += part[len(part) // 2 :]
    return first, second


def _without_gaps(known: dict[tuple[str, int], int], batch: list[Source]) -> list[Source]:
    """What a reader gets: it never jumps ahead of the rows."""
    reached, taken = dict(known), []
    for source in batch:
        key = (source.topic, source.partition)
        if source.offset <= reached.get(key, 0):
            taken.append(source)
            reached[key] = max(reached.get(key, 0), source.offset + 1)
    return taken
