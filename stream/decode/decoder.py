"""Decodes videos in child processes: a time and a memory limit each, a crash costs one video.

Serves the fingerprint step; what the children do is in `stream.decode.child`.
"""

import logging
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from weakref import WeakSet

from pebble import ProcessExpired, ProcessPool

from stream.decode.child import decode_in_time, prepare_child
from stream.decode.decoded_video import DecodedVideo
from stream.decode.room import ALONE, CrowdedError, NoRoomError, Room, is_shortage, oom_kills
from stream.decode.settings import DecodeSettings
from stream.decode.spawned import AloneContext
from stream.decode.spool import PreviewSpool
from stream.errors import CorruptError, InternalError, RejectedError, VideoTimeoutError
from stream.scratch import Scratch

log = logging.getLogger(__name__)

CRASHES = (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL)
CLOSING = "decoding was cancelled: the worker is closing"
# Of one video alone, by a machine that is short of memory: a minute of pauses, in which what else
# runs there may end. One that needs too much by itself would wait for ever. Set by hand.
MAX_KILLS = 7
# After a child that the kernel killed, until one more works beside the others: sooner kills more,
# later leaves a core idle. Set by hand.
REGAIN_SECONDS = 600.0
MAX_DEATHS = 2  # of one video's children, of other causes than the file
PREVIEW_GAPS = (1.0, 4.0)  # seconds between previews, at least and at most


class Decoder:
    """Child processes that decode. Thread-safe; close it, or use it as a context manager.

    The children start with the first video, and end with this process, however it ends. One
    that dies while it waits is replaced; a video is given to a second child where the first
    could not even begin, or was killed.
    """

    def __init__(
        self, settings: DecodeSettings, size: int, preview_size: int | None = None
    ) -> None:
        """Make a decoder.

        Args:
            settings: limits and sampling.
            size: side of the prepared frames in pixels, the encoder's input.
            preview_size: as `size`, of another encoder that sees a frame when the picture changes,
                one a second to one in four; none by default.
        """
        self._settings = settings
        self._size, self._preview_size = size, preview_size
        self._mutex = threading.Lock()
        self._closed = False
        self._room = Room(settings.spool_folder)
        self._scratch = Scratch(settings.spool_folder)
        self._awaited: WeakSet[Future[DecodedVideo]] = WeakSet()
        self._processes = settings.processes  # fewer for a while where memory is short
        self._regained_at = 0.0
        self._ending: list[tuple[Any, threading.Thread]] = []  # former pools that still work
        self._pool = self._new_pool()

    def decode(
        self,
        path: Path,
        aside: Callable[[], AbstractContextManager[None]] = nullcontext,
        *,
        takes_room: bool = False,
    ) -> DecodedVideo:
        """Decode one video, and wait for it, and first for room on the disk where that is short.

        Args:
            path: the video.
            aside: surrounds the waiting for room, so that the caller can let others go first.
            takes_room: whether the video is a copy on the disk that the frames go to.

        Raises:
            CrowdedError: it takes room, and there was none though nothing else was being decoded:
                the copy should be deleted, and made again later.
            RejectedError: the video can't be used, or a limit was passed; its code says why.
        """
        with rejections(self._settings), self._room.enter() as turn:
            deaths = _Deaths()
            while True:
                # SIGKILL doesn't say who sent it; the kernel's count, before and after, does.
                deaths.counted = oom_kills()
                try:
                    with self._spools() as spools:
                        deaths.alone = deaths.short and self._left_alone()
                        try:
                            decoded = self._schedule(path, spools, turn.reserve).result()
                        # An idle child may die and take the pool with it, before a byte of this
                        # video is read: once more, in a new pool. A second time it is the video's.
                        except BrokenProcessPool:
                            decoded = self._schedule(path, spools, turn.reserve).result()
                        decoded.map_frames(spools[0], self._size, spools[1])
                        return decoded
                except (OSError, NoRoomError, ProcessExpired) as error:
                    needed = deaths.another_try(error)
                with aside():
                    turn.wait(needed, or_leave=takes_room)

    def close(self) -> None:
        """End the children; what they work on is cancelled."""
        self._room.close()
        # Under the lock of `_schedule`: nobody gets a future of a pool that is stopped.
        with self._mutex:
            self._closed = True
            self._pool.stop()
            self._pool.join()
            for former, ending in self._ending:
                former.stop()
                ending.join()
            for future in self._awaited:  # a stopped pool leaves them as they are, for ever
                future.cancel()
        self._scratch.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _new_pool(self) -> Any:
        return ProcessPool(
            max_workers=self._processes,
            max_tasks=self._settings.videos_per_process,
            initializer=prepare_child,
            initargs=(self._settings,),
            context=AloneContext(),
        )

    @contextmanager
    def _spools(self) -> Iterator[tuple[Path, PreviewSpool | None]]:
        folder = self._scratch.folder
        with _SpoolFile(folder) as spool:
            if self._preview_size is None:
                yield spool, None
                return
            with _SpoolFile(folder) as preview:
                yield spool, PreviewSpool(preview, self._preview_size, *PREVIEW_GAPS)

    def _schedule(
        self, path: Path, spools: tuple[Path, PreviewSpool | None], reserve: bool
    ) -> "Future[DecodedVideo]":
        with self._mutex:
            if self._closed:
                raise InternalError(CLOSING)
            # A pool that broke stays broken; pebble doesn't mend it.
            if not self._pool.active:
                self._replace_pool()
            elif self._may_take_one_more():
                self._take_one_more()
            # Under the lock: between `active` and here, `close` could stop the pool, and the future
            # would never end.
            future: Future[DecodedVideo] = self._pool.schedule(
                decode_in_time,
                args=(path, spools[0], self._size, self._settings, spools[1], reserve),
            )
            self._awaited.add(future)
            return future

    def _left_alone(self) -> bool:
        """End all children but one, whose own memory is what a video may lack; if none is at work.

        Returns:
            Whether nothing else is being decoded.
        """
        with self._mutex:
            if self._closed or not all(future.done() for future in self._awaited):
                return False
            if self._processes > 1:
                log.warning(
                    "memory is short: one video is decoded at a time, one more after each %d s",
                    REGAIN_SECONDS,
                )
            self._processes = 1
            self._regained_at = time.monotonic() + REGAIN_SECONDS
            self._replace_pool()
            return True

    def _replace_pool(self) -> None:
        self._pool.stop()
        self._pool.join()
        self._pool = self._new_pool()

    def _may_take_one_more(self) -> bool:
        fewer = self._processes < self._settings.processes
        return fewer and time.monotonic() > self._regained_at

    def _take_one_more(self) -> None:
        """Decode one video more at a time; what the former children work on, they end."""
        self._processes += 1
        self._regained_at = time.monotonic() + REGAIN_SECONDS
        former, self._pool = self._pool, self._new_pool()
        former.close()
        ending = threading.Thread(target=former.join, name="former children", daemon=True)
        ending.start()
        self._ending = [one for one in self._ending if one[1].is_alive()]
        self._ending.append((former, ending))


