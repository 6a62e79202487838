"""The error tree of the service.

SamesourceError
├── SettingsError            a setting is missing, unknown or unusable: fix the configuration
├── BrokerError              Kafka can't be reached, started or has the wrong topics
│   ├── UnreachableError     it doesn't answer in time
│   ├── PartlySentError      it took some of what was sent together (in `stream/broker/sender.py`)
│   ├── HalfTakenDownError   it took some of a takedown's messages, or perhaps
│   └── MissingTopicsError   it lacks topics of the contract, or hasn't loaded them yet
├── SnapshotError            a library snapshot is damaged or belongs to another log
├── QueryError               a search can't be answered: its text is empty, or there are no vectors
├── DatabaseError            the console's database can't be reached, or is of another release
│   └── DatabaseAwayError    it can't be reached now
├── WorkerError              a worker must end: a part of it crashed, or Kafka refuses it for good
├── NoPermitError            a large download must wait until another one ends, and begin anew
└── RejectedError            bad input; ends in `video.rejected` with a fixed code
    ├── BadEventError        bad_event      not JSON, or a field is missing or mistyped
    ├── NotFoundError        not_found      nothing at that URI
    ├── ForbiddenUriError    forbidden_uri  scheme, host or root is not allowed
    ├── TooLargeError        too_large      bytes, pixels or seconds beyond the limit
    ├── VideoTimeoutError    timeout        fetching or decoding took longer than allowed
    ├── UnsupportedError     unsupported    a codec, format or model version that isn't handled
    ├── CorruptError         corrupt        the bytes are not a whole, readable video
    ├── NoVideoError         no_video       readable, but holds no usable picture
    └── InternalError        internal       a bug or a lack of resources on our side
"""

from typing import ClassVar, Literal

ErrorCode = Literal[
    "bad_event",
    "not_found",
    "forbidden_uri",
    "too_large",
    "timeout",
    "unsupported",
    "corrupt",
    "no_video",
    "internal",
]


# Of an error's text in an event. A validation error may quote its whole input, and a dead letter
# must stay far below the topic's limit; the first and last thousand say what was wrong. Set by
# hand.
MAX_LETTERS = 2000


class SamesourceError(Exception):
    """Root of every error that this project raises on purpose."""


class SettingsError(SamesourceError):
    """A setting is missing, unknown or unusable."""


class BrokerError(SamesourceError):
    """Kafka can't be reached or started, or its topics don't fit the contract."""


class UnreachableError(BrokerError):
    """Kafka doesn't answer in time."""


class HalfTakenDownError(BrokerError):
    """Some of a takedown's messages may be on Kafka: taking the videos down again is safe."""


class MissingTopicsError(BrokerError):
    """Kafka lacks topics of the contract; a broker that has just started may not know them yet."""


class SnapshotError(SamesourceError):
    """A library snapshot is damaged, or belongs to another log."""


class QueryError(SamesourceError):
    """A search can't be answered: its text is empty, or there is nothing to search in."""


class DatabaseError(SamesourceError):
    """The console's database can't be reached or used, or is of another release."""


class DatabaseAwayError(DatabaseError):
    """The console's database can't be reached now, by an error that no driver wraps."""


class WorkerError(SamesourceError):
    """A worker must end: a part of it crashed, or Kafka refuses for good what it asks."""


class NoPermitError(SamesourceError):
    """A large download must wait until another one ends: begin it anew then."""


class RejectedError(SamesourceError):
    """An input that can't be processed: a value that ends in `video.rejected`, never a crash."""

    code: ClassVar[ErrorCode]


class BadEventError(RejectedError):
    """The event is not JSON, or a field is missing or mistyped."""

    code = "bad_event"


class NotFoundError(RejectedError):
    """Nothing is at that URI."""

    code = "not_found"


class ForbiddenUriError(RejectedError):
    """The scheme, host or folder of the URI is not allowed by the settings."""

    code = "forbidden_uri"


class TooLargeError(RejectedError):
    """Bytes, pixels or seconds beyond the limits of the settings."""

    code = "too_large"


class VideoTimeoutError(RejectedError):
    """Fetching or decoding took longer than allowed."""

    code = "timeout"


class UnsupportedError(RejectedError):
    """A container, codec, pixel format or model version that is not handled."""

    code = "unsupported"


class CorruptError(RejectedError):
    """The bytes are not a whole, readable video."""

    code = "corrupt"


class NoVideoError(RejectedError):
    """Readable, but without a picture that can be fingerprinted."""

    code = "no_video"


class InternalError(RejectedError):
    """A bug or a lack of resources on our side; worth a replay after mending."""

    code = "internal"


def brief(problem: object, most: int = MAX_LETTERS) -> str:
    """What an error says, as text that fits into an event and can be written as UTF-8.

    Args:
        problem: an error, or its text.
        most: characters; what is beyond is left out of the middle, which is said.
    """
    text = str(problem)
    if len(text) > most:
        text = f"{text[: most // 2]} [… {len(text) - most} characters …] {text[-most // 2 :]}"
    return text.encode("utf-8", "replace").decode()
