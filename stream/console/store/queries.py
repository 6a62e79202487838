"""What pages and API ask of the read model.

Every list comes in pages by cursor: an index is read from where the cursor points, and never more
than `SCANNED` rows of it, whatever the filter. So a page may hold fewer than were asked for, even
none, and say all the same where to go on: only `next is None` is the end. Paging gives each row
that was there at its begin, and did not change, once, whatever arrives meanwhile. Numbers are
kept, not counted.

A cursor is opaque text for the same order and filter. A wrong one is a `QueryError`.
"""

from datetime import datetime, timedelta

from sqlalchemy import select

from stream.console.store import cursors
from stream.console.store.alert_queries import AlertQueries
from stream.console.store.batch import KEYS, in_parts
from stream.console.store.showing import (
    policy_view,
    upload_view,
)
from stream.console.store.tables import (
    Policy,
    Position,
    Tally,
    Upload,
    Video,
)
from stream.console.store.tallies import hour_of, wait_bound
from stream.console.store.video_queries import VideoQueries
from stream.console.store.views import (
    STATES,
    AlertFilter,
    Hour,
    Overview,
    Page,
    Place,
    PolicyCase,
    PolicyView,
    Waits,
)


class Queries(AlertQueries, VideoQueries):
    """Asks a database; keeps nothing."""

    async def policy(self, owner_id: str) -> PolicyView | None:
        """A rights holder's policy; None where there never was one."""
        async with self._database.reading() as session:
            row = await session.get(Policy, owner_id)
        return None if row is None else policy_view(row)

    async def policies(self, cursor: str | None = None, limit: int = 50) -> Page[PolicyView]:
        """Policies that hold, by owner."""
        query = select(Policy).where(Policy.body.is_not(None))
        if cursor is not None:
            query = query.where(Policy.owner_id > cursors.read(cursor, "policies", str)[0])
        async with self._database.reading() as session:
            found = await session.scalars(query.order_by(Policy.owner_id).limit(limit + 1))
            items = tuple(map(policy_view, found))
        if len(items) <= limit:
            return Page(items)
        return Page(items[:limit], cursors.written("policies", items[limit - 1].owner_id))

    async def policy_cases(
        self, owner_id: str, since: datetime, cursor: str | None = None, limit: int = 100
    ) -> Page[PolicyCase]:
        """Alerts of a rights holder of whatever state since then: what a dry run judges."""
        filter = AlertFilter(states=STATES, owner_id=owner_id, since=since)
        page = await self.alerts(filter, "newest", cursor, limit)
        ids = {video_id for one in page.items for video_id in (one.video_id, one.reference_id)}
        durations = select(Video.video_id, Video.duration_seconds).where(Video.video_id.in_(KEYS))
        async with self._database.reading() as session:
            rows = in_parts(session, durations, sorted(ids))
            seconds = {row.video_id: row.duration_seconds async for row in rows}
        cases = (
            PolicyCase(alert, seconds.get(alert.video_id), seconds.get(alert.reference_id))
            for alert in page.items
        )
        return Page(tuple(cases), page.next)

    async def overview(self, now: datetime, hours: int = 24) -> Overview:
        """How the service does, and did in the last hours."""
        since = hour_of(now - timedelta(hours=hours))
        tallies = select(Tally.kind, Tally.about, Tally.name, Tally.number)
        recent = tallies.where(Tally.kind.in_(("outcomes", "waits")), Tally.about > since)
        plain = tallies.where(
            Tally.kind.in_(("alerts", "library", "rejected", "undecided")), Tally.about == ""
        )
        oldest = (
            select(Upload)
            .where(Upload.status == "undecided")
            .order_by(Upload.listed_at, Upload.request_key)
            .limit(1)
        )
        numbers: dict[tuple[str, str], dict[str, int]] = {}
        async with self._database.reading() as session:
            for query in (recent, plain):
                for kind, about, name, number in await session.execute(query):
                    numbers.setdefault((kind, about), {})[name] = number
            waiting = (await session.scalars(oldest)).first()
        return Overview(
            hours=_hours(numbers),
            oldest_undecided=None if waiting is None else upload_view(waiting),
            undecided=numbers.get(("undecided", ""), {}).get("", 0),
            alerts={state: numbers.get(("alerts", ""), {}).get(state, 0) for state in STATES},
            library=numbers.get(("library", ""), {}),
            rejected=numbers.get(("rejected", ""), {}),
        )

    async def holds(self, place: Place) -> bool:
        """Whether the message at a place is in the rows: a verdict that was written comes back."""
        async with self._database.reading() as session:
            position = await session.get(Position, (place.topic, place.partition))
        return position is not None and position.next_offset > place.offset


def _hours(numbers: dict[tuple[str, str], dict[str, int]]) -> tuple[Hour, ...]:
    names = sorted(
        {about for kind, about in numbers if kind in ("outcomes", "waits")}, reverse=True
    )
    return tuple(
        Hour(
            begins=datetime.fromisoformat(f"{name}:00:00+00:00"),
            outcomes=numbers.get(("outcomes", name), {}),
            waits=Waits(
                {
                    wait_bound(exponent): number
                    for exponent, number in numbers.get(("waits", name), {}).items()
                }
            ),
        )
        for name in names
    )
