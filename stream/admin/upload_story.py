"""One upload's whole story, read off the topics and put in order of time.

Serves `samesource show`; `event_words.py` puts each message into words.
"""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from stream.admin.event_words import event_of, what_happened
from stream.broker.client import Reader
from stream.broker.clients import source_of
from stream.broker.settings import KafkaSettings
from stream.contract.events import (
    Alert,
    AlertRaised,
    AlertReviewed,
    AlertSuppressed,
    Event,
    VideoCompared,
    VideoDecided,
    VideoEmbedded,
    VideoFingerprinted,
    VideoRejected,
    VideoUploaded,
)
from stream.contract.message import Source
from stream.contract.order import restated
from stream.errors import BadEventError, UnreachableError

SKEW_MILLISECONDS = 3600 * 1000
"""By which the clocks of two producers may differ: Kafka keeps the time that each of them says."""
ORDER: tuple[type[Event], ...] = (
    VideoUploaded,
    VideoEmbedded,  # its message is out before the fingerprint's, which says where it is
    VideoFingerprinted,
    VideoRejected,
    VideoCompared,
    AlertRaised,
    AlertSuppressed,
    VideoDecided,
    AlertReviewed,
)
"""Of what carries the same millisecond; also what is read."""
KEYED: tuple[type[Event], ...] = (VideoRejected, VideoEmbedded, VideoCompared, VideoDecided)
KEYED_TOPICS = {VideoFingerprinted.topic, *(kind.topic for kind in KEYED)}
"""Written by workers alone, under the video's id: other keys need no parsing."""
# Not the log, which is by far the largest and is read from the submission on; nor verdicts, which
# need name no video, only an alert that is to be found first.
AT_FIRST: tuple[type[Event], ...] = (VideoUploaded, *KEYED, AlertRaised, AlertSuppressed)
RANKS = {kind.topic: rank for rank, kind in enumerate(ORDER)}


@dataclass(frozen=True)
class Moment:
    """One message that has to do with the upload.

    Attributes:
        source: where it lies, and when Kafka got it.
        event: None where it takes something back, or can't be read.
        what: `submitted`, `fingerprinted` and so on: one or two words.
        text: the details, for people.
    """

    source: Source
    event: Event | None
    what: str
    text: str

    @property
    def at(self) -> datetime:
        """Kafka's time of the message, in UTC."""
        return datetime.fromtimestamp(self.source.timestamp_ms / 1000, UTC)

    @property
    def request_id(self) -> str | None:
        """Which submission it is about, where it says so."""
        if isinstance(self.event, VideoUploaded):
            return self.source.request_id
        return getattr(self.event, "request_id", None)


@dataclass
class Story:
    """What happened to a video, and to its copies, in order of time.

    Attributes:
        complete: whether everything on the topics since then was read in time.
    """

    video_id: str
    moments: list[Moment] = field(default_factory=list)
    complete: bool = True

    def open_request(self) -> str | None:
        """What the newest submission waits for; None where it is decided, or none is known."""
        requests = [one.request_id for one in self._of(VideoUploaded)]
        if not requests:
            return None
        newest = requests[-1]
        if any(one.request_id == newest for one in self._of(VideoDecided)):
            return None
        answers = [
            one.event for one in self._of(VideoCompared)
            if isinstance(one.event, VideoCompared) and one.event.request_id == newest
        ]  # fmt: skip
        if answers:
            numbers = sorted({event.shard for event in answers})
            who = ", ".join(map(str, numbers))
            return f"request {newest} isn't decided: of {answers[0].shards} shards {who} answered"
        if any(one.request_id == newest for one in self._of(VideoFingerprinted)):
            return f"request {newest} isn't decided: no shard has answered its fingerprint"
        return f"request {newest} isn't decided: no fingerprint worker has finished it"

    def _of(self, kind: type[Event]) -> Iterator[Moment]:
        return (moment for moment in self.moments if isinstance(moment.event, kind))


def story_of(
    kafka: KafkaSettings, video_id: str, *, since_ms: int, timeout_seconds: float
) -> Story:
    """Read what the topics say about a video; what comes twice, as after a crash, counts once.

    Args:
        kafka: the cluster.
        video_id: of an upload or a reference.
        since_ms: what was written before isn't read; milliseconds since 1970.
        timeout_seconds: for all topics together; the story isn't complete when they take longer.

    Raises:
        BrokerError: the broker doesn't answer, or lacks the topics.
    """
    reading = _Reading(kafka, video_id, time.monotonic() + timeout_seconds)
    reading.read([kind.topic for kind in AT_FIRST], since_ms, reading.is_about)
    verdict = reading.verdict_on({alert.alert_id for alert in reading.events(Alert)})
    reading.read([AlertReviewed.topic], since_ms, verdict)
    submitted = [one.timestamp_ms for one, event in reading.found if _is_upload(event)]
    log_since = min(submitted) - SKEW_MILLISECONDS if submitted else since_ms
    reading.read([VideoFingerprinted.topic], max(since_ms, log_since), reading.is_about)
    return Story(video_id, reading.moments(), complete=reading.complete)


