"""The state of an alert follows from what was said of it and from verdicts, in any order."""

import random
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from stream.console.settings import ConsoleSettings
from stream.console.store.database import Database
from stream.console.store.intake import Intake
from stream.console.store.messages import TOPICS
from stream.console.store.queries import Queries
from stream.console.store.views import AlertView
from stream.contract.events import Event
from stream.contract.message import Source
from tests.stream.console.migrated import sqlite_file
from tests.stream.console.store.said import BEGIN, Writer, alert, segment, verdict

pytestmark = pytest.mark.asyncio
PAIR: dict[str, Any] = {"video_id": "upload a", "reference_id": "reference 1"}
OWNERS: dict[str, Any] = {"video_owner_id": "fan", "reference_owner_id": "league"}


async def after(folder: Path, *events: Event | tuple[str, str]) -> dict[str, AlertView]:
    """The alerts after these messages; tuples are deletions. Also in another order of topics."""
    writer = Writer(partitions=8)
    for event in events:
        if isinstance(event, tuple):
            writer.remove(*event)
        else:
            writer.say(event)
    parts = [*writer.log.values()]
    forwards = await _alerts(folder / "forwards", [s for part in parts for s in part])
    backwards = await _alerts(folder / "backwards", [s for part in parts[::-1] for s in part])
    assert backwards == forwards
    return forwards


async def _alerts(folder: Path, sources: Sequence[Source]) -> dict[str, AlertView]:
    url = sqlite_file(folder.with_name(f"{folder.name}-{random.random()}.db"))
    database = await Database.open(ConsoleSettings.model_validate({"database_url": url}))
    intake = Intake(database, dict.fromkeys(TOPICS, "log"), 3.0)
    for source in sources:
        await intake.take([source])
    found = {}
    queries = Queries(database)
    for alert_id in ("alert", "one", "two", "three"):
        view = await queries.alert(alert_id)
        if view is not None:
            found[alert_id] = view
    await database.close()
    return found


@pytest.mark.parametrize(
    ("reason", "state"), [(None, "open"), ("held", "held"), ("licensed", "suppressed")]
)
async def test_without_a_verdict_it_is_as_was_said(tmp_path: Path, reason: Any, state: str) -> None:
    found = await after(tmp_path, alert(reason=reason))
    assert found["alert"].state == state
    assert found["alert"].decided_by is None


async def test_a_held_alert_that_is_raised_is_open(tmp_path: Path) -> None:
    held, raised = alert(reason="held"), alert(at=BEGIN + timedelta(seconds=5))
    found = await after(tmp_path, held, raised)
    assert (found["alert"].state, found["alert"].reason) == ("open", None)


async def test_the_newest_verdict_holds_whichever_is_read_first(tmp_path: Path) -> None:
    new = verdict("alert", "confirmed", at=BEGIN + timedelta(seconds=9), reviewer="bob")
    found = await after(tmp_path, alert(), new, verdict("alert", "dismissed"))
    assert (found["alert"].state, found["alert"].reviewer) == ("confirmed", "bob")


async def test_a_withdrawn_verdict_leaves_the_alert_as_it_was(tmp_path: Path) -> None:
    taken_back = verdict("alert", "withdrawn", at=BEGIN + timedelta(seconds=9))
    found = await after(tmp_path, alert(reason="held"), verdict("alert", "confirmed"), taken_back)
    assert (found["alert"].state, found["alert"].reviewer) == ("held", None)


async def test_a_deleted_verdict_leaves_the_alert_as_it_was(tmp_path: Path) -> None:
    found = await after(
        tmp_path, alert(), verdict("alert", "dismissed"), ("alert.reviewed", "alert")
    )
    assert found["alert"].state == "open"


async def test_a_dismissal_of_the_alert_alone_leaves_others_of_the_pair_open(
    tmp_path: Path,
) -> None:
    found = await after(
        tmp_path, alert("one"), alert("two"), verdict("one", "dismissed", scope="alert")
    )
    assert (found["one"].state, found["two"].state) == ("dismissed", "open")


