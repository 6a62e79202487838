"""How far the service's consumer groups are behind, as Kafka knows it, whether they run or not.

Serves the role `lag`; what a worker says of itself is in `stream.agents.lags`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaException, TopicPartition

from stream.broker.clients import (
    AT_END,
    AT_START,
    closed,
    committed,
    offsets_at,
    partition_numbers,
    reader,
    unreachable,
)
from stream.broker.library_log import shard_group
from stream.broker.settings import KafkaSettings
from stream.errors import BrokerError, UnreachableError

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
        self._kafka = kafka
        log = {
            shard_group(kafka, shard, shards): ("video.fingerprinted",) for shard in range(shards)
        }
        groups = {kafka.topic_prefix + name: topics for name, topics in GROUPS.items()} | log
        self._consumers = _readers(kafka, groups)
        try:
            self._read = {
                group: [
                    TopicPartition(kafka.topic(topic), number)
                    for topic in topics
                    for number in partition_numbers(kafka, self._consumers[group], topic)
                ]
                for group, topics in groups.items()
            }
        except BrokerError:
            self.close()
            raise

    def now(self) -> list[GroupLag]:
        """What waits of each partition of each group."""
        partitions = [each for found in self._read.values() for each in found]
        consumer = next(iter(self._consumers.values()))
        try:
            # Before the ends, or what is read meanwhile would be behind them.
            finished = {
                group: committed(self._consumers[group], found)
                for group, found in self._read.items()
            }
            starts = offsets_at(consumer, partitions, AT_START)
            ends = offsets_at(consumer, partitions, AT_END)
        except KafkaException as error:
            self._renew()
            raise BrokerError(unreachable(self._kafka, error.args[0].str())) from error
        except UnreachableError:
            self._renew()
            raise
        bounds = iter(zip(starts, ends, strict=True))
        return [
            _lag(group, each, done, *next(bounds))
            for group, found in self._read.items()
            for each, done in zip(found, finished[group], strict=True)
        ]

    def _renew(self) -> None:
        """Ask by new clients the next time: these may have forgotten their brokers for good.

        Why they would is told at `Sender._renew`.
        """
        self.close()
        self._consumers = _readers(self._kafka, self._read)

    def close(self) -> None:
        """Disconnect."""
        for consumer in self._consumers.values():
            closed(consumer)


def _readers(kafka: KafkaSettings, groups: Iterable[str]) -> dict[str, Consumer]:
    """A client for each group, under its name: so it may ask what the group has finished."""
    return {group: reader(kafka, {"group.id": group}) for group in groups}


def _lag(group: str, partition: TopicPartition, finished: int, start: int, end: int) -> GroupLag:
    # Less where it has never said anything, or what it has read is gone: it begins anew.
    offset = max(finished, start)
    return GroupLag(group, partition.topic, partition.partition, offset, max(0, end - offset))
