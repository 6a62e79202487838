"""What is asked of alerts and verdicts; see `queries.py`."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal

from sqlalchemy import (
    Select,
    bindparam,
    func,
    select,
)
from sqlalchemy.ext.asyncio import AsyncSession

from stream.console.store import cursors
from stream.console.store.branches import Branches, branch_values
from stream.console.store.columns import EPOCH, key_of, microseconds, of_microseconds
from stream.console.store.database import Database
from stream.console.store.filters import STATEMENTS, since_of
from stream.console.store.groups import alerts_in, groups_of
from stream.console.store.listing import (
    PAGE_LOOKS,
    Listing,
    Where,
    branches_like,
    branches_of,
    look_on,
    name_of,
    where_is,
    written_where,
)
from stream.console.store.project_alerts import pair_key
from stream.console.store.showing import (
    alert_view,
    dismissed_span,
    review_view,
)
from stream.console.store.tables import (
    ALERTS,
    Alert,
    Review,
    Tally,
    Verdict,
)
from stream.console.store.views import (
    ALL_OPEN,
    STATES,
    AlertFilter,
    AlertView,
    DismissedSpan,
    HolderView,
    Order,
    Page,
    Place,
    QueuePage,
    ReviewView,
    State,
)

LONGEST_HISTORY = 200  # verdicts of an alert or a pair that are shown; set by hand
LONGEST_PAIR = 100  # alerts of a pair whose verdicts are shown; set by hand

TALLIES = Tally.__table__.c
STATES_OF = (
    select(TALLIES.name, func.sum(TALLIES.number))
    .where(TALLIES.kind == "alerts", TALLIES.about.in_(bindparam("about", expanding=True)))
    .group_by(TALLIES.name)
)
"""How many alerts of some rights holders together are in each state."""


class AlertQueries:
    """Asks for alerts, one by one and by their uploads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def queue(
        self,
        filter: AlertFilter = ALL_OPEN,
        order: Order = "newest",
        cursor: str | None = None,
        limit: int = 50,
        alerts_each: int = 5,
    ) -> QueuePage:
        """Uploads with alerts that the filter lets through, by their first alert in this order.

        Alerts that are raised after the first page was asked for are not in the later ones, and
        none grows too old for them meanwhile.
        """
        of, since = name_of("queue", filter, order), since_of(filter)
        async with self._database.reading() as session:
            if cursor is None:
                as_of, after = await _newest(session, filter), None
            else:
                kinds = (int, int, *_where_kinds(order))
                as_of_us, since_us, *values = cursors.read(cursor, of, *kinds)
                as_of, after = of_microseconds(as_of_us), _where(values, order)
                since = None if since is None else of_microseconds(since_us)
            listing = Listing(replace(filter, since=since, within=None), order, as_of, firsts=True)
            found = await look_on(session, listing, after, limit, PAGE_LOOKS)
            groups, references = await groups_of(session, found.rows, listing, alerts_each)
            numbers = await _numbers_of_states(session, filter.visible_owner_ids)
        on = None
        if found.on is not None:
            instants = microseconds(as_of), microseconds(since or EPOCH)
            on = cursors.written(of, *instants, *written_where(found.on, order))
        return QueuePage(groups, on, references, numbers)

    async def alerts(
        self,
        filter: AlertFilter = ALL_OPEN,
        order: Order = "newest",
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[AlertView]:
        """Alerts one by one."""
        of = name_of("alerts", filter, order)
        after = None
        if cursor is not None:
            after = _where(cursors.read(cursor, of, *_where_kinds(order)), order)
        async with self._database.reading() as session:
            found = await look_on(session, Listing(filter, order), after, limit)
            alerts = await alerts_in(session, [row.alert_id for row in found.rows])
        on = None if found.on is None else cursors.written(of, *written_where(found.on, order))
        return Page(tuple(alerts[row.alert_id] for row in found.rows), on)

    async def alert(
        self, alert_id: str, visible_owner_ids: Sequence[str] | None = None
    ) -> AlertView | None:
        """One alert; None where there is none, or it isn't to be seen."""
        async with self._database.reading() as session:
            row = await session.get(Alert, alert_id)
        if row is None:
            return None
        # Told as one that isn't there: nobody is to find out which ids others have.
        seen = visible_owner_ids is None or row.reference_owner_id in visible_owner_ids
        return alert_view(row) if seen else None

    async def neighbours(
        self, alert_id: str, filter: AlertFilter = ALL_OPEN, order: Order = "newest"
    ) -> tuple[str | None, str | None]:
        """The ids of the alerts before and after one in a list."""
        async with self._database.reading() as session:
            row = await session.get(Alert, alert_id)
            if row is None:
                return None, None
            place = where_is(row, order)
            listing = Listing(filter, order)
            before = await look_on(session, replace(listing, backwards=True), place, 1)
            behind = await look_on(session, listing, place, 1)
        first, second = (
            found.rows[0].alert_id if found.rows else None for found in (before, behind)
        )
        return first, second

    async def alert_numbers(self, owner_ids: Sequence[str] | None = None) -> dict[State, int]:
        """How many alerts are in each state: of all rights holders, or of these together."""
        async with self._database.reading() as session:
            return await _numbers_of_states(session, owner_ids)

    async def holders(self, cursor: str | None = None, limit: int = 50) -> Page[HolderView]:
        """Rights holders that alerts are about, by id."""
        after = "" if cursor is None else cursors.read(cursor, "holders", str)[0]
        query = (
            select(Tally.about, Tally.name, Tally.number)
            .where(Tally.kind == "alerts", Tally.about > after)
            .order_by(Tally.about, Tally.name)
            # One holder more than wanted: the last may be cut, and isn't shown.
            .limit((limit + 1) * len(STATES))
        )
        numbers: dict[str, dict[str, int]] = {}
        async with self._database.reading() as session:
            for about, name, number in await session.execute(query):
                numbers.setdefault(about, {})[name] = number
        items = tuple(HolderView(owner, found) for owner, found in [*numbers.items()][:limit])
        if len(numbers) <= limit:
            return Page(items)
        return Page(items, cursors.written("holders", items[-1].owner_id))

    async def reviews_of_alert(self, alert_id: str) -> tuple[ReviewView, ...]:
        """Every verdict on an alert, the newest first; at most 200."""
        return await self._reviews([alert_id])

    async def reviews_at(self, places: Sequence[Place]) -> tuple[ReviewView, ...]:
        """The verdicts that lie at these places; those that are there."""
        async with self._database.reading() as session:
            keys = [(each.topic, each.partition, each.offset) for each in places]
            rows = [await session.get(Review, key) for key in keys]
        return tuple(review_view(row) for row in rows if row is not None)

    async def reviews_of_pair(self, video_id: str, reference_id: str) -> tuple[ReviewView, ...]:
        """Every verdict on any alert of two videos, the newest first; at most 200."""
        query = select(Alert.alert_id).where(Alert.pair_key == pair_key(video_id, reference_id))
        async with self._database.reading() as session:
            alert_ids = [*await session.scalars(query.limit(LONGEST_PAIR))]
        return await self._reviews(alert_ids)

    async def spans_dismissed(
        self, reference_id: str, visible_owner_ids: Sequence[str] | None = None
    ) -> tuple[DismissedSpan, ...]:
        """What dismissals of seconds of a reference hold, by second; at most 200.

        Args:
            reference_id: of the reference.
            visible_owner_ids: as in `AlertFilter`: of the alerts that were dismissed so.
        """
        query = (
            select(Verdict)
            .where(
                Verdict.reference_key == key_of(reference_id),
                Verdict.reach == "span",
                Verdict.reference_id == reference_id,
            )
            .order_by(Verdict.reference_start_seconds, Verdict.alert_id)
            .limit(LONGEST_HISTORY)
        )
        if visible_owner_ids is not None:
            alert = Verdict.alert_id == Alert.alert_id
            query = query.join(Alert, alert).where(Alert.reference_owner_id.in_(visible_owner_ids))
        async with self._database.reading() as session:
            return tuple(map(dismissed_span, await session.scalars(query)))

    async def matches_of(
        self,
        video_id: str,
        side: Literal["video", "reference"],
        visible_owner_ids: Sequence[str] | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[AlertView]:
        """Alerts of a video in every state, the newest first.

        Args:
            video_id: of the video.
            side: `video`: what it copies; `reference`: what copies it.
            visible_owner_ids: as in `AlertFilter`.
            cursor: of the page before.
            limit: on a page.
        """
        visible = None if visible_owner_ids is None else tuple(visible_owner_ids)
        filter = AlertFilter(states=STATES, visible_owner_ids=visible)
        if side == "video":
            filter = replace(filter, video_id=video_id)
        else:
            filter = replace(filter, reference_id=video_id)
        return await self.alerts(filter, "newest", cursor, limit)

    async def _reviews(self, alert_ids: Sequence[str]) -> tuple[ReviewView, ...]:
        query = (
            select(Review)
            .where(
                Review.alert_key.in_([key_of(alert_id) for alert_id in alert_ids]),
                Review.alert_id.in_(alert_ids),
            )
            .order_by(Review.reviewed_at.desc(), Review.partition.desc(), Review.offset.desc())
            .limit(LONGEST_HISTORY)
        )
        async with self._database.reading() as session:
            return tuple(map(review_view, await session.scalars(query)))


async def _newest(session: AsyncSession, filter: AlertFilter) -> datetime:
    """When the newest alert of a filter's branches was raised; 1970 where there is none."""
    of = branches_of(filter)
    if not of:
        return EPOCH
    query = _newest_of_each(branches_like(len(of), len(of[0])))
    found = (await session.execute(query, branch_values(of))).scalars()
    return max((each for each in found if each is not None), default=EPOCH)


@lru_cache(STATEMENTS)
def _newest_of_each(branches: Branches) -> Select[Any]:
    return branches.each(select(func.max(ALERTS.c.raised_at)).where(*branches.conditions))


async def _numbers_of_states(
    session: AsyncSession, owner_ids: Sequence[str] | None
) -> dict[State, int]:
    about = [""] if owner_ids is None else owner_ids
    rows = await session.execute(STATES_OF, {"about": about})
    found = {name: int(number) for name, number in rows}
    return {state: found.get(state, 0) for state in STATES}


def _where_kinds(order: Order) -> tuple[type, type]:
    return (int if order == "newest" else float), int


def _where(place: Sequence[Any], order: Order) -> Where:
    value, key = place
    return (of_microseconds(value) if order == "newest" else value), key
