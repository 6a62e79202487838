"""A Kafka of these tests' own, and the workers on it."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from stream.broker.local import LocalKafka
from stream.broker.settings import KafkaSettings
from stream.broker.topics import create_topics
from tests.kafka.lives.roles import DRAIN_SECONDS, ROLES, wait_for, wait_until_read
from tests.stream.command import started


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalKafka]:
    """One that these tests may stop and kill."""
    # A killed broker starts again only when its former life counts as gone: 9 s by default.
    quick = {"broker.session.timeout.ms": "4000", "broker.heartbeat.interval.ms": "500"}
    with LocalKafka(tmp_path_factory.mktemp("kafka"), properties=quick) as kafka:
        yield kafka


@pytest.fixture
def kafka(broker: LocalKafka, request: pytest.FixtureRequest) -> KafkaSettings:
    broker.start()
    prefix = re.sub(r"\W+", "-", request.node.name)[-40:]
    settings = KafkaSettings(bootstrap_servers=broker.bootstrap_servers, topic_prefix=f"{prefix}.")
    create_topics(settings)
    return settings


@pytest.fixture
def workers(kafka: KafkaSettings, tmp_path: Path) -> Iterator[dict[str, subprocess.Popen[str]]]:
    """A process for each role, all of them at work."""
    extra = {
        "SAMESOURCE_LIBRARY__SNAPSHOT_FOLDER": str(tmp_path / "snapshots"),
        "SAMESOURCE_WORKER__DATA_FOLDER": str(tmp_path / "workers"),
        "SAMESOURCE_WORKER__DRAIN_SECONDS": str(DRAIN_SECONDS),
        "SAMESOURCE_DECODE__PROCESSES": "1",
        "SAMESOURCE_LIBRARY__SHARDS": "1",
    }
    with ExitStack() as stack:
        made = {
            role: stack.enter_context(
                started(kafka, "worker", role, extra=extra, err=tmp_path / f"{role}.log")
            )
            for role in ROLES
        }
        for role in ROLES:
            wait_for(tmp_path / f"{role}.log", "worker is running", 180.0)
        wait_until_read(kafka, b"first")
        yield made


def process_of(broker: LocalKafka) -> psutil.Process:
    return psutil.Process(int((broker.folder / "kafka.pid").read_text().split()[0]))


@pytest.fixture
def frozen(broker: LocalKafka) -> Iterator[psutil.Process]:
    """The broker, for a SIGSTOP; after one, the next test gets it started anew.

    Not resumed: a broker that stood still for longer than its session now and then has no
    controller for a while, or never answers again.
    """
    process = process_of(broker)
    yield process
    if process.is_running() and process.status() == psutil.STATUS_STOPPED:
        broker.kill()
