"""What can go wrong on the worst day: every role, broker, disks, clocks and the object store.

Serves `chaos`. A fault leaves its worker dead or alive; its lane starts it again before the next.
"""

import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil

from benchmarks.delivery.chaos_site import WorstSite, set_clock
from benchmarks.delivery.faults import (
    LEFT_BYTES,
    broker_killed,
    broker_restarted,
    end,
    files_in,
    filled,
)
from stream.failpoints import FAILPOINTS

FINGERPRINT = ("fingerprint-a", "fingerprint-b")
LIBRARY = ("library-0", "library-1", "library-2", "library-3")
DECIDE = ("decide-a", "decide-b")
GUESTS = ("fingerprint-c", "decide-c")
BROKER, STORE = ("broker",), ("store",)
# The session is 6 s there: the group has given up the worker that wakes.
LONGER_THAN_A_SESSION_SECONDS = (7.0, 10.0)
REACH_SECONDS = 45.0  # for a worker to get to the point where it is to die; a merge comes seldom
WHILE_STARTING = 0.3
"""Of the workers that are killed or told to end: those that have hardly begun."""
# A wrong date and a wrong time, both ways. Set by hand.
CLOCK_STEPS_SECONDS = (-86_400, -1_800, 1_800, 86_400)


@dataclass(frozen=True)
class Kind:
    """A kind of fault.

    Attributes:
        lanes: whom it can hit, each at most once at a time.
        hit: does it to one of them; False where it didn't come to pass.
        weight: how many of some 1,150 faults are of it.
    """

    lanes: tuple[str, ...]
    hit: Callable[[WorstSite, str, random.Random], bool]
    weight: int


def _killed(site: WorstSite, name: str, choose: random.Random) -> bool:
    """At a random moment of its work, or of its start."""
    if choose.random() < WHILE_STARTING:
        end(site, name, signal.SIGKILL)
    begun = not site.workers.runs(name)
    site.workers.start(name)
    time.sleep(choose.uniform(0.3, 4.0 if begun else 2.0))
    return site.workers.end(name, signal.SIGKILL) == -signal.SIGKILL


def _dies_at(point: str, most: int, site: WorstSite, name: str, choose: random.Random) -> bool:
    """At one of the first passings of a named point, on its way until it has."""
    end(site, name, choose.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM)))
    deadline = time.monotonic() + REACH_SECONDS
    site.armed[name] = point
    try:
        while (left := deadline - time.monotonic()) > 0:
            site.workers.start(name, f"{point}={choose.randint(1, most)}")
            if site.workers.dies(name, left):
                return True
    finally:
        del site.armed[name]
    end(site, name, signal.SIGKILL)  # or it would die there during another fault
    return False


def _ended(site: WorstSite, name: str, choose: random.Random) -> bool:
    """SIGTERM at a random moment of its work or its start: it must end by itself, with 0."""
    if choose.random() < WHILE_STARTING:
        end(site, name, signal.SIGKILL)
    begun = not site.workers.runs(name)
    site.workers.start(name)
    time.sleep(choose.uniform(0.3, 5.0 if begun else 2.0))
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
    time.sleep(choose.uniform(0.0, 2.0))
    if not site.workers.runs(name):
        return False
    with _stopped(psutil.Process(site.workers.pid(name))):
        time.sleep(choose.uniform(*LONGER_THAN_A_SESSION_SECONDS))
    return True


def _broker_paused(site: WorstSite, _name: str, choose: random.Random) -> bool:
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
    time.sleep(choose.uniform(0.0, 1.0))
    with filled(site.disks[name], choose.choice((0, choose.randrange(LEFT_BYTES)))):
        time.sleep(choose.uniform(2.0, 5.0))
        if choose.random() < 0.3:
            end(site, name, signal.SIGKILL)
            site.workers.start(name)
            time.sleep(choose.uniform(3.0, 5.0))
    return True


def _disk_read_only(site: WorstSite, name: str, choose: random.Random) -> bool:
    if not site.small:
        return False
    end(site, name, choose.choice((signal.SIGTERM, signal.SIGKILL)))
    if not _remounted(site.disks[name], "ro"):
        return False
    try:
        site.workers.start(name)
        time.sleep(choose.uniform(3.0, 6.0))
    finally:
        end(site, name, signal.SIGKILL)
        _remounted(site.disks[name], "rw")
    return True


def _damaged(site: WorstSite, name: str, choose: random.Random) -> bool:
    """A file of its snapshots has a flipped bit, is cut off or is gone, while it is away."""
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
    return True


def _store_paused(site: WorstSite, _name: str, choose: random.Random) -> bool:
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
    set_clock(site.clocks[name], choose.choice(CLOCK_STEPS_SECONDS))
    try:
        time.sleep(choose.uniform(2.0, 6.0))
    finally:
        set_clock(site.clocks[name], 0)
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


def _lane_of(point: str) -> tuple[str, ...]:
    part = point.split(".")[0]
    return {"fingerprint": FINGERPRINT, "decide": DECIDE}.get(part, LIBRARY)


RESTATE = "library.after_restate"
MAX_PASSINGS = {
    RESTATE: 1,
    "library.merging": 1,
    "snapshot.writing": 2,
    "snapshot.before_rename": 2,
    "snapshot.after_rename": 2,
}
"""Of other points 4."""

# Weights set by hand: each of Kafka's own faults stops everything, so they are few.
KINDS: dict[str, Kind] = {
    "kill -9 fingerprint": Kind(FINGERPRINT, _killed, 70),
    "kill -9 library": Kind(LIBRARY, _killed, 60),
    "kill -9 decide": Kind(DECIDE, _killed, 60),
    **{
        point: Kind(_lane_of(point), partial(_dies_at, point, MAX_PASSINGS.get(point, 4)), 35)
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


ENDING = {name for name in KINDS if name.startswith(("disk", "clock"))}
"""Kinds for which the worker that is hit may end by itself; Kafka's may end any worker."""


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
