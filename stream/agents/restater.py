"""Says again on Kafka what the library holds, where a late message would outlive it.

Compaction keeps the last message of each video. When that one is an upload that was delivered again
after its takedown, or an older version, the takedown or the version that holds is put behind it.
On the topic of the vectors it is put once more whenever what the library holds of a video that was
known before has changed: everything is there before it is on the log, perhaps in another order.
"""

import asyncio
import logging
from typing import Any

from stream.agents.publisher import Publisher
from stream.agents.vector_messages import embedded_at
from stream.broker.library_log import LibraryLog
from stream.broker.settings import KafkaSettings
from stream.contract.events import Place, VideoEmbedded, VideoFingerprinted
from stream.contract.order import RESTATED
from stream.errors import BadEventError, BrokerError
from stream.library.shard import Truth
from stream.search import table

log = logging.getLogger(__name__)
# What it says of a video is never held back; that it waits is, after the first time.
log_waiting = log.getChild("waiting")

PAUSE_SECONDS = 5.0  # before a broker that is away is asked again; each try waits for 10 s itself


class Restater:
    """Serves a shard's worker.

    Delivery contract: when `say` returns, it is on the broker; a broker that is away is waited for.
    It may be said twice, which changes nothing.
    """

    def __init__(self, kafka: KafkaSettings, publisher: Publisher) -> None:
        self._kafka, self._publisher = kafka, publisher

    async def say(self, truth: Truth) -> None:
        """Put the truth on the topic of the vectors, then on the library log."""
        if truth.embedded_at is not None:
            await self._say_vector(truth.video_id, truth.embedded_at)
            return
        if truth.takedown is None:
            await self._say_version(truth)
            return
        topics: tuple[str, ...] = (VideoEmbedded.topic,)
        if not truth.of_vector:
            log.info("%s is taken down; said again behind an upload before it", truth.video_id)
            topics = (*topics, VideoFingerprinted.topic)
        headers = truth.takedown.headers(restated=True)
        for topic in topics:
            await self._publisher.send(topic, None, truth.video_id.encode(), headers=headers)

    async def _say_version(self, truth: Truth) -> None:
        event = await self._waited_for(self._fingerprint, truth)
        if event is None:
            log.error(
                "%s: its version of offset %d is no longer on the log, and can't be said again: "
                "a rebuilt library would hold an older one. Submit it again",
                truth.video_id, truth.offset,
            )  # fmt: skip
            return
        log.info(
            "%s: version %s is said again behind what was submitted before it",
            truth.video_id, event.content_version,
        )  # fmt: skip
        # The vector first: the fingerprint says where it lies.
        if event.embedded_at is not None:
            place = await self._say_vector(truth.video_id, event.embedded_at)
            event = event.model_copy(update={"embedded_at": place})
        await self._publisher.send(event.topic, event.to_bytes(), event.key(), headers=RESTATED)

    async def _say_vector(self, video_id: str, place: Place) -> Place:
        """Says where it lies now; where it was, if it is no longer there."""
        found = await self._waited_for(self._embedding, place)
        if found is None or found.video_id != video_id:
            log.warning("the vector of %s is no longer on the topic", video_id)
            return place
        return await self._publisher.send(
            found.topic, found.to_bytes(), found.key(), headers=RESTATED
        )

    async def _waited_for(self, read: Any, what: Any) -> Any:
        """What a reading in a thread gives, however long the broker is away."""
        while True:
            try:
                return await asyncio.to_thread(read, what)
            except BrokerError as error:
                log_waiting.warning("%s; again in %.0f s", error, PAUSE_SECONDS)
                await asyncio.sleep(PAUSE_SECONDS)

    def _fingerprint(self, truth: Truth) -> VideoFingerprinted | None:
        """Of the version that holds, from the log."""
        with LibraryLog(self._kafka) as reader:
            for source in reader.read(truth.offset, truth.offset + 1):
                try:
                    event = VideoFingerprinted.from_bytes(source.value)
                except BadEventError:
                    return None
                return event if event.video_id == truth.video_id else None
        return None

    def _embedding(self, place: Place) -> VideoEmbedded | None:
        (found,) = embedded_at(self._kafka, [table.Place(place.partition, place.offset)])
        return found
