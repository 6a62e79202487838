"""What two runs over one library log told, compared: by event id, whatever came how often.

Serves `durability`. Reads answers as they came from Kafka and knows nothing of the service's state.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.delivery.made_log import Entry, Probe
from benchmarks.delivery.outside_client import Answers

IDS: dict[str, tuple[str, ...]] = {
    "alert.raised": ("alert_id",),
    "alert.suppressed": ("alert_id",),
    "video.decided": ("request_id",),
    "video.compared": ("request_id", "shard"),
    "video.rejected": ("request_id", "source_topic"),
}
ALERTS = ("alert.raised", "alert.suppressed")
OF_THE_MOMENT = {"raised_at", "decided_at", "rejected_at", "stage_seconds"}
"""Fields that differ between any two runs."""
NOWHERE = "nowhere in the log"

Id = tuple[str, ...]
Told = dict[Id, Counter[str]]


@dataclass
class Difference:
    """What one run told otherwise than the other, by event id.

    Attributes:
        alerts: with other content, or that the first run doesn't have.
        decisions: the same; a second outcome of a request is one.
        answers: of shards, and dead letters; the same.
        missing: events of any kind that only the first run has.
        twice: alerts and decisions that came more often than in the first run.
    """

    alerts: list[str] = field(default_factory=list)
    decisions: list[str] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    twice: int = 0

    def __bool__(self) -> bool:
        return bool(self.alerts or self.decisions or self.answers or self.missing)

    def counts(self) -> dict[str, int]:
        """How many of each."""
        found = asdict(self)
        return {name: len(ids) for name, ids in found.items() if name != "twice"} | {
            "twice": self.twice
        }


def compare(first: Answers, second: Answers, window_of: Mapping[str, str]) -> dict[str, Difference]:
    """Differences by window of the log.

    Args:
        first: of the undisturbed run.
        second: of the other one.
        window_of: the name of a window, by request id, and by log offset as text.
    """
    found: dict[str, Difference] = {name: Difference() for name in window_of.values()}
    for topic in IDS:
        windows: dict[Id, str] = {}
        ours, theirs = (_told(answers, topic, windows, window_of) for answers in (first, second))
        for key in sorted(ours.keys() | theirs.keys()):
            difference = found.setdefault(windows[key], Difference())
            name = " ".join((topic, *key))
            before, after = ours.get(key, Counter()), theirs.get(key, Counter())
            if not after:
                difference.missing.append(name)
            elif before.keys() != after.keys():
                _list_of(difference, topic).append(name)
            if topic not in ("video.compared", "video.rejected"):
                difference.twice += max(0, after.total() - before.total())
    return found


def _told(answers: Answers, topic: str, windows: dict[Id, str], names: Mapping[str, str]) -> Told:
    """How often each content was told, by id; notes the window of each id."""
    told: Told = {}
    for event in answers[topic]:
        key = tuple(str(event[name]) for name in IDS[topic])
        content = {name: event[name] for name in event.keys() - OF_THE_MOMENT}
        told.setdefault(key, Counter())[json.dumps(content, sort_keys=True)] += 1
        place = event.get("request_id") or str(event["library_offset"])
        windows.setdefault(key, names.get(place, NOWHERE))
    return told


def _list_of(difference: Difference, topic: str) -> list[str]:
    if topic in ALERTS:
        return difference.alerts
    return difference.decisions if topic == "video.decided" else difference.answers


def wrong_by_themselves(answers: Answers, log: Iterable[Entry]) -> list[str]:
    """What contradicts the log without another run to compare with, as sentences.

    Requests without exactly one outcome, and answers that name a video which had been taken down.
    """
    outcomes: dict[str, set[tuple[str, ...]]] = {}
    for event in answers["video.decided"]:
        told = (event["outcome"], *event["alert_ids"])
        outcomes.setdefault(event["request_id"], set()).add(told)
    named: dict[str, set[str]] = {}
    for event in answers["video.compared"]:
        ids = {match["reference_id"] for match in event["matches"]}
        named.setdefault(event["request_id"], set()).update(ids)
    problems, down, seen = [], set[str](), set[str]()
    for entry in log:
        if entry.event is None:
            down.add(entry.key)
            continue
        down.discard(entry.key)
        request = entry.event.request_id
        if request in seen:
            continue
        seen.add(request)
        count = len(outcomes.get(request, ()))
        if count != 1:
            problems.append(f"{request} has {count} outcomes, expected 1")
        if removed := named.get(request, set()) & down:
            problems.append(f"{request} is told to copy {sorted(removed)}, which were taken down")
    return problems


def probe_figures(answers: Answers, probes: Iterable[Probe]) -> dict[str, Any]:
    """How many of the videos that probes copy were named, of those held and those taken down."""
    named: dict[str, set[str]] = {}
    for event in answers["video.compared"]:
        ids = {match["reference_id"] for match in event["matches"]}
        named.setdefault(event["video_id"], set()).update(ids)
    figures = Counter[str]()
    for probe in probes:
        found = named.get(probe.entry.key, set())
        figures["kept"] += len(probe.kept)
        figures["kept_named"] += len(probe.kept & found)
        figures["gone"] += len(probe.gone)
        figures["gone_named"] += len(probe.gone & found)
    return dict(figures)
