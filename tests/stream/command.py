"""Runs the command `samesource` as its users do; serves the tests of the command.

`Command` runs it inside the test's process, which is quick; `started` in a process of its own, for
signals.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from stream.broker.client import send
from stream.broker.settings import KafkaSettings
from stream.cli import main
from stream.contract.events import Event

SAMESOURCE = Path(sys.executable).with_name("samesource")


@dataclass(frozen=True)
class Done:
    """How a command ended and what it wrote."""

    code: int
    out: str
    err: str


class Command:
    """The command, with an environment of its own. `command("alerts").out` is what it prints."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capfd = monkeypatch, capfd
        monkeypatch.setenv("COLUMNS", "100")
        monkeypatch.setenv("SAMESOURCE_WORKER__LOG_FORMAT", "text")  # as on a terminal

    def on(self, kafka: KafkaSettings) -> None:
        """Point it at a broker."""
        for name, value in environment(kafka).items():
            self._monkeypatch.setenv(name, value)

    def __call__(self, *arguments: str | Path) -> Done:
        """Run it; what was printed before is not taken for its output."""
        self._capfd.readouterr()
        self._monkeypatch.setattr(sys, "argv", ["samesource", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = self._capfd.readouterr()
        return Done(int(ended.value.code or 0), out, err)


def environment(kafka: KafkaSettings) -> dict[str, str]:
    """What tells the command which broker to use."""
    return {
        "SAMESOURCE_KAFKA__BROKER": kafka.broker,
        "SAMESOURCE_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "SAMESOURCE_KAFKA__TOPIC_PREFIX": kafka.topic_prefix,
    }


@contextmanager
def started(
    kafka: KafkaSettings,
    *arguments: str | Path,
    extra: Mapping[str, str] | None = None,
    err: Path | None = None,
) -> Iterator[subprocess.Popen[str]]:
    """Start the command in a process of its own; it is killed at the end if it still runs.

    Args:
        kafka: its broker.
        *arguments: of the command.
        extra: environment variables.
        err: where stderr goes, if not to a pipe.
    """
    with nullcontext() if err is None else err.open("w") as file:
        process = subprocess.Popen(
            [SAMESOURCE, *arguments],
            env={**os.environ, "PYTHONUNBUFFERED": "1", **environment(kafka), **(extra or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if file is None else file,
            text=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()


def log_events(log: Path) -> list[dict[str, Any]]:
    """What a process wrote where no terminal is: every line of it is an object."""
    events: list[dict[str, Any]] = []
    for line in log.read_text().splitlines():
        try:
            events.append(json.loads(line))
        except json.JSONDecodeError:
            pytest.fail(f"no object: {line!r}")
        assert isinstance(events[-1], dict), line
    return events


def publish(kafka: KafkaSettings, *events: Event) -> None:
    """Put events on their topics."""
    for event in events:
        send(kafka, event.topic, [(event.key(), event.to_bytes(), [])])
