"""Copies that every browser plays, of videos that one has refused; made one at a time.

The decoding and encoding run in a child process with a decoder's limits (`stream.decode.playable`).
"""

import asyncio
import hashlib
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from stream.console.web.shared_work import SharedWork
from stream.decode.one_child import OneChild
from stream.decode.playable import playable_in_time
from stream.decode.room import NoRoomError
from stream.decode.settings import DecodeSettings
from stream.fetch.fetch import DiskError
from stream.scratch import Scratch
from stream.texts import Text

MAX_WAITING = 8  # copies that are made or wait for it: more would come too late; set by hand
TYPE = "video/webm"


class Playables:
    """The newest copies, within a limit; the process that makes them starts with the first."""

    def __init__(self, settings: DecodeSettings, cache_bytes: int) -> None:
        """Nothing is made yet.

        Args:
            settings: limits of the child; frames go to a folder of our own.
            cache_bytes: of all copies together; the newest one stays, however large.
        """
        self._scratch = Scratch(None)
        self._folder = self._scratch.folder
        self._settings = settings.model_copy(update={"spool_folder": self._folder})
        self._cache_bytes = cache_bytes
        self._copies: OrderedDict[str, Path] = OrderedDict()
        full = Text("many videos are being made playable: try again in a moment")
        self._making = SharedWork[Path]("console-playable", MAX_WAITING, full)
        # Of our own: it waits for minutes, and what else needs a thread mustn't.
        self._thread = ThreadPoolExecutor(1, "console-playable")
        self._child = OneChild(self._settings)

    async def file(self, video: Path, tag: str) -> Path:
        """The copy of a video; people who ask for one at the same time wait for one encoding.

        Args:
            video: the file.
            tag: of its bytes.

        Raises:
            RejectedError: it can't be decoded.
            DiskError: there is no room for the copy.
            BusyError: too many wait already.
        """
        if (known := self._copies.get(tag)) is not None and known.is_file():
            self._copies.move_to_end(tag)
            return known
        return await self._making.once(tag, lambda: self._make(video, tag))

    async def _make(self, video: Path, tag: str) -> Path:
        target = self._folder / f"{hashlib.sha256(tag.encode()).hexdigest()[:32]}.webm"
        target.touch()
        try:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._thread, self._encode, video, target)
        except BaseException:
            target.unlink(missing_ok=True)
            raise
        self._keep(tag, target)
        return target

    def _encode(self, video: Path, target: Path) -> None:
        try:
            self._child.do(playable_in_time, video, target, self._settings)
        except NoRoomError as error:
            raise DiskError(f"no room for a copy of {video.name}") from error

    def _keep(self, tag: str, copy: Path) -> None:
        self._copies[tag] = copy
        while len(self._copies) > 1 and self._held_bytes() > self._cache_bytes:
            # Whoever reads the file now reads on: it is gone from the folder alone.
            self._copies.popitem(last=False)[1].unlink(missing_ok=True)

    def _held_bytes(self) -> int:
        return sum(copy.stat().st_size for copy in self._copies.values() if copy.is_file())

    def close(self) -> None:
        """End the process and delete all copies."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._child.close()
        self._scratch.close()
