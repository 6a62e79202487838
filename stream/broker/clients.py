"""Builds every client of confluent-kafka: for commands, and for what makes topics.

Workers use aiokafka, see `stream/agents/clients.py`. librdkafka's own log is off everywhere: what
goes wrong is raised, and said once. It counts its seconds by the wall clock; nobody waits by that
here, whether for a client, an answer or a message.
"""

import ctypes
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from stream.broker.patience import in_use, patient
from stream.broker.settings import KafkaSettings
from stream.contract.message import Source, attempts_in, pairs
from stream.errors import BrokerError

T = TypeVar("T")
ANSWER_SECONDS = 10.0
"""For which a command waits for the cluster: an election of a new leader takes a few."""
FETCH_WAIT_MS = 50
"""Short, as a question for a partition's end waits behind a fetch on the same connection."""
FETCH_BACKOFF_MS = 5
"""Before more is fetched where enough is waiting, also of a partition that has just been assigned:
a second by default, for each single message that is looked up."""
SEND_MILLISECONDS = 30_000
"""After which a message that no broker took is reported: as long as a restart of a broker takes."""
AT_START, AT_END = -2, -1  # Kafka's numbers, in place of times
HELD_SECONDS = 1.0
CLOSE_SECONDS = 5.0  # to disconnect in; mostly a few milliseconds
LOOK_SECONDS = 0.005
"""Between two looks whether a message has come, or was taken."""
AGAIN_SECONDS = 0.2
"""Between two questions to a cluster that is moving; most moves take a second or so."""
# These pass by themselves: the metadata tell of a topic before its broker serves each partition,
# and after a restart leaders are elected, coordinators found anew, and groups' offsets read first.
MOVING = frozenset(
    {
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.REPLICA_NOT_AVAILABLE,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.OFFSET_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    }
)


class _LetGo:
    """A client that is freed on a thread of its own, a moment after it was let go.

    librdkafka ends its threads then, and one that sleeps by a clock which was set back wakes late.
    """

    def __del__(self) -> None:
        if sys.is_finalizing():  # no thread would begin any more: the process's end frees it
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self))
        else:
            threading.Thread(target=_hold, args=(self,), name="let go", daemon=True).start()


def _hold(client: object) -> None:
    """Until whoever has let go of it is past that; it is freed behind this."""
    time.sleep(HELD_SECONDS)


class _Consumer(_LetGo, Consumer):
    pass


class _Producer(_LetGo, Producer):
    pass


class _AdminClient(_LetGo, AdminClient):
    pass


def asked(ask: Callable[[], T]) -> T:
    """The cluster's answer, which is asked for again while it elects leaders or coordinators.

    Raises:
        KafkaException: another refusal, or the cluster is still moving after `ANSWER_SECONDS`.
    """
    deadline = time.monotonic() + ANSWER_SECONDS
    while True:
        try:
            return ask()
        except KafkaException as error:
            if error.args[0].code() not in MOVING or time.monotonic() > deadline:
                raise
        time.sleep(AGAIN_SECONDS)


def reader(kafka: KafkaSettings, options: Mapping[str, Any] | None = None) -> Consumer:
    """A consumer that assigns its partitions itself and commits nothing.

    librdkafka asks for a group's name all the same, and a user needs `Read` on it.

    Args:
        kafka: the cluster.
        options: librdkafka's; they win over those here.
    """
    return patient(_Consumer)(
        {
            **_connection(kafka),
            "group.id": f"{kafka.topic_prefix}samesource-reader",
            "enable.auto.commit": False,
            "fetch.message.max.bytes": kafka.max_message_bytes,
            "fetch.wait.max.ms": FETCH_WAIT_MS,
            "fetch.queue.backoff.ms": FETCH_BACKOFF_MS,
            **(options or {}),
        }
    )


def writer(kafka: KafkaSettings) -> Producer:
    """A producer whose messages lie once, in the order in which they were given, on all replicas.

    One request at a time: of several on their way, one that is refused and sent again would come
    behind the others. Where the partition knows nothing of this producer yet, librdkafka 2.16
    takes the later ones' success for that of the refused one too, which is lost.
    """
    return patient(_Producer)(
        {
            **_connection(kafka),
            "enable.idempotence": True,
            "max.in.flight.requests.per.connection": 1,
            "partitioner": "murmur2_random",  # a key's partition is the same for all clients
            "message.max.bytes": kafka.max_message_bytes,
            "message.timeout.ms": SEND_MILLISECONDS,
        }
    )


def admin(kafka: KafkaSettings, options: Mapping[str, Any] | None = None) -> AdminClient:
    """A connection to ask about topics and groups, and to change them.

    Args:
        kafka: the cluster.
        options: as for `reader`.
    """
    return patient(_AdminClient)({**_connection(kafka), **(options or {})})


