"""Workers as processes end in time and with the right exit code, whatever Kafka does then."""

import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from stream.broker.client import Headers, Reader, send
from stream.broker.local import LocalKafka
from stream.broker.settings import KafkaSettings
from stream.broker.topics import create_topics
from tests.stream.answers import answer
from tests.stream.command import started

ROLES = ("fingerprint", "library", "decide")
DRAIN_SECONDS = 8.0
NOISE_SECONDS = 4.0  # of a busy machine
BUSY = 400  # events, more than a worker handles before Kafka is gone


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalKafka]:
    """One that these tests may stop and kill."""
    # A killed broker starts again only when its former life counts as gone: 9 s by default.
    quick = {"broker.session.timeout.ms": "4000", "broker.heartbeat.interval.ms": "500"}
    with LocalKafka(tmp_path_factory.mktemp("kafka"), properties=quick) as kafka:
        yield kafka


@pytest.fixture
def kafka(broker: LocalKafka, request: pytest.FixtureRequest) -> KafkaSettings:
    broker.start()
    prefix = re.sub(r"\W+", "-", request.node.name)[-40:]
    settings = KafkaSettings(bootstrap_servers=broker.bootstrap_servers, topic_prefix=f"{prefix}.")
    create_topics(settings)
    return settings


@pytest.fixture
def workers(kafka: KafkaSettings, tmp_path: Path) -> Iterator[dict[str, subprocess.Popen[str]]]:
    """A process for each role, all of them at work."""
    extra = {
        "SAMESOURCE_LIBRARY__SNAPSHOT_FOLDER": str(tmp_path / "snapshots"),
        "SAMESOURCE_WORKER__DATA_FOLDER": str(tmp_path / "workers"),
        "SAMESOURCE_WORKER__DRAIN_SECONDS": str(DRAIN_SECONDS),
        "SAMESOURCE_DECODE__PROCESSES": "1",
        "SAMESOURCE_LIBRARY__SHARDS": "1",
    }
    with ExitStack() as stack:
        made = {
            role: stack.enter_context(
                started(kafka, "worker", role, extra=extra, err=tmp_path / f"{role}.log")
            )
            for role in ROLES
        }
        for role in ROLES:
            wait_for(tmp_path / f"{role}.log", "worker is running", 180.0)
        wait_until_read(kafka, b"first")
        yield made


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


def process_of(broker: LocalKafka) -> psutil.Process:
    return psutil.Process(int((broker.folder / "kafka.pid").read_text().split()[0]))


@pytest.fixture
def frozen(broker: LocalKafka) -> Iterator[psutil.Process]:
    """The broker, for a SIGSTOP; after one, the next test gets it started anew.

    Not resumed: a broker that stood still for longer than its session now and then has no
    controller for a while, or never answers again.
    """
    process = process_of(broker)
    yield process
    if process.is_running() and process.status() == psutil.STATUS_STOPPED:
        broker.kill()


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
    return ended


@pytest.mark.parametrize(
    ("work", "fate"),
    [
        ("busy", "there"),
        ("idle", "stopped"),
        ("busy", "stopped"),
        ("idle", "killed"),
        ("busy", "killed"),
    ],
)
def test_every_role_ends_in_time_with_exit_code_0_whatever_kafka_does(
    broker: LocalKafka,
    kafka: KafkaSettings,
    workers: dict[str, subprocess.Popen[str]],
    frozen: psutil.Process,
    tmp_path: Path,
    work: str,
    fate: str,
) -> None:
    if work == "busy":
        fill(kafka, b"busy", BUSY)
    if fate == "stopped":
        frozen.suspend()
    if fate == "killed":
        broker.kill()
    time.sleep(1)
    ended = codes_after(workers, tmp_path, signal.SIGTERM)
    assert [code for code, _ in ended.values()] == [0, 0, 0], ended
    assert max(seconds for _, seconds in ended.values()) < DRAIN_SECONDS + NOISE_SECONDS, ended


def test_a_second_signal_ends_a_worker_at_once(
    kafka: KafkaSettings,
    workers: dict[str, subprocess.Popen[str]],
    frozen: psutil.Process,
    tmp_path: Path,
) -> None:
    fill(kafka, b"busy", BUSY)
    frozen.suspend()
    ended = codes_after(workers, tmp_path, signal.SIGTERM, signal.SIGTERM)
    assert [code for code, _ in ended.values()] == [0, 0, 0], ended
    assert max(seconds for _, seconds in ended.values()) < 1 + NOISE_SECONDS, ended


@pytest.mark.parametrize("fate", ["stopped", "killed"])
def test_console_and_lag_end_in_time_with_exit_code_0_without_kafka(
    broker: LocalKafka, kafka: KafkaSettings, frozen: psutil.Process, tmp_path: Path, fate: str
) -> None:
    extra = {
        "SAMESOURCE_CONSOLE__DATABASE_URL": f"sqlite:///{tmp_path / 'console.sqlite'}",
        "SAMESOURCE_WORKER__DATA_FOLDER": str(tmp_path / "workers"),
        "SAMESOURCE_WORKER__DRAIN_SECONDS": str(DRAIN_SECONDS),
    }
    commands = {"console": ("console", "--port", "0"), "lag": ("worker", "lag")}
    with ExitStack() as stack:
        made = {
            name: stack.enter_context(
                started(kafka, *command, extra=extra, err=tmp_path / f"{name}.log")
            )
            for name, command in commands.items()
        }
        for name in commands:
            wait_for(tmp_path / f"{name}.log", "worker is running", 180.0)
        if fate == "stopped":
            frozen.suspend()
        else:
            broker.kill()
        time.sleep(1)
        ended = codes_after(made, tmp_path, signal.SIGTERM)
    assert [code for code, _ in ended.values()] == [0, 0], ended
    assert max(seconds for _, seconds in ended.values()) < DRAIN_SECONDS + NOISE_SECONDS, ended
