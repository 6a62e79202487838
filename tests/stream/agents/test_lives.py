"""Whatever crashes in a worker ends its process at once, with one line that names it."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from stream.broker.client import send
from stream.broker.settings import KafkaSettings
from stream.errors import BrokerError
from tests.stream.answers import answer
from tests.stream.command import log_events

ROOT = Path(__file__).parents[3]
DRAIN_SECONDS = 6
ENDS = "the worker ends: "
RUNNING = re.compile(r"worker is running on (\S+);")
NOISE_SECONDS = 15  # of a busy machine
ROLES = ("fingerprint", "library", "decide")
GROUPS = ("fingerprint", "decide")


Maker = subprocess.Popen[str]


@pytest.fixture(scope="module")
def maker() -> Iterator[Maker]:
    """Makes workers, one after another."""
    command = [sys.executable, "-m", "tests.stream.agents.broken"]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process


def told_by(maker: Maker) -> int:
    assert maker.stdout is not None
    return int(maker.stdout.readline())


@contextmanager
def made(maker: Maker, asked: object) -> Iterator[tuple[psutil.Process, list[int]]]:
    """A worker, and behind the block its exit code; it is killed there if it still runs."""
    assert maker.stdin is not None
    maker.stdin.write(f"{json.dumps(asked)}\n")
    maker.stdin.flush()
    process, codes = psutil.Process(told_by(maker)), list[int]()
    try:
        yield process, codes
    finally:
        with suppress(psutil.NoSuchProcess):
            process.kill()
        codes.append(told_by(maker))


def last_line(maker: Maker, folder: Path, role: str, place: str) -> str:
    """What a worker says when it ends, one of whose functions raises while it has work."""
    file, log = folder / "broken", folder / "log"
    variables = {
        "SAMESOURCE_KAFKA__BROKER": "embedded",
        "PYTHONPATH": str(ROOT),
        "SAMESOURCE_LIBRARY__SNAPSHOT_FOLDER": str(folder / "snapshots"),
        "SAMESOURCE_LIBRARY__SHARDS": "1",
        "SAMESOURCE_WORKER__DATA_FOLDER": str(folder / "workers"),
        "SAMESOURCE_WORKER__DRAIN_SECONDS": str(DRAIN_SECONDS),
        "SAMESOURCE_WORKER__SESSION_TIMEOUT_SECONDS": "6",
    }
    log.touch()
    asked = {"role": role, "place": place, "file": str(file), "log": str(log)}
    with made(maker, {**asked, "variables": variables}) as (process, codes):
        deadline = time.monotonic() + 180  # on a busy machine
        while (found := RUNNING.search(log.read_text())) is None:
            assert time.monotonic() < deadline and process.is_running(), log.read_text()
            time.sleep(0.1)
        kafka = KafkaSettings(bootstrap_servers=found.group(1))
        file.touch()
        with suppress(BrokerError):  # it ends with the worker
            for topic in ("video.uploaded", "video.fingerprinted", "video.compared"):
                send(kafka, topic, [(b"v", answer(0, shards=1).to_bytes(), [])] * 3)
        process.wait(DRAIN_SECONDS + NOISE_SECONDS)
    lines = log_events(log)
    assert codes == [1], lines
    told = [str(line["message"]) for line in lines if line["level"] == "ERROR"]
    [line] = [text for text in told if text.startswith(ENDS)]
    return line.removeprefix(ENDS)


@pytest.mark.parametrize("role", ROLES)
def test_a_fetcher(maker: Maker, tmp_path: Path, role: str) -> None:
    line = last_line(
        maker, tmp_path, role, "aiokafka.consumer.fetcher:Fetcher:_get_actions_per_node"
    )
    assert "AIOKafkaConsumer (fetch_task) crashed: RuntimeError: a part broke" in line


@pytest.mark.parametrize("role", ROLES)
def test_a_sender(maker: Maker, tmp_path: Path, role: str) -> None:
    line = last_line(maker, tmp_path, role, "aiokafka.producer.sender:Sender:_maybe_wait_for_pid")
    assert "AIOKafkaProducer (sender_task) crashed: RuntimeError: a part broke" in line


@pytest.mark.parametrize("role", GROUPS)
def test_a_coordinator(maker: Maker, tmp_path: Path, role: str) -> None:
    place = "aiokafka.consumer.group_coordinator:GroupCoordinator:_do_heartbeat"
    assert "RuntimeError: a part broke" in last_line(maker, tmp_path, role, place)


@pytest.mark.parametrize("role", GROUPS)
def test_a_service_of_faust(maker: Maker, tmp_path: Path, role: str) -> None:
    line = last_line(maker, tmp_path, role, "faust.transport.consumer:Consumer:force_commit")
    assert line == "Faust crashed: RuntimeError: a part broke"


@pytest.mark.parametrize(
    ("role", "place", "line"),
    [
        ("decide", "stream.decide.joins:Joins:pop_expired", "forgetting old requests crashed: "),
        ("decide", "stream.decide.waiting:Waiting:by_shard", "counting what waits crashed: "),
        ("decide", "stream.agents.passed_over:PassedOver:tell", "following the policies "),
        ("decide", "stream.agents.decide:DecideWorker:_handle", "Runtime"),
        ("fingerprint", "stream.agents.fingerprint:FingerprintWorker:_handle", "Runtime"),
        ("library", "stream.agents.library:LibraryWorker:_note_progress", "Runtime"),
    ],
)
def test_a_task_of_our_own(maker: Maker, tmp_path: Path, role: str, place: str, line: str) -> None:
    said = last_line(maker, tmp_path, role, place)
    assert said.startswith(line)
    assert said.endswith("RuntimeError: a part broke")
