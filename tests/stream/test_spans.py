"""Spans: what they say of a message, which are recorded, and a collector that is away."""

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from stream import spans
from stream.broker.local import held_port
from stream.errors import NoVideoError, SettingsError
from stream.settings import load_settings
from stream.times import timed
from stream.traces import about, carried, in_hand, note, part, trace_headers, tracing
from stream.traces_settings import TracesSettings
from tests.stream.collector import Collector, running_collector

TRACE, SPAN = "a" * 32, "b7ad6b7169203331"


def message(header: str | None = None, **changes: Any) -> Any:
    """As Kafka's clients give one."""
    headers = [] if header is None else [("traceparent", header.encode())]
    fields = {"topic": "video.uploaded", "partition": 3, "offset": 7, "key": b"v"}
    fields |= {"timestamp": round(1000 * time.time()) - 5010, "headers": headers}
    return SimpleNamespace(**fields | changes)


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with running_collector() as collector:
        yield collector


@contextmanager
def traced(collector: Collector, share: float = 1.0) -> Iterator[None]:
    collector.spans.clear()
    with tracing(TracesSettings(endpoint=collector.endpoint, sample_share=share), "fingerprint"):
        yield


def header() -> str:
    [(name, value)] = trace_headers()
    assert name == "traceparent"
    return value.decode()


