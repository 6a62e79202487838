"""Workers as processes end in time and with the right exit code, whatever Kafka does then."""

import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from stream.broker.local import LocalKafka
from stream.broker.settings import KafkaSettings
from tests.kafka.lives.roles import DRAIN_SECONDS, NOISE_SECONDS, codes_after, fill

pytestmark = pytest.mark.timed
BUSY = 400  # events, more than a worker handles before Kafka is gone


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
