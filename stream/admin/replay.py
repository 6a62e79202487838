"""Which dead letters are worth submitting again, and why the others aren't.

Serves `samesource rejected --replay`. Nothing remembers what was replayed: what was is on
`video.uploaded` again, or decided, and that is what makes a letter an old story.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from stream.admin.upload_story import SKEW_MILLISECONDS
from stream.broker.client import Headers, Reader
from stream.broker.clients import source_of
from stream.broker.settings import KafkaSettings
from stream.broker.topics import log_identity
from stream.contract.events import (
    ContentVersion,
    Submission,
    VideoDecided,
    VideoFingerprinted,
    VideoRejected,
    VideoUploaded,
)
from stream.contract.message import Source, attempts_headers
from stream.contract.order import Takedown, submission_headers
from stream.errors import BadEventError
from stream.texts import Text


@dataclass(frozen=True)
class Submitted:
    """A message on `video.uploaded`."""

    partition: int
    offset: int
    timestamp_ms: int
    content_version: ContentVersion

    def is_after(self, letter: VideoRejected) -> bool:
        """Whether it was submitted later than what a letter is about."""
        first_ms = submitted_ms(letter)
        # Many share a millisecond, and offsets order those of one partition alone.
        if self.timestamp_ms == first_ms and self.partition == letter.source_partition:
            return self.offset > letter.source_offset
        return self.timestamp_ms > first_ms


@dataclass
class Since:
    """What happened to videos since the first of some letters about them.

    Attributes:
        log_id: of the topic that the letters' places are on.
        removed: takedowns, as they lie on the library log.
    """

    log_id: str = ""
    submitted: dict[str, list[Submitted]] = field(default_factory=dict)
    decided: dict[str, list[VideoDecided]] = field(default_factory=dict)
    removed: dict[str, list[Source]] = field(default_factory=dict)


@dataclass(frozen=True)
class Replay:
    """What becomes of a letter: an upload to submit with its headers, or the reason for none."""

    letter: VideoRejected
    upload: VideoUploaded | None = None
    headers: Headers = ()
    reason: str = ""


def submitted_ms(letter: VideoRejected) -> int:
    """When the original of a letter was submitted, milliseconds since 1970.

    By the request id of our own letters; by the time of the rejection of any other.
    """
    parts = letter.request_id.split("-")
    # Anyone may write letters: Python refuses to read a number of thousands of digits.
    if len(parts) == 3 and parts[2].isdigit() and len(parts[2]) < 16:
        return int(parts[2])
    return round(1000 * letter.rejected_at.timestamp())


def original_of(letter: VideoRejected, log_id: str) -> Submission:
    """The place of a letter's original."""
    # Not looked at: anyone may write letters, with numbers that no topic has.
    return Submission.model_construct(
        log_id=log_id,
        partition=letter.source_partition,
        offset=letter.source_offset,
        timestamp_ms=submitted_ms(letter),
    )


def read_replays(
    kafka: KafkaSettings, letters: Iterable[VideoRejected], *, again: bool = False
) -> list[Replay]:
    """As `replays`, by what is on the topics now.

    Raises:
        BrokerError: the broker doesn't answer, or lacks the topics.
    """
    letters = list(letters)
    since = read_since(kafka, letters)
    left = [one.letter for one in replays(letters, since, again=again) if one.upload is not None]
    # Last, and for those alone: of all topics the library log is the longest.
    since.removed = _read_removed(kafka, left)
    return replays(letters, since, again=again)


def read_since(kafka: KafkaSettings, letters: Iterable[VideoRejected]) -> Since:
    """What is on the topics about the videos of some letters, from the time of the first on.

    Without takedowns, which lie on the library log.

    Raises:
        BrokerError: the broker doesn't answer, or lacks the topics.
    """
    found, letters = Since(), list(letters)
    video_ids = {letter.video_id for letter in letters if letter.video_id is not None}
    if not video_ids:
        return found
    first_ms = min(map(submitted_ms, letters))
    found.log_id = log_identity(kafka, VideoUploaded.topic)
    _read_submitted(kafka, video_ids, first_ms, found.submitted)
    _read_decided(kafka, video_ids, first_ms, found.decided)
    return found


