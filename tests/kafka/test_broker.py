"""The local Apache Kafka: what it promises to tests and to a developer."""

import os
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from stream.broker import jars
from stream.broker.local import LocalKafka, cluster_id, held_port
from stream.broker.settings import KafkaSettings
from stream.broker.topics import create_topics
from stream.errors import BrokerError

TEN_HOUR_FINGERPRINT_BYTES = 16 * 2**20


def produce(kafka: KafkaSettings, topic: str, value: bytes) -> KafkaError | None:
    outcomes: list[KafkaError | None] = []
    producer = Producer(
        {**kafka.librdkafka_options(), "acks": "all", "message.max.bytes": 64 * 2**20}
    )
    producer.produce(
        kafka.topic(topic), value, key=b"a", on_delivery=lambda error, _: outcomes.append(error)
    )
    assert producer.flush(30) == 0
    [outcome] = outcomes
    return outcome


def consume(kafka: KafkaSettings, topic: str, count: int) -> list[bytes]:
    consumer = Consumer({**kafka.librdkafka_options(), "group.id": "reader"})
    consumer.assign([TopicPartition(kafka.topic(topic), 0, 0)])
    try:
        messages = consumer.consume(count, timeout=30)
    finally:
        consumer.close()
    values = []
    for message in messages:
        assert message.error() is None
        value = message.value()
        assert isinstance(value, bytes)
        values.append(value)
    return values


@pytest.fixture
def own_kafka(tmp_path: Path) -> Iterator[LocalKafka]:
    """A broker that the test may stop and kill."""
    kafka = LocalKafka(tmp_path / "kafka")
    yield kafka
    kafka.kill()


def test_a_large_record_comes_back_whole(kafka_settings: KafkaSettings) -> None:
    value = os.urandom(TEN_HOUR_FINGERPRINT_BYTES)
    assert produce(kafka_settings, "video.fingerprinted", value) is None
    assert consume(kafka_settings, "video.fingerprinted", 1) == [value]


def test_a_record_above_the_topic_limit_is_refused(kafka_settings: KafkaSettings) -> None:
    error = produce(kafka_settings, "video.fingerprinted", os.urandom(33 * 2**20))
    assert error is not None and error.code() == KafkaError.MSG_SIZE_TOO_LARGE


def test_a_misspelt_topic_is_not_made(kafka_settings: KafkaSettings) -> None:
    consumer = Consumer(
        {
            **kafka_settings.librdkafka_options(),
            "group.id": "reader",
            "allow.auto.create.topics": True,
        }
    )
    consumer.subscribe([kafka_settings.topic("video.uplaoded")])
    message = consumer.poll(10)
    consumer.close()
    assert message is not None and message.error() is not None
    admin = AdminClient(kafka_settings.librdkafka_options())
    assert kafka_settings.topic("video.uplaoded") not in admin.list_topics(timeout=10).topics


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_what_was_acknowledged_is_there_after_a_restart(own_kafka: LocalKafka, end: str) -> None:
    own_kafka.start()
    kafka = KafkaSettings(bootstrap_servers=own_kafka.bootstrap_servers)
    create_topics(kafka)
    assert produce(kafka, "video.fingerprinted", b"kept") is None
    getattr(own_kafka, end)()
    assert not own_kafka.running
    own_kafka.start()
    assert own_kafka.bootstrap_servers == kafka.bootstrap_servers
    assert produce(kafka, "video.fingerprinted", b"new") is None
    assert consume(kafka, "video.fingerprinted", 2) == [b"kept", b"new"]


def test_it_outlives_the_process_that_started_it(own_kafka: LocalKafka) -> None:
    code = (
        "import sys; from pathlib import Path; from stream.broker.local import LocalKafka; "
        "LocalKafka(Path(sys.argv[1])).start()"
    )
    subprocess.run([sys.executable, "-c", code, str(own_kafka.folder)], check=True, timeout=120)
    assert own_kafka.running
    own_kafka.start()  # finds it and changes nothing
    admin = AdminClient({"bootstrap.servers": own_kafka.bootstrap_servers})
    assert len(admin.list_topics(timeout=10).brokers) == 1
    own_kafka.stop()
    assert not own_kafka.running


