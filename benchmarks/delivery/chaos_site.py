"""The places where the worst day happens: workers, disks of their own, an object store, clocks.

Serves `chaos`.
"""

import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]
from botocore.session import get_session  # type: ignore[import-untyped]

from benchmarks.delivery.faults import Site, mount_small
from stream.broker.local import free_port

BUCKET = "chaos"
CLOCK_SOURCE = Path(__file__).with_name("stepping_clock.c")
STORE_KEYS = {"AWS_ACCESS_KEY_ID": "chaos", "AWS_SECRET_ACCESS_KEY": "chaos"}


class ObjectStore:
    """An S3 server of this machine in a process of its own, which holds everything in memory."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._port = folder, free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What a client needs."""
        return STORE_KEYS | {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self._port}",
            "AWS_DEFAULT_REGION": "us-east-1",
            "SAMESOURCE_LIBRARY__SNAPSHOT_STORE": f"s3://{BUCKET}/library",
        }

    @property
    def pid(self) -> int:
        """Its process; it was started."""
        assert self._process is not None, "start() first"
        return self._process.pid

    def start(self) -> None:
        """Start it, empty, with the bucket."""
        with (self._folder / "store.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self._port)],
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + 60.0
        while socket.socket().connect_ex(("127.0.0.1", self._port)):
            if time.monotonic() > deadline:
                raise TimeoutError("the object store doesn't start; see store.log")
            time.sleep(0.2)
        self._client().create_bucket(Bucket=BUCKET)

    def stop(self) -> None:
        """End it; what it held is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def pause(self, seconds: float) -> None:
        """Let it answer nothing for so long."""
        assert self._process is not None, "start() first"
        self._process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        self._process.send_signal(signal.SIGCONT)

    def damage(self, choose: random.Random) -> bool:
        """Flip a byte of an object, or cut it in half; False where there is none."""
        client = self._client()
        with suppress(ClientError, BotoCoreError):  # it is away, or a worker dropped the object
            found = client.list_objects_v2(Bucket=BUCKET).get("Contents", [])
            if not (names := [one["Key"] for one in found if one["Size"]]):
                return False
            name = choose.choice(names)
            data = bytearray(client.get_object(Bucket=BUCKET, Key=name)["Body"].read())
            if choose.random() < 0.5:
                del data[len(data) // 2 :]
            else:
                data[choose.randrange(len(data))] ^= 1 << choose.randrange(8)
            client.put_object(Bucket=BUCKET, Key=name, Body=bytes(data))
            return True
        return False

    def _client(self) -> Any:
        return get_session().create_client(
            "s3",
            region_name="us-east-1",
            endpoint_url=f"http://127.0.0.1:{self._port}",
            aws_access_key_id="chaos",
            aws_secret_access_key="chaos",
        )


@dataclass(frozen=True)
class WorstSite(Site):
    """What faults can reach: of `disks` each worker has one, for snapshots, spools and scratch.

    Attributes:
        store: where snapshots are copied to.
        clocks: the file that says how far off each worker's clock is; empty without a C compiler.
        bad_exits: workers that got SIGTERM and didn't end with 0.
        armed: the failpoint that a worker is on its way to.
    """

    store: ObjectStore
    clocks: Mapping[str, Path]
    bad_exits: list[str] = field(default_factory=list)
    armed: dict[str, str] = field(default_factory=dict)


@contextmanager
def disks(folder: Path, names: Sequence[str]) -> Iterator[tuple[dict[str, Path], bool]]:
    """A folder for each worker, where root runs this on a small file system of its own.

    Yields:
        The folders by worker, and whether all are small.
    """
    found = {name: folder / name for name in names}
    small: list[Path] = []
    try:
        for path in found.values():
            path.mkdir(parents=True)
            if mount_small(path):
                small.append(path)
        yield found, len(small) == len(found)
    finally:
        for path in small:
            subprocess.run(["umount", "-l", path], check=True)


def stepping_clocks(folder: Path, names: Sequence[str]) -> tuple[dict[str, Path], Path | None]:
    """A file for each worker that says how many seconds its wall clock is off, and what reads it.

    Returns:
        The files, and the library to preload; nothing where there is no C compiler.
    """
    library, compiler = folder / "stepping_clock.so", shutil.which("cc")
    folder.mkdir()
    if compiler is None:
        return {}, None
    command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(CLOCK_SOURCE)]
    subprocess.run(command, check=True)
    clocks = {name: folder / name for name in names}
    for clock in clocks.values():
        set_clock(clock, 0)
    return clocks, library


def clock_environment(clock: Path | None, library: Path | None) -> dict[str, str]:
    """What makes a worker read its wall clock through such a file."""
    if clock is None or library is None:
        return {}
    return {"LD_PRELOAD": str(library), "STEPPING_CLOCK": str(clock)}


def set_clock(clock: Path, seconds: int) -> None:
    """In place: the worker has the file mapped."""
    with clock.open("r+b" if clock.exists() else "wb") as file:
        file.write(seconds.to_bytes(8, sys.byteorder, signed=True))
