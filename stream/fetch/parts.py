"""A part of a remote video as its source sends it, by byte ranges (RFC 9110).

Serves the schemes beside it and `stream.fetch.ranged`.
"""

import hashlib
import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Self

FLAGS = re.IGNORECASE | re.ASCII
NUMBER = r"(\d{1,18})"  # of bytes; more digits than any video's size has
RANGE = re.compile(rf"\s*bytes\s*=\s*(?:{NUMBER}-{NUMBER}?|-{NUMBER})\s*", FLAGS)
CONTENT_RANGE = re.compile(rf"\s*bytes (?:{NUMBER}-{NUMBER}|\*)/{NUMBER}\s*", FLAGS)


class NoRangesError(Exception):
    """The source sends no ranges that are known to be of one video: it can only be copied."""


class UnsatisfiableError(Exception):
    """The video has none of the bytes.

    Attributes:
        size_bytes: that it has.
    """

    def __init__(self, size_bytes: int) -> None:
        super().__init__(f"the video has {size_bytes} bytes")
        self.size_bytes = size_bytes


Read = Callable[[int], Coroutine[Any, Any, bytes]]


@dataclass(frozen=True)
class ByteRange:
    """One range, as the header `Range` asks for it; `str` is that header.

    Attributes:
        first: byte; None for the last ones.
        last: byte, None for all behind; without `first`, how many of the last ones.
    """

    first: int | None
    last: int | None

    @classmethod
    def of(cls, header: str | None) -> Self | None:
        """What a header asks for; None where that isn't one range alone."""
        found = None if header is None else RANGE.fullmatch(header)
        if found is None:
            return None
        first, last, count = found.groups()
        if first is None:
            return cls(None, int(count))
        if last and int(last) < int(first):
            return None
        return cls(int(first), int(last) if last else None)

    def __str__(self) -> str:
        first, last = ("" if each is None else each for each in (self.first, self.last))
        return f"bytes={first}-{last}"

    def span(self, size_bytes: int) -> tuple[int, int] | None:
        """Start and end, half-open, of the bytes of a video of that size; None where it has none.

        A range of no bytes is none either.
        """
        if self.first is None:
            start, end = max(0, size_bytes - (self.last or 0)), size_bytes
        else:
            end = size_bytes if self.last is None else min(self.last + 1, size_bytes)
            start = self.first
        return (start, end) if start < end else None


WHOLE = ByteRange(0, None)


@dataclass(frozen=True)
class Part:
    """Bytes that a source has begun to send.

    Attributes:
        start: of them in the video.
        end: behind the last one; a source may send less than was asked for.
        size_bytes: of the whole video.
        version: of the video: another one for other bytes.
        read: at most so many more bytes; none at the end.
    """

    start: int
    end: int
    size_bytes: int
    version: str
    read: Read


def part_of(
    asked: ByteRange,
    content_range: str | None,
    etag: str | None,
    last_modified: str | None,
    read: Read,
) -> Part:
    """What a source says that it sends.

    Raises:
        NoRangesError: it isn't what was asked for, or what it is of can't be known.
        UnsatisfiableError: the video has none of the bytes.
    """
    found = CONTENT_RANGE.fullmatch(content_range or "")
    if found is None:
        raise NoRangesError("no range of a video whose size is known")
    size = int(found[3])
    wanted = asked.span(size)
    if found[1] is None:
        # Of an empty one a copy tells, too.
        raise NoRangesError("no bytes") if wanted or not size else UnsatisfiableError(size)
    start, end = int(found[1]), int(found[2]) + 1
    if wanted is None or start != wanted[0] or not start < end <= wanted[1]:
        raise NoRangesError(f"{content_range!r} was not asked for by {str(asked)!r}")
    version = version_of(size, etag, last_modified)
    if version is None:
        raise NoRangesError("neither ETag nor Last-Modified: ranges may be of two videos")
    return Part(start, end, size, version, read)


def version_of(size_bytes: int, etag: str | None, last_modified: str | None) -> str | None:
    """Names a version of a video, as far as its source tells it; None where it doesn't."""
    if not etag and not last_modified:
        return None
    told = repr((size_bytes, etag, last_modified)).encode("utf-8", "surrogateescape")
    return hashlib.sha256(told).hexdigest()[:32]
