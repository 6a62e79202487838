"""Console and lag end in time without Kafka."""

import time
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from stream.broker.local import LocalKafka
from stream.broker.settings import KafkaSettings
from tests.kafka.lives.roles import DRAIN_SECONDS, end_in_time, wait_for
from tests.stream.command import started

pytestmark = pytest.mark.timed


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
        end_in_time(made, tmp_path)
