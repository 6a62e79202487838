"""The client that judges the service from outside publishes each message once, in order."""

import threading
import time
from pathlib import Path

import psutil
import pytest
from confluent_kafka import Consumer, Producer

from benchmarks.delivery.persistent_producer import PersistentProducer
from stream.broker.local import LocalKafka
from stream.broker.settings import KafkaSettings
from stream.broker.topics import create_topics

TOPIC = "once.video.fingerprinted"
KEYS = [f"v{number}".encode() for number in range(30)]


def test_a_producer_that_stalls_is_renewed_and_nothing_is_missing_or_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with LocalKafka(tmp_path) as kafka:  # of its own: it stands still for a while
        servers, errors = kafka.bootstrap_servers, list[object]()
        create_topics(KafkaSettings(bootstrap_servers=servers, topic_prefix="once."))
        producer = PersistentProducer(servers)
        for key in KEYS[:10]:
            producer.produce(TOPIC, b"1", key, lambda error, _: errors.append(error))
        producer.flush()
        broker = psutil.Process(int((tmp_path / "kafka.pid").read_text()))
        hold(broker)
        for key in KEYS[10:]:
            producer.produce(TOPIC, b"2", key, lambda error, _: errors.append(error))
        connect = producer._connected  # noqa: SLF001

        def connect_and_go_on() -> Producer:
            threading.Timer(1, broker.resume).start()  # it stands still until it was noticed
            return connect()

        monkeypatch.setattr(producer, "_connected", connect_and_go_on)
        producer.flush(stalled_seconds=8)
        assert errors == [None] * len(KEYS)
        assert keys_in(servers) == KEYS
    assert "a producer stalled with 20 messages" in capsys.readouterr().err


def hold(process: psutil.Process) -> None:
    """Stop a process, and wait until each of its threads stands still."""
    process.suspend()
    tasks, end = Path(f"/proc/{process.pid}/task"), time.monotonic() + 30
    while not all(
        (task / "stat").read_text().rpartition(")")[2].split()[0] == "T" for task in tasks.iterdir()
    ):
        assert time.monotonic() < end, "it goes on"
        time.sleep(0.01)


def keys_in(bootstrap_servers: str) -> list[bytes | None]:
    options = {"bootstrap.servers": bootstrap_servers, "group.id": "reader"}
    consumer = Consumer({**options, "auto.offset.reset": "earliest"})
    consumer.subscribe([TOPIC])
    messages = consumer.consume(len(KEYS), timeout=30) + consumer.consume(1, timeout=2)
    consumer.close()
    return [message.key() for message in messages]
