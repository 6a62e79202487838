"""What workers without Kafka write to their logs: a few lines, however slow the machine is."""

import subprocess
import time
from pathlib import Path

from stream.broker.local import LocalKafka
from tests.stream.command import log_events

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
