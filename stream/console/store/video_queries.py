"""What is asked of videos, uploads and dead letters; see `queries.py`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, literal, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from stream.console.store import cursors
from stream.console.store.batch import in_parts
from stream.console.store.branches import Branches
from stream.console.store.columns import key_of, microseconds, of_microseconds
from stream.console.store.database import Database
from stream.console.store.showing import (
    rejection_view,
    upload_view,
    video_view,
)
from stream.console.store.tables import (
    VIDEO_COLUMNS,
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
        if owners is None:
            branches = Branches([Video.status, Video.role], [(status, role)])
        else:
            keys = [(status, role, key_of(owner)) for owner in owners]
            branches = Branches([Video.status, Video.role, Video.owner_key], keys)
        if not branches.number:
            return Page(())
        of = repr(("library", role, status, owner_id, visible_owner_ids))
        place = Video.seen_at, Video.video_key
        query = select(*VIDEO_COLUMNS).where(*branches.conditions)
        if owners is not None:
            query = query.where(Video.owner_id.in_(owners))
        end = None
        async with self._database.reading() as session:
            if branches.number > 1:
                # Whatever is behind it isn't among the first, whichever branch it is in.
                end = await _first_end(session, branches, place, cursor, of, limit)
            if end is not None:
                query = query.where(tuple_(*place) >= _bound(place, *end))
            rows = (await session.execute(_behind(query, place, cursor, of).limit(limit + 1))).all()
        if len(rows) > limit:
            end = rows[limit - 1].seen_at, rows[limit - 1].video_key
        on = None if end is None else cursors.written(of, microseconds(end[0]), end[1])
        return Page(tuple(map(video_view, rows[:limit])), on)

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
        query, of = select(Rejection), f"rejections {error}"
        if error is not None:
            query = query.where(Rejection.error == error)
        place = Rejection.rejected_at, Rejection.place_key
        async with self._database.reading() as session:
            rows = [*await session.scalars(_behind(query, place, cursor, of).limit(limit + 1))]
        on = None
        if len(rows) > limit:
            last = rows[limit - 1]
            on = cursors.written(of, microseconds(last.rejected_at), last.place_key)
        return Page(tuple(map(rejection_view, rows[:limit])), on)

    async def rejection(self, partition: int, offset: int) -> RejectionView | None:
        """One dead letter, by its place on video.rejected."""
        async with self._database.reading() as session:
            row = await session.get(Rejection, (partition, offset))
        return None if row is None else rejection_view(row)

    async def _uploads(
        self, query: Select[Any], of: str, cursor: str | None, limit: int
    ) -> Page[UploadView]:
        place = Upload.listed_at, Upload.request_key
        async with self._database.reading() as session:
            rows = [*await session.scalars(_behind(query, place, cursor, of).limit(limit + 1))]
        on = None
        if len(rows) > limit:
            last = rows[limit - 1]
            on = cursors.written(of, microseconds(last.listed_at), last.request_key)
        return Page(tuple(map(upload_view, rows[:limit])), on)


async def _first_end(
    session: AsyncSession,
    branches: Branches,
    place: tuple[Any, Any],
    cursor: str | None,
    of: str,
    limit: int,
) -> tuple[datetime, int] | None:
    """Where the first branch has more than a page holds; None where none has."""
    query = select().where(*branches.conditions).offset(limit).limit(1)
    ends = branches.each(*(_behind(query.add_columns(part), place, cursor, of) for part in place))
    found = [(at, key) for at, key in await session.execute(ends) if key is not None]
    return max(found, default=None)


def _behind(query: Select[Any], place: tuple[Any, Any], cursor: str | None, of: str) -> Select[Any]:
    """A list by time and key, both descending, behind a cursor."""
    at, key = place
    if cursor is not None:
        at_us, key_value = cursors.read(cursor, of, int, int)
        bound = _bound(place, of_microseconds(at_us), key_value)
        query = query.where(tuple_(at, key) < bound)
    return query.order_by(at.desc(), key.desc())


def _bound(place: tuple[Any, Any], at: datetime, key: int) -> ColumnElement[Any]:
    return tuple_(literal(at, place[0].type), literal(key, place[1].type))


async def videos_in(session: AsyncSession, video_ids: Sequence[str]) -> dict[str, VideoView]:
    """Those of some videos that are known."""
    wanted = sorted({*video_ids})
    return {
        row.video_id: video_view(row)
        async for row in in_parts(session, select(*VIDEO_COLUMNS), Video.video_id, wanted)
    }
