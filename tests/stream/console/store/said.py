"""Messages of all topics about a few videos and people, so that everything meets everything."""

import random
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from stream.console.store.columns import EPOCH
from stream.console.store.database import Database
from stream.console.store.intake import Intake
from stream.console.store.messages import TOPICS
from stream.contract.events import (
    AlertRaised,
    AlertReviewed,
    AlertSuppressed,
    AppliedPolicy,
    Event,
    MatchedSegment,
    PolicyUpdated,
    SuppressionReason,
    VideoDecided,
    VideoEmbedded,
    VideoFingerprinted,
    VideoRejected,
    VideoUploaded,
)
from stream.contract.message import Source

BEGIN = datetime(2026, 3, 1, 12, tzinfo=UTC)
Log = dict[tuple[str, int], list[Source]]
"""Messages by topic and partition, in order."""

VIDEOS = ("upload a", "upload b", "upload c", "upload\0d")
REFERENCES = ("reference 1", "reference 2", "upload a")
UPLOADERS, HOLDERS = ("fan", "channel"), ("league", "studio")
PARTITIONS = 2


def segment(start: float, seconds: float, score: float = 0.9, **fields: Any) -> MatchedSegment:
    return MatchedSegment(
        video_start_seconds=10 + start,
        video_end_seconds=10 + start + seconds,
        reference_start_seconds=start,
        reference_end_seconds=start + seconds,
        score=score,
        **fields,
    )


def alert(
    alert_id: str = "alert",
    *,
    at: datetime = BEGIN,
    reason: SuppressionReason | None = None,
    **fields: Any,
) -> AlertRaised | AlertSuppressed:
    """Raised, or suppressed for a reason."""
    said: dict[str, Any] = {
        "alert_id": alert_id,
        "video_id": "upload a",
        "reference_id": "reference 1",
        "video_owner_id": "fan",
        "reference_owner_id": "league",
        "score": 0.9,
        "segments": [segment(0, 20)],
        "model_version": "m",
        "library_offset": 5,
        "raised_at": at,
    }
    said |= fields
    if reason is None:
        return AlertRaised(**said)
    return AlertSuppressed(**said, reason=reason, detail="got and expected")


def applied(least_seconds: float = 0.0, **fields: Any) -> AppliedPolicy:
    """What an alert says that it was judged by."""
    said: dict[str, Any] = {
        "is_own": True,
        "least_seconds": least_seconds,
        "least_video_share": 0.0,
        "least_reference_share": 0.0,
        "least_score": 0.0,
        "is_licensed": False,
        "exclusions": 0,
        "excluded_seconds": 0.0,
    }
    return AppliedPolicy(**said | fields)


def verdict(
    alert_id: str, word: Any, *, at: datetime = BEGIN, reviewer: str = "ann", **fields: Any
) -> AlertReviewed:
    return AlertReviewed(
        alert_id=alert_id, verdict=word, reviewer=reviewer, reviewed_at=at, **fields
    )


class Writer:
    """Appends messages to a log, as producers do: by key, with Kafka's time going on."""

    def __init__(self, partitions: int = PARTITIONS) -> None:
        self.log: Log = {}
        self._partitions = partitions
        self._now_ms = int((BEGIN - EPOCH).total_seconds() * 1000)

    def say(self, event: Event) -> Source:
        """A message with an event."""
        return self._append(event.topic, event.key(), event.to_bytes())

    def remove(self, topic: str, key: str) -> Source:
        """A message without a value."""
        return self._append(topic, key.encode(), None)

    def garbage(self, topic: str) -> Source:
        """A message that can't be read."""
        return self._append(topic, b"k", b"{")

    def all(self) -> list[Source]:
        """All messages, topic by topic."""
        return [source for part in self.log.values() for source in part]

    def _append(self, topic: str, key: bytes | None, value: bytes | None) -> Source:
        one = topic in (VideoFingerprinted.topic, PolicyUpdated.topic)
        partition = 0 if one else sum(key or b"") % self._partitions
        part = self.log.setdefault((topic, partition), [])
        self._now_ms += 1500
        source = Source(
            topic=topic,
            partition=partition,
            offset=len(part),
            timestamp_ms=self._now_ms,
            value=value,
            key=key,
        )
        part.append(source)
        return source


