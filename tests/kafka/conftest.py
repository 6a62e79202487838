"""A real Apache Kafka for the tests of this folder: one per run, with topics of its own per test.

Never skipped: without Java or Maven these tests fail and say what to install.
"""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from stream.broker.local import LocalKafka
from stream.broker.settings import KafkaSettings
from stream.topics import create_topics


@pytest.fixture(scope="session")
def local_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalKafka]:
    """One broker for the whole run; don't stop it in a test."""
    folder: Path = tmp_path_factory.mktemp("kafka")
    with LocalKafka(folder) as kafka:
        yield kafka


@pytest.fixture
def empty_kafka_settings(local_kafka: LocalKafka) -> KafkaSettings:
    """The broker, with a topic prefix that nobody has used: no topics yet."""
    return KafkaSettings(
        bootstrap_servers=local_kafka.bootstrap_servers,
        topic_prefix=f"test-{uuid.uuid4().hex[:8]}.",
    )


@pytest.fixture
def kafka_settings(empty_kafka_settings: KafkaSettings) -> KafkaSettings:
    """The broker, with the contract's topics under a prefix of this test's own."""
    create_topics(empty_kafka_settings)
    return empty_kafka_settings
