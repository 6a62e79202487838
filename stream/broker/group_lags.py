"""How far the service's consumer groups are behind, as Kafka knows it, whether they run or not.

Serves the role `lag`; what a worker says of itself is in `stream.agents.lags`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition

from stream.broker.clients import (
    ANSWER_SECONDS,
    AT_END,
    AT_START,
    admin,
    asked,
    offsets_at,
    partition_numbers,
    reader,
    unreachable,
)
from stream.broker.library_log import shard_group
from stream.broker.settings import KafkaSettings
from stream.errors import BrokerError

GROUPS: Mapping[str, tuple[str, ...]] = {
    "samesource-fingerprint": ("video.uploaded",),
    "samesource-decide": ("video.compared", "video.rejected", "alert.reviewed"),
    "samesource-probes": ("probe.asked",),
}
"""What each group reads, beside those of the shards."""


@dataclass(frozen=True)
class GroupLag:
    """What a group hasn't finished of a partition.

    Attributes:
        group: its name on the cluster.
        topic: the same.
        offset: that it has committed; that of the first message where it has none.
        messages: from there on.
    """

    group: str
    topic: str
    partition: int
    offset: int
    messages: int


class GroupLags:
    """Asks Kafka; not thread-safe.

    Every method raises `BrokerError` where the cluster doesn't answer or refuses.
    """

    def __init__(self, kafka: KafkaSettings, shards: int) -> None:
        """Connect.

        Args:
            kafka: the cluster.
            shards: of the library.
        """
        self._kafka, self._admin, self._consumer = kafka, admin(kafka), reader(kafka)
        log = {
            shard_group(kafka, shard, shards): ("video.fingerprinted",) for shard in range(shards)
        }
        groups = {kafka.topic_prefix + name: topics for name, topics in GROUPS.items()} | log
        self._read = {
            group: [
                TopicPartition(kafka.topic(topic), number)
                for topic in topics
                for number in partition_numbers(kafka, self._consumer, topic)
            ]
            for group, topics in groups.items()
        }

    def now(self) -> list[GroupLag]:
        """What waits of each partition of each group."""
        partitions = [each for found in self._read.values() for each in found]
        try:
            # Before the ends, or what is read meanwhile would be behind them.
            committed = {group: self._committed(group) for group in self._read}
            starts = offsets_at(self._consumer, partitions, AT_START)
            ends = offsets_at(self._consumer, partitions, AT_END)
        except KafkaException as error:
            self._renew()
            raise BrokerError(unreachable(self._kafka, error.args[0].str())) from error
        bounds = iter(zip(starts, ends, strict=True))
        return [
            _lag(group, each, done, *next(bounds))
            for group, found in self._read.items()
            for each, done in zip(found, committed[group], strict=True)
        ]

    def _renew(self) -> None:
        """Ask by new clients the next time: these may have forgotten their brokers for good.

        Why they would is told at `Sender._renew`.
        """
        self.close()
        self._admin, self._consumer = admin(self._kafka), reader(self._kafka)

    def _committed(self, group: str) -> list[int]:
        """The offsets of a group, of its partitions in order; less than 0 where it has none."""
        about = ConsumerGroupTopicPartitions(group, self._read[group])

        def answer() -> list[int]:
            (future,) = self._admin.list_consumer_group_offsets(
                [about], request_timeout=ANSWER_SECONDS
            ).values()
            found = {}
            for each in future.result().topic_partitions:
                if each.error is not None:
                    raise KafkaException(each.error)
                found[each.topic, each.partition] = int(each.offset)
            return [found.get((each.topic, each.partition), -1) for each in self._read[group]]

        return asked(answer)

    def close(self) -> None:
        """Disconnect."""
        self._consumer.close()


def _lag(group: str, partition: TopicPartition, committed: int, start: int, end: int) -> GroupLag:
    # Less where it has never said anything, or what it has read is gone: it begins anew.
    offset = max(committed, start)
    return GroupLag(group, partition.topic, partition.partition, offset, max(0, end - offset))
