"""Brings a video to this machine's disk, from where the settings allow; first step of all.

Serves the fingerprint step; one scheme per file beside this one.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from types import TracebackType
from typing import Self

from stream.errors import ForbiddenUriError
from stream.fetch.copy import DiskError, LimitedFile, TooSlowError, TransientError, paced
from stream.fetch.http import copy_http
from stream.fetch.local import local_video
from stream.fetch.permits import Permit
from stream.fetch.s3 import copy_s3
from stream.fetch.settings import FetchSettings
from stream.fetch.tries import tried

__all__ = ["DiskError", "FetchSettings", "FetchedVideo", "fetch"]

Copy = Callable[[str, LimitedFile, FetchSettings], Awaitable[None]]


@dataclass(frozen=True)
class FetchedVideo:
    """A video on disk. A context manager: a copy is deleted at its end, an original never.

    Attributes:
        path: the file.
        size_bytes: of the file.
        is_copy: whether it was downloaded.
        version: of a copy, where its source tells it: another one for other bytes.
    """

    path: Path
    size_bytes: int
    is_copy: bool
    version: str | None = None

    def close(self) -> None:
        """Delete the copy, if it is one."""
        if self.is_copy:
            self.path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def fetch(
    uri: str,
    settings: FetchSettings,
    folder: Path,
    stop: Event | None = None,
    permit: Permit | None = None,
) -> FetchedVideo:
    """Make a video available as a file. Blocks; call it outside of an event loop.

    Args:
        uri: `file`, `http(s)` or `s3`, or an absolute path.
        settings: what is allowed.
        folder: where a copy is put; the caller deletes it, or uses the result as a context
            manager. A local file is used in place. Nothing is left here by an error.
        stop: when it is set, a download ends at once.
        permit: that it takes where it is large, or too slow; given back at the end.

    Raises:
        ForbiddenUriError: scheme, host, address, bucket or folder is not allowed.
        NotFoundError: nothing is there, or it can't be reached after all retries.
        TooLargeError: more than `max_bytes`.
        VideoTimeoutError: longer than `timeout_seconds` in all, or too slow at every try.
        DiskError: the folder is full, or can't be written for another reason.
        NoPermitError: it is large, and must wait for its permit.
        CancelledError: stopped.
    """
    scheme = scheme_of(uri, settings)
    if scheme == "file":
        path = local_video(uri, settings)
        return FetchedVideo(path, path.stat().st_size, is_copy=False)
    # No name out of the URI: an uploader would choose where in our folders it leads.
    path = folder / f"video-{uuid.uuid4().hex}"
    try:
        # A loop of its own, as the caller is a thread: a slow name server or store then holds up
        # this download alone.
        version = asyncio.run(_copied(uri, path, settings, COPIES[scheme], stop or Event(), permit))
    # A cancellation too: nobody else knows the file's name, so it would lie there for good.
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    finally:
        if permit is not None:
            permit.leave()
    return FetchedVideo(path, path.stat().st_size, is_copy=True, version=version)


def scheme_of(uri: str, settings: FetchSettings) -> str:
    """The scheme of a URI, `file` of an absolute path.

    Raises:
        ForbiddenUriError: it has none, or none that is allowed.
    """
    scheme = "file" if uri.startswith("/") else uri.partition(":")[0].lower()
    if ":" not in uri and scheme != "file":
        raise ForbiddenUriError(f"{uri!r} has no scheme: write file:///…, https://… or s3://…")
    if scheme not in settings.schemes:
        raise ForbiddenUriError(
            f"scheme {scheme!r} is not among fetch.schemes = {', '.join(settings.schemes)}"
        )
    return scheme


async def _copied(
    uri: str, path: Path, settings: FetchSettings, copy: Copy, stop: Event, permit: Permit | None
) -> str | None:
    """Copy it, and say its version."""
    announced = None if permit is None else permit.expect

    async def attempt() -> str | None:
        # Opened anew for each try, which empties it: a half-read body is never continued, since the
        # server may hold another one by now.
        with LimitedFile(path, settings.max_bytes, announced) as file:
            await paced(
                copy(uri, file, settings),
                file,
                min_bytes_per_second=settings.min_bytes_per_second,
                window_seconds=settings.rate_window_seconds,
                stop=stop,
            )
            return file.version

    def failed(error: TransientError) -> None:
        if announced is not None and isinstance(error, TooSlowError):
            announced(None)  # however small, it may last as long as a large one

    return await tried(attempt, uri, settings, failed)


COPIES: dict[str, Copy] = {"http": copy_http, "https": copy_http, "s3": copy_s3}
