"""One run of the service over a made library log, while faults happen to it, window by window.

Serves `durability`.
"""

import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.delivery.answer_differences import IDS
from benchmarks.delivery.faults import BROKER, Fault, Site, small_disks
from benchmarks.delivery.made_log import Entry, LogMaker, Probe
from benchmarks.delivery.outside_client import LINGER_SECONDS, Answers, Platform
from benchmarks.delivery.undecided import traces
from benchmarks.delivery.workers import Workers, all_running
from stream.broker.local import LocalKafka
from stream.broker.settings import KafkaSettings
from stream.broker.topics import create_topics

WORKERS: dict[str, tuple[str, ...]] = {
    "library-0": ("library", "--shard", "0/2"),
    "library-1": ("library", "--shard", "1/2"),
    "decide-a": ("decide",),
    "decide-b": ("decide",),
}
SETTINGS = {
    "SAMESOURCE_WORKER__SESSION_TIMEOUT_SECONDS": "6",
    "SAMESOURCE_LIBRARY__SNAPSHOT_EVERY_VIDEOS": "4",
    "SAMESOURCE_LIBRARY__SNAPSHOT_EVERY_SECONDS": "1",
    "SAMESOURCE_LIBRARY__RUN_ROWS": "300",
    "SAMESOURCE_LIBRARY__EXACT_ROWS": "3000",
    "OMP_NUM_THREADS": "1",
}
ENTRIES_PER_FAULT = 6  # of the log: a worker has something in hand whenever it is hit; set by hand
PROBED_LOOKS = 20  # in each window: a search in what the faults left behind
FIRST_GUESS_SECONDS = 4.0  # of one fault, until some are measured
PAUSE_SECONDS = (0.01, 1.5)  # between two entries: no burst that is over at once, no standstill
GIVES_UP_SECONDS = 30.0  # behind a window: what gave up in it may be seen only then; set by hand
SILENCE_SECONDS = 90.0  # without a decision, after which the rest counts as lost; set by hand
LAST = "at the end"


@dataclass(frozen=True)
class Window:
    """A part of the log and the faults while it is read.

    Attributes:
        name: of the kind of fault.
        entries: probes included.
    """

    name: str
    faults: list[Fault]
    entries: list[Entry]
    probes: list[Probe]


@dataclass
class Run:
    """What became of one run.

    Attributes:
        came: how many faults happened, by window.
        unreached: how many didn't come to pass, by kind.
        undecided: by request, what the topics say of it.
        ended: how often workers ended by themselves, by worker, exit code and last line; not those
            that gave up, with code 1, where Kafka was taken away.
        hung: how often workers didn't end when they were told to.
        without_kafka: when Kafka was taken away, and who starts then ends, by `time.monotonic`.
    """

    answers: Answers
    seconds: float
    came: dict[str, int] = field(default_factory=dict)
    unreached: dict[str, int] = field(default_factory=dict)
    undecided: dict[str, list[str]] = field(default_factory=dict)
    ended: dict[str, int] = field(default_factory=dict)
    hung: dict[str, int] = field(default_factory=dict)
    without_kafka: list[tuple[float, float]] = field(default_factory=list)


def make_windows(planned: dict[str, list[Fault]], seed: int) -> list[Window]:
    """The log, cut into windows; probes at its end copy from everything that it ever held."""
    maker, windows = LogMaker(seed), []
    for name, faults in planned.items():
        entries = [*maker.entries(ENTRIES_PER_FAULT * len(faults))]
        probes = maker.probes(PROBED_LOOKS)
        entries += [probe.entry for probe in probes]
        windows.append(Window(name, faults, entries, probes))
    probes = maker.probes()
    windows.append(Window(LAST, [], [probe.entry for probe in probes], probes))
    return windows