def random_log(seed: int, messages: int) -> Log:
    """A log of all topics and kinds of messages, some of them strange."""
    chance, writer = random.Random(seed), Writer()
    requests: list[tuple[str, str]] = []
    for _ in range(messages):
        at = BEGIN + timedelta(seconds=chance.choice([0, 0, 1, 60, 3600, 9000]) * chance.random())
        # Whole seconds often: equal times are where orders go wrong.
        at = at.replace(microsecond=0) if chance.random() < 0.7 else at
        video_id = chance.choice(VIDEOS)
        match chance.choice(
            ["upload", "fingerprint", "embed", "decide", "reject", "alert", "alert", "alert",
             "verdict", "verdict", "policy", "remove", "garbage"]
        ):  # fmt: skip
            case "upload":
                source = writer.say(_uploaded(chance, video_id, at))
                requests.append((source.request_id, video_id))
            case "fingerprint":
                writer.say(_fingerprinted(chance, *_request(chance, requests, video_id)))
            case "embed":
                writer.say(_embedded(chance, video_id))
            case "decide":
                writer.say(_decided(chance, *_request(chance, requests, video_id), at))
            case "reject":
                writer.say(_rejected(chance, *_request(chance, requests, video_id), at))
            case "alert":
                writer.say(_alert(chance, at))
            case "verdict":
                writer.say(_verdict(chance, at))
            case "policy":
                score = chance.choice([None, 0.5])
                writer.say(PolicyUpdated(owner_id=chance.choice(HOLDERS), least_score=score))
            case "remove":
                writer.remove(*_removal(chance, video_id))
            case "garbage":
                writer.garbage(chance.choice([AlertRaised.topic, VideoUploaded.topic]))
    return writer.log


def _request(
    chance: random.Random, requests: Sequence[tuple[str, str]], video_id: str
) -> tuple[str, str]:
    """Of one that was submitted, or of one whose submission is gone."""
    if requests and chance.random() < 0.8:
        return chance.choice(requests)
    return f"gone {chance.randrange(3)}", video_id


def _uploaded(chance: random.Random, video_id: str, at: datetime) -> VideoUploaded:
    return VideoUploaded(
        video_id=video_id,
        uri=f"https://example.org/{chance.randrange(5)}.mp4",
        owner_id=chance.choice(UPLOADERS),
        title=chance.choice([None, "A title", "with\0NUL"]),
        uploaded_at=chance.choice([None, at]),
        role=chance.choice(["upload", "reference"]),
    )


def _fingerprinted(chance: random.Random, request_id: str, video_id: str) -> VideoFingerprinted:
    return VideoFingerprinted(
        video_id=video_id,
        content_version=1 if chance.random() < 0.5 else "two",
        owner_id=chance.choice(UPLOADERS),
        role=chance.choice(["upload", "reference"]),
        request_id=request_id,
        model_version="m",
        duration_seconds=chance.choice([30.0, 60.0]),
        dimension=4,
        key_frame_seconds="",
        descriptors="",
        title=chance.choice([None, "Kept"]),
        stage_seconds={"decode": chance.random()},
    )


def _embedded(chance: random.Random, video_id: str) -> VideoEmbedded:
    return VideoEmbedded(
        video_id=video_id,
        model_version="m",
        dimension=1,
        vector=[1.0],
        duration_seconds=30.0,
        thumbnails=["AAAA"] * chance.randrange(3),
    )


def _decided(chance: random.Random, request_id: str, video_id: str, at: datetime) -> VideoDecided:
    return VideoDecided(
        video_id=video_id,
        content_version=1,
        outcome=chance.choice(["matched", "clear", "rejected"]),
        alert_ids=["alert 1"],
        reason="because",
        decided_at=at,
        request_id=request_id,
        stage_seconds={"search": chance.random()},
    )


