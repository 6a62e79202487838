"""A Faust app set up for this service: explicit topics, bytes in and out, manual acknowledgement.

Faust acknowledges an event also when its agent raised or was cancelled, which would drop it. The
agents here iterate with `noack()` and acknowledge after their outputs are on the broker.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import faust
from faust.serializers import codecs

from stream.agents.health import Health, Progress
from stream.agents.lags import Lag, furthest
from stream.agents.lifetime import Failure, fail
from stream.agents.ordered_consumer import OrderedApp
from stream.agents.publisher import Publisher
from stream.contract.topics import load_topics
from stream.settings import Settings
from stream.traces import about

log = logging.getLogger(__name__)


LONGEST_IDLE_SECONDS = 86_400.0
"""A day: Faust's own minutes would take a quiet topic, or a long upload, for a worker that hangs.
`worker.stalled_seconds` is what notices those."""
METADATA_SECONDS = 5.0
"""Just after its start a broker may not know its topics yet. A group that is formed then has no
partitions until its leader asks the broker again."""
BUFFERED_EVENTS = 64
"""Of each partition, read ahead of the work; an event of `video.compared` may have 32 MiB."""


class _Unread(codecs.Codec):
    """Of values that are read from their messages: Faust would keep each agent's last one here."""

    def _loads(self, s: bytes) -> bytes:
        return b""

    def _dumps(self, s: bytes) -> bytes:
        return s


class MovedError(Exception):
    """Partitions have moved, or the worker stops: an event comes again, perhaps to another."""


def make_app(
    role: str, settings: Settings, drain: "Drain", *, finish_before_rebalance: bool
) -> OrderedApp:
    """An app whose consumer group is `<prefix>samesource-<role>`.

    Args:
        role: of the worker.
        settings: of the service.
        drain: of the worker: is told when Faust crashes, and tells what is in flight.
        finish_before_rebalance: whether the group waits for the events in flight before partitions
            move. Where that takes minutes, the group gives up on this member sooner.
    """
    kafka, folder = settings.kafka, settings.worker.data_folder / role
    folder.mkdir(parents=True, exist_ok=True)
    app = OrderedApp(
        f"{kafka.topic_prefix}samesource-{role}",
        broker=[f"kafka://{server.strip()}" for server in kafka.bootstrap_servers.split(",")],
        broker_credentials=_credentials(settings),
        datadir=folder,
        store="memory://",
        # Who takes a partition over reads its changelog from the beginning, standby or not.
        table_standby_replicas=0,
        autodiscover=False,
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        topic_partitions=_partitions("video.uploaded"),
        consumer_max_fetch_size=kafka.max_message_bytes,
        producer_max_request_size=kafka.max_message_bytes,
        stream_recovery_delay=0.0,
        stream_wait_empty=finish_before_rebalance,
        stream_buffer_maxsize=BUFFERED_EVENTS,
        stream_processing_timeout=LONGEST_IDLE_SECONDS,
        broker_commit_interval=settings.worker.commit_seconds,
        consumer_metadata_max_age_ms=round(1000 * METADATA_SECONDS),
        broker_session_timeout=settings.worker.session_timeout_seconds,
        # Four may be lost before the group takes the member for dead; see `pulse.SILENCE`.
        broker_heartbeat_interval=settings.worker.session_timeout_seconds / 5,
        # Not reading for long means a backlog, which the group must not take for a dead member.
        broker_max_poll_interval=LONGEST_IDLE_SECONDS,
    )
    app.fetch_wait_ms = kafka.fetch_wait_ms
    app.watch_over(drain, drain.failure)
    return app


def raw_topic(app: faust.App, settings: Settings, *names: str) -> Any:
    """Topics of the contract, as bytes: parsing belongs to the step, where errors are values."""
    return app.topic(
        *(settings.kafka.topic(name) for name in names),
        partitions=_partitions(names[0]),
        key_type=bytes,
        key_serializer="raw",
        value_type=bytes,
        value_serializer=_Unread(),
        allow_empty=True,
    )


def contract_name(settings: Settings, topic: str) -> str:
    """The contract's name of a cluster topic."""
    return topic.removeprefix(settings.kafka.topic_prefix)


