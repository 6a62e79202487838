"""The worst day: a thousand faults of every kind on a real Kafka, and what was lost.

    python -m benchmarks.chaos CLIPS [--faults 1000] [--seed 1] [--minutes M] [--json FILE]

All roles run as processes while a made platform submits, replaces and takes down videos cut from
CLIPS. Workers, broker, disks, clocks and the object store fail at random. Then: each request has
one decision (a second one says the same), the alerts are those of the library log replayed in one
thread, and probes find every video that is kept and none that was taken down, by the order of
submission. After so many minutes, or a SIGINT or SIGTERM, no more faults begin, and those that came
are judged.
"""

import argparse
import json
import os
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.delivery.answer_differences import ALERTS, IDS
from benchmarks.delivery.chaos_day import RESIDENTS, Day, live_through, look, settle, supervise
from benchmarks.delivery.chaos_faults import DECIDE, FINGERPRINT, GUESTS, KINDS, LIBRARY, plan
from benchmarks.delivery.chaos_footage import looks_of
from benchmarks.delivery.chaos_site import (
    ObjectStore,
    WorstSite,
    clock_environment,
    disks,
    stepping_clocks,
)
from benchmarks.delivery.chaos_truth import Judgement, Loss, judge
from benchmarks.delivery.chaos_world import Probe, World
from benchmarks.delivery.outside_client import LINGER_SECONDS, Platform
from benchmarks.delivery.workers import Workers
from stream.broker.local import LocalKafka
from stream.broker.settings import KafkaSettings
from stream.broker.topics import create_topics
from stream.failpoints import FAILPOINTS

SHARDS = len(LIBRARY)
# Two workers of each role that shares partitions, and a guest beside them, so that a rebalance
# always has somewhere to go; a shard has one worker, which reads all of the log.
COMMANDS: dict[str, tuple[str, ...]] = {
    **{name: ("fingerprint",) for name in (*FINGERPRINT, GUESTS[0])},
    **{name: ("library", "--shard", f"{number}/{SHARDS}") for number, name in enumerate(LIBRARY)},
    **{name: ("decide",) for name in (*DECIDE, GUESTS[1])},
}
WRONG = ("losses", "ended_unexplained", "bad_exits", "hung_at_sigterm", "failed_to_cause")
"""The figures of which one that isn't empty makes the day a failure."""
SETTINGS = {
    "SAMESOURCE_WORKER__SESSION_TIMEOUT_SECONDS": "6",
    "SAMESOURCE_WORKER__DRAIN_SECONDS": "15",
    "SAMESOURCE_LIBRARY__SNAPSHOT_EVERY_VIDEOS": "5",
    "SAMESOURCE_LIBRARY__SNAPSHOT_EVERY_SECONDS": "2",
    "SAMESOURCE_LIBRARY__RUN_ROWS": "20",
    "SAMESOURCE_LIBRARY__EXACT_ROWS": "1000",
    "SAMESOURCE_LIBRARY__NEAR_ROWS": "200000",
    "SAMESOURCE_DECODE__PROCESSES": "1",
    "OMP_NUM_THREADS": "1",
}
"""Lists of codes find here what an exhaustive search finds, as all rows are near."""


def environment(
    site_disks: dict[str, Path],
    clocks: dict[str, Path],
    clock_library: Path | None,
    store: ObjectStore,
) -> Any:
    """What each worker gets on top of this process's environment."""

    def of(name: str) -> dict[str, str]:
        disk = site_disks[name]
        scratch = disk / "tmp"
        if not scratch.is_dir():
            scratch.mkdir()
        return {
            **SETTINGS,
            **store.environment,
            **clock_environment(clocks.get(name), clock_library),
            "TMPDIR": str(scratch),
            "SAMESOURCE_DECODE__SPOOL_FOLDER": str(scratch),
            "SAMESOURCE_LIBRARY__SNAPSHOT_FOLDER": str(disk / "snapshots"),
            "SAMESOURCE_WORKER__DATA_FOLDER": str(disk / "data"),
        }

    return of


