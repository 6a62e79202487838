"""The lag of a group is what Kafka has beyond its commits, whether anybody reads or not."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest
from confluent_kafka import Consumer, TopicPartition
from prometheus_client import REGISTRY

from stream.agents import group_lags
from stream.agents.group_lags import LagWorker
from stream.broker import clients, patience
from stream.broker.client import send
from stream.broker.embedded import embedded_kafka
from stream.broker.group_lags import GroupLag, GroupLags
from stream.broker.library_log import shard_group
from stream.broker.settings import KafkaSettings
from stream.errors import BrokerError, UnreachableError
from stream.settings import load_settings
from tests.stream.service import eventually


@pytest.fixture
def kafka() -> Iterator[KafkaSettings]:
    with embedded_kafka(KafkaSettings(topic_prefix="t.")) as kafka:
        yield kafka


def say(kafka: KafkaSettings, topic: str, count: int) -> None:
    """Put messages on one partition, as they have one key."""
    send(kafka, topic, [(b"key", b"{}", [])] * count)


def commit(kafka: KafkaSettings, group: str, partition: TopicPartition) -> None:
    client = Consumer({**kafka.librdkafka_options(), "group.id": group})
    client.commit(offsets=[partition], asynchronous=False)
    client.close()


def waiting(lags: list[GroupLag]) -> dict[tuple[str, str], tuple[int, int]]:
    """Offset and messages of the partitions where something is, by group and topic."""
    return {
        (lag.group, lag.topic): (lag.offset, lag.messages)
        for lag in lags
        if lag.messages or lag.offset
    }


def assert_lags_are_what_no_commit_passes(kafka: KafkaSettings) -> None:
    shards = [shard_group(kafka, shard, 2) for shard in range(2)]
    log, uploads = kafka.topic("video.fingerprinted"), kafka.topic("video.uploaded")
    group = f"{kafka.topic_prefix}samesource-fingerprint"
    lags = GroupLags(kafka, shards=2)
    try:
        # A Kafka that has never had a group makes their topic first, and answers the next time.
        with suppress(BrokerError):
            lags.now()
        assert waiting(lags.now()) == {}
        # 8 partitions of uploads, 3 topics of decide, probes, and the log for each shard.
        groups = {lag.group.removeprefix(kafka.topic_prefix) for lag in lags.now()}
        assert groups == {
            "samesource-fingerprint",
            "samesource-decide",
            "samesource-probes",
            "samesource-library-0-of-2",
            "samesource-library-1-of-2",
        }
        say(kafka, "video.fingerprinted", 5)
        say(kafka, "video.uploaded", 3)
        commit(kafka, shards[1], TopicPartition(log, 0, 4))
        assert waiting(lags.now()) == {
            (group, uploads): (0, 3),
            (shards[0], log): (0, 5),
            (shards[1], log): (4, 1),
        }
    finally:
        lags.close()


def test_lags_are_what_no_commit_passes(kafka: KafkaSettings) -> None:
    assert_lags_are_what_no_commit_passes(kafka)


def test_without_its_topics_a_broker_is_refused() -> None:
    nobody = KafkaSettings(bootstrap_servers="127.0.0.1:9")
    with pytest.raises(BrokerError, match=r"127\.0\.0\.1:9"):
        GroupLags(nobody, shards=1)


def test_clients_that_know_no_broker_any_more_are_replaced(
    kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = kafka.model_copy(update={"bootstrap_servers": "127.0.0.1:1"})
    lags = GroupLags(kafka, shards=1)
    try:
        with suppress(BrokerError):  # no group was ever asked about
            lags.now()
        lags.close()
        lags._consumers = dict.fromkeys(lags._consumers, clients.reader(lost))
        with monkeypatch.context() as soon, pytest.raises(BrokerError, match="Start one with"):
            soon.setattr(clients, "ANSWER_SECONDS", 1)
            lags.now()
        assert {lag.messages for lag in lags.now()} == {0}
    finally:
        lags.close()


def told(topic: str) -> float | None:
    labels = {"group": "t.samesource-fingerprint", "topic": topic, "partition": "0"}
    return REGISTRY.get_sample_value("samesource_group_lag_messages", labels)


async def test_the_role_tells_it_and_nothing_while_kafka_does_not_answer(
    kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_lags, "ASK_EVERY_SECONDS", 0.05)
    worker = LagWorker(load_settings(kafka=kafka))
    assert worker.health().not_ready is not None
    await worker.start()
    await eventually(lambda: worker.health().not_ready is None)
    assert told("t.video.uploaded") == 0
    real = GroupLags.now

    def away(lags: GroupLags) -> list[GroupLag]:
        raise BrokerError("away")

    monkeypatch.setattr(GroupLags, "now", away)
    await eventually(lambda: told("t.video.uploaded") is None)
    assert worker.health().not_ready == "Kafka does not answer"
    monkeypatch.setattr(GroupLags, "now", real)
    await eventually(lambda: told("t.video.uploaded") == 0)
    await worker.stop()
    assert told("t.video.uploaded") is None
    assert not worker.failure.done()


async def test_clients_that_never_answer_end_the_role_and_its_figures(
    kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_lags, "ASK_EVERY_SECONDS", 0.05)
    worker, ends = LagWorker(load_settings(kafka=kafka)), threading.Event()
    await worker.start()
    await eventually(lambda: told("t.video.uploaded") == 0)
    monkeypatch.setattr(patience, "PATIENT_SECONDS", 0.3)
    monkeypatch.setattr(GroupLags, "now", lambda lags: ends.wait())
    try:
        with pytest.raises(UnreachableError, match="start again"):
            await asyncio.wait_for(worker.failure, 30)
        await worker.stop()
        assert told("t.video.uploaded") is None
    finally:
        ends.set()
