"""A PostgreSQL of the tests' own: Debian's programs, on a socket in a temporary folder."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from tests.tools import not_installed

START_SECONDS = 60.0
USER = "console"


class Postgres:
    """One server; `kill` and `start` are for tests of what happens when it goes away."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._programs = _programs()
        # It refuses to be root's.
        self._user = _other_user() if os.geteuid() == 0 else None
        if self._user is not None:
            os.chown(folder, self._user.pw_uid, self._user.pw_gid)
        self._process: subprocess.Popen[bytes] | None = None
        self._names = count()
        self._run("initdb", "-D", str(folder / "data"), "-U", USER, "-A", "trust", "-E", "UTF8",
                  "--locale=C", "--no-sync")  # fmt: skip

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = ("listen_addresses=", "fsync=off", "max_connections=60")
        command = self._command("postgres", "-D", f"{self.folder}/data", "-k", str(self.folder))
        with (self.folder / "log").open("ab") as log:
            self._process = process = subprocess.Popen(
                [*command, *(part for option in options for part in ("-c", option))],
                stdout=subprocess.DEVNULL,
                stderr=log,
                **self._as_user(),
            )
        until = time.monotonic() + START_SECONDS
        while self._call("pg_isready", "-h", str(self.folder), "-q").returncode:
            assert time.monotonic() < until, (self.folder / "log").read_text()
            assert process.poll() is None, (self.folder / "log").read_text()
            time.sleep(0.05)

    def kill(self) -> None:
        """End it and its children with no chance to tidy up."""
        assert self._process is not None
        children = _children(self._process.pid)
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        for child in children:
            _end(child)

    def stop(self) -> None:
        """End it."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait()

    def new_database(self) -> str:
        """The URL of a new, empty database."""
        name = f"test{next(self._names)}"
        self._run("createdb", "-h", str(self.folder), "-U", USER, name)
        return f"postgresql://{USER}@/{name}?host={self.folder}"

    def execute(self, url: str, statement: str) -> None:
        """Execute SQL in the database of a URL."""
        self._run("psql", "-X", "-q", "-d", url, "-v", "ON_ERROR_STOP=1", "-c", statement)

    def _run(self, program: str, *arguments: str) -> None:
        done = self._call(program, *arguments)
        assert done.returncode == 0, f"{program}: {done.stderr.decode()}"

    def _call(self, program: str, *arguments: str) -> "subprocess.CompletedProcess[bytes]":
        command = self._command(program, *arguments)
        return subprocess.run(command, capture_output=True, check=False, **self._as_user())

    def _command(self, program: str, *arguments: str) -> list[str]:
        return [str(self._programs / program), *arguments]

    def _as_user(self) -> dict[str, Any]:
        if self._user is None:
            return {"cwd": self.folder}
        ids: dict[str, Any] = {
            "user": self._user.pw_uid,
            "group": self._user.pw_gid,
            "extra_groups": [],
        }
        return {"cwd": self.folder, **ids}


@contextmanager
def running() -> Iterator[Postgres]:
    """A server for the time of the block; where none is installed, the test is skipped."""
    # Not pytest's folder, which root alone may enter; and a socket's path must be short.
    folder = Path(tempfile.mkdtemp(prefix="samesource-pg-", dir="/tmp"))
    try:
        server = Postgres(folder)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path:
    """The folder of the newest version's programs."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3])
    )
    on_path = shutil.which("initdb")
    if not found and on_path is None:
        not_installed("postgresql")
    return found[-1].parent if found else Path(str(on_path)).resolve().parent


def _other_user() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise FileNotFoundError("PostgreSQL refuses root, and there is no user postgres or nobody")


def _children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in listed.split()]


def _end(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    while (
        Path(f"/proc/{pid}/stat").exists() and b") Z" not in Path(f"/proc/{pid}/stat").read_bytes()
    ):
        time.sleep(0.01)
