"""Files that somebody asks about, from where fingerprint workers fetch them meanwhile.

Serves the routes of `stream.console.web.api.matches` and its page.
"""

import asyncio
import logging
import os
import re
import uuid
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import fsspec
from botocore.exceptions import BotoCoreError  # type: ignore[import-untyped]

from stream.console.web.problems import Problem
from stream.errors import ForbiddenUriError, SettingsError, brief
from stream.fetch.local import check_root, path_of
from stream.fetch.settings import FetchSettings
from stream.texts import Text
from stream.times import now

log = logging.getLogger(__name__)

AT_ONCE = 4  # files, set by hand; each may have `fetch.max_bytes`
BLOCK_BYTES = 8 * 2**20  # of a file, held until an object store takes them
OURS = "samesource-match-"
NAME = re.compile(OURS + "[0-9a-f]{32}")
LONGEST_QUESTION_SECONDS = 60.0  # that a file is asked about, once it is here
# s3fs makes an `OSError` of what a store answers, but not of how a connection fails.
STORE_ERRORS = (OSError, BotoCoreError, aiohttp.ClientError)


class MatchStore:
    """A folder or a bucket's folder, with files of ours under random names."""

    def __init__(self, url: str, fetch: FetchSettings) -> None:
        """Open the store; a folder is made where there is none.

        Args:
            url: `s3://bucket/folder`, a `file` URI or a path.
            fetch: by which workers fetch from it.

        Raises:
            SettingsError: they couldn't, or the folder can't be written.
        """
        self._fetch = fetch
        self._free = asyncio.Semaphore(AT_ONCE)
        scheme = url.partition("://")[0].lower() if "://" in url else "file"
        try:
            if scheme not in ("file", "s3") or scheme not in fetch.schemes:
                raise ForbiddenUriError(
                    f"expected a folder or s3://…, whose scheme is among fetch.schemes = "
                    f"{', '.join(fetch.schemes)}"
                )
            self._files, self._root, self._uri = (_folder if scheme == "file" else _bucket)(
                url, fetch
            )
        except (ForbiddenUriError, OSError) as error:
            raise SettingsError(f"console.match_store = {url!r} can't be used: {error}") from error

    @asynccontextmanager
    async def keep(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[str]:
        """Keep a file for the time of the block; its URI.

        Delivery contract: when the block is left, by a cancellation too, it is deleted. What a
        killed process leaves, `clear` deletes later.

        Args:
            chunks: its bytes.

        Raises:
            Problem: 408 where it comes too slowly, 422 where it is empty, 429 where many are being
                taken, 503 where the store can't be written; what `chunks` raises.
        """
        if self._free.locked():
            told = Text("{number} files are being asked about: ask again soon", number=AT_ONCE)
            raise Problem(429, told, {"Retry-After": "5"})
        async with self._free:
            name = f"{OURS}{uuid.uuid4().hex}"
            file = _File(self._files, f"{self._root}/{name}")
            # One, which does one thing after the other: a file is deleted behind its last write,
            # whether or not somebody still waits for that.
            thread = ThreadPoolExecutor(1, "console-match-file")
            try:
                await _write(thread, file, chunks, self._fetch.timeout_seconds)
                yield f"{self._uri}/{name}"
            finally:
                gone = thread.submit(file.remove)
                thread.shutdown(wait=False)
                await asyncio.shield(asyncio.wrap_future(gone))

    def clear(self) -> None:
        """Delete what nobody can be asking about any more. Blocks."""
        longest = timedelta(seconds=self._fetch.timeout_seconds + LONGEST_QUESTION_SECONDS)
        try:
            self._files.invalidate_cache()
            with suppress(FileNotFoundError):
                for path in self._files.ls(self._root, detail=False):
                    is_ours = NAME.fullmatch(path.rpartition("/")[2]) is not None
                    # Another console may have one there; it may be gone by now.
                    with suppress(FileNotFoundError):
                        if is_ours and now() - self._files.modified(path) > longest:
                            self._files.rm_file(path)
        except STORE_ERRORS as error:
            log.warning("console.match_store can't be tidied: %s", brief(error, 300))


class _File:
    """One file of the store, by one thread."""

    def __init__(self, files: Any, path: str) -> None:
        self._files, self._path = files, path
        self._open: Any = None

    def write(self, chunk: bytes) -> None:
        """Append."""
        if self._open is None:
            self._open = self._files.open(self._path, "wb", block_size=BLOCK_BYTES)
        self._open.write(chunk)

    def close(self) -> None:
        """Whoever fetches it now has all of it."""
        self._open.close()

    def remove(self) -> None:
        """Delete it, if it was ever begun."""
        if self._open is None:
            return
        with suppress(*STORE_ERRORS):
            self._open.close()
        try:
            with suppress(FileNotFoundError):
                self._files.rm_file(self._path)
        except STORE_ERRORS as error:
            log.warning("a file stays in console.match_store for now: %s", brief(error, 300))


async def _write(
    thread: ThreadPoolExecutor, file: _File, chunks: AsyncIterator[bytes], seconds: float
) -> None:
    async def run(act: Callable[..., None], *args: bytes) -> None:
        try:
            await asyncio.get_running_loop().run_in_executor(thread, act, *args)
        except STORE_ERRORS as error:
            log.warning("console.match_store can't be written: %s", brief(error, 300))
            told = Text("the file can't be kept here: see console.match_store, or ask about a URI")
            raise Problem(503, told, {"Retry-After": "60"}) from error

    is_empty = True
    try:
        async with asyncio.timeout(seconds):
            async for chunk in chunks:
                is_empty = False
                await run(file.write, chunk)
            if is_empty:
                raise Problem(422, "the form has no file, or an empty one")
            await run(file.close)
    except TimeoutError as error:
        told = Text(
            "the file took longer than fetch.timeout_seconds = {seconds}", seconds=f"{seconds:g}"
        )
        raise Problem(408, told) from error


def _folder(url: str, fetch: FetchSettings) -> tuple[Any, str, str]:
    """The file system, the folder in it, and its URI."""
    path = (path_of(url) if url.startswith("file:") else Path(url)).resolve()
    check_root(path, fetch)
    path.mkdir(parents=True, exist_ok=True)
    if not os.access(path, os.W_OK | os.X_OK):
        raise PermissionError(f"{path} can't be written: give the console's user the right to")
    return fsspec.filesystem("file"), str(path), path.as_uri()


def _bucket(url: str, fetch: FetchSettings) -> tuple[Any, str, str]:
    """The same of an object store."""
    bucket = url.removeprefix("s3://").partition("/")[0]
    if not bucket or (fetch.buckets and bucket not in fetch.buckets):
        raise ForbiddenUriError(
            f"bucket {bucket!r} is not among fetch.buckets = {', '.join(fetch.buckets)}"
        )
    # As workers read: at the same endpoint. Credentials are AWS's own variables and files.
    files, root = fsspec.core.url_to_fs(url, endpoint_url=fetch.s3_endpoint_url)
    return files, root, f"s3://{root}"
