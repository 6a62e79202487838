"""A real Apache Kafka on this machine: one KRaft node on the loopback address.

For trying out and for the tests that must not run on an imitation. Its jars come from
`kafka/local/pom.xml`, its data stays in a folder, and it outlives the process that started it.
"""

import errno
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from string import Template
from typing import Self

import psutil

from stream.broker.client import Reader, send
from stream.broker.clients import answers
from stream.broker.jars import SOURCE, class_archive, fetch_jars, tool
from stream.broker.settings import KafkaSettings
from stream.broker.topics import create_topics
from stream.errors import BrokerError

START_SECONDS = 90.0  # a few on an idle machine; a JVM on a busy one takes many times that
STOP_SECONDS = 30.0  # then it is killed, which loses nothing that is on disk
PROBE_SECONDS = 2.0  # for one answer while it starts; a question that comes too early is lost
LOOKS, LOOK_SECONDS = 20, 0.05  # at a process without arguments; a machine may be busy for so long
ARCHIVE_SECONDS = 300.0  # for the JVM to write its classes to a file; ten on an idle machine
PRACTISED = "video.uploaded"
JVM_OPTIONS = (
    "-Xms256m",
    "-Xmx512m",  # set by hand; the load is a demo's or a test's
    "-XX:+UseSerialGC",  # others start threads for every core, of a heap that is small
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
        java, jars = tool("java"), fetch_jars()
        options = (*JVM_OPTIONS, *_shared_classes(java, jars))
        self._start(java, jars, options, options)

    def _start(
        self, java: str, jars: Path, formatting: Sequence[str], running: Sequence[str]
    ) -> None:
        """Start it with these options of the JVM, and of the one that formats its folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._held_port() as port, held_port() as controller_port:
            self._write_properties(port, controller_port)
            self._format_storage([java, *formatting, "-cp", f"{jars}/*"])
            self._launch([java, *running, "-cp", f"{jars}/*"])
            self._wait_until_it_answers()

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """End the broker cleanly; by force when it takes over 30 s. Idle when it doesn't run."""
        process = self._process()
        if process is None:
            return
        process.terminate()
        try:
            process.wait(seconds)
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
            process = psutil.Process(int(self._pid_file.read_text().split()[0]))
            # By its arguments: when it began moves with the clock.
            return process if str(self._properties_file) in _arguments(process) else None
        except (FileNotFoundError, ValueError, IndexError, psutil.NoSuchProcess):
            return None

    def _former_port(self) -> int:
        if not self._properties_file.is_file():
            return 0
        lines = self._properties_file.read_text().splitlines()
        listeners = next(line for line in lines if line.startswith("advertised.listeners="))
        return int(listeners.rpartition(":")[2])

    @contextmanager
    def _held_port(self) -> Iterator[int]:
        # Of its former start rather than any: clients go on knowing it by that address.
        port = self._wanted_port or self._former_port()
        with ExitStack() as held:
            try:
                port = held.enter_context(held_port(port))
            # Said now: the JVM would say it seconds later, somewhere in its log.
            except OSError as error:
                taken = error.errno == errno.EADDRINUSE
                why = (
                    "is taken by another process: end it"
                    if taken
                    else f"can't be used ({error.strerror})"
                )
                raise BrokerError(f"port {port} {why}, or name another one") from error
            yield port

    def _write_properties(self, port: int, controller_port: int) -> None:
        extra = "".join(f"{key}={value}\n" for key, value in self._properties.items())
        template = Template((SOURCE / "server.properties").read_text() + extra)
        self._properties_file.write_text(
            template.substitute(
                port=port, controller_port=controller_port, data_folder=self.folder / "data"
            )
        )

    def _format_storage(self, java: Sequence[str]) -> None:
        # Once: the cluster's id in it belongs to the records that lie beside it.
        if (self.folder / "data" / "meta.properties").is_file():
            return
        arguments = ["format", "--cluster-id", cluster_id(), "--config", str(self._properties_file)]
        done = subprocess.run(
            [*java, "kafka.tools.StorageTool", *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise BrokerError(
                f"formatting {self.folder / 'data'} failed: {done.stderr.strip()[-2000:]}. "
                "Remove the folder to start afresh"
            )

    def _launch(self, java: Sequence[str]) -> None:
        """Start the JVM as an orphan in a session of its own, so that it outlives this process."""
        shell = 'log="$1"; shift; nohup "$@" >"$log" 2>&1 </dev/null & echo $!'
        done = subprocess.run(
            ["sh", "-c", shell, "sh", self._log_file, *java, "kafka.Kafka", self._properties_file],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            cwd=self.folder,
            start_new_session=True,
        )
        self._pid_file.write_text(done.stdout.strip())

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not _answers(self.port):
            self._check_start(deadline)
            time.sleep(0.1)
        # An open port is no broker yet: it is one when it tells of itself.
        kafka = KafkaSettings(bootstrap_servers=self.bootstrap_servers)
        while not answers(kafka, PROBE_SECONDS):
            self._check_start(deadline)

    def _check_start(self, deadline: float) -> None:
        process = self._process()
        if process is None:
            raise BrokerError(f"Kafka ended while starting; {self._log_file}: {self._log_tail()}")
        if time.monotonic() > deadline:
            raise BrokerError(
                f"Kafka ({process.pid}, {process.status()}) doesn't answer on "
                f"{self.bootstrap_servers} after {START_SECONDS:.0f} s; "
                f"{self._log_file}: {self._log_tail()}"
            )

    def _log_tail(self) -> str:
        # Java's traces are longer than what is shown: their frames would push out the cause.
        lines = self._log_file.read_text(errors="replace").splitlines()
        return "\n".join([line for line in lines if not line.startswith("\tat ")][-15:])


def _arguments(process: psutil.Process) -> list[str]:
    """Of a process; none of a zombie."""
    for _ in range(LOOKS):
        arguments = process.cmdline()
        if arguments or process.status() == psutil.STATUS_ZOMBIE:
            return arguments
        time.sleep(LOOK_SECONDS)  # it has none for a moment, while it becomes another program
    return []


def _shared_classes(java: str, jars: Path) -> tuple[str, ...]:
    """The option that lets a JVM read its classes from an archive, where there is one."""
    archive = class_archive(java, jars, lambda option: _practise(java, jars, option))
    return () if archive is None else (f"-XX:SharedArchiveFile={archive}",)


def _practise(java: str, jars: Path, option: str) -> None:
    """Run a broker with an option of the JVM, and do with it what one is started for."""
    with tempfile.TemporaryDirectory(prefix="samesource-kafka-") as folder:
        kafka = LocalKafka(Path(folder))
        try:
            kafka._start(java, jars, JVM_OPTIONS, (*JVM_OPTIONS, option))
            settings = KafkaSettings(bootstrap_servers=kafka.bootstrap_servers)
            create_topics(settings)
            send(settings, PRACTISED, [(b"key", b"value", [])])
            with Reader(settings, PRACTISED) as reader:
                list(reader.until_now())
            kafka.stop(ARCHIVE_SECONDS)
        finally:
            kafka.kill()


@contextmanager
def held_port(port: int = 0) -> Iterator[int]:
    """A loopback port that nobody else is given for the time of the block.

    One server may listen on it meanwhile, which sets SO_REUSEADDR, as those of Java and Python do.
    Only Linux lets it beside one that is held; elsewhere another process may be quicker.

    Args:
        port: the number; 0 is any that is free.

    Raises:
        OSError: somebody has it.
    """
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", port))
        number = int(held.getsockname()[1])
        if sys.platform != "linux":
            held.close()
        yield number


def free_port() -> int:
    """A loopback port that nobody listens on now; another process may be given it at once."""
    with held_port() as port:
        return port


def _answers(port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(1.0)
        return client.connect_ex(("127.0.0.1", port)) == 0


def cluster_id() -> str:
    """A new id of a cluster: 16 random bytes, URL-safe base64, never taken for an option."""
    while (made := urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")).startswith("-"):
        pass
    return made
