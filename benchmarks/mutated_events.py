"""Nobody falls over: damaged events on every topic that a worker reads, on a real Kafka.

    python -m benchmarks.mutated_events [--events 100000] [--seed 1] [--json FILE] [--keep FOLDER]

Starts an Apache Kafka and a process for each role, and writes seeded damage with every codec, in
ten equal parts. Each event but a probe's must be answered, or be a dead letter with a code, once;
good uploads strewn in are decided; no process ends, nor does one that is killed and started again
after the last part; a search and a console read all of it at the end; and no role holds more memory
after that part than after the first, by more than a tenth. Of the largest events each part has a
fixed number, and policies, verdicts and claims are about the same owners, alerts and references
again and again.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition
from rich.console import Console
from rich.table import Table

from benchmarks.delivery.mutated_writer import FOLLOWED, WRITTEN, Place, Writer
from benchmarks.delivery.workers import SAMESOURCE, STOP_SECONDS, Workers, all_running
from stream.agents.run import MEMORY_BACK_EVERY_SECONDS
from stream.broker.client import Reader
from stream.broker.clients import AT_END, AT_START, offsets_at
from stream.broker.local import LocalKafka
from stream.broker.settings import KafkaSettings
from stream.broker.topics import create_topics
from stream.contract.events import (
    EVENTS,
    VideoCompared,
    VideoDecided,
    VideoFingerprinted,
    VideoRejected,
)
from stream.errors import BadEventError, BrokerError
from tests.stream.videos import make_video

ROLES: dict[str, tuple[str, ...]] = {
    "fingerprint": ("fingerprint",),
    "library-0": ("library", "--shard", "0/2"),
    "library-1": ("library", "--shard", "1/2"),
    "decide-a": ("decide",),
    "decide-b": ("decide",),
}
GROUPS = {
    "samesource-fingerprint": ("video.uploaded",),
    "samesource-library-0-of-2": ("video.fingerprinted",),
    "samesource-library-1-of-2": ("video.fingerprinted",),
    "samesource-decide": ("video.compared", "video.rejected"),
    "samesource-probes": ("probe.asked",),
}
PARTS, LARGE_EACH = 10, 4  # of one topic in each part
MAX_GROWTH = 0.1
READINGS = 6
POLL_SECONDS = 2.0  # between looks at the groups' offsets
CONSOLE_SECONDS = 600.0  # for it to read all; set by hand
STILL_SECONDS = 300.0  # without a commit, after which the run is given up; set by hand


class Lags:
    """How far the groups are behind. A context manager."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._consumers = {
            group: Consumer(
                {
                    **kafka.librdkafka_options(),
                    "group.id": kafka.topic_prefix + group,
                    "log_level": 0,
                }
            )
            for group in GROUPS
        }

    def __enter__(self) -> "Lags":
        return self

    def __exit__(self, *raised: object) -> None:
        for consumer in self._consumers.values():
            consumer.close()

    def now(self) -> dict[str, int]:
        """How many messages each group has still to commit."""
        return {group: self._of(group) for group in GROUPS}

    def _of(self, group: str) -> int:
        consumer, total = self._consumers[group], 0
        names = [self._kafka.topic(topic) for topic in GROUPS[group]]
        known = consumer.list_topics(timeout=30).topics
        asked = [TopicPartition(name, part) for name in names for part in known[name].partitions]
        committed = consumer.committed(asked, timeout=30)
        lows, highs = (offsets_at(consumer, committed, time) for time in (AT_START, AT_END))
        for found, low, high in zip(committed, lows, highs, strict=True):
            total += high - (found.offset if found.offset >= 0 else low)
        return total


def settled(kafka: KafkaSettings) -> None:
    """Wait until every group has committed the end of what it reads, and nothing is added.

    Raises:
        TimeoutError: no group moved for `STILL_SECONDS`.
    """
    before: dict[str, int] = {}
    quiet, moved = 0, time.monotonic()
    with Lags(kafka) as lags:
        while quiet < 3:
            try:
                now = lags.now()
            except KafkaException:
                time.sleep(POLL_SECONDS)  # the topics are new, and have no leaders yet
                continue
            quiet = quiet + 1 if not any(now.values()) else 0
            if now != before:
                before, moved = now, time.monotonic()
            if time.monotonic() - moved > STILL_SECONDS and any(now.values()):
                raise TimeoutError(f"nothing was committed for {STILL_SECONDS:.0f} s: {now}")
            time.sleep(POLL_SECONDS)


def memory(workers: Workers) -> dict[str, int]:
    """Resident bytes of each role, children included: the least of half a minute.

    Workers also read what no group tells of, and give free pages back every ten seconds: one
    reading may find them with the largest events in hand.
    """
    readings = []
    for _ in range(READINGS):
        time.sleep(MEMORY_BACK_EVERY_SECONDS / 2)
        readings.append({name: _resident(workers.pid(name)) for name in workers.names})
    return {name: min(reading[name] for reading in readings) for name in workers.names}


