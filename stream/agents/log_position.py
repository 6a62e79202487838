"""How far a shard's worker is in the log: what it has read, committed and put in a snapshot.

Says when the next commit and the next snapshot are due, and keeps the metrics of all three true.
"""

import time
from dataclasses import dataclass, field

from stream.library.settings import LibrarySettings
from stream.metrics import LOG_POSITION, SNAPSHOT_AGE, SNAPSHOT_OFFSET


@dataclass
class LogPosition:
    """Offsets of the log, each of the next entry that is not done.

    Attributes:
        label: of the shard, in metrics.
        read: its answer is on the broker for all before; a commit or snapshot may say so.
        answered: as the group's offset says; a rebuild is silent until there.
        saved: as the newest snapshot has it.
        written_at: when that snapshot was written, seconds since 1970.
    """

    label: str
    read: int
    answered: int
    saved: int
    written_at: float
    _committed_at: float = field(default_factory=time.monotonic)
    _saving_at: float = field(default_factory=time.monotonic)

    @property
    def is_committed(self) -> bool:
        """Whether the group's offset says all that was answered."""
        # Less after a restore: what is being rebuilt was answered before.
        return self.read <= self.answered

    def commit_is_due(self, every_seconds: float) -> bool:
        """Whether something wasn't committed for so long."""
        late = time.monotonic() - self._committed_at > every_seconds
        return not self.is_committed and late

    def note_commit(self) -> None:
        """All that was read is committed."""
        self.answered = self.read
        self._committed_at = time.monotonic()

    def snapshot_is_due(self, library: LibrarySettings) -> bool:
        """Whether so much was read since the newest snapshot, or anything for so long."""
        grown = self.read - self.saved
        since = time.monotonic() - self._saving_at
        return grown >= library.snapshot_every_videos or (
            grown > 0 and since > library.snapshot_every_seconds
        )

    def note_saving(self) -> None:
        """A snapshot is begun, or there was nothing to put in one."""
        self._saving_at = time.monotonic()

    def note_saved(self, offset: int) -> None:
        """A snapshot of this offset is whole."""
        self.saved, self.written_at = offset, time.time()
        SNAPSHOT_OFFSET.labels(self.label).set(offset)

    def show(self) -> None:
        """Set the metrics; a snapshot that lacks nothing has no age."""
        LOG_POSITION.labels(self.label).set(self.read)
        age = time.time() - self.written_at if self.read > self.saved else 0.0
        SNAPSHOT_AGE.labels(self.label).set(max(0.0, age))
