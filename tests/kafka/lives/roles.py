"""Workers as processes on a Kafka that may be stopped and killed, and what they are given to do."""

import signal
import subprocess
import time
from pathlib import Path

import pytest

from stream.broker.client import Headers, Reader, send
from stream.broker.settings import KafkaSettings
from tests.stream.answers import answer
from tests.stream.command import log_events

ROLES = ("fingerprint", "library", "decide")
DRAIN_SECONDS = 4.0
NOISE_SECONDS = 4.0  # of a busy machine
BUSY = 400  # events, more than a worker handles before Kafka is gone


def wait_for(file: Path, text: str, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while text not in file.read_text():
        assert time.monotonic() < deadline, file.read_text()[-3000:]
        time.sleep(0.1)


def wait_until_read(kafka: KafkaSettings, name: bytes) -> None:
    """Every role has come to an event of ours."""
    fill(kafka, name, 1)
    with Reader(kafka, "video.rejected", "video.decided") as reader:
        deadline, seen = time.monotonic() + 120, 0
        while seen < 3:
            assert time.monotonic() < deadline, f"{seen} of 3 roles"
            seen += reader.poll(0.2) is not None


def fill(kafka: KafkaSettings, name: bytes, count: int) -> None:
    """Give every role that many events: two get what can't be read, decide gets answers."""
    unread: list[tuple[bytes | None, bytes | None, Headers]] = [
        (b"%s-%d" % (name, number), b"no JSON", []) for number in range(count)
    ]
    send(kafka, "video.uploaded", unread)
    send(kafka, "video.fingerprinted", unread)
    answers = [
        answer(0, shards=1, video_id=f"{name.decode()}-{number}", request_id=f"0-{number}-1")
        for number in range(count)
    ]
    send(kafka, "video.compared", [(each.key(), each.to_bytes(), []) for each in answers])


def codes_after(
    workers: dict[str, subprocess.Popen[str]], folder: Path, *signals: int
) -> dict[str, tuple[int, float]]:
    """The exit code of each role after these signals, and the seconds that it took."""
    began = time.monotonic()
    for number in signals:
        for process in workers.values():
            process.send_signal(number)
        time.sleep(0.5)
    ended: dict[str, tuple[int, float]] = {}
    for role, process in workers.items():
        try:
            code = process.wait(max(0.1, began + 40 - time.monotonic()))
        except subprocess.TimeoutExpired:
            log = (folder / f"{role}.log").read_text()
            pytest.fail(f"{role} lives on: {log[-3000:]}")
        ended[role] = (code, time.monotonic() - began)
        assert log_events(folder / f"{role}.log")
    return ended


def end_in_time(workers: dict[str, subprocess.Popen[str]], folder: Path) -> None:
    """Tell all to end, and see that they do, within their time and with exit code 0."""
    ended = codes_after(workers, folder, signal.SIGTERM)
    assert {code for code, _ in ended.values()} == {0}, ended
    assert max(seconds for _, seconds in ended.values()) < DRAIN_SECONDS + NOISE_SECONDS, ended
