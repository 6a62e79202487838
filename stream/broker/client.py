"""What a platform does from outside: submits uploads and reads outcomes, with plain JSON.

Serves the command line and the demo; uses confluent-kafka, as any other client could.
"""

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from stream.broker.clients import (
    ANSWER_SECONDS,
    AT_END,
    AT_START,
    closed,
    offsets_at,
    partition_numbers,
    polled,
    reader,
    unreachable,
)
from stream.broker.sender import Headers, Sender
from stream.broker.settings import KafkaSettings
from stream.contract.events import VideoUploaded
from stream.errors import BrokerError, SettingsError, UnreachableError

__all__ = ["Headers", "Reader", "ends_of", "send", "submit", "upload_of"]


def upload_of(
    location: str, *, owner_id: str | None, role: str = "upload", video_id: str | None = None
) -> VideoUploaded:
    """The event of a file or URI; the video id is the file's stem unless one is given.

    Without an owner id, the video has an owner of its own.

    Raises:
        SettingsError: no such file, a folder, or a URI without a file name.
    """
    uri = uri_of(location)
    stem = _stem(uri) if "://" in location else Path(location).expanduser().resolve().stem
    video_id = video_id or stem
    owner_id = f"owner-of-{video_id}" if owner_id is None else owner_id
    return VideoUploaded.from_json(
        {"video_id": video_id, "uri": uri, "owner_id": owner_id, "role": role}
    )


def uri_of(location: str) -> str:
    """The URI of a file; a URI is one already.

    Raises:
        SettingsError: no such file, or a folder.
    """
    if "://" in location:
        return location
    path = Path(location).expanduser().resolve()
    if path.is_dir():
        raise SettingsError(f"{location} is a folder: name the files in it, as {location}/*")
    if not path.is_file():
        raise SettingsError(f"no file {location}: name files, or URIs like https://…")
    return path.as_uri()


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
    submit_by(Sender(kafka), uploads)


def submit_by(sender: Sender, uploads: Iterable[VideoUploaded]) -> None:
    """The same, by a sender that the caller holds on to.

    Raises:
        BrokerError: the broker didn't take them all.
    """
    sender.send(VideoUploaded.topic, ((event.key(), event.to_bytes(), []) for event in uploads))


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
    Sender(kafka).send(topic, messages)


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
        # Else a partition that is read to its end looks like one whose broker is slow.
        self._consumer = reader(kafka, {"enable.partition.eof": True})
        start = OFFSET_BEGINNING if from_beginning else OFFSET_END
        self._partitions = [
            TopicPartition(kafka.topic(topic), partition, start)
            for topic in topics
            for partition in partition_numbers(kafka, self._consumer, topic)
        ]
        if not from_beginning:  # fix "now" before the caller does anything
            self._start_at(self._offsets(AT_END))
        if since_ms is not None and kafka.broker != "embedded":
            self._start_at(self._offsets(since_ms))
        self._consumer.assign(self._partitions)

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *_: object) -> None:
        closed(self._consumer)

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
        message = polled(self._consumer, seconds)
        if message is None:
            return None
        error, key = message.error(), (str(message.topic()), int(message.partition() or 0))
        if error is not None and error.code() == KafkaError._PARTITION_EOF:
            # The end counts as reached also where compaction took the messages before it.
            self._next[key] = int(message.offset() or 0)
            return None
        if error is not None:
            raise BrokerError(unreachable(self._kafka, error.str()))
        self._next[key] = int(message.offset() or 0) + 1
        return key[0].removeprefix(self._kafka.topic_prefix), message

    def until_now(self) -> Iterator[tuple[str, Message]]:
        """Everything that is on the topics at the time of the call.

        Raises:
            UnreachableError: nothing came for `ANSWER_SECONDS`, and that was not all.
            BrokerError: as `poll`.
        """
        # Once: a topic that is written to all the time would never be read to its end.
        ends = {}
        bounds = zip(self._offsets(AT_START), self._offsets(AT_END), strict=True)
        for partition, (low, high) in zip(self._partitions, bounds, strict=True):
            starts = {OFFSET_BEGINNING: low, OFFSET_END: high}
            key = (partition.topic, partition.partition)
            self._next.setdefault(key, starts.get(partition.offset, partition.offset))
            # Where all was deleted the end is high, and nothing will come that reaches it.
            ends[key] = high if low < high else 0
        heard = time.monotonic()
        while behind := sum(self._next[key] < end for key, end in ends.items()):
            if time.monotonic() - heard > ANSWER_SECONDS:
                silent = f"no answer for {ANSWER_SECONDS:g} s, {behind} partitions aren't read"
                raise UnreachableError(unreachable(self._kafka, silent))
            before = dict(self._next)
            # Comes back at the end of a partition, where `poll` would wait for a message.
            found = self._poll(0.5)
            if found is not None:
                yield found
            # An end that was seen is an answer too, though there is nothing to yield.
            if self._next != before:
                heard = time.monotonic()

    def ends(self) -> list[int]:
        """The offset that the next message gets, of each partition, by topic and number.

        Raises:
            BrokerError: the broker doesn't answer.
        """
        return self._offsets(AT_END)

    def _start_at(self, offsets: list[int]) -> None:
        for partition, offset in zip(self._partitions, offsets, strict=True):
            partition.offset = offset

    def _offsets(self, time_ms: int) -> list[int]:
        try:
            return offsets_at(self._consumer, self._partitions, time_ms)
        except KafkaException as error:
            raise BrokerError(unreachable(self._kafka, error.args[0].str())) from error