class _SpoolFile:
    """A file that a child fills; once it is mapped or given up, its name is gone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> Path:
        handle, name = tempfile.mkstemp(suffix=".rgb", dir=self._folder)
        os.close(handle)
        self._path = Path(name)
        return self._path

    def __exit__(self, *raised: object) -> None:
        self._path.unlink(missing_ok=True)


@contextmanager
def rejections(settings: DecodeSettings) -> Iterator[None]:
    """Whatever ends a child, as the error that the video is rejected with."""
    try:
        yield
    except (RejectedError, CrowdedError):
        raise
    except ProcessExpired as error:
        raise _death(error, settings) from error
    except (CancelledError, NoRoomError) as error:
        raise InternalError(CLOSING) from error
    except Exception as error:
        raise InternalError(f"decoding failed: {type(error).__name__}: {error}") from error


@dataclass
class _Deaths:
    """How the tries of one video have ended.

    Attributes:
        counted: by the kernel, of processes killed for want of memory, before this try.
        alone: whether nothing else is decoded beside this try.
        short: whether the last child was killed for want of memory.
        kills: of children that were killed so while they were alone.
        others: children that died of other causes than memory or the file.
    """

    counted: int = 0
    alone: bool = False
    short: bool = False
    kills: int = 0
    others: int = 0

    def another_try(self, error: Exception) -> int:
        """Bytes that the disk must hold before another try.

        An error that is the video's, or final, is raised again.
        """
        if isinstance(error, NoRoomError):
            return error.bytes
        if is_shortage(error):
            return 0
        if isinstance(error, ProcessExpired) and not _is_the_videos(error.exitcode):
            self.short = error.exitcode == -signal.SIGKILL and oom_kills() > self.counted
            if self.short:
                # While others are at work it is likely their fault.
                self.kills += self.alone
                if self.kills < MAX_KILLS:
                    return ALONE
            else:
                self.others += 1
                if self.others < MAX_DEATHS:
                    log.warning(
                        "a decoder's child ended with status %s: its video is tried once more",
                        error.exitcode,
                    )
                    return 0
        raise error


def _is_the_videos(status: int | None) -> bool:
    """Whether a child ended for what the file is: slow to decode, or a crash of the codec."""
    return status is not None and -status in (signal.SIGALRM, *CRASHES)


def _death(error: ProcessExpired, settings: DecodeSettings) -> RejectedError:
    """Why a child ended: a file can be slow to decode or crash the codec; the rest is ours."""
    status = error.exitcode
    if status == -signal.SIGALRM:
        return VideoTimeoutError(
            f"decoding took longer than decode.timeout_seconds = {settings.timeout_seconds:g}"
        )
    if status is not None and _is_the_videos(status):
        name = signal.Signals(-status).name
        return CorruptError(f"the file crashes the decoder ({name}): its bytes are damaged")
    return InternalError(
        f"the decoder's process ended with status {status}: killed from outside, or out of memory"
    )
