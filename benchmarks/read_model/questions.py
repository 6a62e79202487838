"""The questions of pages and API to the read model, one by one; serves `console`."""

import random
import time
from collections.abc import Awaitable, Callable
from typing import Any

from benchmarks.read_model.made_messages import BEGIN, Made
from stream.console.store.database import Database
from stream.console.store.desk import Desk
from stream.console.store.queries import Queries
from stream.console.store.views import STATES, AlertFilter, Order, Page, State

ORDERS: tuple[Order, ...] = ("newest", "longest", "surest")
DEEPEST = 20  # pages behind the first that are asked for

Ask = Callable[[], Awaitable[object]]


def pages_before(chance: random.Random) -> int:
    """How many pages of a list somebody has read: most read the first alone."""
    return chance.choice([0, 0, 1, chance.randrange(DEEPEST)])


class Asker:
    """Makes questions, each time others."""

    def __init__(self, database: Database, made: Made, seed: int = 2) -> None:
        self.queries, self.desk = Queries(database), Desk(database)
        self._made, self._chance = made, random.Random(seed)

    def questions(self) -> dict[str, Ask]:
        """One of each kind, by name."""
        queries = self.queries
        return {
            "queue, open": lambda: self._page(lambda c: queries.queue(cursor=c)),
            "queue, order": self._queue,
            "queue, rights holder": lambda: self._queue(owner_id=self._made.owner_id()),
            "queue, reference": lambda: self._queue(reference_id=self._made.reference_id()),
            "queue, score": lambda: self._queue(min_score=self._chance.uniform(0.7, 0.999)),
            "queue, age": lambda: self._queue(before=self._made.moment()),
            "queue, everything": lambda: self._queue(
                owner_id=self._made.owner_id(),
                min_score=self._chance.uniform(0.7, 0.99),
                since=self._made.moment(),
                states=self._states(),
            ),
            "queue, a rare uploader": lambda: self._queue(uploader_id="nobody"),
            "queue, nobody's": lambda: self._queue(claimed="nobody", now=BEGIN),
            "alerts, every state": lambda: self._page(
                lambda c: queries.alerts(AlertFilter(states=STATES), cursor=c)
            ),
            "alert": lambda: queries.alert(self._made.alert_id()),
            "alert, neighbours": lambda: queries.neighbours(self._made.alert_id()),
            "alert, reviews": lambda: queries.reviews_of_alert(self._made.alert_id()),
            "pair, reviews": lambda: queries.reviews_of_pair(
                self._made.video_id(), self._made.reference_id()
            ),
            "matches of a reference": lambda: queries.matches_of(
                self._made.reference_id(), "reference"
            ),
            "matches of an upload": lambda: queries.matches_of(self._made.video_id(), "video"),
            "numbers of alerts": queries.alert_numbers,
            "rights holders": queries.holders,
            "library": lambda: self._page(lambda c: queries.library(cursor=c)),
            "uploads": lambda: self._page(lambda c: queries.uploads(cursor=c)),
            "uploads, undecided": lambda: self._page(lambda c: queries.uploads("undecided", c)),
            "uploads of a video": lambda: queries.uploads_of(self._made.video_id()),
            "dead letters": lambda: self._page(lambda c: queries.rejections(cursor=c)),
            "policies": queries.policies,
            "policy, cases of a dry run": lambda: queries.policy_cases(
                self._made.owner_id(), self._made.moment()
            ),
            "overview": lambda: queries.overview(self._made.moment()),
            "claim": lambda: self.desk.claim_next(
                f"moderator-{self._chance.randrange(9)}", self._made.moment()
            ),
        }

    def _order(self) -> Order:
        return self._chance.choice(ORDERS)

    def _states(self) -> tuple[State, ...]:
        return tuple(self._chance.sample(STATES, 2))

    async def _queue(self, **fields: Any) -> object:
        filter, order = AlertFilter(**fields), self._order()
        return await self._page(lambda cursor: self.queries.queue(filter, order, cursor))

    async def _page(self, ask: Callable[[str | None], Awaitable[Page[Any]]]) -> float:
        """The seconds of a page somewhere in the list; those before it don't count."""
        cursor = None
        for _ in range(pages_before(self._chance)):
            following = (await ask(cursor)).next
            if following is None:
                break
            cursor = following
        start = time.perf_counter()
        await ask(cursor)
        return time.perf_counter() - start
