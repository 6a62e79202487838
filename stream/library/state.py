"""What a shard remembers: the state that the log makes and a snapshot holds.

`stream.library.shard` changes it, `stream.library.capture` turns it into arrays and back.
"""

from dataclasses import dataclass, field

from stream.contract.events import ContentVersion
from stream.contract.hashes import version_hash, video_hash
from stream.index.hash_map import HashMap
from stream.library.remembered import Latest, Remembered
from stream.library.store import FrameStore, Held


@dataclass(frozen=True)
class Holding:
    """The version of a video that holds."""

    serial: int
    version: ContentVersion
    latest: Latest


@dataclass
class ShardState:
    """All that a shard remembers; what a snapshot holds.

    Attributes:
        model_version: of all descriptors here; None while nothing was read.
        dimension: length of the descriptors; 0 while nothing was read.
        store: the videos that hash here; None while nothing was read.
        seen: where each version of every video of the log was first read, by `version_hash`.
        current: serial of the version that holds, of each video of this shard, by `video_hash`.
        removed: where videos of the whole log were taken down, by `video_hash`.
        remembered: in which order videos of this shard were submitted and taken down.
    """

    model_version: str | None = None
    dimension: int = 0
    store: FrameStore | None = None
    seen: HashMap = field(default_factory=HashMap)
    current: HashMap = field(default_factory=HashMap)
    removed: HashMap = field(default_factory=HashMap)
    remembered: Remembered = field(default_factory=Remembered)

    @property
    def frames(self) -> int:
        """How many key frames it holds."""
        return 0 if self.store is None else len(self.store)

    @property
    def videos(self) -> int:
        """How many videos it holds, without what was replaced or taken down."""
        return len(self.current)

    def held(self) -> list[Held]:
        """All videos, replaced ones included, oldest first."""
        return [] if self.store is None else list(self.store.all_held())

    def first_offset(self, video_id: str, version: ContentVersion) -> int | None:
        """Where a version was first read since its video was last taken down."""
        first = self.seen.get(version_hash(video_id, version))
        taken_down = self.removed.get(video_hash(video_id))
        gone = first is not None and taken_down is not None and first < taken_down
        return None if gone else first

    def holding(self, video_id: str) -> Holding | None:
        """The version that holds; None where this shard has none."""
        key = video_hash(video_id)
        serial = self.current.get(key)
        if serial is None or self.store is None:
            return None
        held = self.store.held(serial)
        entry, latest = held.entry, self.remembered.latest.get(key)
        return Holding(
            serial, entry.content_version, latest or Latest(held.offset, entry.submission)
        )
