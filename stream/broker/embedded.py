"""A Kafka-protocol broker inside this process: librdkafka's mock cluster, through ctypes.

Serves the demo and quick tests; any Kafka client of this machine can connect to it. It is an
imitation, and what must hold in production is tested on `stream.broker.local`.
"""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from confluent_kafka import cimpl

from stream.broker.settings import KafkaSettings
from stream.contract.topics import Topic, load_topics
from stream.errors import BrokerError

PRODUCER = 0  # librdkafka's rd_kafka_type_t
ERROR_BYTES = 512  # for librdkafka's words, which it cuts to fit
REBALANCE_DELAY_MS = 100  # in which all members of a test's group join; the mock's own are 3000


class EmbeddedBroker:
    """One mock node with the contract's topics, each with its own number of partitions.

    As a context manager it starts and stops. Everything is in memory and gone after `stop()`.

    What differs from a real broker, as seen with librdkafka 2.16:

    - A partition holds 5 MiB of batches as sent. When one more doesn't fit, the oldest are dropped
      until the rest does, whatever the topic's retention and whoever has yet to read them; a
      reader at a dropped offset is out of range and goes where its reset policy says.
    - So a single batch above 5 MiB (a fingerprint of more than about four hours) can be read only
      when it is the first of its partition; after others it is dropped as it arrives, although
      the producer is told that it was stored. Long videos need a real broker.
    - A consumer group's first join is quick; every later rebalance waits for the members' session
      timeout less a second.
    - No compaction, no topic configuration, no security; a record's size isn't checked.
    - A topic that isn't in the contract is made on first use, with 4 partitions.
    """

    def __init__(self, topic_prefix: str = "", topics: list[Topic] | None = None) -> None:
        """Name the topics; nothing runs yet.

        Args:
            topic_prefix: goes in front of each topic's name.
            topics: those of `kafka/topics.toml` by default.
        """
        self._prefix = topic_prefix
        self._topics = load_topics() if topics is None else topics
        self._library: ctypes.CDLL | None = None
        self._client: int | None = None
        self._cluster: int | None = None
        self._bootstrap_servers = ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def bootstrap_servers(self) -> str:
        """What clients connect to.

        Raises:
            BrokerError: it doesn't run.
        """
        if self._cluster is None:
            raise BrokerError("the embedded broker doesn't run: call start() first")
        return self._bootstrap_servers

    def start(self) -> None:
        """Open the sockets and make the topics; nothing happens if it already runs.

        Raises:
            BrokerError: this build of confluent-kafka has no mock cluster.
        """
        if self._cluster is not None:
            return
        self._library = library = _load_library()
        self._client = _new_client(library)
        self._cluster = library.rd_kafka_mock_cluster_new(self._client, 1)
        if self._cluster is None:
            self.stop()
            raise BrokerError("librdkafka couldn't open its mock cluster's sockets on 127.0.0.1")
        library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, REBALANCE_DELAY_MS)
        for topic in self._topics:
            self._make(topic)
        # Known to callers behind the topics: who can connect finds them all.
        self._bootstrap_servers = library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()

    def stop(self) -> None:
        """Close the sockets; clients see a broker that went away. Idle when it doesn't run."""
        library, cluster, client = self._library, self._cluster, self._client
        # Forgotten first, so that a second `stop` frees nothing twice.
        self._cluster = self._client = None
        # The cluster hangs on the client, so it goes first.
        if library is not None and cluster is not None:
            library.rd_kafka_mock_cluster_destroy(cluster)
        if library is not None and client is not None:
            library.rd_kafka_destroy(client)

    def _make(self, topic: Topic) -> None:
        assert self._library is not None
        name = (self._prefix + topic.name).encode()
        error = self._library.rd_kafka_mock_topic_create(self._cluster, name, topic.partitions, 1)
        if error:
            # Here, as a `with` whose `__enter__` fails never leaves.
            self.stop()
            raise BrokerError(f"the embedded broker refused topic {topic.name}: error {error}")


@contextmanager
def embedded_kafka(kafka: KafkaSettings) -> Iterator[KafkaSettings]:
    """Run an embedded broker for the time of the block.

    Yields:
        The settings with its address, and without security, which it doesn't have.
    """
    with EmbeddedBroker(kafka.topic_prefix) as broker:
        yield kafka.model_copy(
            update={
                "broker": "embedded",
                "bootstrap_servers": broker.bootstrap_servers,
                "security_protocol": "PLAINTEXT",
                "replication_factor": 1,
            }
        )


def _load_library() -> ctypes.CDLL:
    """The librdkafka that confluent-kafka itself is linked with, with its signatures declared.

    Symbols are looked up through the extension module, so that it doesn't matter whether the
    library comes from the wheel or from the system.
    """
    library = ctypes.CDLL(cimpl.__file__)
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    signatures: dict[str, tuple[type | None, list[type]]] = {
        "rd_kafka_conf_new": (pointer, []),
        "rd_kafka_conf_set": (number, [pointer, text, text, text, ctypes.c_size_t]),
        "rd_kafka_new": (pointer, [number, pointer, text, ctypes.c_size_t]),
        "rd_kafka_destroy": (None, [pointer]),
        "rd_kafka_mock_cluster_new": (pointer, [pointer, number]),
        "rd_kafka_mock_cluster_destroy": (None, [pointer]),
        "rd_kafka_mock_cluster_bootstraps": (text, [pointer]),
        "rd_kafka_mock_topic_create": (number, [pointer, text, number, number]),
        "rd_kafka_mock_group_initial_rebalance_delay_ms": (None, [pointer, ctypes.c_int32]),
    }
    for name, (result, arguments) in signatures.items():
        try:
            function = getattr(library, name)
        except AttributeError as error:
            raise BrokerError(
                f"this build of confluent-kafka has no {name}, so there is no embedded broker: "
                'install confluent-kafka\'s own wheel, or use kafka.broker = "kafka"'
            ) from error
        # Undeclared, ctypes would cut every pointer to the 32 bits of an int.
        function.restype, function.argtypes = result, arguments
    return library


def _new_client(library: ctypes.CDLL) -> int:
    """A client that the mock cluster hangs on; it never connects anywhere and says nothing."""
    problem = ctypes.create_string_buffer(ERROR_BYTES)
    conf = library.rd_kafka_conf_new()
    library.rd_kafka_conf_set(conf, b"log_level", b"0", problem, ERROR_BYTES)
    # The client owns the configuration from here on, so nobody frees it.
    client = library.rd_kafka_new(PRODUCER, conf, problem, ERROR_BYTES)
    if client is None:
        raise BrokerError(f"librdkafka couldn't start: {problem.value.decode()}")
    return int(client)
