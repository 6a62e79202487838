"""What every route needs, in one place: it hangs on the application, and tests build their own."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Protocol
from weakref import WeakValueDictionary

from fastapi import Depends, Request

from stream.console.kafka import ConsoleKafka
from stream.console.store.audit import NewLine
from stream.console.store.database import Database, is_away
from stream.console.store.desk import Desk
from stream.console.store.queries import Queries
from stream.console.store.views import Place
from stream.console.web.evidence import Evidence
from stream.console.web.lags import Lags
from stream.console.web.late_lines import LateLines
from stream.console.web.match_store import MatchStore
from stream.console.web.matches import Matches
from stream.console.web.media import Videos
from stream.console.web.mirrored import Mirrors
from stream.console.web.pictures import PictureVectors
from stream.console.web.playable import Playables
from stream.console.web.ranged import RangedVideos
from stream.console.web.signin.limits import Attempts, Requests, Waits
from stream.console.web.signin.links import OneTimeLinks
from stream.console.web.signin.provider import Provider
from stream.console.web.text_search import TextSearch
from stream.console.web.turns import Turns
from stream.console.webhooks.keys import SigningKey, signing_key
from stream.contract.events import PolicyUpdated
from stream.contract.message import Source
from stream.settings import Settings
from stream.times import now

log = logging.getLogger(__name__)

COMES_BACK_SECONDS = 5.0  # for a write to be in the rows; a page that is sooner shows it as it was
PICTURES_AT_ONCE, DRY_RUNS_AT_ONCE = 4, 1  # that are answered; set by hand, as the next two
MOST_WAITING = 8  # for either: more would come too late
DEAR_FORMS_A_MINUTE = 30  # of one session, as a person sends them
LATE_SECONDS = 20.0  # for a database that was away to take a line; less than clients wait


@contextmanager
def after_writing(what: str) -> Iterator[None]:
    """What follows when Kafka has a write: it stands, so the log alone is told what fails."""
    try:
        yield
    except Exception:
        log.exception("a write is on Kafka, but what follows failed: %s", what)


class Follows(Protocol):
    """What feeds the rows, as far as a route waits for it."""

    async def until(self, place: Place, seconds: float) -> bool:
        """Wait until the message at a place is in the rows; whether that came to be in time."""
        ...


@dataclass
class Store:
    """The read model: what is asked, what lives only there, and what feeds it."""

    queries: Queries
    desk: Desk
    follower: Follows

    @classmethod
    def of(cls, database: Database, follower: Follows) -> "Store":
        """On an open database."""
        return cls(Queries(database), Desk(database), follower)


@dataclass
class Console:
    """The parts of the running console.

    Attributes:
        problems: why the process isn't `live` or `ready`, by the name of what isn't.
        clock: the time, for tests.
        match_store: for files that people ask about; None where the settings name none.
    """

    settings: Settings
    store: Store
    kafka: ConsoleKafka
    problems: Callable[[str], Mapping[str, str]] = field(default=lambda kind: {})
    clock: Callable[[], datetime] = now
    match_store: MatchStore | None = None

    def __post_init__(self) -> None:
        own = self.settings.console
        self.links = OneTimeLinks(own.link_seconds)
        self.attempts = Attempts()
        self.requests = Requests(own.requests_per_minute)
        self.dear_forms = Requests(DEAR_FORMS_A_MINUTE)
        self.waits = Waits(own.waits_each)
        self.pictures_asked = Turns(PICTURES_AT_ONCE, MOST_WAITING)
        self.dry_runs = Turns(DRY_RUNS_AT_ONCE, MOST_WAITING)
        self._late_lines = LateLines(self.desk)
        self._signing_key: SigningKey | None = None
        self._policies = asyncio.Lock()
        self._turns = WeakValueDictionary[tuple[str, ...], asyncio.Lock]()
        self.videos = Videos(self.settings.fetch, own.cache_bytes)
        self.ranged_videos = RangedVideos(self.settings.fetch, own.stream_concurrency)
        self.playables = Playables(self.settings.decode, own.cache_bytes)
        self.evidence = Evidence(self.kafka)
        self.mirrors = Mirrors(self.settings.decode, self.videos)
        self.matches = Matches(self.settings.kafka)
        self.lags = Lags(self.settings.kafka, self.settings.library.shards)
        self.search = TextSearch(self.settings)
        self.pictures = PictureVectors(self.settings)
        self.provider = None if own.oidc_issuer is None else Provider(own)

    @property
    def queries(self) -> Queries:
        """What pages and API ask."""
        return self.store.queries

    @property
    def desk(self) -> Desk:
        """What lives only in the database."""
        return self.store.desk

    def signing_key(self) -> SigningKey | None:
        """That secrets of webhooks are made by; None where there is none yet.

        Raises:
            SettingsError: it can't be read.
        """
        if self._signing_key is None:
            self._signing_key = signing_key(self.settings.console, make=False)
        return self._signing_key

    def made_signing_key(self) -> SigningKey:
        """The same; it is made where there is none.

        Raises:
            SettingsError: it can't be read or made.
        """
        found = self.signing_key() or signing_key(self.settings.console, make=True)
        assert found is not None, "it was made"
        self._signing_key = found
        return found

    async def note(
        self,
        person: str,
        action: str,
        about: str,
        why: str | None = None,
        detail: Mapping[str, Any] | None = None,
    ) -> None:
        """Write a line of the audit log on what Kafka has.

        Where it can't be, the process's log has it, and the audit log when the database is back:
        that is waited for, a while, before anybody is told that the write was taken.
        """
        line = NewLine(self.clock(), person, action, about, why, detail or {})
        said = f"the audit log's line {person!r} {action!r} {about!r}, {why = }, {detail = }"
        late: asyncio.Event | None = None
        with after_writing(said):
            try:
                await self.desk.note(person, action, about, line.at, why, detail)
            except Exception as error:
                late = self._late_lines.add(line) if is_away(error) else None
                raise
        if late is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(late.wait(), LATE_SECONDS)

    def turn(self, *words: str) -> asyncio.Lock:
        """One of those who do the same at a time, in this process."""
        return self._turns.setdefault(words, asyncio.Lock())

    async def come_back(self, places: Sequence[Source | Place]) -> None:
        """Wait until what was written is in the rows, or a while."""
        waits = (
            self.store.follower.until(
                Place(each.topic, each.partition, each.offset), COMES_BACK_SECONDS
            )
            for each in places
        )
        with after_writing("waiting for the rows"):
            await asyncio.gather(*waits)

    @asynccontextmanager
    async def policies(self) -> AsyncIterator[None]:
        """One write of a policy at a time, in the sight of all that were written before.

        Of two who write one policy, the second has not read it: what the one has written is in the
        rows when the other compares. Consoles on one database take turns; what those on others
        have written meanwhile is waited for, as long as for one's own.
        """
        async with self._policies, AsyncExitStack() as turn:
            await turn.enter_async_context(self.desk.alone("policies"))
            ends = await self.kafka.ends(PolicyUpdated.topic)
            last = (Place(PolicyUpdated.topic, each, end - 1) for each, end in ends.items())
            await asyncio.gather(
                *(self.store.follower.until(each, COMES_BACK_SECONDS) for each in last)
            )
            yield
            with after_writing("giving the turn to write policies back"):
                await turn.aclose()

    def close(self) -> None:
        """Give back what it holds."""
        self._late_lines.close()
        self.videos.close()
        self.ranged_videos.close()
        self.playables.close()
        self.mirrors.close()
        self.pictures.close()
        self.matches.close()
        self.lags.close()
        self.kafka.close()


def console_of(request: Request) -> Console:
    """The console that a request came to."""
    found = request.app.state.console
    assert isinstance(found, Console)
    return found


async def _here(request: Request) -> Console:
    # FastAPI runs plain functions in a thread, which takes longer than what they do.
    return console_of(request)


Here = Annotated[Console, Depends(_here)]
"""The console that a request came to, as an argument of a route."""
