"""Prometheus metrics of the workers: outcomes, stage times, log positions."""

from collections.abc import Mapping
from typing import Any

from prometheus_client import Counter, Gauge, Histogram

OUTCOMES = Counter("samesource_outcomes", "Events published, by kind", ["role", "outcome"])
# Buckets half a decade apart, from a look-up of a millisecond to beyond `decode.timeout_seconds`.
STAGES = Histogram(
    "samesource_stage_seconds",
    "Wall-clock seconds of a stage for one video",
    ["role", "stage"],
    buckets=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000),
)
LOG_POSITION = Gauge("samesource_log_position", "Next log offset to read", ["shard"])
LOG_LAG = Gauge("samesource_log_lag", "Log entries not read yet", ["shard"])
LIBRARY_FRAMES = Gauge("samesource_library_frames", "Key frames in the shard", ["shard"])
SNAPSHOT_OFFSET = Gauge("samesource_snapshot_offset", "Log offset of the last snapshot", ["shard"])
SNAPSHOT_AGE = Gauge(
    "samesource_snapshot_age_seconds",
    "Seconds since the newest snapshot was written; 0 while nothing has come since",
    ["shard"],
)
SUPPRESSED = Counter("samesource_suppressed", "Alerts suppressed or held, by reason", ["reason"])
WAITING_REQUESTS = Gauge(
    "samesource_waiting_requests", "Requests that wait for a shard's answer", ["shard"]
)
WAITING_SECONDS = Gauge(
    "samesource_waiting_seconds", "How long the oldest of them has waited", ["shard"]
)
OPEN_REQUESTS = Gauge("samesource_open_requests", "Requests that some shard hasn't answered yet")
REMEMBERED_REQUESTS = Gauge(
    "samesource_remembered_requests", "Decided requests whose repeated answers are recognised"
)
PARTITION_LAG = Gauge(
    "samesource_partition_lag",
    "Events of a partition of this worker that are not finished",
    ["role", "topic", "partition"],
)
_shown: dict[str, set[tuple[str, str]]] = {}


def show_lags(role: str, lags: Mapping[Any, int]) -> None:
    """Show the lag of the partitions that a role has now, and of no other.

    Args:
        role: of the worker.
        lags: by what has `topic` and `partition`.
    """
    now = {(tp.topic, str(tp.partition)): lag for tp, lag in lags.items()}
    for topic, partition in _shown.get(role, set()) - now.keys():
        # A partition that is another worker's now would keep its last lag for ever.
        PARTITION_LAG.remove(role, topic, partition)
    for (topic, partition), lag in now.items():
        PARTITION_LAG.labels(role, topic, partition).set(lag)
    _shown[role] = {*now}


def observe_stages(role: str, stage_seconds: Mapping[str, float]) -> None:
    """Record one video's stage times."""
    for stage, seconds in stage_seconds.items():
        STAGES.labels(role, stage).observe(seconds)
