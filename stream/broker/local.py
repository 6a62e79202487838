"""A real Apache Kafka on this machine: one KRaft node on the loopback address.

For trying out and for the tests that must not run on an imitation. Its jars come from
`kafka/local/pom.xml`, its data stays in a folder, and it outlives the process that started it.
"""

import hashlib
import shutil
import socket
import subprocess
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Self

import psutil
from confluent_kafka import KafkaException

from stream.broker.clients import admin
from stream.broker.settings import KafkaSettings
from stream.errors import BrokerError

# From the source tree: an installed package has no `kafka/` beside it and can't build a broker.
SOURCE = Path(__file__).resolve().parents[2] / "kafka" / "local"
START_SECONDS = 90.0  # a few on an idle machine; a JVM on a busy one takes many times that
STOP_SECONDS = 30.0  # then it is killed, which loses nothing that is on disk
PROBE_SECONDS = 2.0  # for one answer while it starts; a question that comes too early is lost
FETCH_SECONDS = 900.0  # Maven, the first time, over whatever line there is
JVM_OPTIONS = (
    "-Xms256m",
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",  # starts faster; a small load doesn't need the second compiler
    "-Djava.awt.headless=true",
    f"-Dlog4j2.configurationFile={SOURCE / 'log4j2.yaml'}",
)


