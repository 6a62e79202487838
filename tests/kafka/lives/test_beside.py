"""Console and lag end in time without Kafka, and no worker without it fills its log."""

import signal
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from stream.broker.local import LocalKafka
from stream.broker.settings import KafkaSettings
from tests.kafka.lives.roles import DRAIN_SECONDS, NOISE_SECONDS, codes_after, wait_for
from tests.stream.command import log_events, started

pytestmark = pytest.mark.timed
NEWS_SECONDS = 12  # in which every client has noticed that Kafka is away
AWAY_SECONDS = 20
KINDS = 12  # of lines that clients have for it


def test_a_worker_whose_kafka_is_away_says_so_a_few_times_a_minute(
    broker: LocalKafka, workers: dict[str, subprocess.Popen[str]], tmp_path: Path
) -> None:
    def lines() -> dict[str, int]:
        return {role: len(log_events(tmp_path / f"{role}.log")) for role in workers}

    before = lines()
    broker.kill()
    time.sleep(NEWS_SECONDS)
    first = lines()
    time.sleep(AWAY_SECONDS)
    last = lines()
    assert [role for role, process in workers.items() if process.poll() is not None] == []
    for role in workers:
        assert 0 < first[role] - before[role] <= KINDS, f"{role}: each kind of line once"
        assert last[role] - first[role] <= 2, f"{role}: nothing new"


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
