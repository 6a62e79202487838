"""A library shard's worker: reads the whole log in order, answers about every upload.

Not a consumer group: the position is the snapshot's offset, by explicit assignment and seek. The
committed group offset says only up to where answers are already on the broker, so that a rebuild
from the log stays silent until there.
"""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor

from aiokafka import AIOKafkaConsumer, TopicPartition

from stream.agents.publisher import Publisher
from stream.events import VideoFingerprinted
from stream.settings import Settings

log = logging.getLogger(__name__)

COMMIT_EVERY_SECONDS = 1.0


class LibraryWorker:
    """Runs shard `shard` of `settings.library.shards`.

    Delivery contract: every log entry is answered at least once, in order; entries answered
    before a crash may be answered again, with the same content. A snapshot holds only entries
    whose answers are on the broker.
    """

    def __init__(self, settings: Settings, shard: int) -> None:
        self._settings = settings
        self._shard_number = shard
        self._publisher = Publisher(settings.kafka)
        self._thread = ThreadPoolExecutor(1, f"library-{shard}")
        self._log = TopicPartition(settings.kafka.topic(VideoFingerprinted.topic), 0)
        self._consumer: AIOKafkaConsumer | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self.failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def start(self) -> None:
        """Connect, restore the newest usable snapshot and begin to read after it.

        Raises:
            SnapshotError: the log is shorter than the snapshot: it was deleted or made anew.
        """
        await self._publisher.start()
        library = self._settings.library
        name = f"library-{self._shard_number}-of-{library.shards}"
        self._consumer = AIOKafkaConsumer(
            **self._settings.kafka.aiokafka_options(),
            group_id=f"{self._settings.kafka.topic_prefix}samesource-{name}",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=self._settings.kafka.max_message_bytes,
            fetch_max_bytes=2 * self._settings.kafka.max_message_bytes,
        )
        await self._consumer.start()
        self._consumer.assign([self._log])
        await self._restore()
        self._task = asyncio.create_task(self._guard(), name=name)
