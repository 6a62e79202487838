"""What can go wrong on the worst day: every role, broker, disks, clocks and the object store.

Serves `chaos`. As in `faults`, a fault leaves its worker dead or alive; whoever hits next, starts
it again.
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
from functools import partial
from pathlib import Path
from typing import Any

import psutil
from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]
from botocore.session import get_session  # type: ignore[import-untyped]

from benchmarks.faults import (
    LEFT_BYTES,
    Kind,
    Site,
    broker_killed,
    broker_restarted,
    dies_at,
    end,
    files_in,
    filled,
    killed,
    mount_small,
)
from stream.broker.local import free_port
from stream.failpoints import FAILPOINTS

FINGERPRINT = ("fingerprint-a", "fingerprint-b")
LIBRARY = ("library-0", "library-1")
DECIDE = ("decide-a", "decide-b")
GUESTS = ("fingerprint-c", "decide-c")
BROKER, STORE = ("broker",), ("store",)
LONGER_THAN_A_SESSION_SECONDS = (8.0, 12.0)
CLOCK_STEPS_SECONDS = (-86_400, -1_800, 1_800, 86_400)
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
    """

    store: ObjectStore
    clocks: Mapping[str, Path]
    bad_exits: list[str] = field(default_factory=list)


def _ended(site: WorstSite, name: str, choose: random.Random) -> bool:
    """SIGTERM at a random moment: it must end by itself, with 0."""
    site.workers.start(name)
    time.sleep(choose.uniform(1.0, 8.0))
    if not site.workers.runs(name):
        return False
    start = time.monotonic()
    code = site.workers.end(name)
    if code not in (0, -signal.SIGTERM):  # the latter: it had hardly begun
        site.bad_exits.append(f"{name} ended with {code} after {time.monotonic() - start:.0f} s")
    return True


def _paused(site: WorstSite, name: str, choose: random.Random) -> bool:
    """Silent for longer than its session, then it goes on as if nothing had been."""
    site.workers.start(name)
    time.sleep(choose.uniform(2.0, 6.0))
    if not site.workers.runs(name):
        return False
    with _stopped(psutil.Process(site.workers.pid(name))):
        time.sleep(choose.uniform(*LONGER_THAN_A_SESSION_SECONDS))
    return True


def _broker_paused(site: WorstSite, _name: str, choose: random.Random) -> bool:
    time.sleep(choose.uniform(0.5, 3.0))
    process = psutil.Process(int((site.kafka.folder / "kafka.pid").read_text().split()[0]))
    with _stopped(process):
        time.sleep(choose.uniform(*LONGER_THAN_A_SESSION_SECONDS))
    return True


def _visited(site: WorstSite, name: str, choose: random.Random) -> bool:
    """Another worker joins the group, and leaves or dies: two rebalances."""
    site.workers.start(name)
    time.sleep(choose.uniform(4.0, 10.0))
    return site.workers.end(name, choose.choice((signal.SIGTERM, signal.SIGKILL))) is not None


def _disk_full(site: WorstSite, name: str, choose: random.Random) -> bool:
    """Nothing, or next to nothing, can be written for a while."""
    if not site.small:
        return False
    site.workers.start(name)
    time.sleep(choose.uniform(0.5, 3.0))
    with filled(site.disks[name], choose.choice((0, choose.randrange(LEFT_BYTES)))):
        time.sleep(choose.uniform(2.0, 6.0))
        if choose.random() < 0.3:
            end(site, name, signal.SIGKILL)
            site.workers.start(name)
            time.sleep(choose.uniform(2.0, 5.0))
    return True


def _disk_read_only(site: WorstSite, name: str, choose: random.Random) -> bool:
    if not site.small:
        return False
    end(site, name)
    if not _remounted(site.disks[name], "ro"):
        return False
    try:
        site.workers.start(name)
        time.sleep(choose.uniform(2.0, 6.0))
    finally:
        end(site, name, signal.SIGKILL)
        _remounted(site.disks[name], "rw")
    return True


def _damaged(site: WorstSite, name: str, choose: random.Random) -> bool:
    """A file of its snapshots has a flipped bit, is cut off or is gone, while it is away."""
    site.workers.start(name)
    time.sleep(choose.uniform(2.0, 5.0))
    end(site, name, choose.choice((signal.SIGTERM, signal.SIGKILL)))
    found = files_in(site.disks[name] / "snapshots")
    if not found:
        return False
    path = choose.choice(found)
    how = choose.choice(("flip", "cut", "gone"))
    data = bytearray(path.read_bytes())
    if how == "flip":
        data[choose.randrange(len(data))] ^= 1 << choose.randrange(8)
        path.write_bytes(data)
    elif how == "cut":
        path.write_bytes(data[: choose.randrange(len(data))])
    else:
        path.unlink()
    site.workers.start(name)
    return True


def _disk_lost(site: WorstSite, name: str, choose: random.Random) -> bool:
    """Its snapshots are gone, and often one in the store is damaged too."""
    end(site, name, choose.choice((signal.SIGTERM, signal.SIGKILL)))
    shutil.rmtree(site.disks[name] / "snapshots", ignore_errors=True)
    if choose.random() < 0.5:
        site.store.damage(choose)
    site.workers.start(name)
    time.sleep(choose.uniform(2.0, 5.0))
    return True


def _store_paused(site: WorstSite, _name: str, choose: random.Random) -> bool:
    time.sleep(choose.uniform(0.5, 3.0))
    site.store.pause(choose.uniform(3.0, 10.0))
    return True


