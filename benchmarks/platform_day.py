"""A platform's day in fast motion on a real Kafka: lag, memory and disk over time as one picture.

    python -m benchmarks.platform_day [--entries 15000] [--picture FILE.png] [--json FILE]

A made library log (uploads, references, new versions, takedowns, repeats; see `made_log`) with
policy changes and verdicts among it goes through library and decide workers, each a process of
its own. The first tenth comes as fast as it is answered; the rest at a rate that rises and falls
as days do, at its height more than the service can take. Every request must be decided.
"""

import argparse
import json
import math
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from benchmarks.delivery.answer_differences import IDS
from benchmarks.delivery.made_log import LogMaker
from benchmarks.delivery.outside_client import Platform
from benchmarks.delivery.workers import Workers
from stream.broker.local import LocalKafka
from stream.broker.settings import KafkaSettings
from stream.broker.topics import create_topics

WORKERS: dict[str, tuple[str, ...]] = {
    "library-0": ("library", "--shard", "0/2"),
    "library-1": ("library", "--shard", "1/2"),
    "decide": ("decide",),
}
MEAN_LOAD, SWING, DAYS = 0.7, 0.8, 1.0
SAMPLE_SECONDS = 2.0  # between looks at memory and disk
# Undecided requests at which the platform waits; beyond it the figures would be of a queue.
BACKLOG = 40
POLICY_SHARE, VERDICT_SHARE = 0.02, 0.05
SILENCE_SECONDS = 120.0  # without a decision, after which the rest counts as lost


@dataclass
class Sample:
    """The service at one moment.

    Attributes:
        seconds: since the start.
        published: library log entries so far.
        undecided: requests on the broker without a decision.
        resident_mb: of each worker, children included.
        disk_mb: of snapshots, and of Kafka's data.
    """

    seconds: float
    published: int
    undecided: int
    resident_mb: dict[str, float]
    disk_mb: dict[str, float]


