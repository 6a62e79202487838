"""Kafka with a read-only root, as the compose file runs Apache's image: its setup and its broker.

The jars run in a mount namespace where nothing can be written to but what the compose file mounts.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from stream.broker.jars import fetch_jars, tool
from stream.broker.local import held_port
from stream.broker.settings import KafkaSettings
from stream.broker.topics import create_topics
from stream.errors import BrokerError
from tests.kafka.test_pills import CODECS, AnyProducer
from tests.stream.pills import Pill

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
KAFKA: dict[str, Any] = COMPOSE["services"]["kafka"]
START_SECONDS = 90.0
# As the image has them: what its start copies is beside its configuration, and not in it.
NAMESPACE = """
set -e
mount -t tmpfs none /opt
mkdir -p /opt/kafka/config /opt/docker /opt/none /opt/data /opt/jars
cp "$DEFAULTS"/* /opt/docker
mount --bind "$DATA" /opt/data
mount --bind "$JARS" /opt/jars
{mounts}
for each in /opt / /dev/shm /var/tmp; do
    mountpoint -q $each && mount -o remount,bind,ro $each
done
java="java $KAFKA_HEAP_OPTS $KAFKA_GC_LOG_OPTS -Dkafka.logs.dir=$LOG_DIR $KAFKA_LOG4J_OPTS"
$java -cp "/opt/jars/*" kafka.docker.KafkaDockerWrapper setup --default-configs-dir /opt/docker \
    --mounted-configs-dir /opt/none --final-configs-dir /opt/kafka/config
exec $java -cp "/opt/jars/*" kafka.Kafka /opt/kafka/config/server.properties
"""


def may_mount() -> bool:
    return subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode == 0


@contextmanager
def read_only_kafka(folder: Path) -> Iterator[KafkaSettings]:
    """The compose file's broker, on ports of this test's own."""
    for name in ("data", "defaults"):
        (folder / name).mkdir()
    for name in ("log4j2.yaml", "tools-log4j2.yaml"):
        shutil.copy(ROOT / "kafka" / "local" / "log4j2.yaml", folder / "defaults" / name)
    # As Docker mounts them.
    mounts = [
        f"mount -t tmpfs -o noexec,nosuid,nodev,{options} none {path}"
        for path, options in (each.split(":") for each in KAFKA["tmpfs"])
    ]
    with ExitStack() as held:
        ports = {name: str(held.enter_context(held_port())) for name in ("19092", "9092", "9093")}
        environment = {**KAFKA["environment"], "KAFKA_LOG_DIRS": "/opt/data"}
        for name, value in environment.items():
            for port, own in ports.items():
                value = value.replace(f":{port}", f":{own}")
            environment[name] = value.replace("kafka:", "127.0.0.1:").replace("//:", "//127.0.0.1:")
        environment |= {
            "CLUSTER_ID": "5L6g3nShT-eMCtK--X86sw",
            "DATA": str(folder / "data"),
            "DEFAULTS": str(folder / "defaults"),
            "JARS": str(fetch_jars()),
            "JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1",  # as `LocalKafka`: starts faster
            "PATH": f"{Path(tool('java')).parent}:{os.environ['PATH']}",
        }
        command = ["unshare", "--mount", "sh", "-c", NAMESPACE.format(mounts="\n".join(mounts))]
        with (
            open(folder / "log", "wb") as log,
            subprocess.Popen(
                command, env={**os.environ, **environment}, stdout=log, stderr=log
            ) as broker,
        ):
            try:
                named = KafkaSettings(bootstrap_servers=f"localhost:{ports['9092']}")
                yield _made(named, broker, folder / "log")
            finally:
                broker.terminate()


def _made(kafka: KafkaSettings, broker: subprocess.Popen[bytes], log: Path) -> KafkaSettings:
    """With its topics, once it answers."""
    until = time.monotonic() + START_SECONDS
    while True:
        try:
            create_topics(kafka)
            return kafka
        except BrokerError:
            assert broker.poll() is None and time.monotonic() < until, log.read_text()[-2000:]


def test_a_broker_with_a_read_only_root_starts_and_takes_every_codec(tmp_path: Path) -> None:
    if not may_mount():
        pytest.skip("no right to mount here")
    with read_only_kafka(tmp_path) as kafka:
        producer = AnyProducer(kafka)
        for codec in CODECS:
            producer.send("video.uploaded", Pill(b"words " * 1000, b"v"), codec)
        producer.flush()
    log = (tmp_path / "log").read_text()
    assert "Read-only file system" not in log and "UnsatisfiedLinkError" not in log, log
    assert (tmp_path / "data" / "meta.properties").exists()