def test_a_taken_port_is_an_error_that_names_it(local_kafka: LocalKafka, tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match=f"port {local_kafka.port} is taken"):
        LocalKafka(tmp_path, local_kafka.port).start()


def test_a_held_port_is_given_to_nobody_else_and_may_be_listened_on() -> None:
    with held_port() as port, socket.socket() as other:
        with pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", port))
        with socket.create_server(("127.0.0.1", port)):
            socket.create_connection(("127.0.0.1", port)).close()
            with pytest.raises(OSError, match="in use"), held_port(port):
                pass


def test_a_broker_that_ends_while_starting_shows_its_log(tmp_path: Path) -> None:
    kafka = LocalKafka(tmp_path, properties={"num.io.threads": "none"})
    with pytest.raises(BrokerError, match=r"num\.io\.threads"):
        kafka.start()
    assert not kafka.running


def test_without_java_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BrokerError, match="`java` is not on the PATH: install Java 17"):
        LocalKafka(tmp_path / "kafka").start()


def test_the_number_of_a_dead_broker_on_another_process_is_not_taken_for_it(
    tmp_path: Path,
) -> None:
    kafka = LocalKafka(tmp_path)
    (tmp_path / "kafka.pid").write_text(str(os.getpid()))
    assert not kafka.running
    kafka.stop()
    kafka.kill()


@pytest.mark.parametrize("seen", [[], ["another", "program"]])
def test_a_broker_without_arguments_is_looked_at_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seen: list[str]
) -> None:
    """A process has none for a moment, while the shell that was forked becomes Java."""
    kafka = LocalKafka(tmp_path)
    (tmp_path / "kafka.pid").write_text(str(os.getpid()))
    looks = iter([[], [], seen or ["java", str(tmp_path / "server.properties")]])
    monkeypatch.setattr(psutil.Process, "cmdline", lambda _: next(looks))
    assert kafka.running is not bool(seen)


def test_the_jars_are_fetched_once(local_kafka: LocalKafka) -> None:
    assert local_kafka.running
    folder = jars.fetch_jars()
    before = folder.stat().st_mtime_ns
    assert jars.fetch_jars() == folder and folder.stat().st_mtime_ns == before
    assert list(folder.glob("kafka_2.13-4.*.jar"))


def test_the_broker_reads_its_classes_from_an_archive_that_was_made_once(
    local_kafka: LocalKafka,
) -> None:
    process = psutil.Process(int((local_kafka.folder / "kafka.pid").read_text()))
    archive = jars.class_archive(jars.tool("java"), jars.fetch_jars(), pytest.fail)
    assert archive is not None
    assert str(archive) in {mapped.path for mapped in process.memory_maps()}


def test_a_java_that_writes_no_archive_is_asked_once(tmp_path: Path) -> None:
    folder = tmp_path / "jars"
    folder.mkdir()
    asked: list[str] = []
    for _ in range(2):
        assert jars.class_archive(sys.executable, folder, asked.append) is None
    assert len(asked) == 1


def test_another_java_gets_an_archive_of_its_own(tmp_path: Path) -> None:
    folder, java = tmp_path / "jars", tmp_path / "java"
    folder.mkdir()
    made = set[Path | None]()
    for program in (b"of this year", b"of the next year"):
        java.write_bytes(program)
        made.add(jars.class_archive(str(java), folder, write_what_is_asked))
    assert len(made) == 2 and None not in made


def write_what_is_asked(option: str) -> None:
    Path(option.partition("=")[2]).write_text("classes")


def test_a_cluster_id_is_never_taken_for_an_option(monkeypatch: pytest.MonkeyPatch) -> None:
    made = iter([uuid.UUID(bytes=b"\xfb" + bytes(15)), uuid.UUID(bytes=b"\x04" + bytes(15))])
    monkeypatch.setattr("stream.broker.local.uuid.uuid4", lambda: next(made))
    assert cluster_id() == "BA" + 20 * "A"
