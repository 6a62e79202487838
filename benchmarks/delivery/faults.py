"""What can go wrong with a running service: each kind of fault, and which worker it hits.

Serves `durability`. A fault leaves its worker dead or alive; whoever hits next, starts it again.
"""

import os
import random
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.delivery.workers import Workers
from stream.broker.local import LocalKafka
from stream.failpoints import FAILPOINTS

LIBRARY = ("library-0", "library-1")
DECIDE = ("decide-a", "decide-b")
BROKER = ("broker",)
# For a worker to get to the point where it is to fail, after which it didn't come to pass.
REACH_SECONDS = 30.0
DECIDE_SECONDS = 16.0
"""Half of it goes by until Kafka has given up the dead worker and the next gets its partitions."""
DISK_MEGABYTES = 32  # of a worker's own file system: a few snapshots, and quick to fill
LEFT_BYTES = 16_384  # at most: some files still fit, others break off in the middle
FILL_TRIES = 10  # a worker may write or delete between the look and the filling


@dataclass(frozen=True)
class Site:
    """What faults can reach.

    Attributes:
        disks: the snapshot folder of each shard's worker.
        small: whether each of them is a small file system of its own, that can be filled.
    """

    workers: Workers
    kafka: LocalKafka
    disks: Mapping[str, Path]
    small: bool


Hit = Callable[[Site, str, random.Random], bool]
"""Does it to a worker; False where it didn't come to pass, after `REACH_SECONDS`."""


@dataclass(frozen=True)
class Kind:
    """A kind of fault.

    Attributes:
        lanes: whom it can hit, each at most once at a time.
        weight: how many of 200 faults are of it.
    """

    lanes: tuple[str, ...]
    hit: Hit
    weight: int


def killed(max_seconds: float, site: Site, name: str, choose: random.Random) -> bool:
    """At a random moment, from its start on."""
    site.workers.start(name)
    time.sleep(choose.uniform(0.5, max_seconds))
    return site.workers.end(name, signal.SIGKILL) == -signal.SIGKILL


def dies_at(point: str, most: int, site: Site, name: str, choose: random.Random) -> bool:
    """At one of the first passings of a named point."""
    end(site, name)
    deadline = time.monotonic() + REACH_SECONDS
    while (left := deadline - time.monotonic()) > 0:
        site.workers.start(name, f"{point}={choose.randint(1, most)}")
        if site.workers.dies(name, left):
            return True
    return False


def broker_killed(site: Site, _name: str, choose: random.Random) -> bool:
    """And back within moments."""
    time.sleep(choose.uniform(0.5, 3.0))
    site.kafka.kill()
    time.sleep(choose.uniform(0.0, 2.0))
    site.kafka.start()
    return True


def broker_restarted(site: Site, _name: str, choose: random.Random) -> bool:
    """As an operator does."""
    time.sleep(choose.uniform(0.5, 3.0))
    site.kafka.stop()
    site.kafka.start()
    return True


def _disk_full(site: Site, name: str, choose: random.Random) -> bool:
    """Nothing, or little more, can be written until the worker says so; half of them die then."""
    site.workers.start(name)
    time.sleep(choose.uniform(0.5, 2.0))
    before = _refusals(site, name)
    left = choose.choice((0, choose.randrange(LEFT_BYTES)))
    with filled(site.disks[name], left) if site.small else _limited(site.workers.pid(name), left):
        deadline = time.monotonic() + REACH_SECONDS
        while site.workers.runs(name) and _refusals(site, name) == before:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)
        if choose.random() < 0.5:
            end(site, name, signal.SIGKILL)
    return True


def _byte_flipped(site: Site, name: str, choose: random.Random) -> bool:
    """In a file under the snapshot folder, while the worker is away."""
    site.workers.start(name)
    deadline = time.monotonic() + REACH_SECONDS
    while not (files := files_in(site.disks[name])) and time.monotonic() < deadline:
        time.sleep(0.1)
    end(site, name, choose.choice((signal.SIGTERM, signal.SIGKILL)))
    files = files_in(site.disks[name])
    if not files:
        return False
    path = choose.choice(files)
    data = bytearray(path.read_bytes())
    data[choose.randrange(len(data))] ^= 1 << choose.randrange(8)
    path.write_bytes(data)
    site.workers.start(name)
    time.sleep(choose.uniform(2.0, 4.0))
    return True


def end(site: Site, name: str, how: signal.Signals = signal.SIGTERM) -> None:
    """If it runs."""
    if site.workers.runs(name):
        site.workers.end(name, how)


