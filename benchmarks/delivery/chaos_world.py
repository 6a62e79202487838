"""A platform's day in fast motion, and what the library must hold of it.

Serves `chaos`. Uploads, references, new versions, takedowns, repeats, policies, verdicts and files
that are no videos, all through the contract; the order in which the platform did things decides
what is true.
"""

import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaError, Message

from benchmarks.delivery.chaos_footage import (
    FRAMES_PER_SECOND,
    Frames,
    Look,
    frames_of,
    write_upload,
)
from benchmarks.delivery.outside_client import Platform
from stream.admin.takedown import take_down
from stream.broker.settings import KafkaSettings
from stream.contract.hashes import shard_of
from stream.errors import BrokerError

COPIED_SECONDS = 5  # of another's look, in what copies it; set by hand
OWNERS = 12  # so few that policies and verdicts meet many uploads
MIN_LIVE, MAX_LIVE = 6, 300
# Of what is written while a shard is about to restate: otherwise it would hardly ever.
LATE_SHARE = 0.3
BROKEN_BYTES = 3000  # of noise: no container begins like that
PROBED = 3  # looks in one probe; set by hand
PROBE_PREFIX = "probe-"
TAKEDOWN_PATIENCE_SECONDS = 120.0  # over a restart of Kafka; set by hand


@dataclass(frozen=True)
class Submission:
    """One upload event that the broker has.

    Attributes:
        request_id: as the contract makes it of the message's place and time.
        at: seconds since the start of the run.
        rejected: whether its file can't be a video.
    """

    video_id: str
    content_version: int
    request_id: str
    at: float
    rejected: bool = False


@dataclass(frozen=True)
class Probe:
    """An upload that copies some looks: which videos it must be told to copy, and which never.

    Attributes:
        kept: ids of videos that the library holds with that look.
        gone: ids of videos that were taken down.
    """

    video_id: str
    kept: frozenset[str]
    gone: frozenset[str]


