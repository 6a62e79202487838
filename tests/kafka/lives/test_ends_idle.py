"""Workers that wait end in time and with exit code 0 without Kafka; all at a second signal."""

import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from stream.broker.local import LocalKafka
from stream.broker.settings import KafkaSettings
from tests.kafka.lives.roles import BUSY, NOISE_SECONDS, codes_after, end_in_time, fill

pytestmark = pytest.mark.timed


@pytest.mark.parametrize("fate", ["stopped", "killed"])
def test_every_role_ends_in_time_with_exit_code_0_with_nothing_in_hand(
    broker: LocalKafka,
    workers: dict[str, subprocess.Popen[str]],
    frozen: psutil.Process,
    tmp_path: Path,
    fate: str,
) -> None:
    if fate == "stopped":
        frozen.suspend()
    else:
        broker.kill()
    time.sleep(1)
    end_in_time(workers, tmp_path)


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
