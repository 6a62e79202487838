"""What is asked of uploads, the library, policies and dead letters, and the overview."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from stream.console.store.database import Database
from stream.console.store.queries import Queries
from stream.console.store.views import (
    UploadView,
    VideoView,
)
from stream.contract.events import (
    PolicyUpdated,
    VideoDecided,
    VideoEmbedded,
    VideoFingerprinted,
    VideoRejected,
    VideoUploaded,
)
from tests.stream.console.store.plain import (
    ALL,
    all_pages,
    everything,
    lets_through,
    some_alerts,
    statements,
)
from tests.stream.console.store.said import BEGIN, Writer, say, take

pytestmark = pytest.mark.asyncio


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
    # However many there are: nothing is left out in silence.
    many = [*map(str, range(60)), "studio", "league"]
    with statements(database) as found:
        assert await listed(visible_owner_ids=many) == [*"76543210"]
    assert len(found) <= 12  # of four pages
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
