"""The log: an object a line with the ids of what is in hand, and no flood of repeated lines."""

import asyncio
import json
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from stream.logs import OncePerMinute, WithIds, json_formatter, logs_json
from stream.traces import about, carried, in_hand, note, trace_headers
from stream.worker_settings import WorkerSettings

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01".encode()


def message(key: bytes | None = b"a video", headers: Any = (("traceparent", PARENT),)) -> Any:
    return SimpleNamespace(key=key, headers=headers)


class Written(logging.Handler):
    """Keeps what a logger of its own writes, as our handler would."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.setFormatter(json_formatter())
        self.addFilter(WithIds())

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        self.lines.append(self.format(record))


@pytest.fixture
def written() -> Iterator[Written]:
    handler = Written()
    logger = logging.getLogger("tests.logs")
    logger.addHandler(handler)
    logger.propagate = False
    logger.setLevel(logging.INFO)
    yield handler
    logger.removeHandler(handler)
    logger.propagate = True


log = logging.getLogger("tests.logs")


def test_an_event_is_an_object_on_one_line_however_long(written: Written) -> None:
    log.info("rejected %s\nwith a second line %s", "v", "x" * 5000)
    [line] = written.lines
    assert "\n" not in line
    event = json.loads(line)
    assert (event["level"], event["logger"]) == ("INFO", "tests.logs")
    assert event["message"] == f"rejected v\nwith a second line {'x' * 5000}"
    assert event["time"].startswith("20")


def test_a_traceback_is_on_that_line_too(written: Written) -> None:
    try:
        raise ValueError("wrong")
    except ValueError:
        log.exception("it failed")
    [line] = written.lines
    assert "\n" not in line
    assert "ValueError: wrong" in json.loads(line)["exc_info"]


def test_it_carries_the_ids_of_what_is_in_hand(written: Written) -> None:
    with about(message()):
        note(request_id="0-7-1")
        log.info("in hand")
    log.info("not in hand")
    inside, outside = map(json.loads, written.lines)
    assert inside["video_id"] == "a video"
    assert inside["request_id"] == "0-7-1"
    assert inside["trace_id"] == TRACE
    assert not {"video_id", "request_id", "trace_id"} & outside.keys()


def test_a_probe_is_not_called_a_video(written: Written) -> None:
    with about(message(), key="probe_id"):
        log.info("in hand")
    told = json.loads(written.lines[0])
    assert told["probe_id"] == "a video"
    assert "video_id" not in told


def test_the_ids_go_along_into_a_thread() -> None:
    with ThreadPoolExecutor(1) as threads, about(message()):
        assert threads.submit(carried(in_hand)).result()["trace_id"] == TRACE
        assert threads.submit(in_hand).result() == {}


async def test_each_task_has_its_own() -> None:
    async def handle(key: bytes) -> str:
        with about(message(key)):
            await asyncio.sleep(0.01)
            return in_hand()["video_id"]

    assert [*await asyncio.gather(handle(b"a"), handle(b"b"))] == ["a", "b"]


def test_the_trace_is_passed_on_as_it_came() -> None:
    with about(message()):
        assert trace_headers() == [("traceparent", PARENT)]
    assert trace_headers() == []


@pytest.mark.parametrize(
    "headers",
    [(), None, {}, [("traceparent", None)], [("traceparent", b"nonsense")], [("other", PARENT)],
     [("traceparent", PARENT + b"\xff" * 3000)]],
)  # fmt: skip
def test_what_is_no_trace_is_left_out(headers: Any) -> None:
    with about(message(headers=headers)):
        assert trace_headers() == []
        assert "trace_id" not in in_hand()


def test_an_unreadable_or_missing_key_is_no_error() -> None:
    with about(message(key=b"\xff")):
        assert in_hand()["video_id"] == "�"
    with about(message(key=None)):
        assert "video_id" not in in_hand()


@pytest.mark.parametrize(
    ("setting", "terminal", "json_lines"),
    [("auto", True, False), ("auto", False, True), ("json", True, True), ("text", False, False)],
)
def test_lines_are_json_where_nobody_looks_on(
    setting: Any, terminal: bool, json_lines: bool
) -> None:
    console = Console(force_terminal=terminal)
    assert logs_json(WorkerSettings(log_format=setting), console) is json_lines


class Away:
    """What Kafka's clients say while it is away, against a clock of our own."""

    def __init__(self) -> None:
        self.now = 0.0
        self.told: list[str] = []
        self.filter = OncePerMinute(lambda: self.now)

    def say(self, text: str, *args: Any, name: str = "aiokafka.client") -> None:
        """A warning of a client."""
        record = logging.LogRecord(name, logging.WARNING, "", 0, text, args, None)
        if self.filter.filter(record):
            self.told.append(record.getMessage())


def test_what_repeats_itself_is_told_at_once_and_then_once_a_minute_with_a_count() -> None:
    away = Away()
    for step in range(40 * 60 * 10):  # forty lines a second for ten minutes
        away.now = step / 40
        away.say("Unable connect to node with id %s: %s", step % 3, "refused")
        away.say("Heartbeat failed for group %s", "g")
    assert away.told[:2] == [
        "Unable connect to node with id 0: refused",
        "Heartbeat failed for group g",
    ]
    assert 10 <= len(away.told) <= 12
    assert "such lines were held back)" in away.told[-1]


def test_something_new_is_told_at_once_meanwhile() -> None:
    away = Away()
    for _ in range(5):
        away.say("Unable connect to node with id %s", 1)
    away.say("Topic %s is not authorized", "t")
    assert away.told == [
        "Unable connect to node with id 1",
        "Topic t is not authorized (4 such lines were held back)",
    ]


def test_claims_that_wait_are_told_of_once_a_minute() -> None:
    away = Away()
    for step in range(100):  # every 30 s for each of ten claims
        away.now = step * 3.0
        away.say("no claim came back within %.0f s: again", 30, name="stream.agents.flood_claims")
    assert len(away.told) == 5


def test_what_is_said_of_uploads_is_never_held_back() -> None:
    away = Away()
    for number in range(5):
        away.say("log entry %d: bad_event", number, name="stream.agents.library")
        away.say("the vector of %s is gone", number, name="stream.agents.restater")
    assert len(away.told) == 10