def said_of_traces(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """What is logged by those who record and send; other tests may have left threads that log."""
    speakers = ("stream.spans", "stream.traces", "opentelemetry", "requests", "urllib3")
    return [each for each in caplog.records if each.name.startswith(speakers)]


def is_sampled(told: str) -> bool:
    return bool(int(told.split("-")[3], 16) & 1)


def test_a_stage_has_its_parts_and_says_what_it_is_about(collector: Collector) -> None:
    with traced(collector), about(message(), stage="fingerprint"):
        note(request_id="3-7-1")
        with timed({}, "decode"), part("inner"):
            pass
    whole, decode, inner = collector.of(collector.spans[0].trace_id)
    assert [each.name for each in (whole, decode, inner)] == ["fingerprint", "decode", "inner"]
    assert [each.parent_id for each in (whole, decode, inner)] == [
        "", whole.span_id, decode.span_id,
    ]  # fmt: skip
    for each in (whole, decode, inner):
        assert each.attributes["video_id"] == "v"
        assert each.attributes["request_id"] == "3-7-1"
        assert "trace_id" not in each.attributes
    assert whole.attributes["messaging.destination.name"] == "video.uploaded"
    assert whole.attributes["messaging.kafka.offset"] == 7
    assert 5 <= whole.attributes["samesource.waited_seconds"] < 60
    assert whole.resource["service.name"] == "samesource"
    assert whole.resource["samesource.role"] == "fingerprint"


def test_a_trace_that_comes_with_the_message_goes_on(collector: Collector) -> None:
    with traced(collector), about(message(f"00-{TRACE}-{SPAN}-01"), stage="fingerprint"):
        assert in_hand()["trace_id"] == TRACE
        assert header().startswith(f"00-{TRACE}-") and SPAN not in header()
    [span] = collector.of(TRACE)
    assert span.parent_id == SPAN


def test_what_is_published_follows_the_part_that_publishes_it(collector: Collector) -> None:
    with traced(collector), about(message(), stage="fingerprint"):
        outer = header()
        with part("publish video.fingerprinted"):
            inner = header()
        assert header() == outer != inner
    named = {span.name: span.span_id for span in collector.spans}
    assert inner.split("-")[2] == named["publish video.fingerprinted"]


def test_a_message_that_is_delivered_again_goes_on_in_its_trace(collector: Collector) -> None:
    again, other = message(), message(offset=8)
    with traced(collector):
        for each in (again, again, other):
            with about(each, stage="fingerprint"):
                pass
    first, second, third = (span.trace_id for span in collector.spans)
    assert first == second != third


@pytest.mark.parametrize("stamp", [1_700_000_000_123, 1_700_000_000.123], ids=["ms", "seconds"])
def test_both_of_kafkas_clients_begin_the_same_trace(collector: Collector, stamp: float) -> None:
    with traced(collector), about(message(timestamp=stamp), stage="fingerprint"):
        pass
    with traced(collector), about(message(timestamp=1_700_000_000_123), stage="fingerprint"):
        expected = in_hand()["trace_id"]
    with traced(collector), about(message(timestamp=stamp), stage="fingerprint"):
        assert in_hand()["trace_id"] == expected


def test_it_goes_along_into_a_thread(collector: Collector) -> None:
    def work() -> None:
        note(request_id="of the thread")
        with timed({}, "search"):
            pass

    with (
        traced(collector),
        ThreadPoolExecutor(1) as threads,
        about(message(), stage="compare 0/1"),
    ):
        threads.submit(carried(work)).result()
        assert threads.submit(trace_headers).result() == []
    whole, search = collector.of(collector.spans[0].trace_id)
    assert search.parent_id == whole.span_id
    assert whole.attributes["request_id"] == search.attributes["request_id"] == "of the thread"


def test_what_is_not_sampled_is_passed_on_and_not_sent(collector: Collector) -> None:
    with traced(collector, share=0.0):
        with about(message(), stage="fingerprint"), part("publish x"):
            assert not is_sampled(header())
            began = in_hand()["trace_id"]
            told = header()
        with about(message(told), stage="compare 0/1"):
            assert in_hand()["trace_id"] == began
            assert not is_sampled(header())
        with about(message(f"00-{TRACE}-{SPAN}-01"), stage="fingerprint"):
            pass
    assert {span.trace_id for span in collector.spans} == {TRACE}


def test_a_part_that_raises_has_failed_and_does_not_quote(collector: Collector) -> None:
    with traced(collector):
        for error in (NoVideoError("https://u:secret@host/x"), KeyError("secret")):
            with (
                pytest.raises(type(error)),
                about(message(), stage="fingerprint"),
                timed({}, "fetch"),
            ):
                raise error
    assert {span.failed for span in collector.spans} == {"no_video", "KeyError"}
    assert "secret" not in str(collector.spans)


def test_what_has_no_stage_is_passed_on_as_it_came(collector: Collector) -> None:
    given = f"00-{TRACE}-{SPAN}-01"
    with traced(collector), about(message(given)), part("publish x"):
        assert header() == given
    assert collector.spans == []


@pytest.mark.timed
def test_a_collector_that_is_away_is_told_of_once_and_holds_up_nothing(
    collector: Collector, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spans, "SEND_EVERY_SECONDS", 0.05)
    monkeypatch.setattr(spans, "SEND_SECONDS", 0.2)
    caplog.set_level(logging.INFO)

    def told(words: str) -> int:
        return sum(words in record.getMessage() for record in caplog.records)

    collector.status = 503
    try:
        with traced(collector):
            begun = time.monotonic()
            for number in range(3 * spans.QUEUE_SPANS):
                with about(message(offset=number), stage="fingerprint"):
                    pass
            # Some 10 microseconds each; a try of the exporter takes longer than all of it may.
            assert time.monotonic() - begun < 30
            wait_until(lambda: told("takes no traces") == 1)
            time.sleep(1)
            collector.status = 200
            with about(message(f"00-{TRACE}-{SPAN}-01"), stage="fingerprint"):
                pass
            wait_until(lambda: bool(collector.of(TRACE)))
            wait_until(lambda: told("takes traces again") == 1)
    finally:
        collector.status = 200
    assert told("takes no traces") == 1
    warnings = [each for each in said_of_traces(caplog) if each.levelno >= logging.WARNING]
    assert ["takes no traces" in each.getMessage() for each in warnings] == [True]


def wait_until(holds: Any, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.timed
def test_a_stop_waits_a_second_at_most_for_a_collector_that_is_away() -> None:
    with held_port() as port:  # where nobody listens
        settings = TracesSettings(endpoint=f"http://127.0.0.1:{port}")
        with tracing(settings, "decide"):
            with about(message(), stage="decide"):
                pass
            begun = time.monotonic()
    assert time.monotonic() - begun < spans.CLOSE_SECONDS + 3  # beside other tests


def test_what_is_still_being_sent_at_a_stop_logs_nothing(
    collector: Collector, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spans, "SEND_EVERY_SECONDS", 0.05)
    monkeypatch.setattr(spans, "CLOSE_SECONDS", 0.0)
    caplog.set_level(logging.INFO)
    before = set(threading.enumerate())
    collector.status, collector.tries = 503, 0
    try:
        with traced(collector):
            with about(message(), stage="fingerprint"):
                pass
            wait_until(lambda: collector.tries > 0)
        for thread in set(threading.enumerate()) - before:
            thread.join(60)
    finally:
        collector.status = 200
    assert said_of_traces(caplog) == []


def test_what_waits_is_sent_at_the_end(collector: Collector) -> None:
    with traced(collector), about(message(), stage="decide"):
        pass
    assert [span.name for span in collector.spans] == ["decide"]


def test_without_a_collector_nothing_of_it_is_imported() -> None:
    code = (
        "import sys\n"
        "from stream.agents.run import make_workers\n"
        "from stream.settings import load_settings\n"
        "from stream.traces import tracing\n"
        "with tracing(load_settings().traces, 'all'):\n"
        "    import stream.agents.decide, stream.agents.fingerprint, stream.agents.library\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry.sdk')\n"
        "    or name.startswith('opentelemetry.exporter') or name == 'stream.spans'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
        ("http://127.0.0.1:4318/", "http://127.0.0.1:4318/v1/traces"),
        ("https://t.example/otlp/v1/traces", "https://t.example/otlp/v1/traces"),
    ],
)
def test_an_endpoint_without_a_path_has_the_protocols_own(given: str, meant: str) -> None:
    assert load_settings(traces={"endpoint": given}).traces.endpoint == meant


@pytest.mark.parametrize("wrong", ["127.0.0.1:4318", "grpc://host:4317", "http://", ""])
def test_what_is_no_address_is_refused(wrong: str) -> None:
    with pytest.raises(SettingsError, match=r"traces\.endpoint"):
        load_settings(traces={"endpoint": wrong})