class LocalKafka:
    """One Kafka node whose data lives in a folder.

    Stopping or killing it loses no acknowledged record that reached the disk's cache: a later
    `start()` on the same folder resumes with the same topics, offsets and port. As a context
    manager it starts and stops; without, it runs until somebody calls `stop()` on that folder.
    """

    def __init__(
        self, folder: Path, port: int = 0, properties: Mapping[str, str] | None = None
    ) -> None:
        """Name the folder; nothing runs yet.

        Args:
            folder: data, log and pid file; made when missing.
            port: the loopback port; 0 is the folder's former port, or a free one.
            properties: broker properties on top of `kafka/local/server.properties`, with the
                same `${names}` to fill in.
        """
        self.folder = folder.resolve()
        self._wanted_port = port
        self._properties = dict(properties or {})

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def port(self) -> int:
        """The loopback port.

        Raises:
            BrokerError: no port was asked for and the broker was never started.
        """
        port = self._wanted_port or self._former_port()
        if not port:
            raise BrokerError(f"no Kafka was started in {self.folder}: call start() first")
        return port

    @property
    def bootstrap_servers(self) -> str:
        """What clients connect to."""
        return f"127.0.0.1:{self.port}"

    @property
    def running(self) -> bool:
        """Whether the broker's process is alive."""
        return self._process() is not None

    def start(self) -> None:
        """Start the broker and wait until it answers; nothing happens if it already runs.

        Raises:
            BrokerError: Java or Maven is missing, the jars can't be fetched, the port is taken, or
                the broker doesn't answer in time. The text says what to do.
        """
        if self.running:
            self._wait_until_it_answers()
            return
        java, jars = _tool("java"), fetch_jars()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._write_properties()
        self._format_storage(java, jars)
        self._launch(java, jars)
        self._wait_until_it_answers()

    def stop(self) -> None:
        """End the broker cleanly; by force when it takes over 30 s. Idle when it doesn't run."""
        process = self._process()
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except psutil.TimeoutExpired:
            self.kill()
        self._pid_file.unlink(missing_ok=True)

    def kill(self) -> None:
        """End the broker at once, as a power cut of the process would (for fault tests)."""
        process = self._process()
        if process is None:
            return
        process.kill()
        process.wait(STOP_SECONDS)
        self._pid_file.unlink(missing_ok=True)

    @property
    def _pid_file(self) -> Path:
        return self.folder / "kafka.pid"

    @property
    def _properties_file(self) -> Path:
        return self.folder / "server.properties"

    @property
    def _log_file(self) -> Path:
        return self.folder / "kafka.log"

    def _process(self) -> psutil.Process | None:
        """The live broker; a process that merely got the same number later doesn't count."""
        try:
            pid, started = self._pid_file.read_text().split()
            process = psutil.Process(int(pid))
            alive = process.status() != psutil.STATUS_ZOMBIE
            return process if alive and f"{process.create_time():.2f}" == started else None
        except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
            return None

    def _former_port(self) -> int:
        if not self._properties_file.is_file():
            return 0
        lines = self._properties_file.read_text().splitlines()
        listeners = next(line for line in lines if line.startswith("advertised.listeners="))
        return int(listeners.rpartition(":")[2])

    def _write_properties(self) -> None:
        port = self._wanted_port or self._former_port() or free_port()
        if _answers(port):
            raise BrokerError(
                f"port {port} is taken by another process: end it, or name another port"
            )
        extra = "".join(f"{key}={value}\n" for key, value in self._properties.items())
        template = Template((SOURCE / "server.properties").read_text() + extra)
        self._properties_file.write_text(
            template.substitute(
                port=port, controller_port=free_port(), data_folder=self.folder / "data"
            )
        )

    def _format_storage(self, java: str, jars: Path) -> None:
        if (self.folder / "data" / "meta.properties").is_file():
            return
        arguments = ["format", "--cluster-id", cluster_id(), "--config", str(self._properties_file)]
        done = subprocess.run(
            [java, *JVM_OPTIONS, "-cp", f"{jars}/*", "kafka.tools.StorageTool", *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise BrokerError(
                f"formatting {self.folder / 'data'} failed: {done.stderr.strip()[-2000:]}. "
                "Remove the folder to start afresh"
            )

    def _launch(self, java: str, jars: Path) -> None:
        """Start the JVM as an orphan in a session of its own, so that it outlives this process."""
        command = [java, *JVM_OPTIONS, "-cp", f"{jars}/*", "kafka.Kafka"]
        shell = 'log="$1"; shift; nohup "$@" >"$log" 2>&1 </dev/null & echo $!'
        done = subprocess.run(
            ["sh", "-c", shell, "sh", self._log_file, *command, self._properties_file],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            cwd=self.folder,
            start_new_session=True,
        )
        process = psutil.Process(int(done.stdout))
        self._pid_file.write_text(f"{process.pid} {process.create_time():.2f}")

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not _answers(self.port):
            self._check_start(deadline)
            time.sleep(0.1)
        client = admin(KafkaSettings(bootstrap_servers=self.bootstrap_servers))
        while True:
            try:
                if client.list_topics(timeout=PROBE_SECONDS).brokers:
                    return
            except KafkaException:
                self._check_start(deadline)

    def _check_start(self, deadline: float) -> None:
        if not self.running:
            raise BrokerError(f"Kafka ended while starting; {self._log_file}: {self._log_tail()}")
        if time.monotonic() > deadline:
            raise BrokerError(
                f"Kafka doesn't answer on {self.bootstrap_servers} after {START_SECONDS:.0f} s; "
                f"{self._log_file}: {self._log_tail()}"
            )

    def _log_tail(self) -> str:
        lines = self._log_file.read_text(errors="replace").splitlines()
        return "\n".join([line for line in lines if not line.startswith("\tat ")][-15:])


def fetch_jars() -> Path:
    """The folder with the broker's jars: fetched by Maven when the pom is new, else as it is.

    Raises:
        BrokerError: Maven is missing or can't fetch.
    """
    digest = hashlib.sha256((SOURCE / "pom.xml").read_bytes()).hexdigest()[:12]
    jars = SOURCE / "target" / f"jars-{digest}"
    if jars.is_dir():
        return jars
    partial = jars.with_name(f"{jars.name}-{uuid.uuid4().hex[:8]}")
    command = [_tool("mvn"), "-q", "-B", "-ntp", f"-Djars.folder={partial}"]
    done = subprocess.run(
        [*command, "dependency:copy-dependencies"],
        cwd=SOURCE,
        capture_output=True,
        text=True,
        check=False,
        timeout=FETCH_SECONDS,
    )
    if done.returncode:
        shutil.rmtree(partial, ignore_errors=True)
        raise BrokerError(
            f"Maven couldn't fetch the jars of {SOURCE / 'pom.xml'}: "
            f"{done.stdout.strip()[-2000:]}. Check that Maven Central or your mirror can be reached"
        )
    try:
        partial.rename(jars)
    except OSError:  # another process was first
        shutil.rmtree(partial)
    return jars


def _tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise BrokerError(
            f"`{name}` is not on the PATH: install Java 17 or newer and Maven "
            "(Debian: `apt-get install openjdk-17-jre-headless maven`), "
            "or use your own cluster by kafka.bootstrap_servers"
        )
    return found


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _answers(port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(1.0)
        return client.connect_ex(("127.0.0.1", port)) == 0


def cluster_id() -> str:
    """A new id of a cluster: 16 random bytes, URL-safe base64, never taken for an option."""
    while (made := urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")).startswith("-"):
        pass
    return made
