"""Types of columns that hold the same on SQLite and PostgreSQL, whatever a message says.

Text may have NULs, which PostgreSQL refuses; instants lie anywhere in the calendar; ids of 512
characters are too long for an index of several columns, which holds their 64-bit keys instead.
"""

import hashlib
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import BigInteger, Dialect, String, Text
from sqlalchemy.types import TypeDecorator, TypeEngine

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EARLIEST = (datetime(1, 1, 1, tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)
LATEST = (datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC) - EPOCH) // timedelta(
    microseconds=1
)
MAX_WHOLE = 2**63 - 1
ESCAPES = {"\0": "\x01\x02", "\x01": "\x01\x03"}
ESCAPED = re.compile("[\0\x01]")
WRITTEN = re.compile("\x01[\x02\x03]")
BACK = {escape: letter for letter, escape in ESCAPES.items()}


class Words(TypeDecorator[str]):
    """Any text, ordered by code point on both databases."""

    impl = String
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """PostgreSQL would order by the language of its cluster."""
        collation = "C" if dialect.name == "postgresql" else None
        return dialect.type_descriptor(Text(collation=collation))

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """As the database holds it."""
        if value is None or not ESCAPED.search(value):
            return value
        return ESCAPED.sub(lambda found: ESCAPES[found[0]], value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        """As it was given."""
        if value is None or "\x01" not in value:
            return value
        return WRITTEN.sub(lambda found: BACK[found[0]], value)


class Moment(TypeDecorator[datetime]):
    """An instant, as whole microseconds since 1970."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """As the database holds it."""
        return None if value is None else microseconds(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """In UTC."""
        return None if value is None else EPOCH + timedelta(microseconds=value)


class Whole(TypeDecorator[int]):
    """A whole number; the contract has fields without a bound, and databases have 63 bits."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Dialect) -> int | None:
        """As the database holds it."""
        return None if value is None else min(value, MAX_WHOLE)


class Document(TypeDecorator[Any]):
    """Anything that JSON can say, as text."""

    impl = Text  # PostgreSQL's JSONB refuses NULs, escaped ones too
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """As the database holds it."""
        return None if value is None else orjson.dumps(value).decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        """As it was given."""
        return None if value is None else orjson.loads(value)


def microseconds(instant: datetime) -> int:
    """Since 1970; beyond the calendar, where an offset may push it, it is its first or last."""
    return min(max((instant - EPOCH) // timedelta(microseconds=1), EARLIEST), LATEST)


def of_microseconds(value: int) -> datetime:
    """The inverse of `microseconds`; what a client made up is clamped to the calendar."""
    return EPOCH + timedelta(microseconds=min(max(value, EARLIEST), LATEST))


def utc(instant: datetime) -> datetime:
    """The same instant in UTC, as a database gives it back."""
    return EPOCH + timedelta(microseconds=microseconds(instant))


def of_milliseconds(timestamp_ms: int) -> datetime:
    """Kafka's timestamps; below 0 there is none, and it is 1970."""
    return EPOCH + timedelta(microseconds=min(max(timestamp_ms, 0) * 1000, LATEST))


def key_of(*words: str) -> int:
    """A 64-bit key of some ids, for an index."""
    # Something between them, or `a`, `bc` and `ab`, `c` would be one key.
    text = b"\0".join(word.encode() for word in words)
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), signed=True)
