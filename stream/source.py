"""Where a message came from: the identity that makes effects safe to repeat."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import orjson

from stream.errors import BadEventError, RejectedError
from stream.events import Submission, VideoRejected, parse_json
from stream.times import now

ATTEMPTS_HEADER = "samesource-attempts"


@dataclass(frozen=True)
class Source:
    """One message as Kafka delivered it; the same on every redelivery.

    Attributes:
        topic: the contract's name, without the cluster's prefix.
        timestamp_ms: tells a topic that was made anew from the one before it.
        attempts: 1 for a first submission, more for a replayed dead letter.
        headers: names and values.
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    value: bytes | None
    key: bytes | None = None
    attempts: int = 1
    headers: tuple[tuple[str, bytes | None], ...] = ()

    @classmethod
    def of(cls, message: Any, topic: str) -> Self:
        """Read it off a Faust or aiokafka message.

        Args:
            message: has `partition`, `offset`, `timestamp`, `headers` and `value`.
            topic: the contract's topic name.
        """
        timestamp = message.timestamp or 0
        seconds = isinstance(timestamp, float)  # Faust speaks seconds, aiokafka milliseconds
        return cls(
            topic=topic,
            partition=message.partition,
            offset=message.offset,
            timestamp_ms=round(timestamp * 1000) if seconds else timestamp,
            value=message.value,
            key=message.key,
            attempts=_attempts(message.headers),
            headers=pairs(message.headers),
        )

    def header(self, name: str) -> bytes | None:
        """The last value under a name; None where there is none."""
        return dict(self.headers).get(name)

    @property
    def request_id(self) -> str:
        """Names this delivery of an upload; a second submission of the same video has another."""
        return f"{self.partition}-{self.offset}-{self.timestamp_ms}"

    def submission(self, log_id: str | None) -> Submission | None:
        """Its place, where it is an upload; None where its topic's identity isn't known."""
        if log_id is None:
            return None
        return Submission(
            log_id=log_id,
            partition=self.partition,
            offset=self.offset,
            timestamp_ms=max(-1, self.timestamp_ms),
        )

    def rejected(
        self,
        error: RejectedError,
        *,
        request_id: str | None = None,
        stage_seconds: Mapping[str, float] | None = None,
    ) -> VideoRejected:
        """The dead letter of this message.

        Args:
            error: why it can't be processed.
            request_id: the upload's own, where this message is a later event of it.
            stage_seconds: time spent so far, by stage.
        """
        fields, original = self._original()
        return VideoRejected(
            video_id=_text(fields.get("video_id")),
            content_version=_version(fields.get("content_version")),
            error=error.code,
            message=str(error),
            source_topic=self.topic,
            source_partition=self.partition,
            source_offset=self.offset,
            attempts=self.attempts,
            request_id=request_id or self.request_id,
            rejected_at=now(),
            stage_seconds=dict(stage_seconds or {}),
            **original,
        )

    def _original(self) -> tuple[dict[str, Any], dict[str, Any]]:
        try:
            parsed = parse_json(self.value)
        except BadEventError:
            return {}, {"event_base64": _base64(self.value)}
        return (parsed if isinstance(parsed, dict) else {}), {"event": parsed}


def pairs(headers: Any) -> tuple[tuple[str, bytes | None], ...]:
    """Clients give a dictionary, pairs or nothing."""
    return tuple(headers.items() if isinstance(headers, dict) else headers or ())


def attempts_headers(attempts: int) -> list[tuple[str, bytes]]:
    """The headers of a replayed message."""
    return [(ATTEMPTS_HEADER, orjson.dumps(attempts))]


def _attempts(headers: Any) -> int:
    pairs = headers.items() if isinstance(headers, dict) else headers or ()
    for name, value in pairs:
        if name == ATTEMPTS_HEADER and value.isdigit():
            return max(1, int(value))
    return 1


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= 512 else None


def _version(value: Any) -> int | str | None:
    return value if isinstance(value, int | str) and not isinstance(value, bool) else None


def _base64(value: bytes | None) -> str:
    return base64.b64encode(value or b"").decode()