def files_in(folder: Path) -> list[Path]:
    """Those with something in them, in a settled order."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and _size(path))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # its worker has just dropped it
        return 0


def _refusals(site: Site, name: str) -> int:
    """How often the worker said that it couldn't write."""
    said = site.workers.log(name).read_bytes()
    return said.count(b"No space left on device") + said.count(b"File too large")


@contextmanager
def filled(disk: Path, left_bytes: int) -> Iterator[None]:
    """A file takes all the room but so much, for the time of the block."""
    filler = disk / "filler"
    try:
        with filler.open("wb") as file:
            for _ in range(FILL_TRIES):
                size = _free_bytes(disk) - left_bytes
                with suppress(OSError):  # a worker was quicker, and there is less room
                    if size > 0:
                        os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), size)
        yield
    finally:
        filler.unlink()


def _free_bytes(disk: Path) -> int:
    status = os.statvfs(disk)
    return status.f_bavail * status.f_frsize


@contextmanager
def _limited(pid: int, left_bytes: int) -> Iterator[None]:
    """The process can't write beyond so much of any file, for the time of the block."""
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (left_bytes, before[1]))
    try:
        yield
    finally:
        if Path(f"/proc/{pid}").exists():
            resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


@contextmanager
def small_disks(folder: Path, *, mount: bool) -> Iterator[tuple[dict[str, Path], bool]]:
    """A snapshot folder for each shard's worker, if wanted on a small file system of its own.

    Yields:
        The folders by worker, and whether they could be mounted: only root may. Where not, a disk
        is full by a limit on the size of the worker's files, which asks less of the worker.
    """
    disks = {name: folder / name for name in LIBRARY}
    mounted: list[Path] = []
    try:
        for path in disks.values():
            path.mkdir(parents=True)
            if mount and mount_small(path):
                mounted.append(path)
        yield disks, len(mounted) == len(disks)
    finally:
        for path in mounted:
            subprocess.run(["umount", path], check=True)


def mount_small(path: Path) -> bool:
    """Mount a small file system there; False where this user may not."""
    if os.geteuid() != 0:
        return False
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MEGABYTES}m", "samesource", str(path)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


MAX_PASSINGS = {"library": 8, "library.merging": 1, "snapshot": 2, "decide": 6}
"""By point, or by what comes before its dot; merges and snapshots are rare."""

NEVER_PASSED = {"library.after_restate"}  # uploads are not delivered late here

# Weights set by hand: shards, whose snapshots can break, have most.
KINDS: dict[str, Kind] = {
    "kill -9 library": Kind(LIBRARY, partial(killed, 8.0), 26),
    "kill -9 decide": Kind(DECIDE, partial(killed, DECIDE_SECONDS), 14),
    **{
        point: Kind(
            DECIDE if point.startswith("decide") else LIBRARY,
            partial(dies_at, point, MAX_PASSINGS.get(point, MAX_PASSINGS[point.split(".")[0]])),
            12,
        )
        for point in FAILPOINTS
        if point.startswith(("library", "snapshot", "decide")) and point not in NEVER_PASSED
    },
    "Kafka kill -9": Kind(BROKER, broker_killed, 4),
    "Kafka restart": Kind(BROKER, broker_restarted, 4),
    "disk full": Kind(LIBRARY, _disk_full, 12),
    "flipped byte": Kind(LIBRARY, _byte_flipped, 12),
}
AT_ONCE, AT_ONCE_WEIGHT = "all at once", 24


@dataclass(frozen=True)
class Fault:
    """One fault to come."""

    kind: str
    lane: str
    seed: int

    def hit(self, site: Site) -> bool:
        """Let it happen; False where it didn't come to pass."""
        return KINDS[self.kind].hit(site, self.lane, random.Random(self.seed))


def plan(faults: int, seed: int, names: Sequence[str] | None = None) -> dict[str, list[Fault]]:
    """So many faults, or a few more, by window: one for each kind, and one of all kinds at once.

    Args:
        faults: in all.
        seed: of all chance.
        names: of windows, by default all.
    """
    choose = random.Random(seed)
    weights = {name: kind.weight for name, kind in KINDS.items()} | {AT_ONCE: AT_ONCE_WEIGHT}
    wanted = [*weights] if names is None else [*names]
    whole = sum(weights[name] for name in wanted)
    windows: dict[str, list[Fault]] = {}
    for name in wanted:
        kinds = choose.sample([*KINDS], len(KINDS)) if name == AT_ONCE else [name]
        windows[name] = []
        for number in range(max(1, -(-faults * weights[name] // whole))):
            kind = kinds[number % len(kinds)]
            lanes = KINDS[kind].lanes
            lane = choose.choice(lanes) if name == AT_ONCE else lanes[number % len(lanes)]
            windows[name].append(Fault(kind, lane, choose.randrange(2**32)))
    return windows
