"""What ends by itself is noted once, with its exit code, whoever starts it again."""

import signal
import time
from pathlib import Path

import pytest

from benchmarks.delivery import workers as under_test
from benchmarks.delivery.workers import Workers
from stream.broker.settings import KafkaSettings


@pytest.fixture
def workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workers:
    """Of which each does what its command says; `stays` lives until a signal."""
    script = tmp_path / "samesource"
    script.write_text('#!/bin/sh\necho "ends with $2"\n[ $2 = stays ] && exec sleep 60\nexit $2\n')
    script.chmod(0o755)
    monkeypatch.setattr(under_test, "SAMESOURCE", script)
    commands = {"fails": ["3"], "ends": ["0"], "stays": ["stays"]}
    return Workers(KafkaSettings(), tmp_path / "logs", commands, lambda _: {})


def wait_for_end(workers: Workers, name: str) -> None:
    deadline = time.monotonic() + 20
    while workers.runs(name):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_process_that_ended_by_itself_is_noted_when_it_is_started_again(workers: Workers) -> None:
    for name in ("fails", "ends"):
        workers.start(name)
        wait_for_end(workers, name)
        workers.start(name)
        wait_for_end(workers, name)
    assert workers.ended_by_code() == {"fails with 3": 1, "ends with 0": 1}
    assert workers.ended[0].said == "ends with 3"
    for _ in range(2):
        workers.note("fails")
    workers.end("ends")
    assert workers.ended_by_code() == {"fails with 3": 2, "ends with 0": 2}


def test_what_was_told_to_end_has_not_ended_by_itself(workers: Workers) -> None:
    for how in (signal.SIGTERM, signal.SIGKILL):
        workers.start("stays")
        assert workers.end("stays", how) == -how
        workers.start("stays")
        workers.kill("stays")
    workers.end("stays")
    assert workers.ended == []
