"""The fingerprint worker: uploads in; fingerprints and embeddings, or dead letters, out."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from aiokafka.errors import MessageSizeTooLargeError

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
from stream.agents.health import Health
from stream.agents.lifetime import Deadline, Failure, supervised, watch_clients, within
from stream.agents.ordered_consumer import OrderedApp
from stream.agents.probe_fingerprints import ProbeFingerprints
from stream.agents.publisher import Publisher
from stream.agents.pulse import Pulse
from stream.agents.suspects import Suspects
from stream.agents.turns import Turns
from stream.broker.topics import log_identity
from stream.contract.events import (
    Event,
    VideoFingerprinted,
    VideoRejected,
    VideoUploaded,
    parse_json,
)
from stream.contract.message import Source
from stream.contract.order import submission_of
from stream.errors import BadEventError, NoPermitError, RejectedError, brief
from stream.failpoints import failpoint
from stream.fetch.permits import LargeDownloads, Permit
from stream.fingerprint.fingerprinter import Fingerprinter
from stream.metrics import (
    FRAMES,
    OUTCOMES,
    VIDEO_SECONDS,
    WAITING_DOWNLOADS,
    begin_at_zero,
    observe_stages,
    show_lags,
    show_models,
)
from stream.settings import Settings
from stream.traces import carried, note

log = logging.getLogger(__name__)

GAUGE_SECONDS = 1.0  # between looks for the metrics, which Prometheus asks for more rarely
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 60.0
"""Before an upload that waits for disk or memory tries again; doubled each time. A minute is short
beside what it takes somebody to make room, and long beside what a try costs."""
MEMORY_TRIES = 6
"""Half a minute: as long as other uploads take to give memory back. One that needs too much by
itself would wait for ever, so the worker ends then, and notes whose fault that may be."""


def fingerprint_step(
    fingerprinter: Fingerprinter,
    source: Source,
    log_id: str | None = None,
    permit: Permit | None = None,
) -> list[Event]:
    """One upload message in, events out; never raises for bad input.

    Args:
        fingerprinter: does the work.
        source: the upload's message.
        log_id: of its topic, for the place of the submission.
        permit: for a large download; without one it needn't wait.

    Returns:
        The embedding, if there is one, and the fingerprint, or one dead letter.

    Raises:
        NoPermitError: its download is large, and must wait for its permit.
        Exception: what the machine lacks: worth another attempt.
    """
    stages: dict[str, float] = {}
    try:
        upload = VideoUploaded.from_bytes(source.value)
        made = attempted(
            source, lambda: fingerprinter.fingerprint(upload, source.request_id, stages, permit)
        )
    except RejectedError as error:
        log.info("rejected %s %s: %s", source.request_id, error.code, brief(error))
        return [source.rejected(error, stage_seconds=stages)]
    submission = {"submission": submission_of(source, log_id)}
    events = [event for event in (made.embedding, made.fingerprint.to_event()) if event is not None]
    return [event.model_copy(update=submission) for event in events]


class FingerprintWorker:
    """A Faust agent around `fingerprint_step`.

    Delivery contract: an upload is acknowledged after its embedding and fingerprint, in this order,
    or its dead letter, are on the broker. A crash before that repeats the upload. Uploads of one
    video are published in the order in which they were submitted, as long as one worker has them.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._fingerprinter = Fingerprinter(settings)
        worker = settings.worker
        # Threads for those that compute and those that download: a slow server keeps no slot.
        at_a_time = worker.fingerprint_concurrency + worker.fetch_concurrency
        self._threads = ThreadPoolExecutor(at_a_time, "fingerprint")
        self._at_work = asyncio.Semaphore(at_a_time)
        self._large = LargeDownloads(worker.large_downloads, settings.fetch.small_bytes)
        # As many again as download: large ones that wait hide no small one behind them.
        self._in_hand = at_a_time + worker.fetch_concurrency
        self._publisher = Publisher(settings.kafka)
        self._drain = Drain()
        self._turns = Turns()
        self._pulse = Pulse(worker.session_timeout_seconds)
        self._log_id: str | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._deaths = Deaths(settings.worker.data_folder, "fingerprint")
        self._suspects = Suspects(self._deaths)
        self._app = self._make_app()
        begin_at_zero("fingerprint")
        show_models("fingerprint", self._fingerprinter.networks)
        self._probes = ProbeFingerprints(
            settings, self._fingerprinter, self._publisher, self._deaths, self.failure
        )

    @property
    def failure(self) -> Failure:
        """Holds the error of a worker that must end."""
        return self._drain.failure

    def _make_app(self) -> OrderedApp:
        app = make_app("fingerprint", self._settings, self._drain, finish_before_rebalance=False)
        topic = raw_topic(app, self._settings, VideoUploaded.topic)

        @app.agent(topic, concurrency=self._in_hand)
        async def fingerprint(stream: Any) -> None:
            await self._drain.consume(stream, self._handle, "fingerprint")

        return app

    async def _handle(self, event: Any) -> None:
        source = Source.of(event.message, contract_name(self._settings, event.message.topic))
        note(request_id=source.request_id)
        era, freezes = self._app.era, self._pulse.freezes
        # Its turn is taken before the work, in the topic's order, and waited for after it: uploads
        # of one video are worked on side by side and still published in order.
        async with self._turns.queued(_video_id(source) or source) as turn:
            outputs = await self._made(source)
            await turn.come()
            # What another was given meanwhile, and what came after it, may be out by now.
            await self._pulse.until_sure(lambda: self._app.era != era)
            if self._app.era != era and self._pulse.freezes != freezes:
                raise MovedError(f"partitions have moved in a freeze, {source} among them perhaps")
            failpoint("fingerprint.before_produce")
            await self._publish(source, outputs)
            failpoint("fingerprint.after_produce")

    async def _made(self, source: Source) -> list[Event]:
        """What the step makes of an upload, once there is a permit for its download.

        Raises:
            MovedError: it has not begun, and comes again.
        """
        era = self._app.era

        def check() -> None:
            if self._drain.draining or self._app.era != era:
                raise MovedError(f"{source} has not begun")

        with self._large.permit() as permit:
            while True:
                try:
                    return await self._begun(source, permit, check)
                except RejectedError as error:
                    return [source.rejected(error)]
                except NoPermitError:
                    log.info("%s is large, and waits until another large download ends", source)
                # With no thread, none of those at work, and no note that it is in hand.
                await permit.come(check)

    async def _begun(
        self, source: Source, permit: Permit, check: Callable[[], None]
    ) -> list[Event]:
        async with self._at_work:
            check()
            async with self._suspects.at_work(source):
                return await self._patiently(source, permit)

    async def _patiently(self, source: Source, permit: Permit | None = None) -> list[Event]:
        """The step, again and again while the machine lacks what it takes.

        Raises:
            NoPermitError: its download is large, and must wait for its permit.
            MemoryError: again and again: the worker should end, and begin anew.
        """
        pause, left = FIRST_PAUSE_SECONDS, MEMORY_TRIES
        while True:
            try:
                return await asyncio.get_running_loop().run_in_executor(
                    self._threads,
                    carried(fingerprint_step),
                    self._fingerprinter,
                    source,
                    self._log_id,
                    permit,
                )
            # The disk or memory of this machine: no fault of the video's, so it is never rejected
            # for it.
            except (OSError, MemoryError) as error:
                left -= isinstance(error, MemoryError)
                if left == 0:
                    raise
                why = str(error) or type(error).__name__
                log.warning("%s waits for the machine (%s); again in %.0f s", source, why, pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    async def _publish(self, source: Source, outputs: list[Event]) -> None:
        outputs = await self._with_place(outputs)
        outputs = await publish_or_reject(self._publisher, source, outputs)
        for output in outputs:
            if isinstance(output, VideoRejected):
                OUTCOMES.labels("fingerprint", output.error).inc()
            else:
                OUTCOMES.labels("fingerprint", output.topic).inc()
        observe_stages("fingerprint", getattr(outputs[0], "stage_seconds", {}))
        if isinstance(outputs[0], VideoFingerprinted):
            VIDEO_SECONDS.inc(outputs[0].duration_seconds)
            FRAMES.labels("stored").inc(outputs[0].key_frames)
            FRAMES.labels("searching").inc(outputs[0].query_frames)

    async def _with_place(self, outputs: list[Event]) -> list[Event]:
        """Publish the embedding, and say in the fingerprint where it is.

        Before the fingerprint: when the library reads of an upload that was delivered again too
        late, its vector has been published too, and can be answered.
        """
        *embeddings, made = outputs
        video_id = getattr(made, "video_id", None)
        if len(made.to_bytes()) > self._settings.kafka.max_message_bytes:
            return [made]  # will be refused, and what is rejected isn't found
        place = None
        for embedding in embeddings:
            try:
                place = await self._publisher.send(
                    embedding.topic, embedding.to_bytes(), embedding.key()
                )
                OUTCOMES.labels("fingerprint", embedding.topic).inc()
            except MessageSizeTooLargeError as error:
                log.error("the embedding of %s is too large: %s", video_id, error)
        failpoint("fingerprint.between")
        if not isinstance(made, VideoFingerprinted):
            return [made]
        if self._fingerprinter.embeds and place is None:
            OUTCOMES.labels("fingerprint", "embedding_failed").inc()
        return [made.model_copy(update={"embedded_at": place})]

    async def start(self) -> None:
        """Connect and begin to read."""
        self._deaths.open()
        self._log_id = await asyncio.to_thread(
            log_identity, self._settings.kafka, VideoUploaded.topic
        )
        await self._publisher.start()
        for name, coroutine in (
            ("watching Kafka's clients", watch_clients(self._clients, self.failure)),
            ("counting what waits", self._show_lags()),
            ("noticing a freeze", self._pulse.beat()),
        ):
            self._tasks.append(supervised(coroutine, name, self.failure))
        await self._probes.start()
        await self._app.start()

    async def stop(self) -> None:
        """Finish what is in flight within the drain time, then leave the group."""
        deadline = Deadline(self._settings.worker.drain_seconds)
        leaving = asyncio.ensure_future(self._probes.stop())  # beside the uploads in flight
        await self._drain.drain(deadline.for_events())
        await within(deadline.for_closing(), "leaving the probes", leaving)
        await within(deadline.for_closing(), "leaving the group", self._app.stop())
        await within(deadline.for_closing(), "disconnecting", self._publisher.stop())
        self._deaths.close()
        for task in self._tasks:
            task.cancel()
        # After the group is left: this cancels uploads that others are given by now.
        self._fingerprinter.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _show_lags(self) -> None:
        while True:
            show_lags("fingerprint", self._app.lags())
            WAITING_DOWNLOADS.set(self._large.waiting)
            await asyncio.sleep(GAUGE_SECONDS)

    def _clients(self) -> Iterator[object]:
        yield from self._app.clients()
        yield from self._probes.clients()
        yield from self._publisher.clients()

    def health(self) -> Health:
        """Ready when the networks are loaded and the group has given partitions."""
        return consumer_health(
            "fingerprint", self._app, self._drain, self._publisher, beside=self._probes.lags()
        )


def _video_id(source: Source) -> str | None:
    """Whose upload a message is; None where it is none's."""
    try:
        fields = parse_json(source.value)
    except BadEventError:
        return None
    video_id = fields.get("video_id") if isinstance(fields, dict) else None
    return video_id if isinstance(video_id, str) else None