@dataclass
class PlatformDay:
    """Publishes the log, reads the answers, samples the workers."""

    platform: Platform
    workers: Workers
    folders: dict[str, Path]
    maker: LogMaker
    samples: list[Sample] = field(default_factory=list)
    published: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.maker.seed)
        self._start = time.monotonic()
        self._requests: set[str] = set()
        self._decided: set[str] = set()
        self._read = 0
        self.done: Counter[str] = Counter()

    @property
    def undecided(self) -> int:
        """Requests that wait for their decision."""
        events = self.platform.answers["video.decided"]
        self._decided.update(event["request_id"] for event in events[self._read :])
        self._read = len(events)
        return len(self._requests - self._decided)

    def live_through(self, entries: int) -> float:
        """The whole day; entries a second in its first tenth, which came as fast as answered."""
        todo = self.maker.entries(entries)
        self._publish(todo)
        self._settle()  # the workers have started
        self._start, first = time.monotonic(), self.published
        for _ in range(entries // 10):
            self._publish(todo)
            while self.undecided > BACKLOG:
                self._look(0.05)
        self._settle()
        capacity = (self.published - first) / (time.monotonic() - self._start)
        left = entries - self.published
        length = left / (MEAN_LOAD * capacity)
        begin = time.monotonic()
        while self.published < entries:
            share = min((time.monotonic() - begin) / length, 1.0)
            due = entries - left + round(left * _risen(share))
            while self.published < min(due, entries):
                self._publish(todo)
            self._look(0.05)
        self._settle()
        return capacity

    def _publish(self, todo: Iterator[Any]) -> None:
        entry = next(todo)
        value = None if entry.event is None else entry.event.to_bytes()
        self.platform.producer.produce("video.fingerprinted", value, entry.key.encode())
        self.published += 1
        if entry.event is None:
            self.done["takedown"] += 1
        else:
            self._requests.add(entry.event.request_id)
            self.done[entry.event.role] += 1
        if self._random.random() < POLICY_SHARE:
            self._policy(f"owner-of-{entry.key}")
        if self._random.random() < VERDICT_SHARE:
            self._verdict()

    def _policy(self, owner: str) -> None:
        policy = {"schema_version": 1, "owner_id": owner, "least_seconds": 5.0}
        self.platform.producer.produce(
            "policy.updated", json.dumps(policy).encode(), owner.encode()
        )
        self.done["policy"] += 1

    def _verdict(self) -> None:
        alerts = self.platform.answers["alert.raised"]
        if not alerts:
            return
        alert = self._random.choice(alerts[-200:])
        verdict = {
            "schema_version": 1,
            "alert_id": alert["alert_id"],
            "verdict": self._random.choice(("confirmed", "dismissed")),
            "reviewer": "day",
            "reviewed_at": datetime.now(UTC).isoformat(),
            "video_id": alert["video_id"],
            "reference_id": alert["reference_id"],
        }
        key = str(alert["alert_id"]).encode()
        self.platform.producer.produce("alert.reviewed", json.dumps(verdict).encode(), key)
        self.done["verdict"] += 1

    def _look(self, seconds: float) -> None:
        self.platform.read(seconds)
        now = time.monotonic() - self._start
        if not self.samples or now - self.samples[-1].seconds >= SAMPLE_SECONDS:
            self.samples.append(
                Sample(
                    round(now, 1),
                    self.published,
                    self.undecided,
                    {name: _resident_mb(self.workers.pid(name)) for name in WORKERS},
                    {name: _disk_mb(folder) for name, folder in self.folders.items()},
                )
            )

    def _settle(self) -> None:
        self.platform.producer.flush()
        heard, before = time.monotonic(), self.undecided
        while before and time.monotonic() - heard < SILENCE_SECONDS:
            self._look(0.1)
            if (now := self.undecided) != before:
                heard, before = time.monotonic(), now


def _risen(share: float) -> float:
    """How much of the day's work is due after a share of the day; its rate rises and falls."""
    turn = 2 * math.pi * DAYS
    return share + SWING * (1 - math.cos(turn * share)) / turn


def _resident_mb(pid: int) -> float:
    process = psutil.Process(pid)
    family = [process, *process.children(recursive=True)]
    return round(sum(one.memory_info().rss for one in family) / 2**20, 1)


def _disk_mb(folder: Path) -> float:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_blocks * 512
        except FileNotFoundError:  # dropped meanwhile
            continue
    return round(total / 2**20, 1)


def measure(folder: Path, entries: int, seed: int) -> dict[str, Any]:
    """One day; its figures and samples."""
    with LocalKafka(folder / "kafka") as local:
        kafka = KafkaSettings(bootstrap_servers=local.bootstrap_servers, topic_prefix="day.")
        create_topics(kafka)
        snapshots = folder / "snapshots"
        snapshots.mkdir()
        settings = {
            "SAMESOURCE_LIBRARY__SNAPSHOT_FOLDER": str(snapshots),
            "SAMESOURCE_LIBRARY__SNAPSHOT_EVERY_VIDEOS": "200",
            "SAMESOURCE_LIBRARY__KEEP_REPLACED": "1000",
            "OMP_NUM_THREADS": "1",
        }
        workers = Workers(kafka, folder / "logs", WORKERS, lambda name: settings)
        platform = Platform(kafka.bootstrap_servers, kafka.topic_prefix, tuple(IDS))
        try:
            for name in WORKERS:
                workers.start(name)
            folders = {"snapshots": snapshots, "Kafka": folder / "kafka" / "data"}
            day = PlatformDay(platform, workers, folders, LogMaker(seed))
            capacity = day.live_through(entries)
        finally:
            platform.close()
            workers.stop()
    return figures(day, capacity)


def figures(day: PlatformDay, capacity: float) -> dict[str, Any]:
    """What a reader wants to know of a day."""
    held = len(day.maker.current)
    tenth, last = day.samples[len(day.samples) // 10], day.samples[-1]
    decided = Counter(event["request_id"] for event in day.platform.answers["video.decided"])
    return {
        "entries": day.published,
        "done": dict(day.done),
        "held_at_the_end": held,
        "undecided": day.undecided,
        "decided_again": sum(decided.values()) - len(decided),
        "entries_a_second_in_the_first_tenth": round(capacity, 1),
        "seconds": last.seconds,
        "max_undecided": max(sample.undecided for sample in day.samples),
        "resident_mb_after_a_tenth": tenth.resident_mb,
        "resident_mb_at_the_end": last.resident_mb,
        "disk_mb_at_the_end": last.disk_mb,
        "samples": [asdict(sample) for sample in day.samples],
    }


def draw(found: dict[str, Any], path: Path) -> None:
    """Lag, memory and disk over time, one above the other."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    samples = found["samples"]
    seconds = [sample["seconds"] for sample in samples]
    picture, (lag, memory, disk) = pyplot.subplots(3, 1, sharex=True, figsize=(9, 8))
    lag.plot(seconds, [sample["undecided"] for sample in samples])
    lag.set_ylabel("undecided requests")
    for name in samples[0]["resident_mb"]:
        memory.plot(seconds, [sample["resident_mb"][name] for sample in samples], label=name)
    memory.set_ylabel("resident, MB")
    for name in samples[0]["disk_mb"]:
        disk.plot(seconds, [sample["disk_mb"][name] for sample in samples], label=name)
    disk.set_ylabel("disk, MB")
    disk.set_xlabel(f"seconds ({found['entries']} log entries)")
    for axes in (memory, disk):
        axes.legend(loc="upper left")
        axes.set_ylim(bottom=0)
    picture.tight_layout()
    picture.savefig(path, dpi=90)


def main() -> int:
    """One day, without a fault; exit code 1 when something is undecided, or decided again."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--entries", type=int, default=15_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="samesource-day-") as scratch:
        found = measure(Path(scratch), arguments.entries, arguments.seed)
    print(json.dumps({k: v for k, v in found.items() if k != "samples"}, indent=2))
    if arguments.json:
        arguments.json.write_text(json.dumps(found))
    if arguments.picture:
        draw(found, arguments.picture)
    return int(bool(found["undecided"] or found["decided_again"]))


if __name__ == "__main__":
    sys.exit(main())
