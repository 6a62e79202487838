"""Makes the contract's topics on a cluster, or says how a cluster's differ.

Serves the command line, the tests, and whoever needs a topic's partition count.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # documented, not in __all__
    ClusterMetadata,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from stream.broker.clients import ANSWER_SECONDS, admin
from stream.broker.patience import patient
from stream.broker.settings import KafkaSettings
from stream.contract.topics import Topic, load_topics
from stream.errors import BrokerError, MissingTopicsError, UnreachableError

AT_LEAST = {  # what a topic may have more of, and what happens where it has less
    "retention.ms": "messages are dropped too early",
    "retention.bytes": "the oldest messages are dropped",
    "max.message.bytes": "large messages are refused",
    "min.insync.replicas": "what is acknowledged is lost with one broker",
    "min.compaction.lag.ms": "versions are compacted away before all have read them",
    "delete.retention.ms": "a reader that was away keeps what was taken down",
}


@patient
def create_topics(kafka: KafkaSettings) -> None:
    """Make the topics that are missing and wait until clients see them; leave the others alone.

    Raises:
        BrokerError: the cluster can't be reached within 10 s, or refuses.
    """
    cluster = _Cluster(kafka)
    wanted = {kafka.topic(topic.name): topic for topic in load_topics()}
    missing = [
        NewTopic(
            name,
            num_partitions=topic.partitions,
            replication_factor=kafka.replication_factor,
            config=topic.config(kafka.replication_factor),
        )
        for name, topic in wanted.items()
        if name not in cluster.partitions()
    ]
    if missing:
        cluster.create(missing)


@dataclass(frozen=True)
class Problem:
    """How a topic differs from the contract, and what to do.

    Attributes:
        text: a sentence.
        fatal: with it the answers would be wrong, or none would come.
    """

    text: str
    fatal: bool


@patient
def check_topics(kafka: KafkaSettings) -> list[str]:
    """How the cluster's topics differ from the contract, as sentences; empty when they fit.

    Raises:
        BrokerError: the cluster can't be reached within 10 s.
    """
    cluster = _Cluster(kafka)
    there = cluster.partitions()
    missing = _missing(kafka, [topic.name for topic in load_topics()], there)
    return [f"{name} is missing: run `samesource topics create`" for name in missing] + [
        problem.text for problem in _problems(cluster, there)
    ]


@patient
def topic_problems(kafka: KafkaSettings) -> list[Problem]:
    """How the cluster's topics, which are all there, differ from the contract.

    Raises:
        MissingTopicsError: some aren't there, for which workers would wait for ever; names them.
        UnreachableError: the cluster can't be reached within 10 s.
    """
    cluster = _Cluster(kafka)
    there = cluster.partitions()
    _require(kafka, [topic.name for topic in load_topics()], there)
    return _problems(cluster, there)


@patient
def partition_counts(kafka: KafkaSettings, names: Sequence[str]) -> dict[str, int]:
    """How many partitions the cluster's topics have, by their names in the contract.

    Raises:
        BrokerError: the cluster can't be reached within 10 s, or lacks one of them.
    """
    there = _Cluster(kafka).partitions()
    _require(kafka, names, there)
    return {name: there[kafka.topic(name)] for name in names}


@patient
def log_identity(kafka: KafkaSettings, name: str) -> str:
    """Tells a topic of this cluster from any other, also from one of that name that was made anew.

    Raises:
        BrokerError: the cluster can't be reached within 10 s, or has no such topic.
    """
    return _Cluster(kafka).identity(kafka.topic(name))


def _require(kafka: KafkaSettings, names: Sequence[str], there: Mapping[str, int]) -> None:
    if missing := _missing(kafka, names, there):
        raise MissingTopicsError(
            f"no topic {', '.join(missing)}: make the topics with `samesource topics create`, "
            f"or correct kafka.topic_prefix = {kafka.topic_prefix!r}"
        )


def _missing(kafka: KafkaSettings, names: Sequence[str], there: Mapping[str, int]) -> list[str]:
    return [name for name in map(kafka.topic, names) if name not in there]


def _problems(cluster: "_Cluster", partitions: Mapping[str, int]) -> list[Problem]:
    """Of the topics that are there."""
    kafka, problems = cluster.kafka, list[Problem]()
    wanted = {kafka.topic(topic.name): topic for topic in load_topics()}
    there = [name for name in wanted if name in partitions]
    configs: dict[str, dict[str, str]] = {}
    # The embedded broker's topics have no configuration.
    if kafka.broker != "embedded":
        try:
            configs = cluster.configs(there)
        except BrokerError as error:  # a right that a worker needn't have
            problems.append(Problem(str(error), fatal=False))
    for name in there:
        topic = wanted[name]
        problems += _partition_problems(name, topic, partitions[name])
        if name in configs:
            problems += _config_problems(name, topic, configs[name], kafka.replication_factor)
    return problems


def _partition_problems(name: str, topic: Topic, found: int) -> list[Problem]:
    if found == topic.partitions:
        return []
    if topic.partitions == 1:
        cure = "its order must be total, so make it anew with one partition"
    elif found < topic.partitions:
        cure = "drain the workers, then add partitions"
    else:
        cure = "partitions can't be taken away: make it anew, or raise kafka/topics.toml for all"
    text = f"{name} has {found} partitions, expected {topic.partitions}: {cure}"
    return [Problem(text, fatal=True)]


def _config_problems(
    name: str, topic: Topic, found: dict[str, str], replication_factor: int
) -> list[Problem]:
    """What is set otherwise than the contract needs; longer, larger and later than asked are fine.

    Where a topic is compacted that must not be, or the other way round, messages are lost or come
    back: nobody may work with it, but where earlier releases did.
    """
    wanted = topic.config(replication_factor)
    less = {
        key: wanted[key]
        for key in AT_LEAST
        if key in wanted
        # What is only compacted is kept for ever, whatever its retention says.
        and (key != "retention.ms" or "delete" in topic.cleanup)
        and _rank(found[key]) < _rank(wanted[key])
    }
    problems = []
    policy = {*found["cleanup.policy"].split(",")}
    if policy != {*topic.cleanup.split(",")}:
        text = f"{name} has cleanup.policy {found['cleanup.policy']}, expected {topic.cleanup}: "
        former = topic.formerly is not None and policy == {*topic.formerly.split(",")}
        problems.append(Problem(text + _cure(name, topic, less, former=former), fatal=not former))
    stamp = found["message.timestamp.type"]
    if topic.append_time and stamp != "LogAppendTime":
        text = (
            f"{name} has message.timestamp.type {stamp}, expected LogAppendTime: alter the topic, "
            "or a worker's clock that is wrong lets a flood through"
        )
        problems.append(Problem(text, fatal=False))
    return problems + [
        Problem(_less(name, key, found[key], value), fatal=False) for key, value in less.items()
    ]


def _cure(name: str, topic: Topic, less: dict[str, str], *, former: bool) -> str:
    if not former:
        return "alter the topic, or messages are lost or pile up"
    # All at once: what is no longer compacted is dropped by age and size.
    config = {"cleanup.policy": topic.cleanup, **less}
    options = ",".join(f"{key}={value}" for key, value in config.items())
    return (
        "when no worker of an earlier release is left, alter the topic, or of messages with one "
        f"{topic.key} the newest alone is kept: `kafka-configs.sh --alter --entity-type topics "
        f"--entity-name {name} --add-config {options}`"
    )


def _less(name: str, key: str, found: str, wanted: str) -> str:
    shown = "for ever (-1)" if wanted == "-1" else wanted
    return (
        f"{name} has {key} {found}, expected at least {shown}: alter the topic, or {AT_LEAST[key]}"
    )


def _rank(value: str) -> float:
    """Of a number in a topic's configuration, where -1 is without end."""
    return float("inf") if value == "-1" else float(value)


