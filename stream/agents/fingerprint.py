"""The fingerprint worker: uploads in; fingerprints and embeddings, or dead letters, out."""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import faust

from stream.agents.attempts import attempted, publish_or_reject
from stream.agents.deaths import Deaths
from stream.agents.faust_app import Drain, contract_name, make_app, raw_topic
from stream.agents.publisher import Publisher
from stream.errors import RejectedError, brief
from stream.events import Event, VideoFingerprinted, VideoRejected, VideoUploaded
from stream.fingerprint import Fingerprinter
from stream.metrics import OUTCOMES, observe_stages
from stream.settings import Settings
from stream.source import Source

log = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0


def fingerprint_step(fingerprinter: Fingerprinter, source: Source) -> list[Event]:
    """One upload message in, events out; never raises for bad input.

    Returns:
        The fingerprint and the embedding, if there is one, or one dead letter.

    Raises:
        Exception: what the machine lacks: worth another attempt.
    """
    stages: dict[str, float] = {}
    try:
        upload = VideoUploaded.from_bytes(source.value)
        made = attempted(
            source, lambda: fingerprinter.fingerprint(upload, source.request_id, stages)
        )
    except RejectedError as error:
        log.info("rejected %s %s: %s", source.request_id, error.code, brief(error))
        return [source.rejected(error, stage_seconds=stages)]
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
        self._deaths = Deaths(settings.worker.data_folder, "fingerprint")
        self._app = self._make_app()

    @property
    def failure(self) -> asyncio.Future[None]:
        """Holds the error of a worker that must end."""
        return self._drain.failure

    def _make_app(self) -> faust.App:
        app = make_app("fingerprint", self._settings, finish_before_rebalance=False)
        topic = raw_topic(app, self._settings, VideoUploaded.topic)

        @app.agent(topic, concurrency=self._settings.worker.fingerprint_concurrency)
        async def fingerprint(stream: Any) -> None:
            await self._drain.consume(stream, self._handle)

        return app

    async def _handle(self, event: Any) -> None:
        source = Source.of(event.message, contract_name(self._settings, event.message.topic))
        try:
            with self._deaths.at_work(source):
                outputs = await self._patiently(source)
        except RejectedError as error:
            outputs = [source.rejected(error)]
        outputs = await publish_or_reject(self._publisher, source, outputs)
        for output in outputs:
            if isinstance(output, VideoRejected):
                OUTCOMES.labels("fingerprint", output.error).inc()
            else:
                OUTCOMES.labels("fingerprint", output.topic).inc()
        if self._fingerprinter.embeds and isinstance(outputs[-1], VideoFingerprinted):
            OUTCOMES.labels("fingerprint", "embedding_failed").inc()
        observe_stages("fingerprint", getattr(outputs[0], "stage_seconds", {}))

    async def _patiently(self, source: Source) -> list[Event]:
        """The step, again and again while the machine lacks what it takes.

        Raises:
            MemoryError: the worker should end, and begin anew.
        """
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                return await asyncio.get_running_loop().run_in_executor(
                    self._threads, fingerprint_step, self._fingerprinter, source
                )
            except OSError as error:
                log.warning("%s waits for the machine (%s); again in %.0f s", source, error, pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    async def start(self) -> None:
        """Connect and begin to read."""
        self._deaths.open()
        await self._publisher.start()
        await self._app.start()

    async def stop(self) -> None:
        """Finish what is in flight within the drain time, then leave the group."""
        await self._drain.drain(self._settings.worker.drain_seconds)
        await self._app.stop()
        await self._publisher.stop()
        self._deaths.close()
        self._fingerprinter.close()
        self._threads.shutdown(wait=False, cancel_futures=True)
