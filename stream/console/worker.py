"""The role `console`: the read model's follower and the web server, in one process."""

import asyncio
import getpass
import logging
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import cast

import uvicorn
from aiokafka import AIOKafkaConsumer

from stream.agents.disks import DISK_METRICS, folders_of
from stream.agents.health import Health
from stream.agents.lags import Lag
from stream.agents.lifetime import Deadline, Failure, supervised, watch_clients, within
from stream.agents.reading import Reading
from stream.console.kafka import ConsoleKafka
from stream.console.settings import DEFAULT_PORT
from stream.console.store.database import Database, is_away
from stream.console.store.follower import StoreFollower
from stream.console.web.app import create_app
from stream.console.web.console import Console, Store
from stream.console.web.match_store import MatchStore
from stream.console.web.ranged import CutOffError
from stream.console.webhooks.sender import WebhookSender
from stream.errors import SettingsError
from stream.metrics import OLDEST_UNDECIDED, UNDECIDED, begin_at_zero
from stream.settings import Settings
from stream.times import now

log = logging.getLogger(__name__)

REQUESTS_SECONDS = 3  # that a stop waits for answers, beside long polls, which it cuts
STARTED_EVERY_SECONDS = 0.02  # between looks at whether the server listens
COUNT_EVERY_SECONDS = 5.0  # between looks for the metrics, which Prometheus asks for more rarely
TIDY_EVERY_SECONDS = 3600.0  # sessions and keys that are over take room, and nothing else


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the process's business: all of its workers stop together."""
        yield


class _NotCutOff(logging.Filter):
    """Leaves out what is no bug: a source that failed amid an answer, of which there is a line."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the server's line is told."""
        return not (record.exc_info and isinstance(record.exc_info[1], CutOffError))


NOT_CUT_OFF = _NotCutOff()  # one: a logger takes the same filter once, however often it is added


