"""Workers with work in hand end in time and with exit code 0, whatever Kafka does then."""

import subprocess
import time
from pathlib import Path

import psutil
import pytest

from stream.broker.local import LocalKafka
from stream.broker.settings import KafkaSettings
from tests.kafka.lives.roles import BUSY, end_in_time, fill

pytestmark = pytest.mark.timed


@pytest.mark.parametrize("fate", ["there", "stopped", "killed"])
def test_every_role_ends_in_time_with_exit_code_0_with_work_in_hand(
    broker: LocalKafka,
    kafka: KafkaSettings,
    workers: dict[str, subprocess.Popen[str]],
    frozen: psutil.Process,
    tmp_path: Path,
    fate: str,
) -> None:
    fill(kafka, b"busy", BUSY)
    if fate == "stopped":
        frozen.suspend()
    if fate == "killed":
        broker.kill()
    time.sleep(1)
    end_in_time(workers, tmp_path)