@patient
def answers(kafka: KafkaSettings, seconds: float) -> bool:
    """Whether any broker tells of itself within some seconds."""
    try:
        return bool(admin(kafka).list_topics(timeout=seconds).brokers)
    except KafkaException:
        return False


def polled(consumer: Consumer, seconds: float) -> Message | None:
    """A consumer's next message, or its next error as one; None where none comes in time."""
    until = time.monotonic() + seconds
    while (message := consumer.poll(0)) is None and time.monotonic() < until:
        time.sleep(LOOK_SECONDS)
    return message


def closed(consumer: Consumer) -> None:
    """Disconnect a consumer, and go on when that takes long.

    One that somebody still asks stays as it is: it would be freed under their hands.
    """
    if not in_use(consumer):
        leaving = threading.Thread(target=consumer.close, name="disconnect", daemon=True)
        leaving.start()
        leaving.join(CLOSE_SECONDS)


@patient
def offsets_at(consumer: Consumer, partitions: Sequence[TopicPartition], time_ms: int) -> list[int]:
    """The first offset at or after a time, of each partition in order.

    librdkafka's `get_watermark_offsets` would tell a partition's start and end at once, but
    where one of its two requests fails, it gives what the other said for both.

    Args:
        consumer: a `reader`.
        partitions: to ask about; their own offsets don't matter.
        time_ms: by Kafka, in milliseconds since 1970; or `AT_START` or `AT_END`.

    Returns:
        An offset for each; `OFFSET_END` where nothing is that new.

    Raises:
        KafkaException: the cluster doesn't answer or refuses.
        UnreachableError: its client doesn't come back.
    """
    times = [TopicPartition(found.topic, found.partition, time_ms) for found in partitions]

    def answer() -> list[int]:
        # Another list and another order than what was asked.
        answered = {}
        for found in consumer.offsets_for_times(times, timeout=ANSWER_SECONDS):
            if found.error is not None:
                raise KafkaException(found.error)
            answered[found.topic, found.partition] = int(found.offset)
        return [answered[found.topic, found.partition] for found in times]

    return asked(answer) if times else []


@patient
def committed(consumer: Consumer, partitions: Sequence[TopicPartition]) -> list[int]:
    """The next offset that a consumer's group has to finish, of each partition in order.

    An `AdminClient` would answer for many groups, but it ends the process where a coordinator has
    just moved (librdkafka's issue 5040).

    Args:
        consumer: a `reader` under the group's name.
        partitions: to ask about; their own offsets don't matter.

    Returns:
        An offset for each, less than 0 where the group never said anything.

    Raises:
        KafkaException: the cluster doesn't answer or refuses.
        UnreachableError: its client doesn't come back.
    """

    # Other objects each time: what is answered is written into them.
    def answer() -> list[int]:
        asked_for = [TopicPartition(found.topic, found.partition) for found in partitions]
        answered = {}
        for found in consumer.committed(asked_for, timeout=ANSWER_SECONDS):
            if found.error is not None:
                raise KafkaException(found.error)
            answered[found.topic, found.partition] = int(found.offset)
        return [answered[found.topic, found.partition] for found in partitions]

    return asked(answer) if partitions else []


def source_of(message: Message, topic: str) -> Source:
    """Where a message came from.

    Args:
        message: of a `reader`, without an error.
        topic: the contract's name.
    """
    return Source(
        topic=topic,
        partition=int(message.partition() or 0),
        offset=int(message.offset() or 0),
        timestamp_ms=int(message.timestamp()[1]),
        value=message.value(),
        key=message.key(),
        attempts=attempts_in(message.headers()),
        headers=pairs(message.headers()),
    )


@patient
def partition_numbers(kafka: KafkaSettings, client: Consumer | Producer, topic: str) -> list[int]:
    """The partitions of a topic.

    Raises:
        BrokerError: no broker answers within `ANSWER_SECONDS`, or it has no such topic.
    """
    name = kafka.topic(topic)
    try:
        # All topics and not this one: asked for by its name, a broker might make it, with
        # partitions of its own.
        found = client.list_topics(timeout=ANSWER_SECONDS).topics.get(name)
    except KafkaException as error:
        raise BrokerError(unreachable(kafka, error.args[0].str())) from error
    if found is None or found.error is not None or not found.partitions:
        raise BrokerError(f"no topic {name}: make the topics with `samesource topics create`")
    return sorted(found.partitions)


def unreachable(kafka: KafkaSettings, problem: str) -> str:
    """What an error says of a cluster that doesn't do what was asked."""
    return (
        f"Kafka at {kafka.bootstrap_servers}: {problem}. Start one with `samesource broker "
        "start`, or set SAMESOURCE_KAFKA__BOOTSTRAP_SERVERS"
    )


def _connection(kafka: KafkaSettings) -> dict[str, Any]:
    return {**kafka.librdkafka_options(), "log_level": 0}