async def test_a_dismissed_pair_closes_its_other_alerts_and_opens_them_again(
    tmp_path: Path,
) -> None:
    said = (alert("one"), alert("two", reason="held"), alert("three", reference_id="reference 2"))
    dismissed = verdict("one", "dismissed", scope="pair", **PAIR)
    found = await after(tmp_path, *said, dismissed)
    assert [found[one].state for one in ("one", "two", "three")] == [
        "dismissed", "dismissed", "open",
    ]  # fmt: skip
    assert (found["two"].decided_by, found["two"].reviewer) == ("one", "ann")
    undone = verdict("one", "withdrawn", at=BEGIN + timedelta(seconds=5))
    found = await after(tmp_path, *said, dismissed, undone)
    assert [found[one].state for one in ("one", "two", "three")] == ["open", "held", "open"]


async def test_a_verdict_that_names_no_pair_is_of_its_alerts(tmp_path: Path) -> None:
    found = await after(tmp_path, alert("one"), alert("two"), verdict("one", "dismissed"))
    assert found["two"].state == "dismissed"


async def test_a_pair_is_the_same_the_other_way_round(tmp_path: Path) -> None:
    turned = alert("two", video_id="reference 1", reference_id="upload a")
    found = await after(tmp_path, alert("one"), turned, verdict("one", "dismissed"))
    assert found["two"].state == "dismissed"


async def test_a_later_confirmation_on_the_pair_opens_what_a_dismissal_closed(
    tmp_path: Path,
) -> None:
    said = (alert("one"), alert("two"), alert("three"), verdict("one", "dismissed"))
    confirmed = verdict("two", "confirmed", at=BEGIN + timedelta(seconds=5))
    found = await after(tmp_path, *said, confirmed)
    assert [found[one].state for one in ("one", "two", "three")] == [
        "dismissed", "confirmed", "open",
    ]  # fmt: skip


async def test_dismissed_seconds_close_alerts_that_have_no_others(tmp_path: Path) -> None:
    inside = alert("one", segments=[segment(0, 20)])
    beyond = alert("two", segments=[segment(0, 40)], video_id="upload b")
    between = alert("three", segments=[segment(2, 5), segment(8, 10)], video_id="upload c")
    said = verdict(
        "elsewhere", "dismissed", scope="span", reference_id="reference 1",
        reference_start_seconds=0.0, reference_end_seconds=21.0,
    )  # fmt: skip
    found = await after(tmp_path, inside, beyond, between, said)
    assert [found[one].state for one in ("one", "two", "three")] == [
        "dismissed", "open", "dismissed",
    ]  # fmt: skip
    undone = verdict("elsewhere", "withdrawn", at=BEGIN + timedelta(seconds=5))
    found = await after(tmp_path, inside, beyond, between, said, undone)
    assert [found[one].state for one in ("one", "two", "three")] == ["open"] * 3


async def test_two_dismissed_spans_count_together(tmp_path: Path) -> None:
    spans = [
        verdict(f"elsewhere {start}", "dismissed", scope="span", reference_id="reference 1",
                reference_start_seconds=start, reference_end_seconds=start + 20)
        for start in (0.0, 20.0)
    ]  # fmt: skip
    wide = alert("one", segments=[segment(5, 30)])
    assert (await after(tmp_path, wide, spans[0]))["one"].state == "open"
    assert (await after(tmp_path, wide, *spans))["one"].state == "dismissed"


async def test_a_dismissed_uploader_closes_alerts_for_that_rights_holder(tmp_path: Path) -> None:
    said = (
        alert("one", video_id="upload b"),
        alert("two", reference_owner_id="studio", reference_id="reference 2"),
    )
    dismissed = verdict("elsewhere", "dismissed", scope="uploader", **OWNERS)
    found = await after(tmp_path, *said, dismissed)
    assert (found["one"].state, found["two"].state) == ("dismissed", "open")
    undone = verdict("elsewhere", "withdrawn", at=BEGIN + timedelta(seconds=5))
    assert (await after(tmp_path, *said, dismissed, undone))["one"].state == "open"


async def test_what_a_policy_suppressed_stays_suppressed_under_a_dismissed_pair(
    tmp_path: Path,
) -> None:
    found = await after(
        tmp_path, alert("one"), alert("two", reason="licensed"), verdict("one", "dismissed")
    )
    assert found["two"].state == "suppressed"


async def test_a_confirmed_alert_stays_confirmed_under_a_dismissed_uploader(
    tmp_path: Path,
) -> None:
    dismissed = verdict(
        "elsewhere", "dismissed", scope="uploader", at=BEGIN + timedelta(seconds=5), **OWNERS
    )
    found = await after(tmp_path, alert("one"), verdict("one", "confirmed"), dismissed)
    assert found["one"].state == "confirmed"
