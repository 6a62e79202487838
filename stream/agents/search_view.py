"""Feeds a search view: from its snapshot, then from `video.embedded` to the end, then on.

Not a consumer group: every view reads all partitions, from its snapshot's offsets.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from stream.agents.attempts import attempted
from stream.agents.clients import seeking_consumer
from stream.agents.lifetime import Failure
from stream.agents.topic_follower import TopicFollower
from stream.broker.topics import log_identity
from stream.contract.events import VideoEmbedded
from stream.contract.message import Source
from stream.contract.order import Takedown, restated
from stream.contract.topics import load_topics
from stream.errors import BadEventError, RejectedError, SnapshotError, brief
from stream.search.snapshot import ViewSnapshots
from stream.search.table import Place
from stream.search.view import SearchView
from stream.settings import Settings

log = logging.getLogger(__name__)

TOPIC = VideoEmbedded.topic
MAX_MESSAGES = 1000  # taken in one go, some 25 MB: what a takedown waits for behind others
FETCH_BYTES = 4 * 2**20  # of each partition at a time; no message of the topic is larger than 1 MiB
SHARE_TO_SAVE = 0.05  # of the view that is new: a snapshot writes all of it
TOLD_EVERY = 100_000  # messages, some 25 s of reading: a line in the log, and a first snapshot
SAVE_WAITS_SECONDS = 1.0  # for lists that are nearly made; else the snapshot comes the next time


def search_step(view: SearchView, source: Source) -> None:
    """Take one message into a view.

    Args:
        view: changed by the message.
        source: one without a value takes the video of its key down.

    Raises:
        BadEventError: it can't be read, or its key isn't its video; nothing is changed.
    """
    if source.value is None and source.key is not None:
        video_id, takedown = source.key.decode(errors="replace"), Takedown.of(source)
        view.remove(video_id, takedown, restated=restated(source))
        return
    event = VideoEmbedded.from_bytes(source.value)
    if source.key != event.key():
        raise BadEventError(f"{source.key = !r}, expected the video_id {event.video_id!r}")
    view.add(event, Place(source.partition, source.offset))


class SearchFollower:
    """Keeps a `SearchView` as the topic says.

    Delivery contract: when `start` returns, everything that was on the topic by then is in `view`;
    with `follow`, what comes later follows within moments, in order of each partition. A message
    may come twice, which changes nothing. One that can't be read is named in a warning.
    """

    def __init__(
        self,
        settings: Settings,
        model_version: str,
        dimension: int,
        failure: Failure | None = None,
    ) -> None:
        """Nothing is read yet.

        Args:
            settings: of the service.
            model_version: whose vectors the view is of.
            dimension: of them.
            failure: is given the error of a follower that must end; the log alone, without.
        """
        self._kafka, self._settings = settings.kafka, settings.search
        self.view = SearchView(settings.search, model_version, dimension)
        self._failure = failure
        self._thread = ThreadPoolExecutor(1, "search-view")  # the one that changes the view
        self._lists_thread = ThreadPoolExecutor(1, "search-lists")
        self._making: Future[None] | None = None
        self._offsets: dict[int, int] = {}
        self._fresh = self._told = 0
        self._follower: TopicFollower | None = None

    async def start(self, *, follow: bool = True) -> None:
        """Restore the newest usable snapshot and read to the present end of the topic.

        Args:
            follow: whether to go on in the background.

        Raises:
            KafkaError: the cluster doesn't answer.
            BrokerError: it doesn't answer, or lacks the topic.
        """
        log_id = await asyncio.to_thread(log_identity, self._kafka, TOPIC)
        self._snapshots = ViewSnapshots(
            self._settings,
            log_id=log_id,
            model_version=self.view.model_version,
            dimension=self.view.dimension,
            max_days=_tombstone_days(),
        )
        self._follower = TopicFollower(
            self._kafka,
            [TOPIC],
            seeking_consumer(self._kafka, partition_bytes=FETCH_BYTES),
            what="the search view",
            take=self._take_all,
            failure=self._failure or _logged(),
            begin=self._begin,
            after_each=self.save,
            max_messages=MAX_MESSAGES,
        )
        await self._follower.start(follow=follow)

    async def stop(self) -> None:
        """Follow no longer, and end the threads; a last snapshot is `save`'s to write before."""
        if self._follower is not None:
            await self._follower.stop()
        self._thread.shutdown()
        self._lists_thread.shutdown()

    async def save(self, *, least: int | None = None) -> None:
        """Write a snapshot if enough has come since the last one.

        Args:
            least: messages; as in the settings, and a twentieth of the view, when left out.
        """
        enough = max(self._settings.snapshot_every_videos, SHARE_TO_SAVE * len(self.view))
        if self._fresh < (enough if least is None else least):
            return
        try:
            await self._on_thread(self._save)
        except SnapshotError as error:
            log.warning("%s", error)

    def _save(self) -> None:
        """Unless lists are being made, which may take minutes: the next time then."""
        if self._making is not None and not wait([self._making], SAVE_WAITS_SECONDS).done:
            return
        self._snapshots.save(self.view, dict(self._offsets))
        self._fresh = 0

    async def _restore(self, ends: dict[int, int]) -> None:
        found = await self._on_thread(self._snapshots.load_latest)
        if found is None:
            return
        beyond = [number for number, next_ in found.offsets.items() if next_ > ends.get(number, 0)]
        if beyond:
            log.warning(
                "%s is shorter than the snapshot of the search view says (partitions %s): it is "
                "read from its start",
                self._kafka.topic(TOPIC), ", ".join(map(str, beyond)),
            )  # fmt: skip
            return
        self.view, self._offsets = found.view, found.offsets

    async def _begin(self, consumer: AIOKafkaConsumer, ends: Mapping[TopicPartition, int]) -> None:
        """Restore, and go on from there; a log that has lost its head begins later."""
        await self._restore({part.partition: end for part, end in ends.items()})
        begins = await consumer.beginning_offsets(ends)
        for partition, begin in begins.items():
            next_ = max(self._offsets.get(partition.partition, 0), begin)
            consumer.seek(partition, next_)
            self._offsets[partition.partition] = next_

    async def _take_all(self, messages: Sequence[Any]) -> None:
        await self._on_thread(self._take, messages)
        # A first reading may take long: whoever is stopped in it goes on from here.
        if not self._follows:
            await self.save(least=max(TOLD_EVERY, len(self.view) // 2))

    @property
    def _follows(self) -> bool:
        return self._follower is not None and self._follower.follows

    def _take(self, messages: Sequence[Any]) -> None:
        for message in messages:
            source = Source.of(message, TOPIC)
            try:
                attempted(source, partial(search_step, self.view, source))
            except RejectedError as error:
                log.warning("%s is passed over: %s", source, brief(error))
            # Passed over or taken: it need not be seen again.
            self._offsets[source.partition] = source.offset + 1
        self._maintain()
        self._fresh += len(messages)
        if self._fresh // TOLD_EVERY > self._told:
            self._told = self._fresh // TOLD_EVERY
            log.info("search view: %d messages read, %d videos", self._fresh, len(self.view))

    def _maintain(self) -> None:
        """Beside the changes once it follows, so that no takedown waits for lists to be made."""
        if not self._follows:
            self.view.maintain()
        elif self._making is None or self._making.done():
            if self._making is not None:
                self._making.result()
            self.view.compact()
            self._making = self._lists_thread.submit(self.view.state.index.maintain)

    async def _on_thread(self, call: Any, *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call, *arguments)


def _logged() -> Failure:
    """A failure that nobody awaits: it is a line in the log."""

    def tell(ended: Failure) -> None:
        if not ended.cancelled() and (error := ended.exception()) is not None:
            log.error("the search view is no longer followed: %s", error)

    failure: Failure = asyncio.get_running_loop().create_future()
    failure.add_done_callback(tell)
    return failure


def _tombstone_days() -> float:
    return next(topic.tombstone_days for topic in load_topics() if topic.name == TOPIC)
