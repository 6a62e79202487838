"""How the databases read what is asked for: by the index that was meant for it."""

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import insert, text

from stream.console.store.columns import key_of
from stream.console.store.database import Database
from stream.console.store.queries import Queries
from stream.console.store.tables import Video
from stream.console.store.views import AlertFilter
from tests.stream.console.store.plain import ALL, ORDERS, some_alerts, statements
from tests.stream.console.store.said import BEGIN, say

pytestmark = pytest.mark.asyncio
of_sqlite = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
of_postgresql = pytest.mark.parametrize("settings", ["postgresql"], indirect=True)


async def plan(database: Database, statement: str, parameters: Any) -> list[str]:
    """Lines of the plan of a statement."""
    explain = "EXPLAIN" if database.is_postgresql else "EXPLAIN QUERY PLAN"
    async with database.reading() as session:
        connection = await session.connection()
        rows = await connection.exec_driver_sql(f"{explain} {statement}", parameters)
        return [str(row[-1]) for row in rows]


@of_sqlite
async def test_the_first_alert_of_an_upload_is_looked_up_among_its_own(database: Database) -> None:
    some = AlertFilter(min_score=0.7, since=BEGIN, before=BEGIN, owner_id="league")
    with statements(database) as noted:
        for order in ORDERS:
            await Queries(database).queue(some, order)
    queues = [found for found in noted if "EXISTS" in found[0]]
    assert len(queues) >= 3
    for found in queues:
        (inner,) = [line for line in await plan(database, *found) if " alerts_1 " in line]
        assert "alerts_of_video (video_key=?" in inner


@of_sqlite
async def test_of_an_uploads_alerts_no_more_are_read_than_are_shown(database: Database) -> None:
    await say(database, *some_alerts(1, 20))
    for order in ORDERS:
        with statements(database) as noted:
            assert len((await Queries(database).queue(ALL, order)).items) > 1
        (found,) = [found for found in noted if "own.rowid" in found[0]]
        lines = await plan(database, *found)
        assert "SEARCH alerts USING INTEGER PRIMARY KEY (rowid=?)" in lines
        (inner,) = [line for line in lines if " own " in line]
        assert "COVERING INDEX alerts_of_video (video_key=? AND state=?" in inner


@of_sqlite
async def test_the_alerts_of_one_upload_are_counted_and_ordered_without_their_rows(
    database: Database,
) -> None:
    await say(database, *some_alerts(1, 20))
    (video_id, *_) = [group.video_id for group in (await Queries(database).queue(ALL)).items]
    for order in ORDERS:
        with statements(database) as noted:
            page = await Queries(database).queue(replace(ALL, video_id=video_id), order)
            assert [group.video_id for group in page.items] == [video_id]
        by_groups = [found for found in noted if "GROUP BY alerts.video_key" in found[0]]
        by_groups += [found for found in noted if "own.rowid" in found[0]]
        assert len(by_groups) == 2
        for found in by_groups:
            lines = await plan(database, *found)
            assert any("COVERING INDEX alerts_of_video (video_key=?" in line for line in lines)


@of_postgresql
@pytest.mark.parametrize("owners", [1, 50])
async def test_of_rights_holders_without_figures_nobody_elses_videos_are_read(
    database: Database, owners: int
) -> None:
    # One has them all, so that the statistics take any other for one who has many.
    rows = [
        {
            "video_id": f"reference {n}",
            "video_key": n,
            "status": "live",
            "role": "reference",
            "owner_id": "studio",
            "owner_key": key_of("studio"),
            "seen_at": BEGIN,
        }
        for n in range(5000)
    ]
    async with database.engine.begin() as connection:
        await connection.execute(insert(Video), rows)
        await connection.execute(text("ANALYZE videos"))
    asked = [f"label {n}" for n in range(owners)]
    queries = Queries(database)
    with statements(database) as noted:
        assert (await queries.library(visible_owner_ids=asked)).items == ()
        page = await queries.library(visible_owner_ids=[*asked, "studio"])
        await queries.library(visible_owner_ids=[*asked, "studio"], cursor=page.next)
    read = [found for found in noted if " AS own" in found[0]]
    assert len(read) == 3
    for found in read:
        (inner,) = [line for line in await plan(database, *found) if " on videos own" in line]
        assert "using videos_of_owner" in inner
