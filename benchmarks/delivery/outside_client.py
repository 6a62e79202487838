"""A platform that knows only the contract: submits a copy set, reads every answer, in plain JSON.

Uses confluent-kafka and no code of this project. Serves `kills.py` and the tests on a real
Kafka; runs on its own against any cluster:

    python benchmarks/delivery/outside_client.py localhost:9092 DATASET answers.json
"""

import argparse
import json
import logging
import sys
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Producer, TopicPartition

ANSWERS = ("video.decided", "alert.raised", "video.embedded", "video.rejected")
# For answers that come twice; over a worker's commit of every second, set by hand.
LINGER_SECONDS = 8.0
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

Answers = dict[str, list[dict[str, Any]]]


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

    def __init__(self, bootstrap_servers: str) -> None:
        """Connect."""
        self._servers = bootstrap_servers
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
        """Hand a message over; see `Platform.produce`."""
        self._count += 1
        number = f"{self._id} {self._count}"
        self._open[number] = _Sent(topic, value, key, delivered)
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
            wanted = _partitions(consumer, topics)
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


def _partitions(consumer: Consumer, topics: Iterable[str]) -> list[TopicPartition]:
    """All partitions of topics, from their starts."""
    metadata = consumer.list_topics(timeout=ANSWER_SECONDS)
    return [
        TopicPartition(name, partition, OFFSET_BEGINNING)
        for name in topics
        for partition in metadata.topics[name].partitions
    ]


class Platform:
    """Submits uploads and keeps every answer, by topic, in order of arrival.

    A message without a value is kept as `{"video_id": …, "removed": true}`.
    """

    def __init__(
        self, bootstrap_servers: str, prefix: str = "", topics: Sequence[str] = ANSWERS
    ) -> None:
        """Connect.

        Args:
            bootstrap_servers: of the cluster.
            prefix: of its topics.
            topics: whose events are answers.
        """
        self._prefix = prefix
        self._producer = PersistentProducer(bootstrap_servers)
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap_servers,
                "group.id": f"{prefix}outside-platform",
                "enable.auto.commit": False,
                "auto.offset.reset": "error",  # otherwise it would go on at the end, silently
                "log_level": 0,  # a broker that is away is no news
            }
        )
        self._consumer.assign(_partitions(self._consumer, [prefix + name for name in topics]))
        self.answers: Answers = {name: [] for name in topics}

    def submit(self, uploads: Iterable[dict[str, Any]]) -> None:
        """Publish upload events and wait until the broker has them."""
        for upload in uploads:
            self.submit_bytes(json.dumps(upload).encode(), str(upload.get("video_id", "")).encode())
        self.flush()

    def submit_bytes(self, value: bytes, key: bytes = b"") -> None:
        """Publish anything at all as an upload."""
        self.produce("video.uploaded", value, key)

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
            delivered: called with an error or None, and the message, in `read` or `flush`; without
                it, an error is raised by `flush`.
        """
        self._producer.produce(self._prefix + topic, value, key, delivered)

    def flush(self) -> None:
        """Wait until the broker has all messages.

        Raises:
            KafkaException: it doesn't answer.
            TimeoutError: it takes none of them.
            RuntimeError: it will never have some of them.
        """
        self._producer.flush()

    def read(self, seconds: float) -> None:
        """Read for so long."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._producer.poll()
            message = self._consumer.poll(min(left, 0.5))
            if message is None:
                continue
            if (error := message.error()) is not None:
                if error.fatal() or error.code() == KafkaError._AUTO_OFFSET_RESET:
                    raise RuntimeError(f"{message.topic()} {message.partition()}: {error.str()}")
                continue  # the broker is away; the client connects again by itself
            name = str(message.topic()).removeprefix(self._prefix)
            self.answers[name].append(_answer(message.key(), message.value()))

    def read_until(self, done: Callable[[Answers], bool], timeout_seconds: float) -> None:
        """Read until the answers are complete.

        Raises:
            TimeoutError: no answer for so long, and still not complete.
        """
        seen, heard = 0, time.monotonic()
        while not done(self.answers):
            self.read(0.5)
            count = sum(map(len, self.answers.values()))
            if count > seen:
                seen, heard = count, time.monotonic()
            elif time.monotonic() - heard > timeout_seconds:
                raise TimeoutError(f"no answer for {timeout_seconds:.0f} s; {count} so far")

    def decided(self, video_ids: Iterable[str]) -> Callable[[Answers], bool]:
        """Whether each of these has at least one decision."""
        wanted = set(video_ids)
        return lambda answers: wanted <= {event["video_id"] for event in answers["video.decided"]}

    def close(self) -> None:
        """Disconnect."""
        self._consumer.close()


def _answer(key: bytes | None, value: bytes | None) -> dict[str, Any]:
    """An event; for a message without a value, which takes a video down, whose it was."""
    if value is None:
        return {"video_id": (key or b"").decode(errors="replace"), "removed": True}
    event: dict[str, Any] = json.loads(value)
    return event


def upload(path: Path, role: str) -> dict[str, Any]:
    """The upload event of a file."""
    return {
        "video_id": path.stem,
        "uri": path.resolve().as_uri(),
        "owner_id": f"owner-of-{path.stem}",
        "role": role,
    }


def submit_set(platform: Platform, dataset: Path, timeout_seconds: float = 180.0) -> list[str]:
    """Submit the references, wait for their decisions, then the queries; the ids of all."""
    ids: list[str] = []
    for folder, role in (("references", "reference"), ("queries", "upload")):
        paths = sorted((dataset / folder).glob("*.mp4"))
        platform.submit(upload(path, role) for path in paths)
        ids += [path.stem for path in paths]
        platform.read_until(platform.decided(ids), timeout_seconds)
    return ids


def main() -> None:
    """Submit a set, wait, write the answers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bootstrap_servers")
    parser.add_argument("dataset", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--prefix", default="")
    arguments = parser.parse_args()
    platform = Platform(arguments.bootstrap_servers, arguments.prefix)
    start = time.monotonic()
    submitted = submit_set(platform, arguments.dataset)
    seconds = time.monotonic() - start
    platform.read(LINGER_SECONDS)  # what comes twice comes now
    platform.close()
    counts = {name: len(events) for name, events in platform.answers.items()}
    print(f"{len(submitted)} submitted, answered in {seconds:.1f} s: {counts}")
    arguments.out.write_text(json.dumps({"submitted": submitted, **platform.answers}))


if __name__ == "__main__":
    main()
