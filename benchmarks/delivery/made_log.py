"""A made library log: videos that copy each other, new versions, takedowns and repeats.

Serves `durability`. The same seed gives the same log, byte for byte.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from stream.contract.events import VideoFingerprinted
from stream.contract.packed import pack_codes, pack_times, quantise

DIMENSION = 128  # of fewer, chance resemblances make every video a candidate
MODEL_VERSION = "made-1"
# Of a made video and of the span that another copies of it; one row a second. The spans are long
# enough to be found without doubt, so that a missing alert is a lost one. Set by hand.
LOOK_SECONDS = (30, 60)
SPAN_SECONDS = (12, 20)  # of a copy in the log
# In one probe, each with six rows of the probe's own behind it. Set by hand.
PROBED_SPANS = 5
PROBE_SPAN_SECONDS = 18  # within the lengths of the log's own copies

Rows = NDArray[np.float32]


@dataclass(frozen=True)
class Entry:
    """One message of the log; without an event, the takedown of the video of its key."""

    key: str
    event: VideoFingerprinted | None


@dataclass(frozen=True)
class Look:
    """What a version of a video looks like: its own rows, not those that it copies.

    Attributes:
        rows: (seconds, D) float32, one a second.
    """

    video_id: str
    content_version: int
    rows: Rows


@dataclass(frozen=True)
class Probe:
    """An upload that copies a span of some looks.

    Attributes:
        kept: videos that the library holds with that look, and must find.
        gone: videos that were taken down, and must not be found.
    """

    entry: Entry
    kept: frozenset[str]
    gone: frozenset[str]


@dataclass
class LogMaker:
    """Makes entries one by one, and knows as a plain dictionary would what the library holds."""

    seed: int
    current: dict[str, Look] = field(default_factory=dict)
    gone: list[Look] = field(default_factory=list)
    _events: dict[str, VideoFingerprinted] = field(default_factory=dict)
    _requests: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._numbers = np.random.default_rng(self.seed)

    def entries(self, count: int) -> Iterator[Entry]:
        """The next so many entries of everyday life."""
        kinds = {
            self._new: 62,
            self._replacement: 12,
            self._takedown: 10,
            self._submitted_again: 8,
            self._delivered_twice: 5,
            self._back_after_takedown: 3,
        }
        for _ in range(count):
            if len(self.current) < 5:
                yield self._new()
            else:
                (make,) = self._random.choices([*kinds], [*kinds.values()])
                yield make()

    def probes(self, looks: int | None = None) -> list[Probe]:
        """Uploads that copy spans of so many looks, of all by default; none copies another probe.

        The looks of the newest version of a video and of its earlier ones, of videos that are
        there and of those that were taken down.
        """
        known = [*self.current.values(), *self.gone]
        chosen = known if looks is None else self._random.sample(known, min(looks, len(known)))
        self._random.shuffle(chosen)
        count = -(-len(chosen) // PROBED_SPANS)
        return [self._probe(chosen[start::count]) for start in range(count)]

    def _new(self) -> Entry:
        name = f"video-{self._requests:05d}"
        return self._add(Look(name, 1, self._own_rows()))

    def _replacement(self) -> Entry:
        old = self._random.choice([*self.current.values()])
        self.gone.append(old)
        return self._add(Look(old.video_id, old.content_version + 1, self._own_rows()))

    def _takedown(self) -> Entry:
        look = self.current.pop(self._random.choice([*self.current]))
        self.gone.append(look)
        return Entry(look.video_id, None)

    def _submitted_again(self) -> Entry:
        event = self._events[self._random.choice([*self.current])]
        self._requests += 1
        again = event.model_copy(update={"request_id": f"request-{self._requests:05d}"})
        return Entry(event.video_id, again)

    def _delivered_twice(self) -> Entry:
        """As a fingerprint worker that was killed before its commit leaves it."""
        event = self._events[self._random.choice([*self.current])]
        return Entry(event.video_id, event)

    def _back_after_takedown(self) -> Entry:
        absent = [look for look in self.gone if look.video_id not in self.current]
        if not absent:
            return self._new()
        look = self._random.choice(absent)
        return self._add(Look(look.video_id, look.content_version, self._own_rows()))

    def _own_rows(self) -> Rows:
        seconds = self._random.randint(*LOOK_SECONDS)
        return self._numbers.standard_normal((seconds, DIMENSION)).astype(np.float32)

    def _add(self, look: Look) -> Entry:
        """Take a look in, with spans of others pasted into it, mostly of videos that are there."""
        rows = look.rows
        for _ in range(self._random.choice((0, 1, 1, 2))):
            there = self._random.random() < 0.75
            pool = [*self.current.values()] if there else self.gone
            others = [other for other in pool if other.video_id != look.video_id]
            if others:
                rows = self._pasted(rows, self._random.choice(others).rows)
        role = self._random.choice(("upload", "upload", "upload", "reference"))
        entry = self._entry(look, rows, role)
        self.current[look.video_id] = look
        assert entry.event is not None
        self._events[look.video_id] = entry.event
        return entry

    def _pasted(self, rows: Rows, other: Rows) -> Rows:
        seconds = min(self._random.randint(*SPAN_SECONDS), len(other))
        start = self._random.randint(0, len(other) - seconds)
        place = self._random.randint(0, len(rows))
        return np.concatenate((rows[:place], other[start : start + seconds], rows[place:]))

    def _probe(self, looks: list[Look]) -> Probe:
        parts = [self._own_rows()[:10]]
        for look in looks:
            begin = self._random.randint(0, max(0, len(look.rows) - PROBE_SPAN_SECONDS))
            parts += [look.rows[begin : begin + PROBE_SPAN_SECONDS], self._own_rows()[:6]]
        name = f"probe-{self._requests:05d}"
        entry = self._entry(Look(name, 1, parts[0]), np.concatenate(parts), "upload")
        kept = {look.video_id for look in looks if self.current.get(look.video_id) is look}
        gone = {look.video_id for look in looks} - self.current.keys()
        return Probe(entry, frozenset(kept), frozenset(gone))

    def _entry(self, look: Look, rows: Rows, role: str) -> Entry:
        self._requests += 1
        unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        event = VideoFingerprinted.model_validate(
            {
                "video_id": look.video_id,
                "content_version": look.content_version,
                "owner_id": f"owner-of-{look.video_id}",
                "role": role,
                "request_id": f"request-{self._requests:05d}",
                "model_version": MODEL_VERSION,
                "duration_seconds": float(len(rows)),
                "dimension": DIMENSION,
                "key_frame_seconds": pack_times(np.arange(len(rows), dtype=np.float32) + 0.5),
                "descriptors": pack_codes(quantise(unit)),
            }
        )
        return Entry(look.video_id, event)
