"""The fingerprint worker: uploads in; fingerprints and embeddings, or dead letters, out."""

import asyncio
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from aiokafka.errors import MessageSizeTooLargeError

from stream.agents.faust_app import (
    Drain,
    consumer_health,
    contract_name,
    make_app,
    raw_topic,
)
from stream.agents.health import Health
from stream.agents.lifetime import Deadline, Failure, supervised, watch_clients, within
from stream.agents.ordered_consumer import OrderedApp
from stream.agents.publisher import Publisher
from stream.errors import InternalError, RejectedError, TooLargeError
from stream.events import Event, VideoFingerprinted, VideoRejected, VideoUploaded
from stream.fingerprint import Fingerprinter
from stream.metrics import OUTCOMES, observe_stages, show_lags
from stream.settings import Settings
from stream.source import Source
from stream.traces import carried, note

GAUGE_SECONDS = 1.0
log = logging.getLogger(__name__)


def fingerprint_step(fingerprinter: Fingerprinter, source: Source) -> list[Event]:
    """One upload message in, events out; never raises for bad input.

    Returns:
        The fingerprint and the embedding, if there is one, or one dead letter.
    """
    stages: dict[str, float] = {}
    try:
        upload = VideoUploaded.from_bytes(source.value)
        made = fingerprinter.fingerprint(upload, source.request_id, stages)
    except RejectedError as error:
        log.info("rejected %s %s: %s", source.request_id, error.code, error)
        return [source.rejected(error, stage_seconds=stages)]
    except Exception as error:
        log.exception("fingerprinting %s failed", source.request_id)
        problem = InternalError(f"{type(error).__name__}: {error}")
        return [source.rejected(problem, stage_seconds=stages)]
    return [made.event] if made.embedding is None else [made.event, made.embedding]


class FingerprintWorker:
    """A Faust agent around `fingerprint_step`.

    Delivery contract: an upload is acknowledged after its fingerprint and embedding, or its
    dead letter, are on the broker. A crash before that repeats the upload.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._fingerprinter = Fingerprinter(settings)
        self._threads = ThreadPoolExecutor(settings.worker.fingerprint_concurrency, "fingerprint")
        self._publisher = Publisher(settings.kafka)
        self._drain = Drain()
        self._tasks: list[asyncio.Task[None]] = []
        self._app = self._make_app()

    @property
    def failure(self) -> Failure:
        """Holds the error of a worker that must end."""
        return self._drain.failure

    def _make_app(self) -> OrderedApp:
        app = make_app("fingerprint", self._settings, self._drain, finish_before_rebalance=False)
        topic = raw_topic(app, self._settings, VideoUploaded.topic)

        @app.agent(topic, concurrency=self._settings.worker.fingerprint_concurrency)
        async def fingerprint(stream: Any) -> None:
            await self._drain.consume(stream, self._handle)

        return app

    async def _handle(self, event: Any) -> None:
        source = Source.of(event.message, contract_name(self._settings, event.message.topic))
        note(request_id=source.request_id)
        outputs = await asyncio.get_running_loop().run_in_executor(
            self._threads, carried(fingerprint_step), self._fingerprinter, source
        )
        try:
            await self._publisher.publish(outputs)
        except MessageSizeTooLargeError as error:
            letter = source.rejected(TooLargeError(f"the fingerprint is too large: {error}"))
            outputs = [letter]
            await self._publisher.publish(outputs)
        for output in outputs:
            if isinstance(output, VideoRejected):
                OUTCOMES.labels("fingerprint", output.error).inc()
            else:
                OUTCOMES.labels("fingerprint", output.topic).inc()
        if self._fingerprinter.embeds and isinstance(outputs[-1], VideoFingerprinted):
            OUTCOMES.labels("fingerprint", "embedding_failed").inc()
        observe_stages("fingerprint", getattr(outputs[0], "stage_seconds", {}))

    async def start(self) -> None:
        """Connect and begin to read."""
        await self._publisher.start()
        for name, coroutine in (
            ("watching Kafka's clients", watch_clients(self._clients, self.failure)),
            ("counting what waits", self._show_lags()),
        ):
            self._tasks.append(supervised(coroutine, name, self.failure))
        await self._app.start()

    async def stop(self) -> None:
        """Finish what is in flight within the drain time, then leave the group."""
        deadline = Deadline(self._settings.worker.drain_seconds)
        await self._drain.drain(deadline.for_events())
        await within(deadline.for_closing(), "leaving the group", self._app.stop())
        await within(deadline.for_closing(), "disconnecting", self._publisher.stop())
        for task in self._tasks:
            task.cancel()
        self._fingerprinter.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _show_lags(self) -> None:
        while True:
            show_lags("fingerprint", self._app.lags())
            await asyncio.sleep(GAUGE_SECONDS)

    def _clients(self) -> Iterator[object]:
        yield from self._app.clients()
        yield from self._publisher.clients()

    def health(self) -> Health:
        """Ready when the networks are loaded and the group has given partitions."""
        return consumer_health("fingerprint", self._app, self._drain, self._publisher)
