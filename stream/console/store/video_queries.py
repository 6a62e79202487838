"""What is asked of videos, uploads and dead letters; see `queries.py`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from stream.console.store.batch import KEYS, in_parts
from stream.console.store.branches import Branches, branch_values
from stream.console.store.by_time import ByTime
from stream.console.store.columns import key_of
from stream.console.store.database import Database
from stream.console.store.showing import (
    rejection_view,
    upload_view,
    video_view,
)
from stream.console.store.tables import (
    VIDEO_COLUMNS,
    VIDEOS,
    Rejection,
    Upload,
    Video,
)
from stream.console.store.views import (
    Page,
    RejectionView,
    UploadView,
    VideoView,
)

VIDEOS_BY_ID = select(*VIDEO_COLUMNS).where(VIDEOS.c.video_id.in_(KEYS))


class VideoQueries:
    """Asks for videos and what became of their uploads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def video(self, video_id: str) -> VideoView | None:
        """What is known of a video."""
        return (await self.videos_by_id([video_id])).get(video_id)

    async def videos_by_id(self, video_ids: Sequence[str]) -> dict[str, VideoView]:
        """The same, of several: those that are known."""
        async with self._database.reading() as session:
            return await videos_in(session, video_ids)

    async def library(
        self,
        role: str = "reference",
        owner_id: str | None = None,
        visible_owner_ids: Sequence[str] | None = None,
        status: str = "live",
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[VideoView]:
        """Videos in the library, the newest first."""
        owners = None if owner_id is None else [owner_id]
        if visible_owner_ids is not None:
            owners = [one for one in dict.fromkeys(visible_owner_ids) if owner_id in (None, one)]
        columns = [VIDEOS.c.status, VIDEOS.c.role]
        values: list[tuple[Any, ...]] = [(status, role)]
        if owners is not None:
            columns = [VIDEOS.c.owner_key, *columns, VIDEOS.c.owner_id]
            values = [(key_of(owner), status, role, owner) for owner in owners]
        if not values:
            return Page(())
        branches, named = Branches(columns, len(values)), branch_values(values)
        of = repr(("library", role, status, owner_id, visible_owner_ids))
        listed = ByTime(of, Video.seen_at, Video.video_key)
        query = select(*VIDEO_COLUMNS).where(*branches.conditions)
        async with self._database.reading() as session:
            if owners is not None and self._database.is_postgresql:
                query = _by_owner(branches, listed, cursor, limit)
            else:
                if branches.number > 1:
                    end = await _first_end(session, branches, named, listed, cursor, limit)
                    query = query if end is None else query.where(listed.until(*end))
                query = listed.behind(query, cursor, limit)
            rows = (await session.execute(query, named)).all()
        return listed.page(rows, limit, video_view)

    async def upload(self, request_id: str) -> UploadView | None:
        """One request."""
        async with self._database.reading() as session:
            row = await session.get(Upload, request_id)
        return None if row is None else upload_view(row)

    async def uploads_of(
        self, video_id: str, cursor: str | None = None, limit: int = 50
    ) -> Page[UploadView]:
        """All requests of a video, the newest first."""
        # The key is what the index holds; the id tells two apart that share one.
        query = select(Upload).where(
            Upload.video_key == key_of(video_id), Upload.video_id == video_id
        )
        return await self._uploads(query, f"uploads of {video_id}", cursor, limit)

    async def uploads(
        self, outcome: str | None = None, cursor: str | None = None, limit: int = 50
    ) -> Page[UploadView]:
        """Requests by submission, the newest first: all, of an outcome, or those `undecided`."""
        query = select(Upload)
        if outcome is not None:
            query = query.where(Upload.status == outcome)
        return await self._uploads(query, f"uploads {outcome}", cursor, limit)

    async def rejections(
        self, error: str | None = None, cursor: str | None = None, limit: int = 50
    ) -> Page[RejectionView]:
        """Dead letters, the newest first: all, or of one code."""
        query = select(Rejection)
        if error is not None:
            query = query.where(Rejection.error == error)
        listed = ByTime(f"rejections {error}", Rejection.rejected_at, Rejection.place_key)
        async with self._database.reading() as session:
            rows = [*await session.scalars(listed.behind(query, cursor, limit))]
        return listed.page(rows, limit, rejection_view)

    async def rejection(self, partition: int, offset: int) -> RejectionView | None:
        """One dead letter, by its place on video.rejected."""
        async with self._database.reading() as session:
            row = await session.get(Rejection, (partition, offset))
        return None if row is None else rejection_view(row)

    async def _uploads(
        self, query: Select[Any], of: str, cursor: str | None, limit: int
    ) -> Page[UploadView]:
        listed = ByTime(of, Upload.listed_at, Upload.request_key)
        async with self._database.reading() as session:
            rows = [*await session.scalars(listed.behind(query, cursor, limit))]
        return listed.page(rows, limit, upload_view)


def _by_owner(branches: Branches, listed: ByTime, cursor: str | None, limit: int) -> Select[Any]:
    """The same as PostgreSQL reads it fast: of each rights holder a page, by the index of theirs.

    It takes a rights holder it has no figures of for one who has much, and looks for their videos
    among those of all, the newest first. So the index is asked for a range, in its own order.
    """
    video = VIDEOS.alias("own").c
    branch = video.owner_key, video.status, video.role
    *of_one, owner_id = branches.values
    here, place = tuple_(*branch), listed.place(cursor)
    upper = (
        here <= tuple_(*of_one)
        if place is None
        else tuple_(*branch, video.seen_at, video.video_key) < tuple_(*of_one, *place)
    )
    # The key is what the index holds; the id tells two apart that share one.
    found = (
        select(video.video_id, video.seen_at, video.video_key)
        .where(here >= tuple_(*of_one), upper, video.owner_id == owner_id)
        .order_by(*(each.desc() for each in (*branch, video.seen_at, video.video_key)))
        .limit(limit + 1)
        .lateral()
    )
    # Cut to a page before the rows are read, or a plan may begin with all of them.
    page = (
        select(found.c.video_id)
        .select_from(*([found] if branches.table is None else [branches.table, found]))
        .order_by(found.c.seen_at.desc(), found.c.video_key.desc())
        .limit(limit + 1)
        .subquery()
    )
    query = select(*VIDEO_COLUMNS).where(VIDEOS.c.video_id == page.c.video_id)
    return listed.behind(query, None, limit)


async def _first_end(
    session: AsyncSession,
    branches: Branches,
    named: dict[str, Any],
    listed: ByTime,
    cursor: str | None,
    limit: int,
) -> tuple[datetime, int] | None:
    """Where the first branch has more than a page holds; None where none has.

    What is behind it isn't on the page, whichever branch it is in.
    """
    queries = (
        listed.behind(select(part).where(*branches.conditions), cursor, limit)
        .offset(limit)
        .limit(1)
        for part in (listed.at, listed.key)
    )
    ends = await session.execute(branches.each(*queries), named)
    return max(((at, key) for at, key in ends if key is not None), default=None)


async def videos_in(session: AsyncSession, video_ids: Sequence[str]) -> dict[str, VideoView]:
    """Those of some videos that are known."""
    wanted = sorted({*video_ids})
    return {row.video_id: video_view(row) async for row in in_parts(session, VIDEOS_BY_ID, wanted)}