class ConsoleWorker:
    """Serves pages and API, and keeps what they show as the topics say.

    Delivery contract: when `start` returns, pages show everything that was on the topics by then.

    Attributes:
        console: its parts, once it is started.
    """

    def __init__(self, settings: Settings) -> None:
        """Nothing is opened yet."""
        self._settings = settings
        self.failure: Failure = asyncio.get_running_loop().create_future()
        self.console: Console | None = None
        self._server: _Server | None = None
        self._database: Database | None = None
        self._follower: StoreFollower | None = None
        self._reading: Reading | None = None
        self._database_is_away = False
        self._tasks: list[asyncio.Task[None]] = []
        self._shown = ExitStack()

    async def start(self) -> None:
        """Open the database, read the topics to their present end, then listen.

        Raises:
            SettingsError: the port is taken, the address isn't this machine's, or workers couldn't
                fetch from `console.match_store`.
            DatabaseError: the database can't be used.
            BrokerError: a topic is missing.
        """
        own = self._settings.console
        begin_at_zero("console")
        self._shown.enter_context(DISK_METRICS.of(folders_of(self._settings, ["console"])))
        # First, as it is quickly known: a taken port is told before anything is migrated or read.
        self._socket = _listening(own.host, DEFAULT_PORT if own.port is None else own.port)
        files = None
        if own.match_store is not None:
            files = MatchStore(own.match_store, self._settings.fetch)
        self._database = await Database.open(own)
        self._follower = StoreFollower(self._settings, self._database, self.failure)
        (consumer,) = self._follower.clients()
        self._reading = Reading(cast(AIOKafkaConsumer, consumer))
        await self._follower.start()
        store = Store.of(self._database, self._follower)
        kafka = ConsoleKafka(self._settings.kafka)
        self.console = Console(self._settings, store, kafka, self._problems, match_store=files)
        self._server = _Server(_config(self.console))
        serving = self._server.serve(sockets=[self._socket])
        sender = WebhookSender(own, store.desk, self.console.signing_key, self.console.clock)
        self._tasks = [
            supervised(serving, "the console's server", self.failure),
            supervised(self._count(), "counting what is undecided", self.failure),
            supervised(self._tidy(), "tidying the console's database", self.failure),
            supervised(self._clear(), "tidying the console's match store", self.failure),
            supervised(sender.run(), "sending webhooks", self.failure),
            supervised(
                watch_clients(self._follower.clients, self.failure), "watching", self.failure
            ),
        ]
        while not self._server.started and not self._tasks[0].done():
            await asyncio.sleep(STARTED_EVERY_SECONDS)

    async def stop(self) -> None:
        """Answer what is being asked, then close everything."""
        deadline = Deadline(self._settings.worker.drain_seconds)
        self._shown.close()
        # In the order of who needs whom: answers ask the rows, and the follower writes them.
        if self._server is not None:
            self._server.should_exit = True
            await within(deadline.for_closing(), "the console's server", self._tasks[0])
        for task in self._tasks:
            task.cancel()
        # Who sends webhooks notes how the last ones went: the database is closed after that.
        gone = asyncio.gather(*self._tasks, return_exceptions=True)
        await within(deadline.for_closing(), "the console's tasks", gone)
        if self._follower is not None:
            await within(deadline.for_closing(), "the console's follower", self._follower.stop())
        if self.console is not None:
            search = self.console.search.close()
            await within(deadline.for_closing(), "the console's search view", search)
            await asyncio.to_thread(self.console.close)
        if self._database is not None:
            await within(deadline.for_closing(), "the console's database", self._database.close())
        if hasattr(self, "_socket"):
            self._socket.close()

    def health(self) -> Health:
        """How much it has to read; asked from another thread.

        Ready once it listens, however much comes then: pages that are behind are better than none.
        Waiting for Kafka or the database is no standstill.
        """
        not_ready = None if self._server is not None and self._server.started else "starting"
        lags = tuple(self._lags())
        stands = 0.0
        if self._reading is not None:
            # What isn't in the rows is work, also when it has been read.
            behind = sum(lag.messages for lag in lags)
            stands = self._reading.stands_still_seconds(behind, away=self._database_is_away)
        return Health("console", stands, not_ready, lags, role="console")

    def _lags(self) -> Iterator[Lag]:
        waiting = {} if self._follower is None else self._follower.lag()
        for name, messages in waiting.items():
            topic, _, partition = name.removesuffix("]").rpartition("[")
            yield Lag(self._settings.kafka.topic(topic), int(partition), messages)

    @property
    def url(self) -> str:
        """Where people reach it."""
        own = self._settings.console
        host, port = self._socket.getsockname()[:2]
        named = f"[{host}]" if ":" in host else host
        return own.public_url or f"http://{named}:{port}"

    def sign_in_link(self) -> str | None:
        """A one-time link for whoever started it; None where others may reach the console too."""
        if self.console is None or not self._settings.console.is_on_loopback:
            return None
        return f"{self.url}/signin/{self.console.links.make(user())}"

    def _problems(self, kind: str) -> Mapping[str, str]:
        return {"console": "it is ending"} if self.failure.done() else {}

    async def _count(self) -> None:
        """Keep true what the metrics say of uploads that nobody has decided."""
        while self.console is not None:
            try:
                found = await self.console.queries.overview(now(), hours=0)
            except Exception as error:
                if not is_away(error):
                    raise
                self._database_is_away = True
            else:
                self._database_is_away = False
                oldest = found.oldest_undecided
                since = None if oldest is None else oldest.submitted_at
                UNDECIDED.set(found.undecided)
                waited = 0.0 if since is None else (now() - since).total_seconds()
                OLDEST_UNDECIDED.set(max(0.0, waited))  # Kafka's clock may be ahead of ours
            await asyncio.sleep(COUNT_EVERY_SECONDS)

    async def _tidy(self) -> None:
        while self.console is not None:
            try:
                await self.console.desk.tidy(now())
            except Exception as error:
                if not is_away(error):
                    raise
                # The follower tells of it and waits; what is old can wait for an hour more.
            await asyncio.sleep(TIDY_EVERY_SECONDS)

    async def _clear(self) -> None:
        # Again and again: at a start, what a console that was killed has left may be too new.
        while self.console is not None and self.console.match_store is not None:
            await asyncio.to_thread(self.console.match_store.clear)
            await asyncio.sleep(TIDY_EVERY_SECONDS)


def _config(console: Console) -> uvicorn.Config:
    logging.getLogger("uvicorn.error").addFilter(NOT_CUT_OFF)
    return uvicorn.Config(
        create_app(console),
        lifespan="off",
        log_config=None,  # its own would replace that of the whole process
        access_log=False,  # addresses hold one-time secrets, and what people search for
        server_header=False,
        forwarded_allow_ips=[*console.settings.console.trusted_proxies],
        timeout_graceful_shutdown=REQUESTS_SECONDS,
    )


def _listening(host: str, port: int) -> socket.socket:
    """A socket on an address.

    Raises:
        SettingsError: it can't be had.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        made = socket.socket(family, kind, protocol)
        try:
            # A console that is started again needn't wait for what its last life left in TIME_WAIT.
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind(address)
            made.listen()
        except OSError:
            made.close()
            raise
    except OSError as error:
        raise SettingsError(
            f"console.port = {port} on console.host = {host!r} can't be used ({error.strerror}): "
            "name a port that is free (SAMESOURCE_CONSOLE__PORT), or end who has it"
        ) from error
    return made


def user() -> str:
    """Who started the process, as verdicts name them."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        return "operator"
