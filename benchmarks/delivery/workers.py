"""The service's own processes, that can be killed at any moment and started again.

Serves `delivery` and `durability`.
"""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from stream.broker.settings import KafkaSettings
from stream.failpoints import VARIABLE

SAMESOURCE = Path(sys.executable).with_name("samesource")
STOP_SECONDS = 60.0  # over `worker.drain_seconds`: a worker that is still there hangs
HUNG = 1000  # no exit code that a process can have
AFTER_SIGNALS = (0, -signal.SIGKILL, -signal.SIGTERM)  # the last: it hadn't even begun
BY_A_FAULT = (-signal.SIGKILL,)  # a failpoint's, which nobody here sends


class Ended(NamedTuple):
    """A process that ended otherwise than it was told to.

    Attributes:
        name: of the worker.
        code: its exit code, as of `Popen`.
        at: when that was seen, by `time.monotonic`.
        said: the last line of its log.
    """

    name: str
    code: int
    at: float
    said: str


class Workers:
    """One process for each worker. One thread at a time may do something with a worker.

    Attributes:
        kills: the names of those that were killed and started again, in order.
        ended: what ended by itself, also with exit code 0, or with another code than told to.
        hung: how often each didn't heed a signal.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        folder: Path,
        commands: Mapping[str, Sequence[str]],
        environment: Callable[[str], Mapping[str, str]],
    ) -> None:
        """Nothing runs yet.

        Args:
            kafka: a running cluster.
            folder: for logs and scratch; made when missing.
            commands: what comes after `samesource worker`, by name.
            environment: of the worker of that name, on top of this process's own.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self._kafka, self._folder = kafka, folder
        self._commands, self._environment = commands, environment
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.kills: list[str] = []
        self.ended: list[Ended] = []
        self._heard: set[subprocess.Popen[bytes]] = set()
        self.hung: Counter[str] = Counter()

    @property
    def names(self) -> list[str]:
        """Of all workers, running or not."""
        return [*self._commands]

    def start(self, name: str, failpoint: str | None = None) -> None:
        """Start a worker unless it runs; its output goes to a file of its own.

        One that has ended by itself is noted in `ended`.

        Args:
            name: of the worker.
            failpoint: where it is to die, as in `stream.failpoints`.
        """
        if self.runs(name):
            return
        self.note(name)
        environment = {
            **os.environ,
            "SAMESOURCE_KAFKA__BOOTSTRAP_SERVERS": self._kafka.bootstrap_servers,
            "SAMESOURCE_KAFKA__TOPIC_PREFIX": self._kafka.topic_prefix,
            "SAMESOURCE_WORKER__DATA_FOLDER": str(self._folder / name),
            **self._environment(name),
        }
        if failpoint is not None:
            environment[VARIABLE] = failpoint
        with self.log(name).open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [str(SAMESOURCE), "worker", *self._commands[name]],
                env=environment,
                stdout=log,
                stderr=log,
            )

    def log(self, name: str) -> Path:
        """Where a worker's output goes."""
        return self._folder / f"{name}.log"

    def pid(self, name: str) -> int:
        """The process of a worker that was started."""
        return self._processes[name].pid

    def runs(self, name: str) -> bool:
        """Whether its process is alive."""
        return name in self._processes and self._processes[name].poll() is None

    def kill(self, name: str) -> None:
        """`kill -9`, and start it again."""
        self.end(name, signal.SIGKILL)
        self.kills.append(name)
        self.start(name)

    def end(self, name: str, how: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal that ends a worker, wait until it has; its exit code, as of `Popen`.

        One that is still there after `STOP_SECONDS` is noted in `hung` and killed; its code is
        `HUNG`.
        """
        process = self._processes[name]
        self.note(name)
        process.send_signal(how)
        try:
            return self._noted(name, process.wait(STOP_SECONDS), AFTER_SIGNALS)
        except subprocess.TimeoutExpired:
            process.kill()
            self._noted(name, process.wait(), AFTER_SIGNALS)
            self.hung[name] += 1
            return HUNG

    def dies(self, name: str, seconds: float) -> bool:
        """Whether it is dead by SIGKILL within so long.

        One that ended by itself is noted in `ended`, and isn't.
        """
        try:
            code = self._processes[name].wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return self._noted(name, code, BY_A_FAULT) == -signal.SIGKILL

    def revive(self) -> None:
        """Start those that have ended by themselves, as a supervisor does, and note them."""
        for name in self._processes:
            self.start(name)

    def note(self, name: str) -> None:
        """If it has ended by itself, note it in `ended`; each process is noted once."""
        process = self._processes.get(name)
        if process is not None and (code := process.poll()) is not None:
            self._noted(name, code, BY_A_FAULT)

    def _noted(self, name: str, code: int, expected: Sequence[int]) -> int:
        """The exit code; one that isn't expected is kept in `ended`."""
        process = self._processes[name]
        if process not in self._heard and code not in expected:
            said = self.log(name).read_text(errors="replace").splitlines()[-1:]
            self.ended.append(Ended(name, code, time.monotonic(), "".join(said)))
        self._heard.add(process)
        return code

    def ended_by_code(self) -> dict[str, int]:
        """How often which worker ended with which code otherwise than it was told to."""
        return dict(Counter(f"{each.name} with {each.code}" for each in self.ended))

    def stop(self) -> None:
        """End them all as an operator would.

        Raises:
            RuntimeError: one ended with an error.
        """
        for process in self._processes.values():
            process.terminate()
        for name, process in self._processes.items():
            code = process.wait(STOP_SECONDS)
            if code not in (0, -signal.SIGTERM):
                raise RuntimeError(f"{name} ended with {code}; see {self.log(name)}")


@contextmanager
def all_running(workers: Workers) -> Iterator[Workers]:
    """All workers, for the time of the block."""
    try:
        for name in workers.names:
            workers.start(name)
        yield workers
    finally:
        workers.stop()
