"""A range of a remote video that is read from its source, under the rules of `fetch`, uncopied.

Serves the console's players. Where it breaks off it goes on, with the same version of the video.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, TypeVar

from stream.errors import VideoTimeoutError
from stream.fetch.copy import TooSlowError, TransientError, too_large, too_slow
from stream.fetch.fetch import scheme_of
from stream.fetch.http import part_http
from stream.fetch.parts import ByteRange, NoRangesError, Part
from stream.fetch.s3 import part_s3
from stream.fetch.settings import FetchSettings
from stream.fetch.tries import tried

CHUNK_BYTES = 2**18  # read at a time at the most

T = TypeVar("T")
Parts = Callable[[str, FetchSettings, ByteRange], AbstractAsyncContextManager[Part]]


class Pace:
    """Holds a source to the least rate; only the time counts for which it is waited for."""

    def __init__(self, settings: FetchSettings) -> None:
        """A window begins."""
        self._least, self._window = settings.min_bytes_per_second, settings.rate_window_seconds
        self._seconds, self._bytes = 0.0, 0

    async def of(self, source: Coroutine[Any, Any, T]) -> T:
        """Wait for the source.

        Raises:
            TooSlowError: fewer bytes came in a window.
        """
        clock, task = asyncio.get_running_loop().time, asyncio.ensure_future(source)
        try:
            while True:
                began = clock()
                left = max(0.0, self._window - self._seconds)
                done, _ = await asyncio.wait({task}, timeout=left)
                self._seconds += clock() - began
                if done:
                    return task.result()
                if self._seconds >= self._window:
                    seconds, count = self._seconds, self._bytes
                    self._seconds, self._bytes = 0.0, 0
                    if count / seconds < self._least:
                        raise too_slow(count, seconds, self._least)
        finally:
            task.cancel()
            await asyncio.wait({task})

    def came(self, count: int) -> None:
        """So many bytes."""
        self._bytes += count


class RangedVideo:
    """A range of a remote video. Whoever reads it lets go of it at the end.

    The source is held to the settings as by `fetch`, but that their time limit is for each answer:
    how long all takes is up to whoever reads.

    Attributes:
        start: of the range, in bytes.
        end: the same, half-open.
        size_bytes: of the whole video.
        version: of the video: another one for other bytes.
    """

    def __init__(self, uri: str, settings: FetchSettings) -> None:
        """Nothing is asked yet.

        Raises:
            NoRangesError: it is a local video, which is the file that it is.
            ForbiddenUriError: its scheme is not allowed.
        """
        parts = PARTS.get(scheme_of(uri, settings))
        if parts is None:
            raise NoRangesError("a local video")
        self._uri, self._settings, self._parts = uri, settings, parts
        self._pace, self._held = Pace(settings), AsyncExitStack()
        self._part: Part | None = None
        self.start = self.end = self.size_bytes = 0
        self.version = ""

    async def open(self, asked: ByteRange) -> None:
        """Ask the source, which says what the attributes are.

        Raises:
            NoRangesError: it sends no ranges that are known to be of one video.
            UnsatisfiableError: the video has none of the bytes.
            RejectedError: as `stream.fetch.fetch.fetch`.
        """
        part = await tried(lambda: self._asked(asked), self._uri, self._settings)
        span = asked.span(part.size_bytes)
        assert span is not None, "`part_of` has looked"
        self.start, self.end = span
        self._at, self.size_bytes, self.version = self.start, part.size_bytes, part.version

    async def read(self) -> bytes:
        """The next bytes, `CHUNK_BYTES` at the most; none at the end.

        Raises:
            NoRangesError: the video is another one by now.
            UnsatisfiableError: so it is, and shorter.
            RejectedError: as `open`.
        """
        if self._at == self.end:
            return b""
        data = await tried(self._read, self._uri, self._settings)
        self._at += len(data)
        if self._part is not None and self._at == self._part.end:
            await self.let_go()
        return data

    async def _read(self) -> bytes:
        part = self._part or await self._asked(ByteRange(self._at, self.end - 1))
        if (part.version, part.size_bytes) != (self.version, self.size_bytes):
            raise NoRangesError("the video is another one by now")
        try:
            data = await self._pace.of(part.read(min(CHUNK_BYTES, part.end - self._at)))
            if not data:
                raise TransientError(f"the video ends at {self._at} of {part.end} bytes")
        except TooSlowError as error:
            # At once: some bytes come at each try, so it would be tried again without end.
            await self.let_go()
            raise VideoTimeoutError(f"the source is too slow: {error}") from error
        except BaseException:
            # What a connection that failed holds is never read on: the next try asks anew.
            await self.let_go()
            raise
        self._pace.came(len(data))
        return data

    async def _asked(self, asked: ByteRange) -> Part:
        try:
            opened = self._held.enter_async_context(self._parts(self._uri, self._settings, asked))
            self._part = part = await self._pace.of(opened)
            if part.size_bytes > self._settings.max_bytes:
                raise too_large(part.size_bytes, self._settings.max_bytes)
        except BaseException:
            await self.let_go()
            raise
        return part

    async def let_go(self) -> None:
        """Leave the source until more is read, or for good."""
        self._part = None
        await self._held.aclose()


PARTS: dict[str, Parts] = {"http": part_http, "https": part_http, "s3": part_s3}
