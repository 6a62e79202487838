"""A real Apache Kafka for the tests of this folder: one per run, with topics of its own per test.

The workers of a parallel run share it: the first starts it, the last one stops it.

Never skipped: without Java or Maven these tests fail and say what to install.
"""

import fcntl
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from stream.broker.local import LocalKafka
from stream.broker.settings import KafkaSettings
from stream.broker.topics import create_topics
from stream.settings import Settings
from tests.stream.service import service_settings


@pytest.fixture(scope="session")
def local_kafka(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[LocalKafka]:
    """One broker for the whole run; don't stop it in a test."""
    run = tmp_path_factory.getbasetemp()
    folder = (run if worker_id == "master" else run.parent) / "kafka"
    folder.mkdir(exist_ok=True)
    with open(folder / "starting", "w") as starting, open(folder / "users", "w") as users:
        # The system releases locks of a worker that died.
        fcntl.flock(starting, fcntl.LOCK_EX)
        LocalKafka(folder).start()
        fcntl.flock(users, fcntl.LOCK_SH)
        fcntl.flock(starting, fcntl.LOCK_UN)
        yield LocalKafka(folder)
        fcntl.flock(starting, fcntl.LOCK_EX)
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # another worker still uses it
        LocalKafka(folder).stop()


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


@pytest.fixture
def settings(kafka_settings: KafkaSettings, tmp_path: Path) -> Settings:
    """Of a small service on it, with folders of this test's own."""
    return service_settings(kafka_settings, tmp_path)
