"""Where a message came from: the identity that makes effects safe to repeat, its dead letter."""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import orjson

from stream.contract.events import Submission, VideoRejected, VideoUploaded, parse_json
from stream.errors import BadEventError, RejectedError, brief
from stream.times import now

ATTEMPTS_HEADER = "samesource-attempts"
# A replay counts up by one, so no honest header has more; Python refuses to read a number of
# thousands of digits, and such a header must not stop the message. Set by hand.
MAX_ATTEMPTS_DIGITS = 6
MAX_TIME_DIGITS = 15  # of milliseconds since 1970: beyond any clock
WHOLE_BYTES = 2**20  # of an original that travels whole: as much as an upload may have on its topic
MAX_WRITTEN_BYTES = 4 * 2**20  # of such an original, written anew as JSON
HEAD_BYTES = 4096  # enough to see whose it is and what went wrong; set by hand


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
            attempts=attempts_in(message.headers),
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

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}]@{self.offset}"

    def rejected(
        self,
        error: RejectedError,
        *,
        request_id: str | None = None,
        stage_seconds: Mapping[str, float] | None = None,
    ) -> VideoRejected:
        """The dead letter of this message; there is one of every message, and it can be written.

        Args:
            error: why it can't be processed.
            request_id: the upload's own, where this message is a later event of it; the one that
                the message names when left out.
            stage_seconds: time spent so far, by stage.
        """
        fields, original = self._original()
        return VideoRejected(
            video_id=_text(fields.get("video_id")),
            content_version=_version(fields.get("content_version")),
            error=error.code,
            message=brief(error),
            source_topic=self.topic,
            source_partition=self.partition,
            source_offset=self.offset,
            attempts=self.attempts,
            request_id=request_id or self._named_request(fields),
            rejected_at=now(),
            stage_seconds=dict(stage_seconds or {}),
            **original,
        )

    def _named_request(self, fields: Mapping[str, Any]) -> str:
        """An upload is its own request; a later event says whose it is, so that that is decided."""
        named = None if self.topic == VideoUploaded.topic else _text(fields.get("request_id"))
        return named or self.request_id

    def _original(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The fields that can be read, and what travels of the message itself."""
        value = self.value or b""
        try:
            parsed = parse_json(self.value)
        except BadEventError:
            parsed = None
        # Also of what can't travel whole: by these a letter says whose request is decided.
        fields = parsed if isinstance(parsed, dict) else {}
        if len(value) > WHOLE_BYTES:
            return fields, _head(value)
        if parsed is not None and _can_be_written(parsed):
            return fields, {"event": parsed}
        return fields, {"event_base64": _base64(value)}


def submitted_at(request_id: str) -> float | None:
    """Kafka's time of the upload whose request this is, seconds since 1970.

    None where the id is of another form, as another program may write it, or Kafka gave no time.
    """
    parts = request_id.split("-")
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() for part in parts):
        return None
    milliseconds = int(parts[2]) if len(parts[2]) <= MAX_TIME_DIGITS else 0
    return milliseconds / 1000 if milliseconds > 0 else None


def pairs(headers: Any) -> tuple[tuple[str, bytes | None], ...]:
    """Clients give a dictionary, pairs or nothing."""
    return tuple(headers.items() if isinstance(headers, dict) else headers or ())


def attempts_headers(attempts: int) -> list[tuple[str, bytes]]:
    """The headers of a replayed message."""
    return [(ATTEMPTS_HEADER, orjson.dumps(attempts))]


def attempts_in(headers: Any) -> int:
    """Which attempt the headers say it is; one that is no reasonable number says nothing."""
    for name, value in pairs(headers):
        number = value if name == ATTEMPTS_HEADER and isinstance(value, bytes) else b""
        if number.isdigit() and len(number) <= MAX_ATTEMPTS_DIGITS:
            return max(1, int(number))
    return 1


def _can_be_written(parsed: Any) -> bool:
    """Whether JSON that was read can travel inside an event: neither too deep nor too long."""
    try:
        # Twice: such a letter may be the original of another, and orjson refuses what is too deep.
        return len(orjson.dumps({"event": {"event": parsed}})) <= MAX_WRITTEN_BYTES
    except (TypeError, ValueError, RecursionError):
        return False


def _head(value: bytes) -> dict[str, Any]:
    return {
        "event_head_base64": _base64(value[:HEAD_BYTES]),
        "event_bytes": len(value),
        "event_sha256": hashlib.sha256(value).hexdigest(),
    }


def _text(value: Any) -> str | None:
    # As in `Identifier`, or an id that is too long would keep its own dead letter from being made.
    return value if isinstance(value, str) and 0 < len(value) <= 512 else None


def _version(value: Any) -> int | str | None:
    text = isinstance(value, str) and len(value) <= 512
    # Not `isinstance`: `true` is no version.
    return value if text or type(value) is int else None


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()
