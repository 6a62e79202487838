"""Dead letters of messages that every decide worker reads: one of them writes each letter, once.

Serves the policy follower.
"""

import time
from collections.abc import Callable

from aiokafka import AIOKafkaConsumer, TopicPartition

from stream.agents.publisher import Publisher
from stream.contract.events import VideoRejected
from stream.contract.message import Source
from stream.errors import RejectedError

WHOLE_LETTERS = 16  # of one partition that wait with their original; those beyond wait without
RENEW_SECONDS = 12 * 3600.0  # well within the week for which Kafka remembers


class PassedOver:
    """What couldn't be read, until its dead letter is on the broker.

    Delivery contract: each message is a dead letter once, over restarts and over any number of
    workers; twice after a crash in between, or where partitions move at that moment. The group's
    committed offset says up to where letters are out. Kafka forgets a committed offset after
    `offsets.retention.minutes`, a week by default, so it is committed anew twice a day.
    """

    def __init__(
        self, consumer: AIOKafkaConsumer, publisher: Publisher, owns: Callable[[int], bool]
    ) -> None:
        """Nothing waits yet.

        Args:
            consumer: of a group of its own that assigns partitions itself.
            publisher: started.
            owns: whether this worker is the one that tells of a partition now.
        """
        self._consumer, self._publisher, self._owns = consumer, publisher, owns
        self._letters: dict[TopicPartition, dict[int, VideoRejected]] = {}
        self._renewed_at = time.monotonic()

    def note(self, partition: TopicPartition, source: Source, error: RejectedError) -> None:
        """Keep the dead letter of a message; nothing is written yet."""
        letters = self._letters.setdefault(partition, {})
        letter = source.rejected(error)
        letters[source.offset] = letter if len(letters) < WHOLE_LETTERS else letter.shortened()

    async def tell(self) -> None:
        """Write the letters that are this worker's to write; forget those that are out.

        Raises:
            KafkaError: the group's coordinator doesn't answer; asking again is safe.
        """
        for partition, letters in [*self._letters.items()]:
            told = await self._consumer.committed(partition) or 0
            # Told of by another worker, or by this one before a restart.
            for offset in [offset for offset in letters if offset < told]:
                del letters[offset]
            if letters and self._owns(partition.partition):
                await self._publisher.publish(letters.values())
                # Behind the letters: a crash in between tells of them twice, rather than never.
                await self._consumer.commit({partition: max(letters) + 1})
                letters.clear()
            if not letters:
                del self._letters[partition]
        if time.monotonic() - self._renewed_at > RENEW_SECONDS:
            await self._renew()

    async def _renew(self) -> None:
        """Commit again what is committed, so that Kafka doesn't forget it."""
        for partition in self._consumer.assignment():
            told = await self._consumer.committed(partition)
            if told is not None and self._owns(partition.partition):
                await self._consumer.commit({partition: told})
        self._renewed_at = time.monotonic()
