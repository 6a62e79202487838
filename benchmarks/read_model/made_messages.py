"""Messages of a month of a large service, by which a console's read model is filled.

Serves `console`. The same seed gives the same messages.
"""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from stream.console.store.columns import key_of
from stream.console.store.messages import TOPICS
from stream.contract.events import (
    AlertRaised,
    AlertReviewed,
    AlertSuppressed,
    Event,
    MatchedSegment,
    PolicyUpdated,
    VideoDecided,
    VideoEmbedded,
    VideoFingerprinted,
    VideoRejected,
    VideoUploaded,
)
from stream.contract.message import Source

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
SECONDS_BETWEEN = 2.5  # alerts: a million of them are a month
HOLDERS, UPLOADERS = 200, 20_000
ALERTS_OF_A_DELIVERY = 4  # that are kept of one endpoint
WEBHOOK = "wh_made"
BODY = '{"type": "alert.raised", "data": "%s"}' % ("x" * 600)  # as long as an alert's
ALERTS_OF_AN_UPLOAD, ALERTS_OF_A_REFERENCE = 3, 50  # on average; a few have many more


class Made:
    """Messages about so many alerts, their uploads and references, in order of time."""

    def __init__(self, alerts: int, seed: int = 1) -> None:
        self.alerts = alerts
        self._chance = random.Random(seed)
        self._offsets = dict.fromkeys(TOPICS, 0)

    def video_id(self) -> str:
        """Of an upload; a few are copied from everywhere."""
        return f"upload-{self._skewed(self.alerts // ALERTS_OF_AN_UPLOAD)}"

    def reference_id(self) -> str:
        """Of a reference; a few are copied by everybody."""
        return f"reference-{self._skewed(self.alerts // ALERTS_OF_A_REFERENCE)}"

    def owner_id(self) -> str:
        """Of a rights holder."""
        return f"holder-{self._skewed(HOLDERS)}"

    def alert_id(self) -> str:
        """Of any alert."""
        return _alert_id(self._chance.randrange(self.alerts))

    def request_id(self) -> str:
        """Of any upload."""
        number = self._chance.randrange(self.alerts // ALERTS_OF_AN_UPLOAD)
        return f"0-{number}-{_ms(_raised_at(ALERTS_OF_AN_UPLOAD * number))}"

    @property
    def end(self) -> datetime:
        """When the last one was raised."""
        return _raised_at(self.alerts)

    def moment(self) -> datetime:
        """Before which some were raised, and after it others."""
        return BEGIN + self._chance.random() * (self.end - BEGIN)

    def _skewed(self, many: int) -> int:
        return int(many * self._chance.random() ** 3)

    def messages(self) -> Iterator[Source]:
        """All of them."""
        for n in range(self.alerts // ALERTS_OF_A_REFERENCE):
            yield self._say(_fingerprinted(f"reference-{n}", f"made-{n}", "reference"), 0)
            yield self._say(_embedded(f"reference-{n}"), 0)
        for n in range(HOLDERS):
            yield self._say(PolicyUpdated(owner_id=f"holder-{n}", least_seconds=5.0), 0)
        for n in range(self.alerts):
            at = _raised_at(n)
            if n % ALERTS_OF_AN_UPLOAD == 0:
                yield from self._upload(n // ALERTS_OF_AN_UPLOAD, at)
            yield from self._alert(n, at)

    def name_of(self, number: int) -> str:
        """Of the videos of the library each, references first."""
        references = self.alerts // ALERTS_OF_A_REFERENCE
        return f"reference-{number}" if number < references else f"upload-{number - references}"

    @property
    def videos(self) -> int:
        """In the library."""
        return self.alerts // ALERTS_OF_A_REFERENCE + self.alerts // ALERTS_OF_AN_UPLOAD

    def message_id(self) -> str:
        """Of any delivery to the webhook."""
        return _message_id(self._chance.randrange(self.alerts // ALERTS_OF_A_DELIVERY))

    def webhook(self) -> dict[str, Any]:
        """The row of an endpoint, which no topic brings."""
        return {
            "webhook_id": WEBHOOK, "url": "https://hooks.example/", "kinds": ["alert.raised"],
            "secrets": [], "last_secret": 0, "made_by": "admin", "made_at": BEGIN,
        }  # fmt: skip

    def deliveries(self) -> Iterator[dict[str, Any]]:
        """Rows of what it was told: half of it is dead letters."""
        number = self.alerts // ALERTS_OF_A_DELIVERY
        for n in range(number):
            at = BEGIN + (n + 1) / number * (self.end - BEGIN)
            message_id, alert_id = _message_id(n), self.alert_id()
            yield {
                "message_id": message_id, "message_key": key_of(message_id), "webhook_id": WEBHOOK,
                "kind": "alert.raised", "about": alert_id, "owner_id": self.owner_id(),
                "body": BODY, "made_at": at, "state": "dead" if n % 2 else "delivered",
                "next_at": at, "attempts": 10 if n % 2 else 1, "last_at": at,
                "last_status": 500 if n % 2 else 204,
            }  # fmt: skip

    def audit_lines(self, number: int) -> Iterator[dict[str, Any]]:
        """Rows of the audit log, which no topic brings: verdicts."""
        for n in range(number):
            alert_id = self.alert_id()
            yield {
                "at": BEGIN + (n + 1) / number * (self.end - BEGIN),
                "person": f"moderator-{n % 20}",
                "action": "confirmed" if n % 2 else "dismissed",
                "about": alert_id,
                "about_key": key_of(alert_id),
                "why": None if n % 3 else "seen before",
                "detail": {} if n % 2 else {"scope": "alert"},
            }

    def _upload(self, number: int, at: datetime) -> Iterator[Source]:
        video_id = f"upload-{number}"
        uri = f"https://example.org/{number}.mp4"
        source = self._say(
            VideoUploaded(video_id=video_id, uri=uri, owner_id=self._uploader(), title="A title"),
            _ms(at),
        )
        yield source
        yield self._say(_fingerprinted(video_id, source.request_id, "upload"), source.timestamp_ms)
        outcome = self._chance.choice(["matched", "clear", None])
        if outcome is None and number % 50 == 0:
            yield self._say(_rejected(video_id, source, at), source.timestamp_ms)
        if outcome is not None:
            yield self._say(_decided(video_id, source, outcome, at), source.timestamp_ms)

    def _alert(self, number: int, at: datetime) -> Iterator[Source]:
        kind = self._chance.random()
        fields: dict[str, Any] = {
            "alert_id": _alert_id(number),
            "video_id": self.video_id(),
            "reference_id": self.reference_id(),
            "video_owner_id": self._uploader(),
            "reference_owner_id": self.owner_id(),
            "score": round(self._chance.uniform(0.65, 1.0), 4),
            "segments": [self._segment() for _ in range(self._chance.choice([1, 1, 1, 2, 5]))],
            "model_version": "sha256-0f3c",
            "library_offset": number,
            "raised_at": at,
        }
        if kind < 0.7:
            yield self._say(AlertRaised(**fields), 0)
        else:
            reason: Any = "held" if kind > 0.95 else "licensed"
            yield self._say(AlertSuppressed(**fields, reason=reason, detail="got, expected"), 0)
        if kind < 0.35:
            word: Any = "confirmed" if kind < 0.2 else "dismissed"
            said = AlertReviewed(
                alert_id=fields["alert_id"],
                verdict=word,
                reviewer=f"moderator-{number % 20}",
                reviewed_at=at + timedelta(hours=1),
                scope="alert" if word == "dismissed" else None,
            )
            yield self._say(said, 0)

    def _uploader(self) -> str:
        return f"channel-{self._skewed(UPLOADERS)}"

    def _segment(self) -> MatchedSegment:
        start, seconds = self._chance.uniform(0, 600), self._chance.uniform(3, 120)
        return MatchedSegment(
            video_start_seconds=start,
            video_end_seconds=start + seconds,
            reference_start_seconds=start,
            reference_end_seconds=start + seconds,
            score=0.9,
        )

    def _say(self, event: Event, timestamp_ms: int) -> Source:
        offset = self._offsets[event.topic]
        self._offsets[event.topic] += 1
        return Source(event.topic, 0, offset, timestamp_ms, event.to_bytes(), event.key())


def _alert_id(number: int) -> str:
    return f"{number:032x}"


def _raised_at(number: int) -> datetime:
    return BEGIN + timedelta(seconds=SECONDS_BETWEEN * number)


def _ms(instant: datetime) -> int:
    return round(instant.timestamp() * 1000)


def _fingerprinted(video_id: str, request_id: str, role: Any) -> VideoFingerprinted:
    return VideoFingerprinted(
        video_id=video_id, content_version=1, owner_id="holder-1", role=role,
        request_id=request_id, model_version="m", duration_seconds=600.0, dimension=4,
        key_frame_seconds="", descriptors="",
    )  # fmt: skip


def _embedded(video_id: str) -> VideoEmbedded:
    return VideoEmbedded(
        video_id=video_id, model_version="m", dimension=2, vector=[1.0, 0.0],
        duration_seconds=600.0, thumbnails=["AAAA"] * 3,
    )  # fmt: skip


def _message_id(number: int) -> str:
    return f"msg_{number:032x}"


def _decided(video_id: str, source: Source, outcome: Any, at: datetime) -> VideoDecided:
    return VideoDecided(
        video_id=video_id, content_version=1, outcome=outcome, alert_ids=[], reason="as it is",
        decided_at=at + timedelta(seconds=9), request_id=source.request_id,
        stage_seconds={"decode": 3.0, "encode": 2.0, "search": 0.1},
    )  # fmt: skip


def _rejected(video_id: str, source: Source, at: datetime) -> VideoRejected:
    return VideoRejected(
        video_id=video_id, error="corrupt", message="no moov atom", source_topic=source.topic,
        source_partition=0, source_offset=source.offset, attempts=1,
        request_id=source.request_id, rejected_at=at,
    )  # fmt: skip
