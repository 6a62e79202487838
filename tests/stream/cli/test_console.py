"""`samesource console` as a process: it says where it is, serves, and stops when it is told to."""

import re
import signal
import urllib.request
from http.cookiejar import CookieJar
from pathlib import Path

import pytest

from stream.broker.settings import KafkaSettings
from tests.stream.command import Command, started


def environment(folder: Path) -> dict[str, str]:
    """With an embedded broker and a database of its own."""
    return {
        "SAMESOURCE_CONSOLE__DATABASE_URL": f"sqlite:///{folder / 'console.db'}",
        "SAMESOURCE_WORKER__DATA_FOLDER": str(folder / "workers"),
        "SAMESOURCE_WORKER__LOG_FORMAT": "text",
    }


def status(url: str) -> int:
    """Of the answer, redirects followed."""
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
    with opener.open(url, timeout=10) as answer:
        return int(answer.status)


def test_it_prints_a_link_that_opens_the_queue(tmp_path: Path) -> None:
    kafka = KafkaSettings(broker="embedded")
    extra = environment(tmp_path)
    with started(kafka, "console", "--port", "0", extra=extra) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if link := re.search(r"open (http://127\.0\.0\.1:\d+)(/signin/\S+)", line):
                break
        assert link is not None, lines
        assert status(f"{link[1]}/health/ready") == 200
        assert status(link[1] + link[2]) == 200
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=60)
        assert process.returncode == 0, told
        assert "Traceback" not in told
        assert "/signin/" not in told  # the link is no line of the log


def test_a_port_that_is_taken_is_named(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    import socket

    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    command = Command(monkeypatch, capfd)
    command.on(KafkaSettings(broker="embedded"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = command("console", "--port", str(port))
    assert done.code == 1
    assert f"console.port = {port} on console.host = '127.0.0.1' can't be used" in done.err
