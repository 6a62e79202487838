"""The library log as a client reads it, and how far each shard has answered it.

Serves the commands on the library; the shards' workers read the log with aiokafka.
"""

from collections.abc import Iterator
from typing import Self

from confluent_kafka import (
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    TopicPartition,
)

from stream.broker.clients import (
    ANSWER_SECONDS,
    AT_END,
    AT_START,
    admin,
    asked,
    closed,
    committed,
    offsets_at,
    polled,
    reader,
    source_of,
)
from stream.broker.patience import patient
from stream.broker.settings import KafkaSettings
from stream.broker.topics import log_identity
from stream.contract.events import VideoFingerprinted
from stream.contract.message import Source
from stream.errors import BrokerError


def shard_group(kafka: KafkaSettings, shard: int, shards: int) -> str:
    """The consumer group under which a shard commits how far it has answered the log."""
    return f"{kafka.topic_prefix}samesource-library-{shard}-of-{shards}"


class LibraryLog:
    """Reads `video.fingerprinted`, and reads and sets the offsets of the shards' groups.

    Every method raises `BrokerError` where the cluster doesn't answer or refuses.
    """

    def __init__(self, kafka: KafkaSettings) -> None:
        """Connect.

        Raises:
            BrokerError: the cluster can't be reached within 10 s, or has no library log.
        """
        self._kafka = kafka
        self._topic = kafka.topic(VideoFingerprinted.topic)
        self.identity = log_identity(kafka, VideoFingerprinted.topic)
        self._admin = admin(kafka)
        self._consumer = reader(
            kafka,
            {
                "enable.partition.eof": True,
                # Where the log has lost its head: from what is left on.
                "auto.offset.reset": "earliest",
                "isolation.level": "read_uncommitted",  # as the shards
            },
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        closed(self._consumer)

    def ends(self) -> tuple[int, int]:
        """The first offset that is there, and the one that the next entry gets."""
        log = [TopicPartition(self._topic, 0)]
        try:
            (low,) = offsets_at(self._consumer, log, AT_START)
            (high,) = offsets_at(self._consumer, log, AT_END)
        except KafkaException as error:
            raise self._failure(error.args[0]) from error
        return low, high

    def read(self, start: int, stop: int) -> Iterator[Source]:
        """The entries from `start` on and before `stop`, in order; those that are still there.

        One reading at a time.
        """
        if start >= stop:
            return
        self._consumer.assign([TopicPartition(self._topic, 0, start)])
        while True:
            message = polled(self._consumer, ANSWER_SECONDS)
            if message is None:
                raise BrokerError(f"no entry of {self._topic} came for {ANSWER_SECONDS:.0f} s")
            error = message.error()
            # The last entries before `stop` were compacted away, and the log ends before it.
            if error is not None and error.code() == KafkaError._PARTITION_EOF:
                return
            if error is not None:
                raise self._failure(error)
            source = source_of(message, VideoFingerprinted.topic)
            if source.offset < stop:
                yield source
            # Here and not at `stop`, whose entry may be long in coming.
            if source.offset >= stop - 1:
                return

    def answered(self, shard: int, shards: int) -> int | None:
        """Up to where a shard's answers are on the broker; None where it never said so."""
        group = reader(self._kafka, {"group.id": shard_group(self._kafka, shard, shards)})
        try:
            (offset,) = committed(group, [TopicPartition(self._topic, 0)])
        except KafkaException as error:
            raise self._failure(error.args[0]) from error
        finally:
            closed(group)
        return offset if offset >= 0 else None

    def set_answered(self, shard: int, shards: int, offset: int) -> None:
        """Tell a shard that runs nowhere that everything before `offset` is answered."""
        told = ConsumerGroupTopicPartitions(
            shard_group(self._kafka, shard, shards), [TopicPartition(self._topic, 0, offset)]
        )

        def answer() -> None:
            (future,) = self._admin.alter_consumer_group_offsets(
                [told], request_timeout=ANSWER_SECONDS
            ).values()
            (partition,) = future.result().topic_partitions
            if partition.error is not None:
                raise KafkaException(partition.error)

        try:
            asked(patient(answer))
        except KafkaException as error:
            raise self._failure(error.args[0]) from error

    def _failure(self, error: KafkaError) -> BrokerError:
        return BrokerError(
            f"Kafka at {self._kafka.bootstrap_servers}, {self._topic}: {error.str()}. Check that "
            "it runs, and that the user may read the topic and the shards' groups"
        )
