"""Nothing lost, nothing twice: the same set on a real Kafka, calm and under `kill -9`.

    python -m benchmarks.delivery.kills DATASET [--kills 9] [--broker-kills 0] [--json FILE]

Starts an Apache Kafka and one process for each worker and submits the set with a client that knows
only the contract. Then two comparisons: of the answers of the two runs, and of each run's answers
with what its own library log says when it is replayed in one thread.
"""

import argparse
import json
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.delivery.outside_client import LINGER_SECONDS, Answers, Platform, submit_set
from benchmarks.delivery.workers import Workers, all_running
from models.all_aligners import make_aligner
from stream.broker.client import Reader
from stream.broker.local import LocalKafka
from stream.broker.settings import KafkaSettings
from stream.broker.topics import create_topics
from stream.contract.events import VideoFingerprinted
from stream.contract.fingerprint import Fingerprint
from stream.decide.decide import Join, on_compared
from stream.library.settings import LibrarySettings
from stream.library.shard import LibraryShard

SHARDS = 2  # the fewest that must be joined
WORKERS: dict[str, tuple[str, ...]] = {
    "fingerprint-a": ("fingerprint",),
    "fingerprint-b": ("fingerprint",),
    "library-0": ("library", "--shard", f"0/{SHARDS}"),
    "library-1": ("library", "--shard", f"1/{SHARDS}"),
    "decide-a": ("decide",),
    "decide-b": ("decide",),
}


@contextmanager
def running(kafka: KafkaSettings, videos: Path, folder: Path) -> Iterator[Workers]:
    """Topics of a run and all its workers, for the time of the block.

    Args:
        kafka: a running cluster.
        videos: the folder that uploads may be in.
        folder: for logs, snapshots and scratch.
    """
    create_topics(kafka)
    environment = {
        "SAMESOURCE_FETCH__ROOTS": json.dumps([str(videos.resolve())]),
        "SAMESOURCE_LIBRARY__SNAPSHOT_FOLDER": str(folder / "snapshots"),
        "SAMESOURCE_LIBRARY__SNAPSHOT_EVERY_VIDEOS": "10",
    }
    with all_running(Workers(kafka, folder, WORKERS, lambda name: environment)) as workers:
        yield workers


def run(
    kafka: KafkaSettings, dataset: Path, folder: Path, kills: Iterable[Callable[[Workers], None]]
) -> dict[str, Any]:
    """One run over the set, with so many faults at random moments."""
    with running(kafka, dataset, folder) as workers:
        platform = Platform(kafka.bootstrap_servers, kafka.topic_prefix)
        over = threading.Event()
        killer = threading.Thread(target=_one_by_one, args=(workers, kills, over))
        killer.start()
        start = time.monotonic()
        try:
            submitted = submit_set(platform, dataset)
            seconds = time.monotonic() - start
        finally:
            over.set()
            killer.join()
        platform.read(LINGER_SECONDS)
        platform.close()
    return {
        "submitted": submitted,
        "answers": platform.answers,
        "seconds": seconds,
        "kills": workers.kills,
        "ended": workers.ended_by_code(),
    }


def faults(
    local: LocalKafka, kills: int, broker_kills: int, seed: int
) -> list[Callable[[Workers], None]]:
    """Kills in random order; the kinds of worker are hit equally often."""
    choose = random.Random(seed)

    def worker(number: int) -> Callable[[Workers], None]:
        kind = ("fingerprint", "library", "decide")[number % 3]
        name = choose.choice([name for name in WORKERS if name.startswith(kind)])
        return lambda workers: workers.kill(name)

    def broker(workers: Workers) -> None:
        local.kill()
        workers.kills.append("broker")
        local.start()

    chosen = [worker(number) for number in range(kills)] + [broker] * broker_kills
    choose.shuffle(chosen)
    return chosen


def _one_by_one(
    workers: Workers, kills: Iterable[Callable[[Workers], None]], over: threading.Event
) -> None:
    pause = random.Random(0)
    for kill in kills:
        if over.wait(pause.uniform(2.0, 6.0)):
            return
        kill(workers)


def outcomes(answers: Answers) -> dict[str, tuple[str, list[str]]]:
    """What was decided, by video, and the alerts that the decision names."""
    return {
        event["video_id"]: (event["outcome"], sorted(event["alert_ids"]))
        for event in answers["video.decided"]
    }


def copies(answers: Answers, references: set[str]) -> set[str]:
    """Alerts that are the same in any order of arrival: of an upload against a reference.

    Which of two uploads is the later one depends on which was fingerprinted first.
    """
    return {
        event["alert_id"]
        for event in answers["alert.raised"]
        if event["reference_id"] in references and event["video_id"] not in references
    }


