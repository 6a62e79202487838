"""What is in hand just now: the ids that its log lines and everything published about it carry.

Held in context variables: each task has its own, and `carried` takes them into a thread.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from functools import partial
from typing import Any, TypeVar

TRACE_HEADER = "traceparent"  # https://www.w3.org/TR/trace-context/#traceparent-header
TRACE_PARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")

Result = TypeVar("Result")

_in_hand: ContextVar[dict[str, str] | None] = ContextVar("in_hand", default=None)
_trace_parent: ContextVar[bytes | None] = ContextVar("trace_parent", default=None)


@contextmanager
def about(message: Any) -> Iterator[None]:
    """Whatever is logged and published in the block is about this message of Kafka.

    Args:
        message: has `headers`, and `key`, which is the video's id on most topics.
    """
    parent = _trace_header(message.headers)
    trace = TRACE_PARENT.fullmatch(parent.decode(errors="replace")) if parent else None
    ids = {"trace_id": trace.group(1)} if trace else {}
    if isinstance(message.key, bytes):
        ids["video_id"] = message.key.decode(errors="replace")
    ids_token = _in_hand.set(ids)
    parent_token = _trace_parent.set(parent if trace else None)
    try:
        yield
    finally:
        _in_hand.reset(ids_token)
        _trace_parent.reset(parent_token)


def note(**ids: str | None) -> None:
    """Add ids of what is in hand, once they are known; those that are None stay unknown.

    Where nothing is in hand, nothing is noted.
    """
    known = _in_hand.get()
    if known is not None:
        _in_hand.set({**known, **{name: text for name, text in ids.items() if text}})


def in_hand() -> dict[str, str]:
    """The ids of what is in hand that are known: `video_id`, `request_id`, `trace_id`."""
    return _in_hand.get() or {}


def trace_headers() -> list[tuple[str, bytes]]:
    """What to publish it with."""
    parent = _trace_parent.get()
    return [] if parent is None else [(TRACE_HEADER, parent)]


def carried(function: Callable[..., Result]) -> Callable[..., Result]:
    """The function, for another thread: what is in hand here is in hand there."""
    return partial(copy_context().run, function)


def _trace_header(headers: Any) -> bytes | None:
    pairs = headers.items() if isinstance(headers, dict) else headers or ()
    for name, value in pairs:
        if name == TRACE_HEADER and isinstance(value, bytes):
            return value
    return None