def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The whole day and its judgement."""
    clips = sorted(arguments.clips.glob("*.mp4"))
    lanes = plan(arguments.faults, arguments.seed, arguments.kinds)
    stopped = threading.Event()
    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, lambda *_: stopped.set())
    with ExitStack() as stack:
        local = stack.enter_context(LocalKafka(folder / "kafka"))
        kafka = KafkaSettings(bootstrap_servers=local.bootstrap_servers, topic_prefix="chaos.")
        create_topics(kafka)
        store = ObjectStore(folder)
        stack.callback(store.stop)
        store.start()
        found, small = stack.enter_context(disks(folder / "disks", [*COMMANDS]))
        clocks, clock_library = stepping_clocks(folder / "clocks", RESIDENTS)
        videos = folder / "videos"
        roots = {"SAMESOURCE_FETCH__ROOTS": json.dumps([str(videos.resolve())])}
        own = environment(found, clocks, clock_library, store)
        workers = Workers(kafka, folder / "logs", COMMANDS, lambda name: own(name) | roots)
        stack.callback(_end_all, workers)
        platform = Platform(kafka.bootstrap_servers, kafka.topic_prefix, (*IDS, "video.embedded"))
        stack.callback(platform.close)
        looks = looks_of(clips, arguments.seed)
        world = World(kafka, platform, videos, looks, arguments.seed, SHARDS)
        site = WorstSite(workers, local, found, small, store, clocks)
        supervise(site, RESIDENTS)
        until = time.monotonic() + 60 * arguments.minutes
        day = live_through(site, world, lanes, lambda: stopped.is_set() or time.monotonic() > until)
        (folder / "log.json").write_text(json.dumps(log_of(day), indent=1))
        settle(site, world)
        probes: list[Probe] = world.probes()
        settle(site, world)
        platform.read(LINGER_SECONDS)
        look(site, day, day.seconds)
        for name in RESIDENTS:
            workers.note(name)
        (folder / "answers.json").write_text(json.dumps(platform.answers))
        judgement = judge(kafka, world, probes, SHARDS)
        return report(day, world, probes, judgement, site)


def _end_all(workers: Workers) -> None:
    for name in workers.names:
        if workers.runs(name):
            workers.end(name)


def report(
    day: Day, world: World, probes: Sequence[Probe], judgement: Judgement, site: WorstSite
) -> dict[str, Any]:
    """All figures; every loss with the faults that were going on since its submission."""
    answers = world.platform.answers
    ended = site.workers.ended
    reached = {fault.kind for fault, _, _ in day.faults}
    return {
        "faults": len(day.faults),
        "by_kind": Counter(fault.kind for fault, _, _ in day.faults),
        "by_lane": Counter(fault.lane for fault, _, _ in day.faults),
        "not_reached": day.unreached,
        "points_never_reached": sorted({*FAILPOINTS} & day.unreached.keys() - reached),
        "still_to_come": +day.left,
        "failed_to_cause": day.failed,
        "cpu_seconds": round(sum(os.times()[:4])),
        "no_progress_before": day.no_progress,
        "small_disks": site.small,
        "stepping_clocks": bool(site.clocks),
        "seconds": round(day.seconds),
        "submitted": len(world.submissions),
        "decided": len({event["request_id"] for event in answers["video.decided"]}),
        "done": world.done,
        "outcomes": Counter(event["outcome"] for event in answers["video.decided"]),
        "alerts": len({event["alert_id"] for topic in ALERTS for event in answers[topic]}),
        "decided_again": len(answers["video.decided"])
        - len({event["request_id"] for event in answers["video.decided"]}),
        "probes": {
            "kept": sum(len(probe.kept) for probe in probes),
            "gone": sum(len(probe.gone) for probe in probes),
            "unrecognised": judgement.unrecognised,
        },
        "ended_by_themselves": site.workers.ended_by_code(),
        "ended_unexplained": [
            f"{one.name} with {one.code} at {one.at - day.start:.0f} s: {one.said}"
            for one in ended
            if not day.explains(one)
        ],
        "bad_exits": site.bad_exits,
        "hung_at_sigterm": site.workers.hung,
        "memory": {name: memory_of(samples) for name, samples in day.memory.items()},
        "losses": [vars(loss) | {"faults": _going_on(day, loss)} for loss in judgement.losses],
        "log": log_of(day),
    }


def log_of(day: Day) -> list[dict[str, Any]]:
    """Each fault that came to pass, in the order in which they began."""
    return [
        {"kind": fault.kind, "hits": fault.lane, "begin": round(begin, 1), "end": round(end, 1)}
        for fault, begin, end in sorted(day.faults, key=lambda one: one[1])
    ]


def memory_of(samples: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """Resident MB of a process: the most, the last, and over time."""
    return {
        "most": max(megabytes for _, megabytes in samples),
        "last": samples[-1][1],
        "samples": samples,
    }


def _going_on(day: Day, loss: Loss) -> list[str]:
    """Faults from a minute before the submission to two minutes after it."""
    if loss.at is None:
        return []
    return [
        f"{fault.kind} of {fault.lane} at {begin:.0f} s"
        for fault, begin, end in day.faults
        if end > loss.at - 60 and begin < loss.at + 120
    ]


def show(figures: dict[str, Any]) -> None:
    """Print how often each kind came, and what was lost."""
    console = Console(width=110)
    table = Table("kind", "came", "not reached", title=f"{figures['faults']} faults")
    for name in KINDS:
        came, missed = figures["by_kind"].get(name, 0), figures["not_reached"].get(name, 0)
        if came or missed:
            table.add_row(name, str(came), str(missed) if missed else "")
    console.print(table)
    memory = Table("process", "most", "last", title="resident MB")
    for name, found in figures["memory"].items():
        memory.add_row(name, f"{found['most']:.0f}", f"{found['last']:.0f}")
    console.print(memory)
    left_out = ("by_kind", "not_reached", "log", "losses", "memory")
    console.print_json(json.dumps({k: v for k, v in figures.items() if k not in left_out}))
    console.print(f"{len(figures['losses'])} losses")
    for loss in figures["losses"][:40]:
        console.print(f"  {loss['kind']}: {loss['what']}", highlight=False)


def main() -> int:
    """One day; exit code 1 when anything was lost, or a process ended that no fault explains."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", type=Path, help="a folder of MP4 files")
    parser.add_argument("--faults", type=int, default=1000)
    parser.add_argument("--kinds", nargs="+", choices=[*KINDS])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="for faults to begin")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--keep", type=Path, help="leave logs and answers in this folder")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="samesource-chaos-") as scratch:
        folder = arguments.keep or Path(scratch)
        folder.mkdir(exist_ok=True, parents=True)
        figures = measure(arguments, folder)
    show(figures)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2))
    wrong = [name for name in WRONG if figures[name]]
    print(verdict(figures, wrong))
    return int(bool(wrong))


def verdict(figures: dict[str, Any], wrong: Sequence[str]) -> str:
    """One line: what is wrong, and what this day can say nothing of."""
    said = f"wrong: {', '.join(wrong)}" if wrong else "nothing is wrong"
    unheard = figures["points_never_reached"]
    return said + (f"; nothing is known of {', '.join(unheard)}: never reached" if unheard else "")


if __name__ == "__main__":
    sys.exit(main())
