"""The embedded broker: what ordinary clients see, and the limits that its docstring states."""

import os
import subprocess
import sys

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from confluent_kafka.admin import AdminClient

from stream.agents.run import ROLES, running_workers
from stream.broker.client import Reader, send
from stream.broker.embedded import EmbeddedBroker, embedded_kafka
from stream.broker.settings import KafkaSettings
from stream.broker.topics import topic_problems
from stream.contract.topics import load_topics
from stream.errors import BrokerError
from stream.settings import load_settings

MIB = 2**20


async def publish(kafka: KafkaSettings, topic: str, values: list[bytes]) -> None:
    producer = AIOKafkaProducer(
        **kafka.aiokafka_options(), enable_idempotence=True, max_request_size=32 * MIB
    )
    await producer.start()
    try:
        for value in values:
            await producer.send_and_wait(kafka.topic(topic), value, key=b"a", partition=0)
    finally:
        await producer.stop()


async def offsets(kafka: KafkaSettings, topic: str) -> tuple[int, int]:
    partition = TopicPartition(kafka.topic(topic), 0)
    consumer = AIOKafkaConsumer(**kafka.aiokafka_options())
    await consumer.start()
    try:
        first = await consumer.beginning_offsets([partition])
        return first[partition], (await consumer.end_offsets([partition]))[partition]
    finally:
        await consumer.stop()


async def values_of_group(kafka: KafkaSettings, topic: str, count: int) -> list[bytes]:
    consumer = AIOKafkaConsumer(
        kafka.topic(topic),
        **kafka.aiokafka_options(),
        group_id="readers",
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=32 * MIB,
    )
    await consumer.start()
    try:
        return [(await consumer.getone()).value for _ in range(count)]
    finally:
        await consumer.stop()


def test_it_has_the_contract_topics_with_their_partitions() -> None:
    with embedded_kafka(KafkaSettings(topic_prefix="demo.")) as kafka:
        found = AdminClient(kafka.librdkafka_options()).list_topics(timeout=10).topics
        partitions = {name: len(topic.partitions) for name, topic in found.items()}
    assert partitions == {f"demo.{topic.name}": topic.partitions for topic in load_topics()}


def test_the_settings_point_at_it_and_ask_for_no_security() -> None:
    settings = KafkaSettings(
        broker="embedded", security_protocol="SASL_SSL", sasl_username="u", replication_factor=3
    )
    with embedded_kafka(settings) as kafka:
        assert kafka.bootstrap_servers.startswith("127.0.0.1:")
        assert not kafka.uses_tls and not kafka.uses_sasl
        assert (kafka.broker, kafka.replication_factor) == ("embedded", 1)


async def test_a_group_reads_what_an_idempotent_producer_wrote_in_order() -> None:
    values = [str(number).encode() for number in range(100)]
    with embedded_kafka(KafkaSettings()) as kafka:
        await publish(kafka, "video.uploaded", values)
        assert await values_of_group(kafka, "video.uploaded", 100) == values


def test_the_command_clients_read_what_they_sent() -> None:
    messages: list[tuple[bytes, bytes, list[tuple[str, bytes]]]] = [
        (str(number).encode(), b"{}", []) for number in range(50)
    ]
    with embedded_kafka(KafkaSettings()) as kafka:
        send(kafka, "video.uploaded", messages)
        with Reader(kafka, "video.uploaded") as reader:
            keys = [message.key() for _, message in reader.until_now()]
    assert sorted(str(key) for key in keys) == sorted(str(key) for key, _, _ in messages)


async def test_one_large_record_passes_an_empty_partition() -> None:
    value = os.urandom(7_000_000)
    with embedded_kafka(KafkaSettings()) as kafka:
        await publish(kafka, "video.fingerprinted", [value])
        assert await values_of_group(kafka, "video.fingerprinted", 1) == [value]


async def test_a_partition_keeps_its_newest_five_mebibytes() -> None:
    with embedded_kafka(KafkaSettings()) as kafka:
        await publish(kafka, "video.fingerprinted", [os.urandom(MIB)] * 8)
        assert await offsets(kafka, "video.fingerprinted") == (4, 8)


async def test_a_large_record_after_others_is_lost() -> None:
    with embedded_kafka(KafkaSettings()) as kafka:
        await publish(kafka, "video.fingerprinted", [b"small", os.urandom(7_000_000)])
        assert await offsets(kafka, "video.fingerprinted") == (2, 2)


def test_a_stopped_broker_starts_afresh() -> None:
    broker = EmbeddedBroker()
    for _ in range(2):
        broker.start()
        broker.start()
        assert broker.bootstrap_servers
        broker.stop()
        broker.stop()
        with pytest.raises(BrokerError, match=r"call start\(\) first"):
            _ = broker.bootstrap_servers


def test_it_says_nothing_on_the_terminal() -> None:
    code = "from stream.broker.embedded import EmbeddedBroker\nwith EmbeddedBroker(): pass"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")


async def test_workers_on_a_cluster_without_the_topics_end_with_their_names() -> None:
    some = [topic for topic in load_topics() if topic.name != "video.compared"]
    with EmbeddedBroker(topics=some) as broker:
        kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        with pytest.raises(BrokerError, match=r"no topic video\.compared: .*topics create"):
            topic_problems(kafka)
        settings = load_settings(kafka=kafka.model_dump())
        for role in ROLES:
            with pytest.raises(BrokerError, match=r"no topic video\.compared"):
                async with running_workers(settings, [role]):
                    pass