def run(
    local: LocalKafka, prefix: str, folder: Path, windows: Sequence[Window], *, mount: bool
) -> Run:
    """One run of the service over the log.

    Args:
        local: the running broker.
        prefix: of this run's topics.
        folder: for logs, snapshots and scratch.
        windows: the log and the faults.
        mount: whether to give each shard a small disk of its own, if this user may.
    """
    kafka = KafkaSettings(bootstrap_servers=local.bootstrap_servers, topic_prefix=prefix)
    create_topics(kafka)
    with small_disks(folder / "disks", mount=mount) as (disks, small):

        def environment(name: str) -> dict[str, str]:
            disk = (
                {"SAMESOURCE_LIBRARY__SNAPSHOT_FOLDER": str(disks[name])} if name in disks else {}
            )
            return SETTINGS | disk

        workers = Workers(kafka, folder, WORKERS, environment)
        with _platform(kafka) as platform, all_running(workers):
            found, start = Run(platform.answers, 0.0), time.monotonic()
            for window in windows:
                missing = _run_window(Site(workers, local, disks, small), platform, window, found)
                found.undecided |= traces(kafka, missing) if missing else {}
            platform.read(LINGER_SECONDS)
            found.seconds = time.monotonic() - start
    found.ended = Counter(
        f"{each.name} with {each.code}: {each.said}"
        for each in workers.ended
        if not (each.code == 1 and any(a <= each.at <= b for a, b in found.without_kafka))
    )
    found.hung = dict(workers.hung)
    return found


@contextmanager
def _platform(kafka: KafkaSettings) -> Iterator[Platform]:
    platform = Platform(kafka.bootstrap_servers, kafka.topic_prefix, tuple(IDS))
    try:
        yield platform
    finally:
        platform.close()


def _run_window(site: Site, platform: Platform, window: Window, found: Run) -> set[str]:
    """Publish a window while its faults happen, then wait for all its decisions.

    Returns:
        The requests that none came of.
    """
    lanes: dict[str, list[Fault]] = {}
    for fault in window.faults:
        lanes.setdefault(fault.lane, []).append(fault)
    results: list[tuple[Fault, bool]] = []
    over, start = threading.Event(), time.monotonic()
    with ThreadPoolExecutor(max(1, len(lanes))) as pool:
        running = [pool.submit(_hit_all, site, faults, results, over) for faults in lanes.values()]
        try:
            _publish(platform, window, results, running)
        finally:
            over.set()
        for lane in running:
            lane.result()
    site.workers.revive()
    if any(came and fault.lane in BROKER for fault, came in results):
        found.without_kafka.append((start, time.monotonic() + GIVES_UP_SECONDS))
    for fault, came in results:
        counts, name = (found.came, window.name) if came else (found.unreached, fault.kind)
        counts[name] = counts.get(name, 0) + 1
    platform.producer.flush()
    undecided = _wait_for_decisions(site.workers, platform, window)
    print(
        f"{window.name:24} {sum(came for _, came in results):4} of {len(window.faults):3} faults, "
        f"{len(window.entries):4} entries, {len(undecided)} undecided, "
        f"{time.monotonic() - start:5.1f} s",
        file=sys.stderr,
        flush=True,
    )
    return undecided


def _hit_all(
    site: Site, faults: list[Fault], results: list[tuple[Fault, bool]], over: threading.Event
) -> None:
    for fault in faults:
        if over.is_set():
            return
        results.append((fault, fault.hit(site)))
    if faults[0].lane in WORKERS:
        site.workers.start(faults[0].lane)


def _publish(
    platform: Platform,
    window: Window,
    results: list[tuple[Fault, bool]],
    running: list[Future[None]],
) -> None:
    """Publish the entries in order, so slowly that the last come with the last fault."""
    start = time.monotonic()
    for number, entry in enumerate(window.entries):
        value = None if entry.event is None else entry.event.to_bytes()
        platform.producer.produce("video.fingerprinted", value, entry.key.encode())
        if not all(lane.done() for lane in running):
            done, left = len(results), len(window.faults) - len(results)
            each = (time.monotonic() - start) / done if done else FIRST_GUESS_SECONDS / len(running)
            pause = each * (left + 1) / (len(window.entries) - number)
            platform.read(min(max(pause, PAUSE_SECONDS[0]), PAUSE_SECONDS[1]))
    while not all(lane.done() for lane in running):
        platform.read(0.2)


def _wait_for_decisions(workers: Workers, platform: Platform, window: Window) -> set[str]:
    """The requests that are still undecided when nothing has come for `SILENCE_SECONDS`."""
    wanted = {entry.event.request_id for entry in window.entries if entry.event is not None}
    heard, count = time.monotonic(), -1
    while True:
        platform.read(0.3)
        decided = {event["request_id"] for event in platform.answers["video.decided"]}
        left = wanted - decided
        if not left:
            return left
        if (now := sum(map(len, platform.answers.values()))) != count:
            heard, count = time.monotonic(), now
        elif time.monotonic() - heard > SILENCE_SECONDS:
            return left
        workers.revive()
