"""Remote videos by byte ranges, sent on while their sources send them: nothing is kept here.

The page of an alert answers by it; what a source sends no ranges of is copied (`media.py`).
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

from fastapi import Request
from fastapi.responses import Response
from starlette.types import Receive, Scope, Send

from stream.console.web.own_loop import OwnLoop
from stream.console.web.problems import Problem
from stream.errors import RejectedError, brief
from stream.fetch.parts import WHOLE, ByteRange, NoRangesError, UnsatisfiableError
from stream.fetch.ranged import RangedVideo
from stream.fetch.settings import FetchSettings
from stream.texts import Text

log = logging.getLogger(__name__)

TURN_SECONDS = 5.0  # that a browser waits for its turn; set by hand, as the next two
LET_GO_SECONDS = 10.0  # after which a browser that takes nothing holds no source
MAX_KNOWN = 1000  # videos of which it is known which version was sent
TOO_MANY = Text("many videos are being sent: try again in a moment")

T = TypeVar("T")


class CutOffError(Exception):
    """A source has failed amid an answer: the connection is closed, and the browser asks again."""


class _Sent:
    """One range, which holds its source and one of the turns while it is being read."""

    def __init__(self, video: RangedVideo, turns: asyncio.Semaphore, sources: OwnLoop) -> None:
        self.video, self._turns, self._sources = video, turns, sources
        self._has_turn = False

    async def open(self, asked: ByteRange) -> None:
        """As `RangedVideo.open`.

        Raises:
            Problem: 429, too many are being sent.
        """
        try:
            async with asyncio.timeout(TURN_SECONDS):
                await self._turn()
        except TimeoutError:
            raise Problem(429, TOO_MANY, {"Retry-After": "10"}) from None
        try:
            await self._sources.run(self.video.open(asked))
        except BaseException:
            await self.let_go()
            raise

    async def read(self) -> bytes:
        """As `RangedVideo.read`; it may wait for a turn."""
        if not self._has_turn:
            await self._turn()
        return await self._sources.run(self.video.read())

    async def let_go(self) -> None:
        """Hold nothing until more is read, or for good."""
        try:
            await self._sources.run(self.video.let_go())
        finally:
            if self._has_turn:
                self._has_turn = False
                self._turns.release()

    async def _turn(self) -> None:
        await self._turns.acquire()
        self._has_turn = True


class _Answer(Response):
    """A range, sent as it comes, to a browser that is there."""

    def __init__(
        self, sent: _Sent, status: int, headers: Mapping[str, str], media_type: str
    ) -> None:
        super().__init__(None, status, headers, media_type)
        self._sent = sent

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it.

        Raises:
            CutOffError: the source has failed, or has another video by now.
        """
        await _while_there(receive, self._send(send))

    async def _send(self, send: Send) -> None:
        try:
            start = {"status": self.status_code, "headers": self.raw_headers}
            await send({"type": "http.response.start", **start})
            while data := await self._sent.read():
                await self._send_chunk(send, data)
            await send({"type": "http.response.body", "body": b""})
        except (RejectedError, NoRangesError, UnsatisfiableError) as error:
            log.warning("a video that is being sent breaks off: %s", brief(error, 300))
            raise CutOffError(str(error)) from error
        finally:
            await self._sent.let_go()

    async def _send_chunk(self, send: Send, data: bytes) -> None:
        body = {"type": "http.response.body", "body": data, "more_body": True}
        sending = asyncio.ensure_future(send(body))
        try:
            # A player that has enough, or is paused, leaves what it asked for half read.
            if not (await asyncio.wait({sending}, timeout=LET_GO_SECONDS))[0]:
                await self._sent.let_go()
            await sending
        finally:
            sending.cancel()


class RangedVideos:
    """Answers with remote videos, a number of them at a time."""

    def __init__(self, settings: FetchSettings, at_once: int) -> None:
        """Nothing is sent yet.

        Args:
            settings: what may be fetched.
            at_once: sources that are being read.
        """
        self._settings, self._turns = settings, asyncio.Semaphore(at_once)
        self._sources = OwnLoop("console-ranged", at_once)
        self._versions: OrderedDict[str, str] = OrderedDict()

    async def answer(
        self, request: Request, uri: str, headers: Mapping[str, str], media_type: str
    ) -> Response:
        """The video, or the one range of it that a request asks for.

        Several ranges, and one of another version (`If-Range`), are answered with the whole.

        Args:
            request: of a browser.
            uri: of the video.
            headers: of the answer, beside those of ranges.
            media_type: of the answer.

        Raises:
            Problem: 429, too many are being sent.
            NoRangesError: it can only be copied, or is no more the video of which parts were sent.
            RejectedError: as `stream.fetch.fetch.fetch`.
        """
        asked = ByteRange.of(request.headers.get("Range"))
        sent = _Sent(RangedVideo(uri, self._settings), self._turns, self._sources)
        opening = self._open(sent, uri, asked, request.headers.get("If-Range"))
        try:
            is_part = await _while_there(request.receive, opening)
        except UnsatisfiableError as error:
            span = {"Content-Range": f"bytes */{error.size_bytes}"}
            return Response(status_code=416, headers=span)
        if is_part is None:
            return Response(status_code=499)  # nobody is there to read it
        video = sent.video
        told = {
            "Accept-Ranges": "bytes",
            "Content-Length": str(video.end - video.start),
            "ETag": version_tag(video.version),
        }
        if is_part:
            told["Content-Range"] = f"bytes {video.start}-{video.end - 1}/{video.size_bytes}"
        return _Answer(sent, 206 if is_part else 200, {**headers, **told}, media_type)

    def copied(self, uri: str) -> None:
        """The video was copied: what comes of it by ranges next may be of another version."""
        self._versions.pop(uri, None)

    async def _open(
        self, sent: _Sent, uri: str, asked: ByteRange | None, if_range: str | None
    ) -> bool:
        """Open it; whether a range of it answers."""
        await sent.open(asked or WHOLE)
        version = sent.video.version
        known = self._versions.setdefault(uri, version)
        self._versions.move_to_end(uri)
        if len(self._versions) > MAX_KNOWN:
            self._versions.popitem(last=False)
        if version != known:
            await sent.let_go()
            raise NoRangesError("the video is another one by now")
        if asked is None or if_range in (None, version_tag(version)):
            return asked is not None
        await sent.let_go()
        await sent.open(WHOLE)
        return False

    def close(self) -> None:
        """Let go of all sources."""
        self._sources.close()


def version_tag(version: str) -> str:
    """The entity tag of a version, in which nothing is of its source's own."""
    return f'"{version}"'


async def _while_there(receive: Receive, doing: Coroutine[Any, Any, T]) -> T | None:
    """Do something for a browser; None where it goes away, which ends it."""
    work, gone = asyncio.ensure_future(doing), asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        return work.result() if work.done() else None
    finally:
        work.cancel()
        gone.cancel()
        # Waited for: a source that nobody reads is let go of before anything else is done.
        await asyncio.gather(work, gone, return_exceptions=True)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
