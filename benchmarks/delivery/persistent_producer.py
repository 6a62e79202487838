"""Publishes each message once and in order, also where librdkafka stalls.

Uses confluent-kafka and no code of the service. Serves `outside_client.py`.
"""

import logging
import sys
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Producer, TopicPartition

MAX_SECONDS = 1200  # for a message to reach the broker, which may be away
# Without one message reaching the broker: librdkafka 2.16 was once seen to wait for minutes behind
# a restart of a broker that answered everybody else.
STALLED_SECONDS = 30.0
ANSWER_SECONDS = 30.0  # to say which partitions there are; it may just be starting
READ_SECONDS = 300.0  # for what is in the topics
NUMBER = "outside-client-number"  # the header by which a message is known again
SILENT_SECONDS = 10.0  # of a consumer, after which another one reads
SETTLE_SECONDS = 1.0  # until a broker that answers again has read what the old connection sent
KEPT_LINES = 300  # of librdkafka's log, told when it stalls


@dataclass(frozen=True)
class _Sent:
    """A message that the broker hasn't confirmed."""

    topic: str
    value: bytes | None
    key: bytes
    delivered: Callable[[Any, Any], None] | None


class _LastLines(logging.Handler):
    """Keeps the end of a log."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: deque[str] = deque(maxlen=KEPT_LINES)

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{time.strftime('%H:%M:%S')} {record.getMessage()}")


class PersistentProducer:
    """Publishes each message once and in order, and starts librdkafka anew where it stalls.

    What the broker took without saying so is found in the topics by its number, and not sent again.
    """

    def __init__(self, bootstrap_servers: str, prefix: str = "") -> None:
        """Connect.

        Args:
            bootstrap_servers: of the cluster.
            prefix: of its topics.
        """
        self._servers, self._prefix = bootstrap_servers, prefix
        self._id, self._count = uuid.uuid4().hex, 0
        self._open: dict[str, _Sent] = {}
        self._undelivered: list[str] = []
        self._log = _LastLines()
        self._logger = logging.Logger(f"{__name__}.{self._id}")
        self._logger.addHandler(self._log)
        self._producer = self._connected()

    def _connected(self) -> Producer:
        return Producer(
            {
                "bootstrap.servers": self._servers,
                "enable.idempotence": True,
                # Of several requests to a partition that knows nothing of this producer yet, the
                # first may be refused and a later one taken, where the leader changes just then:
                # librdkafka 2.16 reports both as delivered.
                "max.in.flight.requests.per.connection": 1,
                "message.timeout.ms": MAX_SECONDS * 1000,
                "debug": "eos,broker,topic,metadata",
            },
            logger=self._logger,
        )

    def produce(
        self,
        topic: str,
        value: bytes | None,
        key: bytes,
        delivered: Callable[[Any, Any], None] | None = None,
    ) -> None:
        """Hand a message over, to be published in this order, once, when the broker is there.

        Args:
            topic: without the prefix.
            value: none takes back what was said under the key.
            key: of the message.
            delivered: called with an error or None, and the message, in `poll` or `flush`; without
                it, an error is raised by `flush`.
        """
        self._count += 1
        number = f"{self._id} {self._count}"
        self._open[number] = _Sent(self._prefix + topic, value, key, delivered)
        self._send(number)

    def _send(self, number: str) -> None:
        sent = self._open[number]
        self._producer.produce(
            sent.topic,
            value=sent.value,
            key=sent.key,
            headers={NUMBER: number.encode()},
            on_delivery=partial(self._delivered, number),
        )
        self._producer.poll(0)

    def poll(self) -> None:
        """Hear what has been delivered."""
        self._producer.poll(0)

    def _delivered(self, number: str, error: Any, message: Any) -> None:
        if error is not None and error.code() in (
            KafkaError._PURGE_QUEUE,
            KafkaError._PURGE_INFLIGHT,
        ):
            return  # to be sent again
        sent = self._open.pop(number)
        if sent.delivered is not None:
            sent.delivered(error, message)
        elif error is not None:
            self._undelivered.append(f"{sent.topic} {sent.key!r}: {error}")

    def flush(self, stalled_seconds: float = STALLED_SECONDS) -> None:
        """Wait until the broker has all messages.

        Raises:
            KafkaException: it doesn't answer.
            TimeoutError: it takes none of them, from a new connection either.
            RuntimeError: it will never have some of them.
        """
        for renewed in (False, True):
            left = len(self._open) + 1
            while self._open and len(self._open) < left:
                left = len(self._open)
                self._producer.flush(stalled_seconds)
            if self._open and not renewed:
                self._renew()
        if self._open:
            lines = "\n".join(self._log.lines)
            raise TimeoutError(f"{len(self._open)} messages didn't reach the broker:\n{lines}")
        if self._undelivered:
            raise RuntimeError(f"never delivered: {'; '.join(self._undelivered)}")

    def _renew(self) -> None:
        """Send what isn't in the topics by a new producer."""
        print(f"a producer stalled with {len(self._open)} messages:", file=sys.stderr)
        print(*self._log.lines, sep="\n", file=sys.stderr, flush=True)
        self._producer.purge()
        self._producer.flush(1)
        self._producer = self._connected()
        there = self._numbers_in({sent.topic for sent in self._open.values()})
        for number in list(self._open):
            if number in there:
                self._delivered(number, None, there[number])
            else:
                self._send(number)

    def _numbers_in(self, topics: Iterable[str]) -> dict[str, Any]:
        """The messages that are in these topics, by their numbers.

        Raises:
            KafkaException: the broker doesn't answer.
            TimeoutError: it tells the topics too slowly.
        """
        end = time.monotonic() + READ_SECONDS
        while (found := self._read(topics, end)) is None:
            pass
        return found

    def _read(self, topics: Iterable[str], end: float) -> dict[str, Any] | None:
        """The same by one consumer; None where it has heard nothing for a while.

        A consumer that a cluster told of no broker, as one that just comes back does, knows of none
        for ever (librdkafka's issue 5301).
        """
        options = {"bootstrap.servers": self._servers, "group.id": self._id, "log_level": 0}
        consumer = Consumer({**options, "enable.auto.commit": False, "enable.partition.eof": True})
        try:
            wanted = partitions(consumer, topics)
            time.sleep(SETTLE_SECONDS)
            consumer.assign(wanted)
            found: dict[str, Any] = {}
            read, heard = set[tuple[Any, Any]](), time.monotonic()
            while len(read) < len(wanted):
                if time.monotonic() > end:
                    raise TimeoutError(f"the topics weren't read within {READ_SECONDS:.0f} s")
                message = consumer.poll(1)
                if message is None:
                    if time.monotonic() - heard > SILENT_SECONDS:
                        return None
                    continue
                heard = time.monotonic()
                if (error := message.error()) is not None:
                    if error.code() == KafkaError._PARTITION_EOF:  # again behind what comes later
                        read.add((message.topic(), message.partition()))
                    continue
                headers: Any = message.headers() or ()
                if (number := dict(headers).get(NUMBER)) is not None:
                    found[number.decode()] = message
            return found
        finally:
            consumer.close()


def partitions(consumer: Consumer, topics: Iterable[str]) -> list[TopicPartition]:
    """All partitions of topics, from their starts."""
    metadata = consumer.list_topics(timeout=ANSWER_SECONDS)
    return [
        TopicPartition(name, partition, OFFSET_BEGINNING)
        for name in topics
        for partition in metadata.topics[name].partitions
    ]