def _store_lost(site: WorstSite, _name: str, choose: random.Random) -> bool:
    """It is away, and comes back with nothing in it."""
    site.store.stop()
    time.sleep(choose.uniform(1.0, 6.0))
    site.store.start()
    return True


def _clock_stepped(site: WorstSite, name: str, choose: random.Random) -> bool:
    """The worker's clock, not the monotonic one, is wrong for a while, then right again."""
    if name not in site.clocks:
        return False
    site.workers.start(name)
    time.sleep(choose.uniform(0.5, 3.0))
    _set_clock(site.clocks[name], choose.choice(CLOCK_STEPS_SECONDS))
    try:
        time.sleep(choose.uniform(3.0, 8.0))
    finally:
        _set_clock(site.clocks[name], 0)
    return True


@contextmanager
def _stopped(process: psutil.Process) -> Iterator[None]:
    process.suspend()
    try:
        yield
    finally:
        with suppress(psutil.NoSuchProcess):
            process.resume()


def _remounted(disk: Path, how: str) -> bool:
    """Whether it could be: a decoder whose worker was killed may still hold a file for a moment."""
    command = ["mount", "-o", f"remount,{how}", str(disk)]
    for _ in range(20):
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            return True
        time.sleep(0.5)
    return False


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
        _set_clock(clock, 0)
    return clocks, library


def clock_environment(clock: Path | None, library: Path | None) -> dict[str, str]:
    """What makes a worker read its wall clock through such a file."""
    if clock is None or library is None:
        return {}
    return {"LD_PRELOAD": str(library), "STEPPING_CLOCK": str(clock)}


def _set_clock(clock: Path, seconds: int) -> None:
    """In place: the worker has the file mapped."""
    with clock.open("r+b" if clock.exists() else "wb") as file:
        file.write(seconds.to_bytes(8, sys.byteorder, signed=True))


def _role_of(point: str) -> tuple[str, ...]:
    part = point.split(".")[0]
    return {"fingerprint": FINGERPRINT, "decide": DECIDE}.get(part, LIBRARY)


MOST_PASSINGS = {"library.merging": 1, "snapshot.writing": 2, "snapshot.before_rename": 2}
"""Of other points 6; merges and snapshots are rare."""

KINDS: dict[str, Kind] = {
    "kill -9 fingerprint": Kind(FINGERPRINT, partial(killed, 8.0), 70),
    "kill -9 library": Kind(LIBRARY, partial(killed, 8.0), 60),
    "kill -9 decide": Kind(DECIDE, partial(killed, 12.0), 60),
    **{
        point: Kind(_role_of(point), partial(dies_at, point, MOST_PASSINGS.get(point, 6)), 35)
        for point in FAILPOINTS
    },
    "SIGTERM fingerprint": Kind(FINGERPRINT, _ended, 40),
    "SIGTERM library": Kind(LIBRARY, _ended, 30),
    "SIGTERM decide": Kind(DECIDE, _ended, 40),
    "SIGSTOP fingerprint": Kind(FINGERPRINT, _paused, 25),
    "SIGSTOP library": Kind(LIBRARY, _paused, 20),
    "SIGSTOP decide": Kind(DECIDE, _paused, 25),
    "a worker comes and goes": Kind(GUESTS, _visited, 30),
    "disk full: downloads and spools": Kind(FINGERPRINT, _disk_full, 25),
    "disk full: snapshots": Kind(LIBRARY, _disk_full, 25),
    "disk full: state": Kind(DECIDE, _disk_full, 15),
    "disk read-only": Kind((*FINGERPRINT, *LIBRARY, *DECIDE), _disk_read_only, 25),
    "snapshot damaged": Kind(LIBRARY, _damaged, 30),
    "snapshots lost": Kind(LIBRARY, _disk_lost, 20),
    "object store silent": Kind(STORE, _store_paused, 15),
    "object store lost": Kind(STORE, _store_lost, 10),
    "clock step": Kind((*FINGERPRINT, *LIBRARY, *DECIDE), _clock_stepped, 30),
    "Kafka kill -9": Kind(BROKER, broker_killed, 12),
    "Kafka restart": Kind(BROKER, broker_restarted, 10),
    "Kafka SIGSTOP": Kind(BROKER, _broker_paused, 8),
}


@dataclass(frozen=True)
class Fault:
    """One fault to come."""

    kind: str
    lane: str
    seed: int

    def hit(self, site: WorstSite) -> bool:
        """Let it happen; False where it didn't come to pass."""
        return KINDS[self.kind].hit(site, self.lane, random.Random(self.seed))


def plan(faults: int, seed: int, names: Sequence[str] | None = None) -> dict[str, list[Fault]]:
    """So many faults, or a few more, mixed at random; by the lane that they hit, in order.

    Args:
        faults: in all.
        seed: of all chance.
        names: of kinds, by default all.
    """
    choose = random.Random(seed)
    kinds = {name: KINDS[name] for name in names or KINDS}
    whole = sum(kind.weight for kind in kinds.values())
    lanes: dict[str, list[Fault]] = {}
    for name, kind in kinds.items():
        for number in range(max(1, -(-faults * kind.weight // whole))):
            lane = kind.lanes[number % len(kind.lanes)]
            lanes.setdefault(lane, []).append(Fault(name, lane, choose.randrange(2**32)))
    for found in lanes.values():
        choose.shuffle(found)
    return lanes
