"""What a platform does from outside: submits uploads and reads outcomes, with plain JSON.

Serves the command line and the demo; uses confluent-kafka, as any other client could.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)

from stream.broker.clients import ANSWER_SECONDS, reader, writer
from stream.broker.settings import KafkaSettings
from stream.contract.events import VideoUploaded
from stream.errors import BrokerError, SettingsError, UnreachableError

Headers = Sequence[tuple[str, bytes]]
FLUSH_SECONDS = 35.0
"""More than `SEND_MILLISECONDS`: what isn't taken is reported by then, with the reason."""


def upload_of(
    location: str, *, owner_id: str | None, role: str = "upload", video_id: str | None = None
) -> VideoUploaded:
    """The event of a file or URI; the video id is the file's stem unless one is given.

    Without an owner id, the video has an owner of its own.

    Raises:
        SettingsError: no such file, a folder, or a URI without a file name.
    """
    if "://" in location:
        uri, stem = location, _stem(location)
    else:
        path = Path(location).expanduser().resolve()
        if path.is_dir():
            raise SettingsError(f"{location} is a folder: name the files in it, as {location}/*")
        if not path.is_file():
            raise SettingsError(f"no file {location}: name files, or URIs like https://…")
        uri, stem = path.as_uri(), path.stem
    video_id = video_id or stem
    owner_id = f"owner-of-{video_id}" if owner_id is None else owner_id
    return VideoUploaded.from_json(
        {"video_id": video_id, "uri": uri, "owner_id": owner_id, "role": role}
    )


def _stem(uri: str) -> str:
    """The file name in a URI, without its ending; the host is none.

    Raises:
        SettingsError: there is none.
    """
    try:
        path = urlsplit(uri).path
    except ValueError as error:
        raise SettingsError(
            f"{uri} is no URI ({error}): write https://…, s3://… or file:///…"
        ) from error
    stem = Path(unquote(path)).stem
    if not stem:
        raise SettingsError(f"{uri} has no file name to make a video id of: name a file")
    return stem


def submit(kafka: KafkaSettings, uploads: Iterable[VideoUploaded]) -> None:
    """Publish uploads and wait for the broker's acknowledgement of each.

    Raises:
        BrokerError: the broker didn't take them all.
    """
    send(kafka, VideoUploaded.topic, ((event.key(), event.to_bytes(), []) for event in uploads))


