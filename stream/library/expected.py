"""What a shard must hold, told by plain dictionaries; serves `stream.library.verify`.

Takes the log entry by entry, as a shard does, and keeps of each version what is short as it is and
a digest of each array.
"""

import hashlib
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream.contract.events import ContentVersion, Role, Submission
from stream.contract.fingerprint import Fingerprint
from stream.contract.hashes import shard_of
from stream.contract.message import Source
from stream.contract.order import Takedown, before, restated
from stream.errors import RejectedError
from stream.library.entry import Entry
from stream.library.rows import RowCodes
from stream.library.run import NEVER
from stream.library.settings import LibrarySettings

DIGEST_BYTES = 8  # against accidents, not forgers; five of each version are held in memory


class Facts(NamedTuple):
    """One version of a video; arrays as their digests."""

    content_version: ContentVersion
    owner_id: str
    role: Role
    duration_seconds: float
    seconds: bytes
    bias_codes: bytes
    cut_seconds: bytes
    motion_levels: bytes
    submission: Submission | None
    rows: bytes

    @classmethod
    def of(cls, entry: Entry, rows: NDArray[Any]) -> "Facts":
        """Of an entry and its (N, width) packed rows."""
        return cls(
            entry.content_version,
            entry.owner_id,
            entry.role,
            entry.duration_seconds,
            _digest(entry.seconds),
            _digest(entry.bias_codes),
            _digest(entry.cut_seconds),
            _digest(entry.motion_levels),
            entry.submission,
            _digest(rows),
        )


@dataclass(slots=True)
class Version:
    """One version of a video of the shard.

    Attributes:
        offset: of the log, where it was added.
        replaced_at: where another took its place; `NEVER` where it holds.
        submission: the last of this version while it holds.
        again_at: where it came once more.
    """

    facts: Facts
    offset: int
    submission: Submission | None
    replaced_at: int = NEVER
    again_at: tuple[int, ...] = ()


class Offsets:
    """Which offsets of a log were read; takes them in ascending order."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._stops: list[int] = []

    def __contains__(self, offset: int) -> bool:
        place = bisect_right(self._starts, offset) - 1
        return place >= 0 and offset < self._stops[place]

    def add(self, offset: int) -> None:
        """Note one; those in a row are held as a span."""
        if self._stops and self._stops[-1] == offset:
            self._stops[-1] = offset + 1
        else:
            self._starts.append(offset)
            self._stops.append(offset + 1)


@dataclass
class Expected:
    """What shard `shard` of `settings.shards` must hold after the entries that were taken.

    Attributes:
        model: version and dimension of the first readable entry; None before it.
        seen: where each version of every video was first read, since its last takedown then.
        taken_down: where each video was last taken down.
        covered: which submissions of a video of this shard are taken down.
        versions: of the videos of this shard that are not taken down, oldest first.
        unusable: ids of this shard with an entry that can't be used.
        offsets: of all entries.
    """

    settings: LibrarySettings
    shard: int
    model: tuple[str, int] | None = None
    seen: dict[tuple[str, ContentVersion], int] = field(default_factory=dict)
    taken_down: dict[str, int] = field(default_factory=dict)
    covered: dict[str, Takedown] = field(default_factory=dict)
    versions: dict[str, list[Version]] = field(default_factory=dict)
    unusable: set[str] = field(default_factory=set)
    offsets: Offsets = field(default_factory=Offsets)

    def take(self, source: Source) -> None:
        """The next entry of the log."""
        self.offsets.add(source.offset)
        key = (source.key or b"").decode(errors="replace")
        if source.value is None and source.key is not None:
            self._take_down(key, source)
            return
        try:
            upload = Fingerprint.from_bytes(source.value)
        except RejectedError:
            self.unusable.add(key)
            return
        model = (upload.model_version, upload.dimension)
        # The first decides, as for a shard that reads the log from its start.
        self.model = self.model or model
        if self.model == model:
            self._add(upload, source.offset)
        else:
            self.unusable.add(key)

    def _take_down(self, video_id: str, source: Source) -> None:
        again, takedown = restated(source), Takedown.of(source)
        if not again:
            self.taken_down[video_id] = source.offset
        if shard_of(video_id, self.settings.shards) != self.shard:
            return
        known = takedown.joined(self.covered.get(video_id))
        if versions := self.versions.get(video_id):
            submission = versions[-1].submission
            if takedown.takes(submission, restated=again):
                known = known.including(submission)
                del self.versions[video_id]
        self.covered[video_id] = known

    def _add(self, upload: Fingerprint, offset: int) -> None:
        video_id, version = upload.video_id, (upload.video_id, upload.content_version)
        # -1 of both where neither is known: it is read for the first time.
        if self.seen.get(version, -1) <= self.taken_down.get(video_id, -1):
            self.seen[version] = offset
        if shard_of(video_id, self.settings.shards) != self.shard:
            return
        if self.covered.get(video_id, Takedown()).covers(upload.submission):
            return
        versions = self.versions.setdefault(video_id, [])
        if versions:
            holding = versions[-1]
            if before(upload.submission, holding.submission):
                return
            if holding.facts.content_version == upload.content_version:
                holding.submission = upload.submission or holding.submission
                holding.again_at += (offset,)
                return
            holding.replaced_at = offset
        rows = RowCodes(upload.dimension, self.settings.code_bits).pack(upload.key_frames.codes)
        versions.append(Version(Facts.of(Entry.of(upload), rows), offset, upload.submission))


def _digest(array: NDArray[Any]) -> bytes:
    data = np.ascontiguousarray(array).tobytes()
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest()
