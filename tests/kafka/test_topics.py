"""The topics of the contract, made and checked on a real cluster."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)

from stream.agents.run import running_workers
from stream.agents.topic_watch import TopicWatch
from stream.broker.settings import KafkaSettings
from stream.broker.topics import check_topics, create_topics, partition_counts
from stream.contract.topics import load_topics
from stream.errors import BrokerError
from stream.settings import load_settings

PATIENCE_SECONDS = 60.0  # until the broker has made a change


def admin_of(kafka: KafkaSettings) -> AdminClient:
    return AdminClient(kafka.librdkafka_options())


def config_of(kafka: KafkaSettings, topic: str, key: str) -> str:
    resource = ConfigResource(ResourceType.TOPIC, kafka.topic(topic))
    admin = admin_of(kafka)
    return str(admin.describe_configs([resource])[resource].result(timeout=10)[key].value)


def alter(kafka: KafkaSettings, topic: str, key: str, value: str) -> None:
    entry = ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, kafka.topic(topic), incremental_configs=[entry])
    admin = admin_of(kafka)
    admin.incremental_alter_configs([resource])[resource].result(timeout=10)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while config_of(kafka, topic, key) != value:
        assert time.monotonic() < deadline, f"{topic} never got {key}={value}"
        time.sleep(0.05)


def test_made_topics_fit_the_contract(kafka_settings: KafkaSettings) -> None:
    assert check_topics(kafka_settings) == []


def test_every_topic_has_the_prefix_and_its_partitions(kafka_settings: KafkaSettings) -> None:
    found = admin_of(kafka_settings).list_topics(timeout=10).topics
    ours = {
        name: len(topic.partitions)
        for name, topic in found.items()
        if name.startswith(kafka_settings.topic_prefix)
    }
    assert ours == {kafka_settings.topic(topic.name): topic.partitions for topic in load_topics()}


def test_making_topics_again_changes_nothing(kafka_settings: KafkaSettings) -> None:
    alter(kafka_settings, "alert.raised", "retention.ms", "-1")
    create_topics(kafka_settings)
    assert check_topics(kafka_settings) == []
    assert config_of(kafka_settings, "alert.raised", "retention.ms") == "-1"


def test_partitions_are_counted_and_a_missing_topic_is_named(
    kafka_settings: KafkaSettings,
) -> None:
    counts = partition_counts(kafka_settings, ["alert.reviewed", "policy.updated"])
    assert counts == {"alert.reviewed": 8, "policy.updated": 1}
    with pytest.raises(BrokerError, match=f"no topic {kafka_settings.topic('nothing')}: make"):
        partition_counts(kafka_settings, ["policy.updated", "nothing"])


def test_every_missing_topic_is_named(empty_kafka_settings: KafkaSettings) -> None:
    problems = check_topics(empty_kafka_settings)
    assert len(problems) == len(load_topics())
    for problem, topic in zip(problems, load_topics(), strict=True):
        assert empty_kafka_settings.topic(topic.name) in problem
        assert "samesource topics create" in problem


def test_a_topic_that_was_half_made_is_completed(empty_kafka_settings: KafkaSettings) -> None:
    kafka = empty_kafka_settings
    topic = NewTopic(kafka.topic("video.uploaded"), num_partitions=8, replication_factor=1)
    admin = admin_of(kafka)
    for future in admin.create_topics([topic]).values():
        future.result(timeout=10)
    create_topics(kafka)
    assert len(check_topics(kafka)) == 1, "only the retention of the topic made by hand differs"
    assert "retention.ms" in check_topics(kafka)[0]


def test_added_partitions_are_seen(kafka_settings: KafkaSettings) -> None:
    log = kafka_settings.topic("video.fingerprinted")
    admin = admin_of(kafka_settings)
    admin.create_partitions([NewPartitions(log, 2)])[log].result(timeout=10)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (problems := check_topics(kafka_settings)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert problems == [
        f"{log} has 2 partitions, expected 1: its order must be total, so make it anew with one "
        "partition"
    ]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("cleanup.policy", "delete"),
        ("max.message.bytes", "1048588"),
        ("min.compaction.lag.ms", "1000"),
        ("delete.retention.ms", "86400000"),
    ],
)
def test_a_wrong_setting_is_a_sentence_with_what_was_expected(
    kafka_settings: KafkaSettings, key: str, value: str
) -> None:
    alter(kafka_settings, "video.fingerprinted", key, value)
    [problem] = check_topics(kafka_settings)
    assert f"{kafka_settings.topic('video.fingerprinted')} has {key} {value}, expected" in problem


def test_too_few_replicas_that_have_to_agree_are_a_sentence_too(
    kafka_settings: KafkaSettings,
) -> None:
    three = kafka_settings.model_copy(update={"replication_factor": 3})
    problems = check_topics(three)
    assert len(problems) == len(load_topics())
    assert all("has min.insync.replicas 1, expected at least 2" in text for text in problems)


def test_more_than_the_contract_asks_for_is_fine(kafka_settings: KafkaSettings) -> None:
    alter(kafka_settings, "video.fingerprinted", "min.compaction.lag.ms", str(30 * 86_400_000))
    alter(kafka_settings, "video.uploaded", "retention.ms", "-1")
    assert check_topics(kafka_settings) == []


def test_a_worker_warns_of_a_lesser_difference(
    kafka_settings: KafkaSettings, caplog: pytest.LogCaptureFixture
) -> None:
    alter(kafka_settings, "video.uploaded", "retention.ms", "1000")
    TopicWatch(kafka_settings).look()
    assert "has retention.ms 1000, expected at least" in caplog.text


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [("cleanup.policy", "delete", "cleanup.policy"), ("partitions", "2", "2 partitions")],
)
def test_a_worker_refuses_topics_with_which_its_answers_would_be_wrong(
    kafka_settings: KafkaSettings, key: str, value: str, says: str
) -> None:
    log = kafka_settings.topic("video.fingerprinted")
    if key == "partitions":
        admin = admin_of(kafka_settings)
        admin.create_partitions([NewPartitions(log, int(value))])[log].result(timeout=10)
    else:
        alter(kafka_settings, "video.fingerprinted", key, value)
    with pytest.raises(BrokerError, match=f"{log} has {says}"):
        retried(TopicWatch(kafka_settings).look)


def test_verdicts_that_an_earlier_release_compacts_are_a_warning_with_what_to_alter(
    kafka_settings: KafkaSettings, caplog: pytest.LogCaptureFixture
) -> None:
    alter(kafka_settings, "alert.reviewed", "cleanup.policy", "compact")
    (problem,) = check_topics(kafka_settings)
    assert problem.endswith("--add-config cleanup.policy=delete`")
    TopicWatch(kafka_settings).look()
    assert "alert.reviewed has cleanup.policy compact, expected delete" in caplog.text


def retried(look: Callable[[], None]) -> None:
    """Until a change is seen everywhere."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        look()
        time.sleep(0.1)