@dataclass
class _Cluster:
    """An admin connection whose failures are `BrokerError`s that say why and what to do."""

    kafka: KafkaSettings
    reported: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._admin = admin(self.kafka, {"error_cb": self._report})

    def _report(self, error: KafkaError) -> None:
        # "All brokers are down" follows every failed connection, and says nothing of why.
        if error.code() != KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001  # librdkafka's own name
            self.reported.append(error.str())

    def partitions(self) -> dict[str, int]:
        """The number of partitions by topic."""
        return {name: len(topic.partitions) for name, topic in self._metadata().topics.items()}

    def _metadata(self) -> ClusterMetadata:
        try:
            return self._admin.list_topics(timeout=ANSWER_SECONDS)
        except KafkaException as error:
            while self._admin.poll(0):  # lets the connection's own errors, which say more, arrive
                pass
            why = self.reported[-1] if self.reported else str(error)
            raise UnreachableError(
                f"no Kafka answers at {self.kafka.bootstrap_servers} within "
                f"{ANSWER_SECONDS:.0f} s ({why}): start one with `samesource broker start`, or "
                "check kafka.bootstrap_servers and its security settings"
            ) from error

    def identity(self, name: str) -> str:
        """The cluster's and the topic's ids; the embedded broker gives its topics none."""
        cluster_id = self._metadata().cluster_id
        if self.kafka.broker == "embedded":
            return f"{cluster_id}/{name}"
        futures = self._admin.describe_topics(
            TopicCollection([name]), request_timeout=ANSWER_SECONDS
        )
        try:
            return f"{cluster_id}/{futures[name].result().topic_id}"
        except KafkaException as error:
            raise BrokerError(self._refused(f"topic {name}", error)) from error

    def configs(self, names: list[str]) -> dict[str, dict[str, str]]:
        """The configuration by topic."""
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
        if not resources:
            return {}
        futures = self._admin.describe_configs(resources, request_timeout=ANSWER_SECONDS)
        return {
            resource.name: {key: entry.value for key, entry in self._result(future).items()}
            for resource, future in futures.items()
        }

    def create(self, topics: list[NewTopic]) -> None:
        """Make topics and wait until they are in the metadata that clients get."""
        for name, future in self._admin.create_topics(
            topics, request_timeout=ANSWER_SECONDS, operation_timeout=ANSWER_SECONDS
        ).items():
            try:
                future.result()
            except KafkaException as error:
                # Another process that starts beside this one may have been quicker.
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise BrokerError(self._refused(f"topic {name}", error)) from error
        names = {topic.topic for topic in topics}
        deadline = time.monotonic() + ANSWER_SECONDS
        while left := names - self.partitions().keys():
            if time.monotonic() > deadline:
                raise BrokerError(f"{sorted(left)} were made but don't show up; try again")
            time.sleep(0.1)

    def _result(self, future: Any) -> Any:
        try:
            return future.result()
        except KafkaException as error:
            raise BrokerError(self._refused("reading the topics' configuration", error)) from error

    def _refused(self, what: str, error: KafkaException) -> str:
        why = error.args[0].str().rstrip(".")
        return (
            f"Kafka at {self.kafka.bootstrap_servers} refused {what}: {why}. Check that the user "
            "may do this, and that there are kafka.replication_factor = "
            f"{self.kafka.replication_factor} brokers"
        )
