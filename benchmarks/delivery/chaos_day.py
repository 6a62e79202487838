"""Lets faults come in lanes while the platform does its work, and notes what it sees.

Serves `chaos`. A lane is what can be hit once at a time: a worker, the broker, the object store.
"""

import random
import resource
import sys
import threading
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import psutil

from benchmarks.delivery.chaos_faults import (
    BROKER,
    DECIDE,
    ENDING,
    FINGERPRINT,
    LIBRARY,
    RESTATE,
    Fault,
)
from benchmarks.delivery.chaos_site import WorstSite
from benchmarks.delivery.chaos_world import World
from benchmarks.delivery.outside_client import Answers
from benchmarks.delivery.workers import Ended

RESIDENTS = (*FINGERPRINT, *LIBRARY, *DECIDE)
# Uploads on their way: enough that a fault always finds work in hand, few enough that one lost
# upload shows as a standstill. Set by hand.
BACKLOG = 24
CALM_SECONDS = (0.0, 2.0)  # at least between two faults of a lane, drawn evenly
# How long a role may take to do anything after a fault; longer is counted as `no_progress` and the
# day goes on. Set by hand, over the session timeout and a rebalance.
MIN_PROGRESS_SECONDS = 40.0
FIRST_DECISION_SECONDS = 120.0  # Python, networks and Kafka start meanwhile, all on the same cores
AHEAD = 0.06
"""Of its faults a worker's lane may be ahead of the slowest."""
READ_SECONDS = 0.25  # of each look for answers, between two uploads
EXPLAINS_SECONDS = 90.0
"""After its end, a fault explains that a process ends: the patience with a Kafka client whose clock
was set back, and its timer for those that froze, are 75 s; see `stream.broker.patience`."""
LOOK_SECONDS = 10.0  # between samples of memory, which grows slowly
TELL_SECONDS = 30.0  # between lines of progress
# Without a decision, after which the rest counts as lost: over all that a stop, a rebalance and a
# restart of Kafka may take together. Set by hand.
SILENCE_SECONDS = 180.0


@dataclass
class Work:
    """What each role has done so far, as its answers show.

    Attributes:
        embedded: versions of videos that fingerprint workers have told of.
        compared: requests that each shard has answered.
        decided: requests.
    """

    embedded: set[tuple[str, Any]] = field(default_factory=set)
    compared: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    decided: set[str] = field(default_factory=set)
    _read: Counter[str] = field(default_factory=Counter)

    def take_in(self, answers: Answers) -> None:
        """Read what has come since."""
        for event in self._new(answers, "video.embedded"):
            self.embedded.add((event["video_id"], event.get("content_version")))
        for event in self._new(answers, "video.compared"):
            self.compared[event["shard"]].add(event["request_id"])
        for event in self._new(answers, "video.decided"):
            self.decided.add(event["request_id"])

    def of(self, lane: str) -> int:
        """How much the role of a lane has done; where a lane has none, how much all have."""
        if lane in LIBRARY:
            return len(self.compared[LIBRARY.index(lane)])
        return len(self.embedded if lane.startswith("fingerprint") else self.decided)

    def _new(self, answers: Answers, topic: str) -> Sequence[dict[str, Any]]:
        events = answers[topic][self._read[topic] :]
        self._read[topic] += len(events)
        return events


@dataclass
class Day:
    """What happened.

    Attributes:
        faults: each that came to pass, with its begin and end in seconds since the start.
        unreached: how many didn't, by kind.
        failed: those in which this script failed, and how.
        left: how many were still to come when time was up, by lane.
        no_progress: how often a lane's role had done nothing between two faults, by lane.
        memory: resident MB by process, with the seconds since the start.
        start: by `time.monotonic`.
        seconds: until the last fault was over.
    """

    faults: list[tuple[Fault, float, float]] = field(default_factory=list)
    unreached: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    left: Counter[str] = field(default_factory=Counter)
    no_progress: Counter[str] = field(default_factory=Counter)
    memory: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))
    start: float = field(default_factory=time.monotonic)
    seconds: float = 0.0

    def explains(self, ended: Ended) -> bool:
        """Whether a fault may have ended a process by itself: an error, told in its last line.

        Nobody starts without Kafka or a disk, and who asks Kafka while the clock steps gives up.
        """
        at = ended.at - self.start
        return ended.code == 1 and any(
            begin <= at <= end + EXPLAINS_SECONDS
            and (fault.lane in BROKER or (fault.lane == ended.name and fault.kind in ENDING))
            for fault, begin, end in self.faults
        )