async def test_topics_that_are_altered_while_workers_wait_end_them(
    kafka_settings: KafkaSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream.agents.topic_watch.LOOK_EVERY_SECONDS", 0.5)
    settings = load_settings(
        kafka=kafka_settings,
        library={"shards": 1, "snapshot_folder": str(tmp_path)},
        worker={"drain_seconds": 6},
    )
    async with running_workers(settings, ("library",)) as failure:
        alter(kafka_settings, "video.compared", "cleanup.policy", "compact")
        with pytest.raises(BrokerError, match="cleanup.policy compact, expected delete"):
            await asyncio.wait_for(failure, 30)


def test_claims_carry_the_brokers_time(kafka_settings: KafkaSettings) -> None:
    alter(kafka_settings, "samesource-flood-claims", "message.timestamp.type", "CreateTime")
    (problem,) = check_topics(kafka_settings)
    assert "message.timestamp.type CreateTime, expected LogAppendTime" in problem


def test_more_copies_than_brokers_is_an_error_that_names_the_setting(
    empty_kafka_settings: KafkaSettings,
) -> None:
    kafka = empty_kafka_settings.model_copy(update={"replication_factor": 3})
    with pytest.raises(BrokerError, match="kafka.replication_factor = 3") as caught:
        create_topics(kafka)
    assert isinstance(caught.value.__cause__, KafkaException)


@pytest.mark.timed
def test_a_cluster_that_is_not_there_is_an_error_with_the_cure_within_ten_seconds() -> None:
    started = time.monotonic()
    with pytest.raises(BrokerError, match=r"127.0.0.1:1 .*refused.*samesource broker start"):
        create_topics(KafkaSettings(bootstrap_servers="127.0.0.1:1"))
    assert time.monotonic() - started < 15
