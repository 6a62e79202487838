"""What is in hand just now: the ids that its log lines and everything published about it carry.

Held in context variables: each task has its own, and `carried` takes them into a thread. Where
traces are recorded, by `stream.spans`, each stage of what is in hand is a span.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar, copy_context
from functools import partial
from typing import Any, Protocol, TypeVar

from stream.traces_settings import TracesSettings

TRACE_HEADER = "traceparent"  # https://www.w3.org/TR/trace-context/#traceparent-header
TRACE_PARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")

Result = TypeVar("Result")


class Span(Protocol):
    """A stage that is recorded."""

    @property
    def header(self) -> str:
        """Names it to those that come after it."""
        ...

    def note(self, ids: Mapping[str, str]) -> None:
        """What it is about."""
        ...

    def part(self, name: str, ids: Mapping[str, str]) -> AbstractContextManager["Span"]:
        """A stage of it, for the time of the block; one that raises has failed."""
        ...


class Spans(Protocol):
    """Records traces."""

    def of(
        self, message: Any, name: str, parent: str | None, ids: Mapping[str, str]
    ) -> AbstractContextManager[Span]:
        """What is done with a message of Kafka, for the time of the block.

        Args:
            message: has `topic`, `partition`, `offset` and `timestamp`.
            name: of the stage.
            parent: what its header names; a trace begins where it names none.
            ids: what the message is about.
        """
        ...


_in_hand: ContextVar[dict[str, str] | None] = ContextVar("in_hand", default=None)
_trace_parent: ContextVar[bytes | None] = ContextVar("trace_parent", default=None)
_span: ContextVar[Span | None] = ContextVar("span", default=None)
_spans: Spans | None = None  # of the process; None while nothing is recorded


@contextmanager
def tracing(settings: TracesSettings, role: str) -> Iterator[None]:
    """Record traces for the time of the block, where the settings name a collector.

    Args:
        settings: where to.
        role: of the process, or its roles.
    """
    global _spans
    if settings.endpoint is None:
        yield
        return
    # Here, so that a worker which records nothing takes neither time nor memory for it.
    from stream.spans import OpenTelemetrySpans

    spans = _spans = OpenTelemetrySpans(settings.endpoint, settings.sample_share, role)
    try:
        yield
    finally:
        _spans = None
        spans.close()


@contextmanager
def about(message: Any, *, key: str = "video_id", stage: str | None = None) -> Iterator[None]:
    """Whatever is logged and published in the block is about this message of Kafka.

    Args:
        message: has `headers`, and `key`.
        key: what that names: the video's id on most topics.
        stage: what is done with it, in its trace; not recorded when left out.
    """
    parent = _trace_header(message.headers)
    trace = TRACE_PARENT.fullmatch(parent.decode(errors="replace")) if parent else None
    ids = {"trace_id": trace.group(1)} if trace else {}
    if isinstance(message.key, bytes):
        ids[key] = message.key.decode(errors="replace")
    given = trace.group() if trace else None
    recorded: AbstractContextManager[Span | None] = nullcontext()
    if _spans is not None and stage is not None:
        recorded = _spans.of(message, stage, given, ids)
    with recorded as span:
        if span is not None:
            # The message's own trace, or the one that begins here.
            ids["trace_id"], parent = span.header.split("-")[1], span.header.encode()
        ids_token = _in_hand.set(ids)
        parent_token = _trace_parent.set(parent if trace or span else None)
        span_token = _span.set(span)
        try:
            yield
        finally:
            _in_hand.reset(ids_token)
            _trace_parent.reset(parent_token)
            _span.reset(span_token)


@contextmanager
def passed_on(parent: str | None) -> Iterator[None]:
    """Whatever is published in the block goes on in a trace that came by another way than Kafka.

    Args:
        parent: a `traceparent`; one that is none, or None, is passed over.
    """
    trace = TRACE_PARENT.fullmatch(parent or "")
    token = _trace_parent.set(trace.group().encode() if trace else None)
    try:
        yield
    finally:
        _trace_parent.reset(token)


@contextmanager
def part(name: str) -> Iterator[None]:
    """A stage of what is in hand, for the time of the block; what is published follows it."""
    whole = _span.get()
    if whole is None:
        yield
        return
    ids = {name: text for name, text in in_hand().items() if name != "trace_id"}
    with whole.part(name, ids) as span:
        parent_token = _trace_parent.set(span.header.encode())
        span_token = _span.set(span)
        try:
            yield
        finally:
            _trace_parent.reset(parent_token)
            _span.reset(span_token)


def note(**ids: str | None) -> None:
    """Add ids of what is in hand, once they are known; those that are None stay unknown.

    Where nothing is in hand, nothing is noted.
    """
    known = _in_hand.get()
    if known is not None:
        added = {name: text for name, text in ids.items() if text}
        _in_hand.set({**known, **added})
        if (span := _span.get()) is not None:
            span.note(added)


def in_hand() -> dict[str, str]:
    """The ids that are known of what is in hand: its key's name, `request_id`, `trace_id`."""
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
