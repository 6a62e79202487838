"""The role `lag`: how far each consumer group is behind, whether it runs or not, for Prometheus."""

import asyncio
import logging
from collections.abc import Sequence

from prometheus_client import REGISTRY
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from stream.agents.health import Health
from stream.agents.lifetime import Failure, supervised
from stream.broker.group_lags import GroupLag, GroupLags
from stream.broker.patience import patient
from stream.errors import BrokerError, UnreachableError
from stream.settings import Settings

log = logging.getLogger(__name__)

AWAY = "Kafka does not answer"
ASK_EVERY_SECONDS = 15.0  # as often as Prometheus asks; a handful of requests


class GroupLagMetrics(Collector):
    """What was seen last; nothing while Kafka doesn't answer, as an old figure would look well."""

    def __init__(self) -> None:
        self.lags: Sequence[GroupLag] = ()

    def describe(self) -> list[GaugeMetricFamily]:
        """The metrics, without a value."""
        labels = ["group", "topic", "partition"]
        return [
            GaugeMetricFamily(
                "samesource_group_lag_messages",
                "Messages of a partition that a consumer group has not finished, as Kafka knows it",
                labels=labels,
            ),
            GaugeMetricFamily(
                "samesource_group_offset",
                "Next offset that a consumer group has to finish of a partition",
                labels=labels,
            ),
        ]

    def collect(self) -> list[GaugeMetricFamily]:
        """As it was seen last."""
        messages, offset = metrics = self.describe()
        for lag in self.lags:
            labels = [lag.group, lag.topic, str(lag.partition)]
            messages.add_metric(labels, lag.messages)
            offset.add_metric(labels, lag.offset)
        return metrics


GROUP_LAG_METRICS = GroupLagMetrics()
REGISTRY.register(GROUP_LAG_METRICS)


class LagWorker:
    """Asks again and again; reads and commits nothing, so several may run."""

    def __init__(self, settings: Settings) -> None:
        """Nothing is asked yet."""
        self._settings = settings
        self._lags: GroupLags | None = None
        self._task: asyncio.Task[None] | None = None
        self._not_ready: str | None = "Kafka has not been asked yet"
        self.failure: Failure = asyncio.get_running_loop().create_future()

    async def start(self) -> None:
        """Connect, and begin to ask.

        Raises:
            BrokerError: the cluster doesn't answer, or lacks a topic.
        """
        kafka, shards = self._settings.kafka, self._settings.library.shards
        self._lags = await asyncio.to_thread(patient(GroupLags), kafka, shards)
        self._task = supervised(self._follow(self._lags), "asking for lags", self.failure)

    def _show(self, lags: Sequence[GroupLag]) -> None:
        GROUP_LAG_METRICS.lags, self._not_ready = lags, None

    async def _follow(self, lags: GroupLags) -> None:
        """Ask for ever.

        Raises:
            UnreachableError: Kafka's clients hang, and these figures would be told for ever.
        """
        while True:
            # Also the first time: a Kafka that has never had a group makes a topic for them first.
            try:
                self._show(await asyncio.to_thread(patient(lags.now)))
            except UnreachableError:
                raise
            except BrokerError as error:
                if self._not_ready != AWAY:
                    log.warning("nothing is known of the groups: %s", error)
                GROUP_LAG_METRICS.lags, self._not_ready = (), AWAY
            await asyncio.sleep(ASK_EVERY_SECONDS)

    async def stop(self) -> None:
        """Ask no more."""
        GROUP_LAG_METRICS.lags = ()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._lags is not None:
            await asyncio.to_thread(self._lags.close)

    def health(self) -> Health:
        """Ready while Kafka answers."""
        return Health("lag", not_ready=self._not_ready, role="lag")
