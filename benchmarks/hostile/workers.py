"""Sends files through a service that runs, and says what became of each.

Serves `benchmarks.mutated_videos`.
"""

import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.delivery.workers import Workers, all_running
from stream.broker.client import Reader, submit
from stream.broker.local import LocalKafka
from stream.broker.settings import KafkaSettings
from stream.broker.topics import create_topics
from stream.contract.events import Event, VideoDecided, VideoRejected, VideoUploaded

ROLES: dict[str, tuple[str, ...]] = {
    "fingerprint": ("fingerprint",),
    "library": ("library", "--shard", "0/1"),
    "decide": ("decide",),
}
SUBMITTED = 64  # that wait for a decision at a time; enough for every place of a worker to be taken
STILL_SECONDS = 300.0  # without a decision, after which the run is given up; set by hand
SHOWN_EVERY = 100  # decisions
REPEATS_SECONDS = 5.0  # for what is said twice to come; set by hand


class Fates:
    """What was said of each upload, each of which has a video id of its own."""

    def __init__(self) -> None:
        self.decisions: defaultdict[str, list[str]] = defaultdict(list)
        self.letters: defaultdict[str, list[str]] = defaultdict(list)

    def take(self, event: Event) -> None:
        """Note a decision or a dead letter."""
        if isinstance(event, VideoDecided):
            self.decisions[event.video_id].append(event.outcome)
        elif isinstance(event, VideoRejected):
            self.letters[event.video_id or ""].append(event.error)

    def outcomes(self) -> dict[str, int]:
        """How many were processed, and rejected by code; the most frequent first."""
        codes = Counter(code for letters in self.letters.values() for code in letters)
        codes["processed"] = sum(name not in self.letters for name in self.decisions)
        return dict(codes.most_common())

    def problems(self, video_ids: list[str]) -> list[str]:
        """Uploads that weren't decided once, and letters that don't go with their decision."""
        found = []
        for name in video_ids:
            said, letters = self.decisions.get(name, []), self.letters.get(name, [])
            fits = len(letters) == ("rejected" in said)
            if len(said) != 1 or not fits or "internal" in letters:
                found.append(f"{name}: decided {said}, dead letters {letters}")
        return found + [
            f"{name or 'nobody'}: dead letters {letters}"
            for name, letters in self.letters.items()
            if name not in {*video_ids}
        ]


def through_workers(videos: Iterator[tuple[str, bytes]], folder: Path) -> dict[str, Any]:
    """Send files through a process for each role, on an Apache Kafka that is started for it.

    Args:
        videos: names, none of them twice, and bytes.
        folder: where they lie while they are at work, and the logs.
    """
    uploads = folder / "uploads"
    uploads.mkdir()
    environment = {
        "SAMESOURCE_FETCH__ROOTS": json.dumps([str(uploads.resolve())]),
        "SAMESOURCE_DECODE__TIMEOUT_SECONDS": "60",
        "SAMESOURCE_LIBRARY__SNAPSHOT_FOLDER": str(folder / "snapshots"),
    }
    began = time.monotonic()
    with LocalKafka(folder / "kafka") as local:
        kafka = KafkaSettings(bootstrap_servers=local.bootstrap_servers, topic_prefix="v.")
        create_topics(kafka)
        with all_running(Workers(kafka, folder, ROLES, lambda _: environment)) as workers:
            fates, names = _sent(kafka, videos, uploads)
            # None is started again: who has died is dead now. A stop tells of an end with an error.
            down = [name for name in workers.names if not workers.runs(name)]
    return {
        "outcomes": fates.outcomes(),
        "problems": fates.problems(names),
        "down": down,
        "seconds": time.monotonic() - began,
    }


def _sent(
    kafka: KafkaSettings, videos: Iterator[tuple[str, bytes]], folder: Path
) -> tuple[Fates, list[str]]:
    fates, names, waiting = Fates(), list[str](), set[str]()
    with Reader(kafka, VideoDecided.topic, VideoRejected.topic) as reader:
        heard = time.monotonic()
        while True:
            for name, data in videos:
                (folder / name).write_bytes(data)
                upload = VideoUploaded(
                    video_id=name, uri=(folder / name).as_uri(), owner_id=f"owner of {name}"
                )
                submit(kafka, [upload])
                names.append(name)
                waiting.add(name)
                if len(waiting) == SUBMITTED:
                    break
            if not waiting or time.monotonic() - heard > STILL_SECONDS:
                break
            for name in _read(reader, fates, 1.0) & waiting:
                heard = time.monotonic()
                waiting.remove(name)
                (folder / name).unlink()
                if (decided := len(names) - len(waiting)) % SHOWN_EVERY == 0:
                    print(f"{decided} videos", fates.outcomes(), flush=True)
        _read(reader, fates, REPEATS_SECONDS)
    return fates, names


def _read(reader: Reader, fates: Fates, seconds: float) -> set[str]:
    """Read for so long; whose decisions came."""
    decided, until = set[str](), time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        if (found := reader.poll(left)) is None:
            break
        topic, message = found
        kind = VideoDecided if topic == VideoDecided.topic else VideoRejected
        event = kind.from_bytes(message.value())
        fates.take(event)
        if isinstance(event, VideoDecided):
            decided.add(event.video_id)
    return decided
