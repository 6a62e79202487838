"""Traces as OpenTelemetry has them, sent to a collector by OTLP over HTTP.

Serves `stream.traces`, which imports it only where the settings name a collector. Spans wait in a
queue of bounded length: a collector that is slow or away costs spans, and no upload any time.
"""

import hashlib
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from threading import Thread
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

log = logging.getLogger(__name__)

QUEUE_SPANS, BATCH_SPANS = 2048, 256
"""An upload has some twenty spans; what doesn't fit any more is dropped, the oldest first."""
SEND_EVERY_SECONDS = 2.0
SEND_SECONDS = 5.0  # for one batch, tries of the exporter included
CLOSE_SECONDS = 1.0  # to send what waits at the end: a stop has seconds for all of it
OTHERS = ("opentelemetry.exporter", "opentelemetry.sdk")
"""What logs each batch that fails, and each span that is dropped; here it is told once."""

_seed: ContextVar[str | None] = ContextVar("seed", default=None)


class OpenTelemetrySpans:
    """Records and sends; implements `stream.traces.Spans`.

    A trace that begins here is named by the message that it begins with: delivered again, that goes
    on in the same trace.
    """

    def __init__(self, endpoint: str, sample_share: float, role: str) -> None:
        """Nothing is connected before the first spans are sent.

        Args:
            endpoint: of OTLP over HTTP, with its path.
            sample_share: of the traces that begin here.
            role: of the process.
        """
        # For good: what is being sent when this ends goes on for a while, and logs at its own end.
        for name in OTHERS:
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        self._exporter = _Once(endpoint)
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(sample_share)),
            # What the environment says of a resource, `OTEL_SERVICE_NAME` for one, wins.
            resource=Resource.create({SERVICE_NAME: "samesource", "samesource.role": role}).merge(
                OTELResourceDetector().detect()
            ),
            id_generator=_Ids(),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(
            BatchSpanProcessor(
                self._exporter,
                max_queue_size=QUEUE_SPANS,
                max_export_batch_size=BATCH_SPANS,
                schedule_delay_millis=1000 * SEND_EVERY_SECONDS,
            )
        )
        self._tracer = self._provider.get_tracer("samesource")

    @contextmanager
    def of(
        self, message: Any, name: str, parent: str | None, ids: Mapping[str, str]
    ) -> Iterator["OpenTelemetrySpan"]:
        """As `Spans`."""
        found = TraceContextTextMapPropagator().extract({"traceparent": parent or ""}, Context())
        at = message.timestamp or 0
        at_seconds = at if isinstance(at, float) else at / 1000  # as in `Source.of`
        place = {
            "messaging.system": "kafka",
            "messaging.destination.name": message.topic,
            "messaging.destination.partition.id": str(message.partition),
            "messaging.kafka.offset": message.offset,
            # By two clocks, of which Kafka's may be ahead.
            "samesource.waited_seconds": max(0.0, time.time() - at_seconds),
        }
        token = _seed.set(f"{message.topic}-{message.partition}-{message.offset}-{at_seconds:.3f}")
        try:
            begun = OpenTelemetrySpan.begin(
                self._tracer, name, found, SpanKind.CONSUMER, place | _without_trace(ids)
            )
        finally:
            _seed.reset(token)
        with begun.ending():
            yield begun

    def close(self) -> None:
        """Send what waits, for a second at most; then end."""
        # A collector that is away isn't waited for: its turn was before.
        self._exporter.last_tries = True
        closing = Thread(target=self._provider.shutdown, name="traces", daemon=True)
        closing.start()
        closing.join(CLOSE_SECONDS)
        self._exporter.give_up()


@dataclass(frozen=True)
class OpenTelemetrySpan:
    """A span that isn't over yet; implements `stream.traces.Span`."""

    tracer: trace.Tracer
    span: trace.Span

    @classmethod
    def begin(
        cls,
        tracer: trace.Tracer,
        name: str,
        parent: Context,
        kind: SpanKind,
        attributes: Mapping[str, Any],
    ) -> "OpenTelemetrySpan":
        """Begin one, without making it OpenTelemetry's present span: ours is in `traces`."""
        return cls(tracer, tracer.start_span(name, parent, kind, attributes))

    @contextmanager
    def ending(self) -> Iterator[None]:
        """End it with the block; one that raises has failed.

        The error's class is told and not its text, which may quote an address with a secret in it.
        """
        try:
            yield
        except Exception as error:
            said = getattr(error, "code", None) or type(error).__name__
            self.span.set_status(Status(StatusCode.ERROR, str(said)))
            raise
        finally:
            self.span.end()

    @property
    def header(self) -> str:
        """As `Span`."""
        context = self.span.get_span_context()
        ids = f"{context.trace_id:032x}-{context.span_id:016x}"
        return f"00-{ids}-{int(context.trace_flags):02x}"

    def note(self, ids: Mapping[str, str]) -> None:
        """As `Span`."""
        self.span.set_attributes({**ids})

    @contextmanager
    def part(self, name: str, ids: Mapping[str, str]) -> Iterator["OpenTelemetrySpan"]:
        """As `Span`."""
        kind = SpanKind.PRODUCER if name.startswith("publish ") else SpanKind.INTERNAL
        inner = self.begin(
            self.tracer, name, trace.set_span_in_context(self.span, Context()), kind, ids
        )
        with inner.ending():
            yield inner


class _Ids(RandomIdGenerator):
    """Names a trace by the message that it begins with."""

    def generate_trace_id(self) -> int:
        seed = _seed.get()
        if seed is None:
            return super().generate_trace_id()
        return int.from_bytes(hashlib.sha256(seed.encode()).digest()[:16])


class _Once(SpanExporter):
    """Tells once that a collector is away, and once that it is back.

    Attributes:
        last_tries: nothing more is sent to a collector that was away last.
    """

    def __init__(self, endpoint: str) -> None:
        self._inner: SpanExporter = OTLPSpanExporter(endpoint=endpoint, timeout=SEND_SECONDS)
        self._endpoint, self._away, self._closed = endpoint, False, False
        self.last_tries = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if self._closed or (self.last_tries and self._away):
            return SpanExportResult.FAILURE
        sent = self._inner.export(spans)
        away = sent is not SpanExportResult.SUCCESS
        if away != self._away and not self._closed:
            if away:
                log.warning("%s takes no traces: they are dropped until it does", self._endpoint)
            else:
                log.info("%s takes traces again", self._endpoint)
            self._away = away
        return sent

    def give_up(self) -> None:
        """End what is being tried."""
        if not self._closed:
            self._closed = True
            self._inner.shutdown()

    def shutdown(self) -> None:
        self.give_up()


def _without_trace(ids: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in ids.items() if name != "trace_id"}