def _rejected(chance: random.Random, request_id: str, video_id: str, at: datetime) -> VideoRejected:
    return VideoRejected(
        video_id=chance.choice([None, video_id]),
        error=chance.choice(["corrupt", "timeout"]),
        message="it is\0broken",
        source_topic=chance.choice([VideoUploaded.topic, PolicyUpdated.topic]),
        source_partition=0,
        source_offset=2**63 + 5,
        attempts=chance.randrange(1, 3),
        request_id=request_id,
        rejected_at=at,
    )


def _alert(chance: random.Random, at: datetime) -> AlertRaised | AlertSuppressed:
    number = chance.randrange(8)
    about = random.Random(number)  # an alert id stands for its videos and seconds
    return alert(
        f"alert {number}",
        at=at,
        reason=chance.choice([None, None, "held", "licensed", "dismissed"]),
        video_id=about.choice(VIDEOS),
        reference_id=about.choice(REFERENCES),
        video_owner_id=about.choice(UPLOADERS),
        reference_owner_id=about.choice(HOLDERS),
        score=chance.choice([0.7, 0.9]),
        policy=chance.choice([None, applied(5.0), applied(0.1, alerts_per_hour=200)]),
        segments=[segment(start, 20) for start in about.sample([0, 30, 60], about.randrange(1, 3))],
    )


def _verdict(chance: random.Random, at: datetime) -> AlertReviewed:
    word = chance.choice(["confirmed", "dismissed", "dismissed", "dismissed", "withdrawn"])
    number = chance.randrange(8)
    about = random.Random(number)
    pair = {"video_id": about.choice(VIDEOS), "reference_id": about.choice(REFERENCES)}
    fields: dict[str, Any] = chance.choice([{}, pair])
    if word == "dismissed":
        fields = chance.choice(
            [
                fields,
                {"scope": "alert"},
                {"scope": "pair", **pair},
                {"scope": "span", "reference_id": chance.choice(REFERENCES),
                 "reference_start_seconds": 0.0,
                 "reference_end_seconds": chance.choice([21.0, 55.0])},
                {"scope": "uploader", "video_owner_id": chance.choice(UPLOADERS),
                 "reference_owner_id": chance.choice(HOLDERS)},
            ]
        )  # fmt: skip
    reviewer = chance.choice(["ann", "bob"])
    return verdict(f"alert {number}", word, at=at, reviewer=reviewer, **fields)


def _removal(chance: random.Random, video_id: str) -> tuple[str, str]:
    topic = chance.choice(
        [VideoFingerprinted.topic, VideoEmbedded.topic, AlertReviewed.topic, PolicyUpdated.topic,
         AlertRaised.topic]
    )  # fmt: skip
    if topic == AlertReviewed.topic:
        return topic, f"alert {chance.randrange(8)}"
    return topic, chance.choice(HOLDERS) if topic == PolicyUpdated.topic else video_id


def in_some_order(log: Log, seed: int) -> Iterator[list[Source]]:
    """The log in batches, as a reader may get it: partitions interleaved, some parts again."""
    chance = random.Random(seed)
    heads = dict.fromkeys(log, 0)
    while any(heads[key] < len(part) for key, part in log.items()):
        batch: list[Source] = []
        for _ in range(chance.randrange(1, 4)):
            key = chance.choice([*log])
            begin = heads[key]
            if chance.random() < 0.3:  # from somewhere before: what was read comes again
                begin = chance.randrange(begin + 1)
            end = min(len(log[key]), begin + chance.randrange(1, 8))
            batch += log[key][begin:end]
            heads[key] = max(heads[key], end)
        yield batch


async def take(database: Database, sources: Iterable[Source]) -> None:
    await Intake(database, dict.fromkeys(TOPICS, "log"), 3.0).take([*sources])


async def say(database: Database, *events: Event) -> Writer:
    writer = Writer()
    for event in events:
        writer.say(event)
    await take(database, writer.all())
    return writer