def _partitions(name: str) -> int:
    return next(topic.partitions for topic in load_topics() if topic.name == name)


def _credentials(settings: Settings) -> Any:
    kafka = settings.kafka
    if kafka.uses_sasl:
        return faust.SASLCredentials(
            username=kafka.sasl_username,
            # The settings refuse SASL without a password.
            password=kafka.sasl_password.get_secret_value() if kafka.sasl_password else "",
            ssl_context=kafka.ssl_context(),
            mechanism=kafka.sasl_mechanism,
        )
    context = kafka.ssl_context()
    return None if context is None else faust.SSLCredentials(context)


def consumer_health(
    name: str,
    app: OrderedApp,
    drain: "Drain",
    publisher: Publisher,
    *,
    not_ready: str | None = None,
    beside: Iterable[Lag] = (),
    stands_beside: Iterable[float] = (),
) -> Health:
    """How a worker is that reads in a consumer group.

    Kafka's absence is no standstill; a rebalance without an end is one, and so is a partition from
    which nothing comes.

    Args:
        name: of its role.
        app: reads.
        drain: of the worker.
        publisher: the same.
        not_ready: why it isn't, apart from what is seen here.
        beside: what waits of partitions that it reads outside of its group.
        stands_beside: for how many seconds each of those who read them stands still.
    """
    lags = app.lags()
    waits = publisher.waits_seconds
    # Each look while Kafka is away moves the clock on: what comes of it then is no standstill.
    if waits or not app.is_connected():
        drain.progress.reset()
    stands = drain.progress.stands_still_seconds(sum(lags.values()) + app.owed())
    if not_ready is None and not app.assigned:
        not_ready = "the group has given no partitions yet"
    if waits:
        not_ready = f"Kafka has not taken an event for {waits:.0f} s"
    return Health(
        name,
        max(stands, *stands_beside, 0.0),
        not_ready,
        furthest(
            (
                *(Lag(tp.topic, tp.partition, lag, app.oldest_at(tp)) for tp, lag in lags.items()),
                *beside,
            )
        ),
        role=name,
    )


class Drain:
    """Counts events in flight, so that a stop can wait for them and a bug can end the worker.

    Attributes:
        draining: whether the worker stops: what hasn't begun is left to the next one.
    """

    def __init__(self) -> None:
        self.failure: Failure = asyncio.get_running_loop().create_future()
        self.progress = Progress()
        self._idle = asyncio.Event()
        self._idle.set()
        self.draining = False

    async def consume(
        self, stream: Any, handle: Callable[[Any], Awaitable[None]], stage: str | None = None
    ) -> None:
        """Handle every event of a stream, acknowledging each after its handler returned.

        A handler that raises is a bug: the event stays unacknowledged, the worker ends, and the
        next one gets the event again; as when it raises a `MovedError`, which ends nothing.

        Args:
            stream: of Faust.
            handle: takes an event.
            stage: what it does, in the event's trace.
        """
        async for event in stream.noack().events():
            if self.draining or self.failure.done():
                continue  # not acknowledged: the next worker gets it
            self.progress.begin()
            # Set again by the last of those in hand: a drain waits for all of them.
            self._idle.clear()
            try:
                with about(event.message, stage=stage):
                    await handle(event)
                # Only behind the handler's last publication; whatever it raises leaves the event to
                # the next.
                event.ack()
            except MovedError as error:
                log.info("an event is not acknowledged: %s", error)
            except Exception as error:
                log.exception("a worker failed; its event is not acknowledged")
                fail(self.failure, error)
            finally:
                event.message.value = None  # Faust keeps the message until the next one comes
                self.progress.end()
                if self.progress.in_hand == 0:
                    self._idle.set()

    async def finished(self, seconds: float) -> bool:
        """Wait for the events in flight; False when time ran out."""
        try:
            await asyncio.wait_for(self._idle.wait(), seconds)
        except TimeoutError:
            count = self.progress.in_hand
            log.warning("%d events still in flight; they will be delivered again", count)
            return False
        return True

    async def drain(self, seconds: float) -> bool:
        """Take no further event and wait for those in flight; False when time ran out."""
        self.draining = True
        return await self.finished(seconds)