def _read_submitted(
    kafka: KafkaSettings,
    video_ids: Collection[str],
    first_ms: int,
    into: dict[str, list[Submitted]],
) -> None:
    with Reader(kafka, VideoUploaded.topic, since_ms=first_ms) as reader:
        for _, message in reader.until_now():
            try:
                upload = VideoUploaded.from_bytes(message.value())
            except BadEventError:
                continue
            # Not by the key, as decisions are: what a platform writes may have any.
            if upload.video_id in video_ids:
                place = int(message.partition() or 0), int(message.offset() or 0)
                timestamp_ms = int(message.timestamp()[1])
                one = Submitted(*place, timestamp_ms, upload.content_version)
                into.setdefault(upload.video_id, []).append(one)


def _read_decided(
    kafka: KafkaSettings,
    video_ids: Collection[str],
    first_ms: int,
    into: dict[str, list[VideoDecided]],
) -> None:
    with Reader(kafka, VideoDecided.topic, since_ms=first_ms) as reader:
        for _, message in reader.until_now():
            if (message.key() or b"").decode(errors="replace") not in video_ids:
                continue
            try:
                decision = VideoDecided.from_bytes(message.value())
            except BadEventError:
                continue
            into.setdefault(decision.video_id, []).append(decision)


def _read_removed(
    kafka: KafkaSettings, letters: Collection[VideoRejected]
) -> dict[str, list[Source]]:
    """The takedowns of the videos of some letters since the first of them was submitted."""
    found: dict[str, list[Source]] = {}
    keys = {letter.video_id.encode() for letter in letters if letter.video_id is not None}
    if not keys:
        return found
    since_ms = max(0, min(map(submitted_ms, letters)) - SKEW_MILLISECONDS)
    with Reader(kafka, VideoFingerprinted.topic, since_ms=since_ms) as reader:
        for topic, message in reader.until_now():
            key = message.key()
            if key in keys and message.value() is None:
                found.setdefault(key.decode(), []).append(source_of(message, topic))
    return found


def replays(letters: Iterable[VideoRejected], since: Since, *, again: bool = False) -> list[Replay]:
    """What to do with each letter, in their order.

    Each upload is submitted once: one that was submitted or decided again since is left, and so
    is all that is older than another submission of its video, or than a takedown of it.

    Args:
        letters: as they lie on the topic.
        since: of their videos.
        again: submit also what was submitted since with the same `content_version`. An older
            version never takes the place of a newer one, and what was taken down stays away.
    """
    found: list[Replay] = []
    chosen: dict[str, int] = {}
    for letter in letters:
        one = _replay(letter, since, again=again)
        if one.upload is not None:
            earlier = chosen.get(one.upload.video_id)
            if earlier is not None:
                found[earlier] = Replay(
                    found[earlier].letter, reason=Text("a later letter is replayed")
                )
            chosen[one.upload.video_id] = len(found)
        found.append(one)
    return found


def _replay(letter: VideoRejected, since: Since, *, again: bool) -> Replay:
    if letter.source_topic != VideoUploaded.topic:
        return Replay(
            letter, reason=Text("it is about a message of {topic}", topic=letter.source_topic)
        )
    try:
        upload = VideoUploaded.from_json(letter.event)
    except BadEventError:
        return Replay(letter, reason=Text("it holds no well-formed upload"))
    original = original_of(letter, since.log_id)
    for takedown in since.removed.get(upload.video_id, ()):
        if Takedown.of(takedown).covers(original):
            return Replay(letter, reason=Text("removed since: {place}", place=takedown))
    for other in since.submitted.get(upload.video_id, ()):
        same = other.content_version == upload.content_version
        if other.is_after(letter) and not (again and same):
            where = f"{VideoUploaded.topic}[{other.partition}]@{other.offset}"
            if same:
                return Replay(letter, reason=Text("submitted again since: {place}", place=where))
            told = Text(
                "submitted again since as version {version}: {place}",
                version=other.content_version,
                place=where,
            )
            return Replay(letter, reason=told)
    for decision in since.decided.get(upload.video_id, ()):
        same = decision.content_version == upload.content_version
        later = decision.decided_at > letter.rejected_at
        # The decision that followed from this very letter is no later story.
        if decision.request_id != letter.request_id and later and not (again and same):
            return Replay(
                letter, reason=Text("decided since as {outcome}", outcome=Text(decision.outcome))
            )
    # It keeps its place in the order, also where a takedown comes between this look and the send.
    headers = attempts_headers(letter.attempts + 1) + submission_headers(original)
    return Replay(letter, upload, headers)