class Lanes:
    """All lanes of a day, each in a thread of its own, none far ahead of another."""

    def __init__(
        self,
        site: WorstSite,
        lanes: Mapping[str, list[Fault]],
        work: Work,
        over: Callable[[], bool],
    ) -> None:
        """Nothing happens yet.

        Args:
            site: what is hit.
            lanes: the faults of each.
            work: is kept true by the caller.
            over: says that no more faults should begin.
        """
        self._site, self._lanes, self._work, self._over = site, lanes, work, over
        self._done = dict.fromkeys(lanes, 0)
        self._lock = threading.Lock()
        self.day = Day()

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self.day.start

    def open(self, lane: str) -> bool:
        """Whether faults of a lane are still to come."""
        return self._done.get(lane, 0) < len(self._lanes.get(lane, ()))

    def live_through(self, lane: str) -> None:
        """All faults of a lane, one after another, once something is decided."""
        self._wait(lane, FIRST_DECISION_SECONDS, lambda: bool(self._work.decided))
        for fault in self._lanes[lane]:
            self._wait_for_work(lane, random.Random(fault.seed))
            if self._over():
                break
            self._hit(fault)
            self._done[lane] += 1
        with self._lock:
            self.day.left[lane] = len(self._lanes[lane]) - self._done[lane]
        self._done[lane] = len(self._lanes[lane])

    def _wait_for_work(self, lane: str, choose: random.Random) -> None:
        """Let the lane's role do something between two faults, or they find nobody at work."""
        before = self._work.of(lane)
        self._wait(lane, choose.uniform(*CALM_SECONDS), lambda: False, revive=False)
        self._wait(lane, float("inf"), lambda: not self._is_ahead(lane))
        if not self._wait(lane, MIN_PROGRESS_SECONDS, lambda: self._work.of(lane) > before):
            with self._lock:
                self.day.no_progress[lane] += 1

    def _hit(self, fault: Fault) -> None:
        begin = self.seconds
        try:
            came = fault.hit(self._site)
        except Exception:
            with self._lock:
                self.day.failed.append(f"{fault.kind} of {fault.lane}: {traceback.format_exc()}")
            return
        with self._lock:
            if came:
                self.day.faults.append((fault, begin, self.seconds))
            else:
                self.day.unreached[fault.kind] += 1

    def _wait(
        self, lane: str, seconds: float, done: Callable[[], bool], *, revive: bool = True
    ) -> bool:
        """Until it is done, the lane's worker at work meanwhile; False when time was up before."""
        deadline = time.monotonic() + seconds
        while not (came := done()) and time.monotonic() < deadline and not self._over():
            if revive and lane in RESIDENTS:
                self._site.workers.start(lane)
            time.sleep(0.1)
        return came or self._over()

    def _is_ahead(self, lane: str) -> bool:
        """Of the slowest worker; the few faults of other lanes are spread over the day."""
        shares = {name: self._done[name] / len(faults) for name, faults in self._lanes.items()}
        slowest = min((share for name, share in shares.items() if name in RESIDENTS), default=1.0)
        each = 1 / len(self._lanes[lane])
        if lane in RESIDENTS:
            return shares[lane] > slowest + max(AHEAD, 3 * each)
        return shares[lane] + each / 2 > slowest


def live_through(
    site: WorstSite, world: World, planned: Mapping[str, list[Fault]], over: Callable[[], bool]
) -> Day:
    """Let the platform do its work while faults come; ends when all have, or it is over."""
    work, broken = Work(), threading.Event()
    lanes = Lanes(site, planned, work, lambda: over() or broken.is_set())
    told = looked = 0.0
    with ThreadPoolExecutor(max(1, len(planned))) as pool:
        running = [pool.submit(lanes.live_through, lane) for lane in planned]
        try:
            while not all(one.done() for one in running):
                supervise(site, [name for name in RESIDENTS if not lanes.open(name)])
                if len(world.undecided) < BACKLOG:
                    world.step(late_for=_wanted(site))
                world.platform.read(READ_SECONDS)
                work.take_in(world.platform.answers)
                if (now := lanes.seconds) - looked > LOOK_SECONDS:
                    looked = now
                    look(site, lanes.day, now)
                if now - told > TELL_SECONDS:
                    told = now
                    _tell(lanes, planned, world)
        finally:
            broken.set()  # if it ends by an error, the lanes end too
        for one in running:
            one.result()
    lanes.day.seconds = lanes.seconds
    look(site, lanes.day, lanes.seconds)
    return lanes.day


def _wanted(site: WorstSite) -> int | None:
    """The shard that a late upload should come to: its worker waits for one."""
    return next((LIBRARY.index(lane) for lane, at in [*site.armed.items()] if at == RESTATE), None)


def supervise(site: WorstSite, names: Sequence[str]) -> None:
    """Start again what has ended, as a supervisor does."""
    for name in names:
        site.workers.start(name)


def look(site: WorstSite, day: Day, seconds: float) -> None:
    """Note how much memory each process has resident, its children included."""
    pids = {name: site.workers.pid(name) for name in site.workers.names if site.workers.runs(name)}
    pids |= {"object store": site.store.pid}
    pid_file = site.kafka.folder / "kafka.pid"
    if pid_file.is_file() and (text := pid_file.read_text().split()):
        pids["Kafka"] = int(text[0])
    for name, pid in pids.items():
        try:
            process = psutil.Process(pid)
            family = [process, *process.children(recursive=True)]
            resident = sum(one.memory_info().rss for one in family) / 2**20
        except psutil.NoSuchProcess:  # just killed
            continue
        day.memory[name].append((round(seconds), round(resident, 1)))


def _tell(lanes: Lanes, planned: Mapping[str, list[Fault]], world: World) -> None:
    day, spent = lanes.day, resource.getrusage(resource.RUSAGE_CHILDREN)
    print(
        f"{lanes.seconds:6.0f} s  {len(day.faults)} of {sum(map(len, planned.values()))} faults, "
        f"{sum(day.unreached.values())} not reached, {len(world.submissions)} submitted, "
        f"{len(world.undecided)} undecided, no progress {sum(day.no_progress.values())} times, "
        f"{spent.ru_utime + spent.ru_stime:.0f} CPU s of ended workers, "
        f"{time.process_time():.0f} here",
        file=sys.stderr,
        flush=True,
    )


def settle(site: WorstSite, world: World) -> None:
    """Wait until everything is decided, or nothing has come for `SILENCE_SECONDS`."""
    world.platform.producer.flush()
    heard, count = time.monotonic(), -1
    while world.undecided:
        supervise(site, RESIDENTS)
        world.platform.read(0.5)
        now = sum(map(len, world.platform.answers.values()))
        if now != count:
            heard, count = time.monotonic(), now
        elif time.monotonic() - heard > SILENCE_SECONDS:
            return