def _is_upload(event: Event | None) -> bool:
    return isinstance(event, VideoUploaded)


class _Reading:
    """The messages about one video, as they are read topic by topic."""

    def __init__(self, kafka: KafkaSettings, video_id: str, deadline: float) -> None:
        self._kafka, self._video_id, self._deadline = kafka, video_id, deadline
        self._key = video_id.encode()
        self._seen: set[tuple[str, bytes, bool]] = set()
        self.found: list[tuple[Source, Event | None]] = []
        self.complete = True

    def read(
        self,
        topics: Sequence[str],
        since_ms: int,
        wanted: Callable[[Source, Event | None], bool],
    ) -> None:
        """Keep the messages that are wanted, up to the topics' present ends or the deadline."""
        if time.monotonic() > self._deadline:
            self.complete = False
            return
        with Reader(self._kafka, *topics, since_ms=since_ms) as reader:
            try:
                for topic, message in reader.until_now():
                    if time.monotonic() > self._deadline:
                        self.complete = False
                        return
                    if self._is_anothers(topic, message.key()):
                        continue
                    source = source_of(message, topic)
                    event = _event(source)
                    if wanted(source, event) and not self._is_repeated(source):
                        self.found.append((source, event))
            except UnreachableError:  # half a story is worth telling, as such
                self.complete = False

    def _is_anothers(self, topic: str, key: bytes | None) -> bool:
        """Whether the key alone says so; a long log is read much faster by that."""
        return topic in KEYED_TOPICS and key != self._key

    def _is_repeated(self, source: Source) -> bool:
        """Whether a worker said this very thing before; a platform's words count each time."""
        if source.value is None or source.topic in (VideoUploaded.topic, AlertReviewed.topic):
            return False
        said = (source.topic, source.value, restated(source))
        repeated = said in self._seen
        self._seen.add(said)
        return repeated

    def is_about(self, source: Source, event: Event | None) -> bool:
        """Whether a message has to do with the video, on either side of an alert."""
        if event is None:
            return source.key == self._key
        names = (getattr(event, "video_id", None), getattr(event, "reference_id", None))
        return self._video_id in names

    def verdict_on(self, alert_ids: Collection[str]) -> Callable[[Source, Event | None], bool]:
        """Whether a message is a verdict on one of these alerts, or on the video."""

        def wanted(source: Source, event: Event | None) -> bool:
            named = (source.key or b"").decode(errors="replace") in alert_ids
            return named or (event is not None and self.is_about(source, event))

        return wanted

    def events(self, kind: type[Alert]) -> Iterator[Alert]:
        """Those of a kind that were found."""
        return (event for _, event in self.found if isinstance(event, kind))

    def moments(self) -> list[Moment]:
        """What was found, in order of time."""
        ordered = sorted(
            self.found,
            key=lambda one: (
                one[0].timestamp_ms, RANKS[one[0].topic], one[0].partition, one[0].offset,
            ),
        )  # fmt: skip
        return [
            Moment(source, event, *what_happened(self._video_id, source, event))
            for source, event in ordered
        ]


def _event(source: Source) -> Event | None:
    """None where there is none that can be read."""
    try:
        return event_of(source)
    except BadEventError:
        return None


def as_json(story: Story) -> dict[str, Any]:
    """The story for machines: each moment with its place and its event, less what is packed."""
    return {
        "video_id": story.video_id,
        "complete": story.complete,
        "waits_for": story.open_request(),
        "moments": [
            {
                "at": moment.at.isoformat(timespec="milliseconds"),
                "what": moment.what,
                "text": moment.text,
                "topic": moment.source.topic,
                "partition": moment.source.partition,
                "offset": moment.source.offset,
                "request_id": moment.request_id,
                "event": None if moment.event is None else _fields(moment.event),
            }
            for moment in story.moments
        ],
    }


PACKED = {
    "key_frame_seconds", "descriptors", "score_offsets", "cut_seconds", "motion",
    "query_frame_seconds", "query_descriptors", "query_score_offsets", "vector", "thumbnails",
    "moment_seconds", "moment_vectors", "event_base64", "event_head_base64",
}  # fmt: skip
"""Fields that hold arrays and pictures: the topic has them, and nobody reads them here."""


def _fields(event: Event) -> dict[str, Any]:
    fields = event.model_dump(mode="json", exclude_none=True, exclude=PACKED)
    if isinstance(event, VideoRejected) and event.source_topic != VideoUploaded.topic:
        fields.pop("event", None)  # a later event of the upload, with arrays of its own
    return fields
