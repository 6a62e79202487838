"""The decide worker: answers, dead letters and policies in; alerts and decisions out."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import Any

from stream.agents.attempts import attempted, publish_or_reject
from stream.agents.deaths import Deaths
from stream.agents.faust_app import (
    Drain,
    MovedError,
    consumer_health,
    contract_name,
    make_app,
    raw_topic,
)
from stream.agents.flood_claims import FloodClaims
from stream.agents.health import Health
from stream.agents.join_table import JoinTable
from stream.agents.lifetime import Deadline, Failure, supervised, watch_clients, within
from stream.agents.policy_follower import PolicyFollower
from stream.agents.publisher import Publisher
from stream.agents.pulse import Pulse
from stream.agents.releases import Releases
from stream.agents.requests import Requests
from stream.agents.turns import Turns
from stream.contract.events import (
    AlertReviewed,
    AlertSuppressed,
    Event,
    VideoCompared,
    VideoDecided,
    VideoRejected,
)
from stream.contract.message import Source, submitted_at
from stream.decide.decide import Join, on_compared, on_rejected
from stream.decide.joins import CHANGELOG
from stream.decide.policy import Policies
from stream.errors import BadEventError, RejectedError, brief
from stream.failpoints import failpoint
from stream.metrics import (
    DECISION_SECONDS,
    LIBRARY_SHARDS,
    OUTCOMES,
    SUPPRESSED,
    begin_at_zero,
    show_lags,
)
from stream.settings import Settings
from stream.traces import note

log = logging.getLogger(__name__)

GAUGE_SECONDS = 1.0  # between looks for the metrics, which Prometheus asks for more rarely


def decide_step(
    source: Source,
    state_of: Callable[[bytes], Join],
    policies: Policies,
    *,
    as_soon_as_matched: bool = False,
) -> tuple[bytes, Join, Join, list[Event]]:
    """One answer or dead letter in; nothing is changed but what policies know of alerts.

    Where something is pending of its request, that comes out, and the message is to be taken again.

    Args:
        source: a message of `video.compared` or `video.rejected`.
        state_of: what is known of a request, by its key.
        policies: judge matches.
        as_soon_as_matched: see `DecideSettings`.

    Returns:
        The request's key, its state before and after, and what to publish.

    Raises:
        BadEventError: it can't be read, or is of no shard.
    """
    kind = VideoCompared if source.topic == VideoCompared.topic else VideoRejected
    said = kind.from_bytes(source.value)
    if isinstance(said, VideoCompared) and said.shard >= said.shards:  # it would wait for ever
        raise BadEventError(f"{said.shard = }, expected less than {said.shards = }")
    key = said.request_id.encode()
    before = state_of(key)
    if before.pending is not None:
        return key, before, before.pending.then, [*before.pending.outputs]
    if isinstance(said, VideoCompared):
        after, outputs = on_compared(
            before,
            said,
            policies,
            timestamp_ms=source.timestamp_ms,
            as_soon_as_matched=as_soon_as_matched,
        )
    else:
        after, outputs = on_rejected(before, said)
    return key, before, after, outputs


class DecideWorker:
    """A Faust agent with a table of joins, around the decide step.

    Delivery contract: an answer is acknowledged after the events that it caused and the new
    state of its request are on the broker. Before the first of them is published, all are in the
    changelog. So a crash in between repeats the answer, and whoever gets it publishes those events
    again, byte for byte, whatever verdicts and policies say by then. Nothing is decided before all
    policies and verdicts that were on their topics at the start have been read.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._publisher = Publisher(settings.kafka)
        self._drain = Drain()
        self._turns = Turns()
        self._pulse = Pulse(settings.worker.session_timeout_seconds)
        self._deaths = Deaths(settings.worker.data_folder, "decide")
        self._follower = PolicyFollower(settings, self._publisher, self._drain.failure, self._owns)
        self._claims = FloodClaims(
            settings.kafka, self._publisher, self._follower.policies.floods, self._drain.failure
        )
        self._app = make_app("decide", settings, self._drain, finish_before_rebalance=True)
        self._requests = Requests(settings, self._publisher)
        self._add_table()
        self._tasks: list[asyncio.Task[None]] = []
        self._not_ready: str | None = "policies are being read"
        begin_at_zero("decide")
        LIBRARY_SHARDS.set(settings.library.shards)
        self._add_agent()

    @property
    def failure(self) -> Failure:
        """Holds the error of a worker that must end."""
        return self._drain.failure

    def _add_table(self) -> None:
        state = raw_topic(self._app, self._settings, CHANGELOG)
        self._partitions = state.partitions
        state.compacting = True
        table = JoinTable(
            self._app,
            name="joins",
            partitions=state.partitions,
            key_type=bytes,
            value_type=bytes,
            changelog_topic=state,
        )
        table.on_recovered, table.on_all_recovered = self._note_recovered, self._all_recovered
        self._app.tables.add(table)

    def _owns(self, partition: int) -> bool:
        """Whether a partition of this number, of any topic that all workers read, is ours alone."""
        number = partition % self._partitions
        return any(number == tp.partition for tp in self._app.assignor.assigned_actives())

    def _add_agent(self) -> None:
        topic = raw_topic(self._app, self._settings, VideoCompared.topic, VideoRejected.topic)

        # As many as may come at a time: within a partition `_handle` keeps the order.
        @self._app.agent(topic, concurrency=self._partitions)
        async def decide(stream: Any) -> None:
            await self._drain.consume(stream, self._handle, "decide")

        policies, reviews = self._follower.policies, AlertReviewed.topic
        releases = Releases(self._publisher, self._deaths, policies, self._claims)

        @self._app.agent(raw_topic(self._app, self._settings, reviews))
        async def release(stream: Any) -> None:
            await self._drain.consume(stream, releases.handle, "release")

    async def _handle(self, event: Any) -> None:
        """Take a message when those before it on its partition are done; others don't wait."""
        message, era = event.message, self._app.era
        source = Source.of(message, contract_name(self._settings, message.topic))
        async with self._turns.queued(source.partition) as turn:
            await turn.come()
            # Once for what was pending, if something was, and once for the message itself.
            while await self._take(source, era):
                log.info("%s: what was about to be said of its request is said", source)

    async def _take(self, source: Source, era: int) -> bool:
        """Take a message, or say what is pending of its request: then it must be taken again.

        Raises:
            MovedError: the partition may be another worker's, which may judge otherwise.
        """
        await self._check_era(source, era)
        try:
            with self._deaths.at_work(source):
                key, before, after, outputs = await self._claimed_step(source)
                note(request_id=key.decode())
                noted = before
                if outputs and before.pending is None:
                    noted = self._requests.fitting(before.about_to_say(outputs, after))
                elif before.pending is None and after is not before:
                    after = self._requests.fitting(after)
        except RejectedError as error:
            await self._reject(source, error)
            return False
        failpoint("decide.before_pending")
        await self._check_era(source, era)  # a claim may have taken its time
        # Written down before the first word is out; `Pending` says why.
        if noted is not before:
            await self._store(source, era, key, noted)
        failpoint("decide.before_produce")
        published = await publish_or_reject(
            self._publisher, source, outputs, request_id=key.decode()
        )
        failpoint("decide.after_produce")
        too_large = any(isinstance(output, VideoRejected) for output in published)
        after = noted.unsaid() if too_large else after  # then the letter decides it
        if after is not before:
            await self._store(source, era, key, after)
            failpoint("decide.after_state")
            self._requests.note_waiting(source.partition, key, after, source.timestamp_ms)
        for output in published:
            _count(output)
        is_answered = too_large and source.topic == VideoCompared.topic
        return before.pending is not None and not is_answered

    async def _store(self, source: Source, era: int, key: bytes, state: Join) -> None:
        """Write a state, then know it.

        Raises:
            MovedError: partitions have moved meanwhile. Whoever recovers this one may have read the
                changelog up to just before it, so the message must come to them again.
        """
        await self._requests.write(source.partition, key, state)
        await self._check_era(source, era)
        self._requests.put(source.partition, key, state)

    async def _check_era(self, source: Source, era: int) -> None:
        """Go on if partitions are where they were; after a freeze, when that is known again.

        Behind what was noted: had another taken the partition before that, it is known by now; one
        that takes it later finds the note.
        """
        await self._pulse.until_sure(lambda: self._app.era != era)
        if self._app.era != era:
            raise MovedError(f"partitions have moved, {source} among them perhaps")

    async def _claimed_step(self, source: Source) -> tuple[bytes, Join, Join, list[Event]]:
        """As `_step`, once all alerts that a limit applies to have their place in the order."""
        policies = self._follower.policies
        while True:
            # What a step that raised has left is not of this message.
            policies.take_unclaimed()
            found = attempted(source, lambda: self._step(source))
            unclaimed = policies.take_unclaimed()
            if not unclaimed:
                return found
            await self._claims.claim(unclaimed)

    async def _reject(self, source: Source, error: RejectedError) -> None:
        """Tell of a message that nothing can be made of, so that its request is decided."""
        log.warning("%s is passed over: %s: %s", source, error.code, brief(error))
        if source.topic != VideoRejected.topic:  # a dead letter of a dead letter helps nobody
            letter = source.rejected(error)
            await self._publisher.publish([letter])
            _count(letter)

    def _step(self, source: Source) -> tuple[bytes, Join, Join, list[Event]]:
        return decide_step(
            source,
            lambda key: self._requests.get(source.partition, key),
            self._follower.policies,
            as_soon_as_matched=self._settings.decide.as_soon_as_matched,
        )

    def _note_recovered(self, partition: int, key: bytes, value: bytes | None) -> None:
        self._not_ready = "requests are being recovered"
        self._drain.progress.reset()  # a recovery may be long, as long as it goes on
        self._requests.recover(partition, key, value)

    def _all_recovered(self, partitions: set[int]) -> None:
        self._requests.keep(partitions)
        self._not_ready = None

    async def _show_waiting(self) -> None:
        while True:
            show_lags("decide", self._app.lags())
            self._requests.show({tp.partition for tp in self._app.assignor.assigned_actives()})
            await asyncio.sleep(GAUGE_SECONDS)

    async def start(self) -> None:
        """Connect, read all policies and verdicts, recover the table and begin to read."""
        self._deaths.open()
        await self._publisher.start()
        # Policies, verdicts and claims first, to their ends: nothing may be judged by half of them.
        await self._follower.start()
        await self._claims.start()
        self._not_ready = "requests are being recovered"
        for name, coroutine in (
            ("watching Kafka's clients", watch_clients(self._clients, self.failure)),
            ("counting what waits", self._show_waiting()),
            ("noticing a freeze", self._pulse.beat()),
            ("forgetting old requests", self._requests.forget()),
        ):
            self._tasks.append(supervised(coroutine, name, self.failure))
        # Last: from here on answers come.
        await self._app.start()

    async def stop(self) -> None:
        """Finish what is in flight within the drain time, then leave the group."""
        deadline = Deadline(self._settings.worker.drain_seconds)
        await self._drain.drain(deadline.for_events())
        await within(deadline.for_closing(), "leaving the group", self._app.stop())
        self._deaths.close()
        for task in self._tasks:
            task.cancel()
        await within(deadline.for_closing(), "leaving the policies", self._follower.stop())
        await within(deadline.for_closing(), "leaving the claims", self._claims.stop())
        await within(deadline.for_closing(), "disconnecting", self._publisher.stop())

    def _clients(self) -> Iterator[object]:
        yield from self._app.clients()
        yield from self._publisher.clients()
        yield from self._follower.clients()
        yield from self._claims.clients()

    def health(self) -> Health:
        """Ready when policies are read and the table is recovered."""
        away = self._publisher.waits_seconds > 0
        return consumer_health(
            "decide",
            self._app,
            self._drain,
            self._publisher,
            not_ready=self._not_ready,
            beside=(*self._follower.lags(), *self._claims.lags()),
            stands_beside=[
                reader.stands_still_seconds(away=away) for reader in (self._follower, self._claims)
            ],
        )


def _count(output: Event) -> None:
    label = output.outcome if isinstance(output, VideoDecided) else output.topic
    OUTCOMES.labels("decide", label).inc()
    if isinstance(output, VideoDecided) and (since := submitted_at(output.request_id)) is not None:
        # Kafka's clock, or a producer's, may be ahead of ours.
        DECISION_SECONDS.labels(label).observe(max(0.0, output.decided_at.timestamp() - since))
    if isinstance(output, AlertSuppressed):
        SUPPRESSED.labels(output.reason).inc()
