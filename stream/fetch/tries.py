"""Tries of what a network or a server may fail at, within the time that is allowed.

Serves `stream.fetch.fetch` and `stream.fetch.ranged`.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar
from urllib.parse import urlsplit

from stream.errors import NotFoundError, VideoTimeoutError
from stream.fetch.copy import TooSlowError, TransientError
from stream.fetch.settings import FetchSettings

T = TypeVar("T")


async def tried(
    attempt: Callable[[], Awaitable[T]],
    uri: str,
    settings: FetchSettings,
    failed: Callable[[TransientError], None] = lambda error: None,
) -> T:
    """Try until it is done, the time is over, or the tries are used up.

    Args:
        attempt: begins anew each time.
        uri: that it is about.
        settings: how often, how long.
        failed: told why, where another try follows.

    Raises:
        NotFoundError: it failed each time.
        VideoTimeoutError: longer than `timeout_seconds` in all, or too slow at the last try.
    """
    try:
        async with asyncio.timeout(settings.timeout_seconds):
            number = 0
            while True:
                try:
                    return await attempt()
                except TransientError as error:
                    if number == settings.retries:
                        raise _given_up(error, uri, number + 1) from error
                    failed(error)
                # Spread, so that downloads that a server failed together don't return together.
                wait = settings.retry_wait_seconds * 2**number
                await asyncio.sleep(wait * random.uniform(0.5, 1))
                number += 1
    except TimeoutError as error:
        raise VideoTimeoutError(
            f"fetching from {_host(uri)} took longer than fetch.timeout_seconds = "
            f"{settings.timeout_seconds:g}"
        ) from error


def _given_up(error: TransientError, uri: str, tries: int) -> NotFoundError | VideoTimeoutError:
    if isinstance(error, TooSlowError):
        return VideoTimeoutError(f"{_host(uri)} is too slow: {error} (tried {tries} times)")
    return NotFoundError(f"{error} (tried {tries} times)")


def _host(uri: str) -> str:
    """The host alone: a URI may hold a password or a signature."""
    try:
        return urlsplit(uri).hostname or "the store"
    except ValueError:
        return "the store"