def send(
    kafka: KafkaSettings,
    topic: str,
    messages: Iterable[tuple[bytes | None, bytes | None, Headers]],
) -> None:
    """Publish (key, value, headers) and wait until the broker has them all.

    A message without a value takes back what was said under its key, on a compacted topic.

    Raises:
        BrokerError: the broker didn't take them all.
    """
    failed: list[str] = []

    def delivered(error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            failed.append(error.str())

    producer = writer(kafka)
    # Asked for first: for a topic that isn't there, a send would only fail at the end of its time.
    _partition_numbers(kafka, producer, topic)
    for key, value, headers in messages:
        while True:
            try:
                producer.produce(
                    kafka.topic(topic),
                    value=value,
                    key=key,
                    headers=list(headers),
                    on_delivery=delivered,
                )
                break
            except BufferError:  # its queue is full: let some of it go
                producer.poll(0.1)
            except KafkaException as error:
                raise BrokerError(f"{topic}: {error.args[0].str()}") from error
        # librdkafka tells what was delivered in here only.
        producer.poll(0)
    left = producer.flush(FLUSH_SECONDS)
    if failed or left:
        raise BrokerError(_unreachable(kafka, failed[0] if failed else f"{left} messages not sent"))


def ends_of(kafka: KafkaSettings, topic: str) -> list[int]:
    """The offset that the next message gets, of each partition of a topic.

    Raises:
        BrokerError: the broker doesn't answer, or has no such topic.
    """
    with Reader(kafka, topic) as reader:
        return reader.ends()


class Reader:
    """Reads topics of the contract from now or from the beginning, without a consumer group."""

    def __init__(
        self,
        kafka: KafkaSettings,
        *topics: str,
        from_beginning: bool = True,
        since_ms: int | None = None,
    ) -> None:
        """Connect.

        Args:
            kafka: the cluster.
            *topics: the contract's names.
            from_beginning: or from now.
            since_ms: from the first message of that time by Kafka, in milliseconds since 1970, in
                place of the beginning; all is read where the broker can't look up times.
        """
        self._kafka, self._next = kafka, dict[tuple[str, int], int]()
        self._consumer = reader(kafka, {"enable.partition.eof": True})
        start = OFFSET_BEGINNING if from_beginning else OFFSET_END
        self._partitions = [
            TopicPartition(kafka.topic(topic), partition, start)
            for topic in topics
            for partition in _partition_numbers(kafka, self._consumer, topic)
        ]
        if not from_beginning:  # fix "now" before the caller does anything
            for partition in self._partitions:
                partition.offset = self._watermarks(partition)[1]
        if since_ms is not None and kafka.broker != "embedded":
            self._partitions = self._since(since_ms)
        self._consumer.assign(self._partitions)

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def poll(self, seconds: float) -> tuple[str, Message] | None:
        """The next message and its contract topic, or None after `seconds`.

        Raises:
            BrokerError: the broker reports an error.
        """
        until = time.monotonic() + seconds
        while (found := self._poll(max(0.0, until - time.monotonic()))) is None:
            if time.monotonic() >= until:
                return None
        return found

    def _poll(self, seconds: float) -> tuple[str, Message] | None:
        """As `poll`, but None at once where the end of a partition was seen."""
        message = self._consumer.poll(seconds)
        if message is None:
            return None
        error, key = message.error(), (str(message.topic()), int(message.partition() or 0))
        if error is not None and error.code() == KafkaError._PARTITION_EOF:
            self._next[key] = int(message.offset() or 0)
            return None
        if error is not None:
            raise BrokerError(_unreachable(self._kafka, error.str()))
        self._next[key] = int(message.offset() or 0) + 1
        return key[0].removeprefix(self._kafka.topic_prefix), message

    def until_now(self) -> Iterator[tuple[str, Message]]:
        """Everything that is on the topics at the time of the call.

        Raises:
            UnreachableError: nothing came for `ANSWER_SECONDS`, and that was not all.
            BrokerError: as `poll`.
        """
        ends = {}
        for partition in self._partitions:
            low, high = self._watermarks(partition)
            starts = {OFFSET_BEGINNING: low, OFFSET_END: high}
            key = (partition.topic, partition.partition)
            self._next.setdefault(key, starts.get(partition.offset, partition.offset))
            # Where all was deleted the end is high, and nothing will come that reaches it.
            ends[key] = high if low < high else 0
        heard = time.monotonic()
        while behind := sum(self._next[key] < end for key, end in ends.items()):
            if time.monotonic() - heard > ANSWER_SECONDS:
                silent = f"no answer for {ANSWER_SECONDS:g} s, {behind} partitions aren't read"
                raise UnreachableError(_unreachable(self._kafka, silent))
            before = dict(self._next)
            found = self._poll(0.5)
            if found is not None:
                yield found
            if self._next != before:
                heard = time.monotonic()

    def ends(self) -> list[int]:
        """The offset that the next message gets, of each partition, by topic and number.

        Raises:
            BrokerError: the broker doesn't answer.
        """
        return [self._watermarks(partition)[1] for partition in self._partitions]

    def _since(self, since_ms: int) -> list[TopicPartition]:
        asked = [
            TopicPartition(partition.topic, partition.partition, since_ms)
            for partition in self._partitions
        ]
        try:
            found: list[TopicPartition] = self._consumer.offsets_for_times(
                asked, timeout=ANSWER_SECONDS
            )
        except KafkaException as error:
            raise BrokerError(_unreachable(self._kafka, error.args[0].str())) from error
        return found

    def _watermarks(self, partition: TopicPartition) -> tuple[int, int]:
        try:
            low, high = self._consumer.get_watermark_offsets(partition, timeout=ANSWER_SECONDS)
        except KafkaException as error:
            raise BrokerError(_unreachable(self._kafka, error.args[0].str())) from error
        return int(low), int(high)


def _partition_numbers(kafka: KafkaSettings, client: Consumer | Producer, topic: str) -> list[int]:
    """The partitions of a topic.

    Raises:
        BrokerError: no broker answers within `ANSWER_SECONDS`, or it has no such topic.
    """
    name = kafka.topic(topic)
    try:
        found = client.list_topics(timeout=ANSWER_SECONDS).topics.get(name)
    except KafkaException as error:
        raise BrokerError(_unreachable(kafka, error.args[0].str())) from error
    if found is None or found.error is not None or not found.partitions:
        raise BrokerError(f"no topic {name}: make the topics with `samesource topics create`")
    return sorted(found.partitions)


def _unreachable(kafka: KafkaSettings, problem: str) -> str:
    return (
        f"Kafka at {kafka.bootstrap_servers}: {problem}. Start one with `samesource broker "
        "start`, or set SAMESOURCE_KAFKA__BOOTSTRAP_SERVERS"
    )
