"""The videos of an alert, by byte ranges: fetched by the service's own rules, and never linked to.

A local file is sent in place. Anything else is copied first, as a worker would copy it, to a folder
that keeps the newest copies within a limit.
"""

import asyncio
import hashlib
import mimetypes
import os
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Event

from stream.fetch.fetch import FetchedVideo, FetchSettings, fetch
from stream.scratch import Scratch
from stream.texts import Text

NO_ROOM = Text("no room for a copy of the video here: try again later")
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


class Videos:
    """Files of videos by their URIs. Copies are deleted when there are too many, and by `close`."""

    def __init__(self, settings: FetchSettings, cache_bytes: int) -> None:
        """Nothing is fetched yet.

        Args:
            settings: what may be fetched.
            cache_bytes: of all copies together; the newest one stays, however large.
        """
        self._settings, self._cache_bytes = settings, cache_bytes
        self._scratch = Scratch(None)
        self._folder = self._scratch.folder
        self._copies: OrderedDict[str, FetchedVideo] = OrderedDict()
        self._threads, self._stop = ThreadPoolExecutor(DOWNLOADS, "console-video"), Event()
        self._fetching: dict[str, asyncio.Task[FetchedVideo]] = {}

    async def file(self, uri: str) -> Path:
        """The file of a video; people who ask for one at the same time wait for one download.

        Raises:
            RejectedError: as `stream.fetch.fetch.fetch`.
            DiskError: there is no room for a copy.
        """
        # A copy may be gone: it lies where machines are tidied.
        if (known := self._copies.get(uri)) is not None and known.path.is_file():
            self._copies.move_to_end(uri)
            return known.path
        task = self._fetching.get(uri)
        if task is None:
            task = asyncio.create_task(self._fetch(uri), name="console-video")
            self._fetching[uri] = task
            task.add_done_callback(lambda done: self._fetched(uri, done))
        # Shielded: one of several that wait may go away.
        return (await asyncio.shield(task)).path

    async def _fetch(self, uri: str) -> FetchedVideo:
        # Downloads take long, and what else needs a thread mustn't wait for them.
        threads = None if uri.startswith(("/", "file:")) else self._threads
        get = partial(fetch, uri, self._settings, self._folder, self._stop)
        return await asyncio.get_running_loop().run_in_executor(threads, get)

    def _fetched(self, uri: str, task: "asyncio.Task[FetchedVideo]") -> None:
        del self._fetching[uri]
        if task.cancelled() or task.exception() is not None or not task.result().is_copy:
            return
        self._copies[uri] = task.result()
        while len(self._copies) > 1 and self._held_bytes() > self._cache_bytes:
            # Whoever reads the file now reads on: it is gone from the folder alone.
            self._copies.popitem(last=False)[1].close()

    def _held_bytes(self) -> int:
        return sum(copy.size_bytes for copy in self._copies.values())

    def close(self) -> None:
        """End all downloads and delete all copies."""
        # First: the threads are waited for, and downloads end when they see this.
        self._stop.set()
        self._threads.shutdown(cancel_futures=True)
        self._scratch.close()


def entity_tag(path: Path) -> str:
    """Of a file's bytes, as far as its size and time tell, without its name."""
    status = path.stat()
    told = f"{status.st_size}-{status.st_mtime_ns}".encode()
    return f'"{hashlib.sha256(told).hexdigest()[:32]}"'
