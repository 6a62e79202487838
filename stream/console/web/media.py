"""Files of videos that are looked at: fetched by the service's own rules, and never linked to.

A local file is used in place. Anything else is copied, as a worker would copy it, to a folder that
keeps the newest copies within a limit: for what needs a file, and for players where a source sends
no ranges (`ranged.py`).
"""

import asyncio
import hashlib
import mimetypes
import os
import time
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event

from stream.console.web.ranged import version_tag
from stream.console.web.shared_work import SharedWork
from stream.fetch.fetch import DiskError, FetchedVideo, FetchSettings, fetch
from stream.scratch import Scratch
from stream.texts import Text

NO_ROOM = Text("no room for a copy of the video here: try again later")
NO_ROOM_FOR_BOTH = Text(
    "the two videos are larger together than the console keeps: see console.cache_bytes"
)
LATELY_SECONDS = 600.0  # for which a copy stays beside another one; set by hand
MAX_REFUSED = 1000  # videos of which it is known that they were too large; set by hand
DOWNLOADS = 4  # at a time; set by hand
# What a browser may take for something else than a video is sent as bytes.
UNKNOWN = "application/octet-stream"
# Under their own names, browsers wouldn't even try to play Matroska or QuickTime.
KNOWN = {".mkv": "video/webm", ".ts": "video/mp2t", ".mov": "video/mp4", ".m4v": "video/mp4"}


def media_type(uri: str) -> str:
    """The type that a player is told, by the ending of the file's name."""
    path = uri.partition("?")[0].partition("#")[0]
    ending = os.path.splitext(path)[1].lower()
    found = KNOWN.get(ending) or mimetypes.types_map.get(ending, UNKNOWN)
    return found if found.startswith("video/") else UNKNOWN


@dataclass
class _Copy:
    """A copy, and when it was asked for last, by `time.monotonic`."""

    video: FetchedVideo
    asked_at: float


class NoRoomForBothError(DiskError):
    """Two videos that are looked at together are larger than what may be kept."""


class Videos:
    """Files of videos by their URIs. Copies are deleted when there are too many, and by `close`."""

    def __init__(self, settings: FetchSettings, cache_bytes: int) -> None:
        """Nothing is fetched yet.

        Args:
            settings: what may be fetched.
            cache_bytes: of all copies together; a single one stays, however large.
        """
        self._settings, self._cache_bytes = settings, cache_bytes
        self._scratch = Scratch(None)
        self._folder = self._scratch.folder
        self._copies: OrderedDict[str, _Copy] = OrderedDict()
        self._refused_bytes: OrderedDict[str, int] = OrderedDict()
        self._threads, self._stop = ThreadPoolExecutor(DOWNLOADS, "console-video"), Event()
        self._fetching = SharedWork[FetchedVideo]("console-video")

    def is_here(self, uri: str) -> bool:
        """Whether nothing need be fetched: it is local, or there is a copy."""
        return _is_local(uri) or self._kept(uri) is not None

    def tag(self, uri: str, path: Path) -> str:
        """The entity tag of a video's file; of a copy that of its version, where it is known."""
        copy = self._copies.get(uri)
        if copy is None or copy.video.path != path or copy.video.version is None:
            return entity_tag(path)
        return version_tag(copy.video.version)

    async def file(self, uri: str, beside: str | None = None) -> Path:
        """The file of a video; people who ask for one at the same time wait for one download.

        Args:
            uri: where it lies.
            beside: of the video that it is looked at with: the two don't drive each other out.

        Raises:
            RejectedError: as `stream.fetch.fetch.fetch`.
            NoRoomForBothError: the other one was asked for lately, and they are too large together.
            DiskError: there is no room for a copy.
        """
        if (known := self._kept(uri)) is not None:
            self._copies.move_to_end(uri)
            known.asked_at = time.monotonic()
            return known.video.path
        # It was too large a while ago: not fetched to find out again.
        self._check_room(self._refused_bytes.get(uri, 0), beside)
        return (await self._fetching.once(uri, lambda: self._fetch(uri, beside))).path

    def forget(self, uri: str) -> None:
        """Delete the copy of a video, if there is one."""
        if (copy := self._copies.pop(uri, None)) is not None:
            copy.video.close()

    def _kept(self, uri: str) -> _Copy | None:
        known = self._copies.get(uri)
        # A copy may be gone: it lies where machines are tidied.
        return known if known is not None and known.video.path.is_file() else None

    async def _fetch(self, uri: str, beside: str | None) -> FetchedVideo:
        # Downloads take long, and what else needs a thread mustn't wait for them.
        threads = None if _is_local(uri) else self._threads
        get = partial(fetch, uri, self._settings, self._folder, self._stop)
        found = await asyncio.get_running_loop().run_in_executor(threads, get)
        if found.is_copy:
            self._keep(uri, found, beside)
        return found

    def _keep(self, uri: str, found: FetchedVideo, beside: str | None) -> None:
        try:
            self._check_room(found.size_bytes, beside)
        except NoRoomForBothError:
            found.close()
            self._refused_bytes[uri] = found.size_bytes
            if len(self._refused_bytes) > MAX_REFUSED:
                self._refused_bytes.popitem(last=False)
            raise
        self._copies[uri] = _Copy(found, time.monotonic())
        stay = {uri} if self._asked_lately(beside) is None else {uri, beside}
        for name in [each for each in self._copies if each not in stay]:
            if sum(copy.video.size_bytes for copy in self._copies.values()) <= self._cache_bytes:
                break
            # Whoever reads the file now reads on: it is gone from the folder alone.
            self._copies.pop(name).video.close()

    def _check_room(self, size_bytes: int, beside: str | None) -> None:
        other = self._asked_lately(beside)
        if other is not None and 0 < size_bytes > self._cache_bytes - other.size_bytes:
            raise NoRoomForBothError(f"{size_bytes} bytes and {other.size_bytes} beside them")

    def _asked_lately(self, uri: str | None) -> FetchedVideo | None:
        copy = None if uri is None else self._copies.get(uri)
        if copy is None or copy.asked_at < time.monotonic() - LATELY_SECONDS:
            return None
        return copy.video

    def close(self) -> None:
        """End all downloads and delete all copies."""
        # First: the threads are waited for, and downloads end when they see this.
        self._stop.set()
        self._threads.shutdown(cancel_futures=True)
        self._scratch.close()


def _is_local(uri: str) -> bool:
    return uri.startswith(("/", "file:"))


def entity_tag(path: Path) -> str:
    """Of a file's bytes, as far as its size and time tell, without its name."""
    status = path.stat()
    told = f"{status.st_size}-{status.st_mtime_ns}".encode()
    return f'"{hashlib.sha256(told).hexdigest()[:32]}"'