def _resident(pid: int) -> int:
    """Of a process and its children; one of these may end meanwhile."""
    process, total = psutil.Process(pid), 0
    for one in [process, *process.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            total += one.memory_info().rss
    return total


class Answers:
    """What is on the topics at the end."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self.letters: Counter[Place] = Counter()
        self.codes: Counter[tuple[str, str]] = Counter()
        self.compared: set[str] = set()
        self.decided: dict[str, str] = {}
        self.videos: dict[str, set[str]] = {}
        self.requests: set[str] = set()
        for topic in ("video.rejected", "video.compared", "video.decided", "video.fingerprinted"):
            self._read(kafka, topic)

    def _read(self, kafka: KafkaSettings, topic: str, attempts: int = 5) -> None:
        """A busy machine's broker may take longer to answer than a command waits."""
        before = self.letters.copy(), self.codes.copy()
        try:
            with Reader(kafka, topic) as reader:
                for _, message in reader.until_now():
                    self._take(topic, message)
        except BrokerError:
            if attempts == 1:
                raise
            self.letters, self.codes = before
            self._read(kafka, topic, attempts - 1)

    def _take(self, topic: str, message: Message) -> None:
        try:
            event = EVENTS[topic].from_bytes(message.value())
        except BadEventError:
            return  # one of ours
        if isinstance(event, VideoRejected):
            self.letters[event.source_topic, event.source_partition, event.source_offset] += 1
            self.codes[event.source_topic, event.error] += 1
        elif isinstance(event, VideoCompared):
            self.compared.add(event.request_id)
        elif isinstance(event, VideoDecided):
            self.decided[event.request_id] = event.outcome
            self.videos.setdefault(event.video_id, set()).add(event.outcome)
        elif isinstance(event, VideoFingerprinted):
            self.requests.add(event.request_id)


def problems(writer: Writer, answers: Answers) -> list[str]:
    """Events without an answer, and sentinels that weren't decided."""
    found = []
    for one in writer.expected:
        lettered = answers.letters[one.place]
        fine = {
            "letter": lettered >= 1,
            "upload": lettered >= 1 or one.request_id in answers.requests,
            "compared": one.request_id in answers.compared or lettered >= 1,
            "decided": one.request_id in answers.decided or lettered >= 1,
            "nothing": True,
        }[one.kind]
        if not fine:
            found.append(f"{one.place} {one.kinds}: expected {one.kind}")
        if one.place[0] in FOLLOWED and lettered > 1:
            found.append(f"{one.place} {one.kinds}: {lettered} letters")
    for name in writer.sentinels:
        outcomes = answers.videos.get(name, set())
        if not outcomes or outcomes - {"clear", "matched"}:
            found.append(f"{name}: {sorted(outcomes) or 'not decided'}")
    return found


def search_ends_well(kafka: KafkaSettings, folder: Path) -> bool:
    """Whether a search view reads all of `video.embedded` and answers."""
    environment = {
        **os.environ,
        "SAMESOURCE_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "SAMESOURCE_KAFKA__TOPIC_PREFIX": kafka.topic_prefix,
        "SAMESOURCE_SEARCH__SNAPSHOT_FOLDER": str(folder / "search"),
    }
    with (folder / "search.log").open("ab") as log:
        done = subprocess.run(
            [str(SAMESOURCE), "search", "a goal"], env=environment, stdout=log, stderr=log,
            timeout=300,
        )  # fmt: skip
    return done.returncode == 0


def console_reads_all(kafka: KafkaSettings, folder: Path) -> bool:
    """Whether a console takes all that it follows into its rows, listens, and ends when told to."""
    environment = {
        **os.environ,
        "SAMESOURCE_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "SAMESOURCE_KAFKA__TOPIC_PREFIX": kafka.topic_prefix,
        "SAMESOURCE_CONSOLE__DATABASE_URL": f"sqlite:///{folder / 'console.db'}",
    }
    said, deadline = folder / "console.log", time.monotonic() + CONSOLE_SECONDS
    with said.open("wb") as log:
        console = subprocess.Popen(
            [str(SAMESOURCE), "console", "--port", "0"], env=environment, stdout=log, stderr=log
        )
    while console.poll() is None and time.monotonic() < deadline:
        if "worker is running" in said.read_text():
            break
        time.sleep(0.5)
    console.terminate()
    return console.wait(STOP_SECONDS) == 0 and "worker is running" in said.read_text()


@contextmanager
def running(kafka: KafkaSettings, videos: Path, folder: Path) -> Iterator[Workers]:
    """Topics and a process for each role."""
    create_topics(kafka)
    environment = {
        "SAMESOURCE_FETCH__ROOTS": json.dumps([str(videos.resolve())]),
        "SAMESOURCE_LIBRARY__SNAPSHOT_FOLDER": str(folder / "snapshots"),
    }
    with all_running(Workers(kafka, folder, ROLES, lambda name: environment)) as workers:
        yield workers


def run(kafka: KafkaSettings, events: int, seed: int, folder: Path) -> dict[str, Any]:
    """All of it; the figures."""
    videos = folder / "videos"
    videos.mkdir(parents=True, exist_ok=True)
    video = make_video(videos / "good.mp4", count=2)
    started = time.monotonic()
    with running(kafka, videos, folder) as workers:
        pids = {name: workers.pid(name) for name in workers.names}
        writer = Writer(kafka, seed, video)
        writer.sentinel()
        writer.flush()
        time.sleep(5)
        settled(kafka)
        writer.learn()
        sizes = []
        for part in range(PARTS):
            writer.write_large(LARGE_EACH)
            asyncio.run(writer.write_odd_headers())
            writer.write(events * (part + 1) // PARTS - events * part // PARTS)
            writer.sentinel()
            writer.flush()
            settled(kafka)
            sizes.append(memory(workers))
            shown = {name: round(size / 1e6) for name, size in sizes[-1].items()}
            print(f"{writer.written} events, {time.monotonic() - started:.0f} s, MB: {shown}")
        first, last = sizes[0], sizes[-1]
        down = [name for name in workers.names if not workers.runs(name)]
        assert pids == {name: workers.pid(name) for name in workers.names}
        for name in workers.names:  # each reads again what others wrote to its own topics
            workers.kill(name)
        writer.sentinel()
        writer.flush()
        settled(kafka)
        down += [name for name in workers.names if not workers.runs(name)]
        answers = Answers(kafka)
        searched = search_ends_well(kafka, folder)
        console = console_reads_all(kafka, folder)
    growth = {name: last[name] / first[name] - 1 for name in first}
    return {
        "events": events,
        "seed": seed,
        "seconds": round(time.monotonic() - started, 1),
        "written": Counter(one.place[0] for one in writer.expected),
        "kinds": Counter(kind for one in writer.expected for kind in one.kinds),
        "refused_by_the_broker": writer.refused,
        "letters": {f"{topic} {code}": count for (topic, code), count in answers.codes.items()},
        "sentinels": len(writer.sentinels),
        "problems": problems(writer, answers),
        "down": down,
        "search": searched,
        "console": console,
        "megabytes": {name: [round(part[name] / 1e6) for part in sizes] for name in first},
        "grown_too_much": [name for name, share in growth.items() if share > MAX_GROWTH],
    }


def show(found: dict[str, Any]) -> None:
    """A table of the figures."""
    table = Table(title=f"{found['events']} mutated events, seed {found['seed']}")
    for heading in ("topic", "written", "dead letters by code"):
        table.add_column(heading)
    for topic in WRITTEN:
        codes = [
            f"{key.split()[1]} {count}"
            for key, count in sorted(found["letters"].items())
            if key.split()[0] == topic
        ]
        table.add_row(topic, str(found["written"].get(topic, 0)), ", ".join(codes))
    console = Console()
    console.print(table)
    memory_table = Table(title="resident memory, MB")
    for heading in ("role", "after a tenth", "after each further one"):
        memory_table.add_column(heading)
    for name, sizes in found["megabytes"].items():
        memory_table.add_row(name, str(sizes[0]), ", ".join(map(str, sizes[1:])))
    console.print(memory_table)
    console.print(
        f"{found['sentinels']} sentinels, {len(found['problems'])} problems, down: "
        f"{found['down'] or 'nobody'}, search {'answers' if found['search'] else 'fails'}, "
        f"the console {'has read all' if found['console'] else 'fails'}, "
        f"{found['seconds']} s"
    )
    for problem in found["problems"][:20]:
        console.print(problem, markup=False)


def main() -> int:
    """One run; exit code 1 when anything was lost, fell over or grew."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--keep", type=Path, help="leave logs in this folder")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="samesource-mutated-") as scratch:
        folder = arguments.keep or Path(scratch)
        with LocalKafka(folder / "kafka") as local:
            kafka = KafkaSettings(bootstrap_servers=local.bootstrap_servers, topic_prefix="m.")
            found = run(kafka, arguments.events, arguments.seed, folder)
    show(found)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2))
    bad = found["problems"] or found["down"] or found["grown_too_much"]
    return int(bool(bad or not found["search"] or not found["console"]))


if __name__ == "__main__":
    sys.exit(main())