def replayed(kafka: KafkaSettings) -> Answers:
    """What the library log says, from its start, with no worker and no crash."""
    settings = LibrarySettings(shards=SHARDS)
    shards = [
        LibraryShard(settings, number, make_aligner(settings.aligner)) for number in range(SHARDS)
    ]
    answers: Answers = {"video.decided": [], "alert.raised": []}
    with Reader(kafka, VideoFingerprinted.topic) as reader:
        for _, message in reader.until_now():
            upload, join = Fingerprint.from_bytes(message.value()), Join()
            for shard in shards:
                join, events = on_compared(join, shard.apply(upload, int(message.offset() or 0)))
                for output in events:
                    answers[output.topic].append(json.loads(output.to_bytes()))
    return answers


def repeats(answers: Answers, topic: str, *keys: str) -> int:
    """Events beyond the first of each id."""
    seen = Counter(tuple(str(event[key]) for key in keys) for event in answers[topic])
    return sum(count - 1 for count in seen.values())


def describe(name: str, found: dict[str, Any]) -> dict[str, Any]:
    """The figures of one run."""
    answers, submitted = found["answers"], set(found["submitted"])
    decided = {event["video_id"] for event in answers["video.decided"]}
    return {
        "run": name,
        "submitted": len(submitted),
        "seconds": round(found["seconds"], 1),
        "kills": Counter(kill.split("-")[0] for kill in found["kills"]),
        "missing": sorted(submitted - decided),
        "ended_by_themselves": found["ended"],
        "outcomes": Counter(event["outcome"] for event in answers["video.decided"]),
        "alerts": len({event["alert_id"] for event in answers["alert.raised"]}),
        "embeddings": len({event["video_id"] for event in answers["video.embedded"]}),
        "decisions_twice": repeats(answers, "video.decided", "video_id"),
        "alerts_twice": repeats(answers, "alert.raised", "alert_id"),
    }


def differences(first: Answers, second: Answers) -> dict[str, list[str]]:
    """Decisions and alerts that aren't in both; all empty when they agree."""
    ours, theirs = outcomes(first), outcomes(second)
    alerts = [{event["alert_id"] for event in found["alert.raised"]} for found in (first, second)]
    return {
        "outcomes": sorted(key for key in ours | theirs if ours.get(key) != theirs.get(key)),
        "alerts": sorted(alerts[0] ^ alerts[1]),
    }


def main() -> int:
    """Both runs and their comparison; exit code 1 when anything is wrong, as `is_wrong` says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--kills", type=int, default=9, help="of workers")
    parser.add_argument("--broker-kills", type=int, default=0, help="of Kafka itself")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--keep", type=Path, help="leave logs and answers in this folder")
    arguments = parser.parse_args()
    references = {path.stem for path in (arguments.dataset / "references").glob("*.mp4")}
    with tempfile.TemporaryDirectory(prefix="samesource-delivery-") as scratch:
        folder = arguments.keep or Path(scratch)
        folder.mkdir(exist_ok=True, parents=True)
        found: dict[str, dict[str, Any]] = {}
        differ: dict[str, dict[str, list[str]]] = {}
        with LocalKafka(folder / "kafka") as local:
            hits = faults(local, arguments.kills, arguments.broker_kills, arguments.seed)
            for name, kills in (("calm", []), ("killed", hits)):
                kafka = KafkaSettings(
                    bootstrap_servers=local.bootstrap_servers, topic_prefix=f"{name}."
                )
                found[name] = run(kafka, arguments.dataset, folder / name, kills)
                print(json.dumps(describe(name, found[name])), flush=True)
                (folder / f"{name}.json").write_text(json.dumps(found[name]))
                differ[f"{name} and its log replayed"] = differences(
                    found[name]["answers"], replayed(kafka)
                )
    calm, killed = (copies(one["answers"], references) for one in found.values())
    differ["calm and killed"] = {"copies of references": sorted(calm ^ killed)}
    print(json.dumps({"differences": differ}))
    figures = [describe(name, run_) for name, run_ in found.items()]
    if arguments.json:
        arguments.json.write_text(json.dumps({"runs": figures, "differences": differ}, indent=2))
    return int(is_wrong(figures, differ))


def is_wrong(
    figures: Iterable[dict[str, Any]], differ: Mapping[str, Mapping[str, Sequence[str]]]
) -> bool:
    """Whether runs differ, one told nothing, an upload has no decision, or a worker ended unasked.

    Args:
        figures: of each run, as `describe` gives them.
        differ: what isn't in both of two, by the two and its kind.
    """
    differs = any(ids for difference in differ.values() for ids in difference.values())
    bad = [one for one in figures if one["missing"] or one["ended_by_themselves"]]
    return bool(differs or bad) or not all(one["alerts"] for one in figures)


if __name__ == "__main__":
    sys.exit(main())
