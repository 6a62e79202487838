"""How far a worker is behind, partition by partition, as Prometheus is told when it asks.

Asked for and not counted by the event loop: a worker that hangs still shows its lag, which grows.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from prometheus_client import REGISTRY
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector


@dataclass(frozen=True)
class Lag:
    """What waits of one partition.

    Attributes:
        topic: its name on the cluster.
        messages: that are not finished, those in hand included.
        oldest_at: Kafka's time of the first of them, seconds since 1970; None where there is none,
            or it isn't known.
    """

    topic: str
    partition: int
    messages: int
    oldest_at: float | None = None

    def seconds(self, now: float) -> float | None:
        """The age of the oldest that waits: 0 where nothing does, None where it isn't known."""
        if self.messages == 0:
            return 0.0
        # Kafka's clock, or a producer's, may be ahead of ours.
        return None if self.oldest_at is None else max(0.0, now - self.oldest_at)


def furthest(lags: Iterable[Lag]) -> tuple[Lag, ...]:
    """One lag for each partition: a worker that reads one twice is as far behind as the slower."""
    found: dict[tuple[str, int], Lag] = {}
    for lag in lags:
        key = (lag.topic, lag.partition)
        other = found.get(key, lag)
        times = [at for at in (lag.oldest_at, other.oldest_at) if at is not None]
        messages = max(lag.messages, other.messages)
        found[key] = Lag(*key, messages, min(times, default=None))
    return tuple(found.values())


def oldest_at(message: Any) -> float | None:
    """Kafka's time of a message of aiokafka, for `Lag`; None where it has none."""
    # Kafka says -1 of a message without a time.
    return message.timestamp / 1000 if (message.timestamp or 0) > 0 else None


class Behind(Protocol):
    """What is known of one worker: `Health` is."""

    @property
    def role(self) -> str:
        """Of the worker."""
        ...

    @property
    def shard(self) -> str:
        """Which shard, from 0; empty for other roles."""
        ...

    @property
    def stands_still_seconds(self) -> float:
        """For how long there has been work without progress."""
        ...

    @property
    def lags(self) -> Iterable[Lag]:
        """Of each partition that it reads."""
        ...


Ask = Callable[[], Iterable[Behind]]


class LagMetrics(Collector):
    """Asks workers at each scrape how far they are behind; called from another thread."""

    def __init__(self) -> None:
        self._asked: list[Ask] = []

    @contextmanager
    def of(self, ask: Ask) -> Iterator[None]:
        """Show what these say for the time of the block."""
        self._asked.append(ask)
        try:
            yield
        finally:
            self._asked.remove(ask)

    def describe(self) -> list[GaugeMetricFamily]:
        """The metrics, without a value."""
        labels = ("role", "shard", "topic", "partition")
        return [
            GaugeMetricFamily(
                "samesource_lag_messages",
                "Messages of a partition that this worker reads and has not finished",
                labels=labels,
            ),
            GaugeMetricFamily(
                "samesource_lag_seconds",
                "Age of the oldest of them by Kafka's time; 0 where there is none",
                labels=labels,
            ),
            GaugeMetricFamily(
                "samesource_standstill_seconds",
                "For how long a worker has had work and made no progress",
                labels=labels[:2],
            ),
        ]

    def collect(self) -> list[GaugeMetricFamily]:
        """What the workers say now."""
        messages, seconds, standstill = metrics = self.describe()
        # Wall-clock, as it is held against Kafka's times.
        now = time.time()
        # A copy: on other threads workers come and go meanwhile.
        for worker in [worker for ask in [*self._asked] for worker in ask()]:
            who = [worker.role, worker.shard]
            standstill.add_metric(who, worker.stands_still_seconds)
            for lag in worker.lags:
                labels = [*who, lag.topic, str(lag.partition)]
                messages.add_metric(labels, lag.messages)
                if (age := lag.seconds(now)) is not None:
                    seconds.add_metric(labels, age)
        return metrics


LAG_METRICS = LagMetrics()
REGISTRY.register(LAG_METRICS)