@dataclass
class World:
    """What the platform does, by chance from a seed, and what is true after it.

    Attributes:
        submissions: all that the broker has acknowledged.
        live: the look of the version that holds, by video id.
        gone: the last look of each video that was taken down and not submitted again.
        versions: of each video, the one that was submitted last.
        done: how often each kind of thing was done.
    """

    kafka: KafkaSettings
    platform: Platform
    folder: Path
    looks: Sequence[Look]
    seed: int
    shards: int
    submissions: list[Submission] = field(default_factory=list)
    live: dict[str, Look] = field(default_factory=dict)
    gone: dict[str, Look] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    done: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._start = time.monotonic()
        self._events: dict[str, dict[str, Any]] = {}
        self._frames: dict[Look, Frames] = {}
        self._number = self._read = self._asked = 0
        self._undecided: set[str] = set()
        self._decided: set[str] = set()
        self.folder.mkdir(parents=True, exist_ok=True)

    @property
    def undecided(self) -> set[str]:
        """Requests that the broker has and nobody has decided yet."""
        events = self.platform.answers["video.decided"]
        self._decided.update(event["request_id"] for event in events[self._read :])
        self._undecided.update(one.request_id for one in self.submissions[self._asked :])
        self._read, self._asked = len(events), len(self.submissions)
        self._undecided -= self._decided
        return self._undecided

    def step(self, late_for: int | None = None) -> str:
        """Do the next thing; says which kind it was.

        Args:
            late_for: a shard to which an upload should come too late now and then.
        """
        kinds: dict[Callable[[], None], int] = {
            self._new: 52,
            self._new_version: 12,
            self._two_versions_at_once: 4,
            self._takedown: 12,
            self._submitted_again: 8,
            self._back_after_takedown: 4,
            self._policy: 4,
            self._verdict: 6,
            self._broken_file: 3,
            self._no_event: 2,
        }
        if late_for is not None and self._random.random() < LATE_SHARE:
            self._taken_down_at_once(late_for)
            name = "taken down at once"
            self.done[name] = self.done.get(name, 0) + 1
            return name
        if len(self.live) < MIN_LIVE:
            chosen: Callable[[], None] = self._new
        elif len(self.live) > MAX_LIVE:
            chosen = self._takedown
        else:
            (chosen,) = self._random.choices([*kinds], [*kinds.values()])
        chosen()
        name = chosen.__name__.lstrip("_").replace("_", " ")
        self.done[name] = self.done.get(name, 0) + 1
        return name

    def probes(self) -> list[Probe]:
        """Submit uploads that copy every look that is or was there; none copies another probe."""
        known = {**self.gone, **self.live}
        chosen = [*dict.fromkeys(known.values())]
        self._random.shuffle(chosen)
        found = []
        for start in range(0, len(chosen), PROBED):
            part = chosen[start : start + PROBED]
            kept = {name for name, look in self.live.items() if look in part}
            gone = {name for name, look in self.gone.items() if look in part}
            video_id = f"{PROBE_PREFIX}{start:05d}"
            path = self.folder / f"{video_id}.mp4"
            write_upload(path, [self._pictures(look) for look in part])
            self._submit(video_id, 1, path, role="upload")
            found.append(Probe(video_id, frozenset(kept), frozenset(gone)))
        self.platform.producer.flush()
        return found

    def _new(self) -> None:
        self._show(self._next_name(), 1, self._own_look())

    def _next_name(self) -> str:
        self._number += 1
        return f"v{self._number:05d}"

    def _new_version(self) -> None:
        name = self._random.choice([*self.live])
        self._show(name, self.versions[name] + 1, self._own_look())

    def _two_versions_at_once(self) -> None:
        """The first is long, the second short: it is ready sooner."""
        name = self._random.choice([*self.live])
        version = self.versions[name]
        self._show(name, version + 1, self._own_look(), more=4)
        self._show(name, version + 2, self._own_look())

    def _taken_down_at_once(self, shard: int) -> None:
        """The takedown is on the library log before the upload, which comes too late."""
        name = self._next_name()
        while shard_of(name, self.shards) != shard:
            name = self._next_name()
        self._show(name, 1, self._own_look())
        self._take_down(name)

    def _takedown(self) -> None:
        self._take_down(self._random.choice([*self.live]))

    def _take_down(self, name: str) -> None:
        self._insist(self.platform.producer.flush)
        self._insist(lambda: take_down(self.kafka, [name]))
        self.gone[name] = self.live.pop(name)

    def _submitted_again(self) -> None:
        name = self._random.choice([*self.live])
        event = self._events[name]
        self._produce(event, int(event["content_version"]))

    def _back_after_takedown(self) -> None:
        if not self.gone:
            return self._new()
        name = self._random.choice([*self.gone])
        self._show(name, self.versions[name], self._own_look())

    def _policy(self) -> None:
        owner = f"owner-{self._random.randrange(OWNERS)}"
        policy = {
            "schema_version": 1,
            "owner_id": owner,
            "least_seconds": self._random.choice((0.0, 0.0, 4.0, 60.0)),
        }
        self.platform.producer.produce(
            "policy.updated", json.dumps(policy).encode(), owner.encode()
        )

    def _verdict(self) -> None:
        alerts = self.platform.answers["alert.raised"]
        if not alerts:
            return
        alert = self._random.choice(alerts[-50:])
        verdict = {
            "schema_version": 1,
            "alert_id": alert["alert_id"],
            "verdict": self._random.choice(("confirmed", "dismissed")),
            "reviewer": "chaos",
            "reviewed_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "video_id": alert["video_id"],
            "reference_id": alert["reference_id"],
        }
        key = str(alert["alert_id"]).encode()
        self.platform.producer.produce("alert.reviewed", json.dumps(verdict).encode(), key)

    def _broken_file(self) -> None:
        name = f"{self._next_name()}-broken"
        path = self.folder / f"{name}.mp4"
        path.write_bytes(self._random.randbytes(BROKEN_BYTES))
        self._submit(name, 1, path, role="upload", rejected=True)

    def _no_event(self) -> None:
        self.platform.producer.produce("video.uploaded", self._random.randbytes(200), b"nobody")

    def _own_look(self) -> Look:
        return self._random.choice(self.looks)

    def _show(self, name: str, version: int, look: Look, more: int = 0) -> None:
        """Submit a look, often with a piece of another video's in it."""
        parts = [self._pictures(look)] * (1 + more)
        if self._random.random() < 0.6 and self.live:
            other = self._pictures(self._random.choice([*self.live.values()]))
            begin = self._random.randrange(len(other) - COPIED_SECONDS * FRAMES_PER_SECOND + 1)
            parts.append(other[begin : begin + COPIED_SECONDS * FRAMES_PER_SECOND])
        path = self.folder / f"{name}-{version}-{len(self.submissions)}.mp4"
        write_upload(path, parts)
        self._submit(
            name, version, path, role=self._random.choice(("upload", "upload", "reference"))
        )
        self.live[name] = look
        self.gone.pop(name, None)

    def _submit(
        self, name: str, version: int, path: Path, *, role: str, rejected: bool = False
    ) -> None:
        event = {
            "schema_version": 1,
            "video_id": name,
            "uri": path.as_uri(),
            "owner_id": f"owner-{self._random.randrange(OWNERS)}",
            "role": role,
            "content_version": version,
        }
        self.versions[name], self._events[name] = version, event
        self._produce(event, version, rejected=rejected)

    def _produce(self, event: dict[str, Any], version: int, *, rejected: bool = False) -> None:
        def delivered(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                raise RuntimeError(f"{event['video_id']} wasn't taken: {error.str()}")
            place = f"{message.partition()}-{message.offset()}-{message.timestamp()[1]}"
            at = time.monotonic() - self._start
            self.submissions.append(
                Submission(event["video_id"], version, place, at, rejected=rejected)
            )

        key, value = event["video_id"].encode(), json.dumps(event).encode()
        self.platform.producer.produce("video.uploaded", value, key, delivered)

    def _pictures(self, look: Look) -> Frames:
        if look not in self._frames:
            self._frames[look] = frames_of(look)
        return self._frames[look]

    def _insist(self, ask: Callable[[], None]) -> None:
        """Ask again while the broker is away, as an operator would."""
        deadline = time.monotonic() + TAKEDOWN_PATIENCE_SECONDS
        while True:
            try:
                return ask()
            except (BrokerError, TimeoutError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(1.0)
