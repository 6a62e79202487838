"""Verifies a shard: what its snapshot and the log after it give, against what the log says."""

from collections.abc import Iterator
from dataclasses import dataclass

from stream.admin.restore import Log, absorb, scratch_upkeep, silent_shard
from stream.contract.message import Source
from stream.errors import SnapshotError
from stream.library.expected import Expected
from stream.library.settings import LibrarySettings
from stream.library.snapshot_reader import SnapshotReader
from stream.library.verify import Comparison, compare


@dataclass(frozen=True)
class Verified:
    """What came of it.

    Attributes:
        offset: of the log, up to where it was compared.
        snapshot_offset: of the snapshot that was used; None where there was none.
        damaged: snapshots that can't be used, and why.
    """

    comparison: Comparison
    offset: int
    snapshot_offset: int | None
    damaged: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong."""
        return not self.damaged and not self.comparison.differences


def verify(settings: LibrarySettings, shard: int, log: Log) -> Verified:
    """Restore a shard as its worker would, and compare it with the log's present end.

    The log is read once. Of it, so much is in memory: digests of the shard's own videos, and for
    every version of every video its id and offset.

    Raises:
        SnapshotError: the snapshot is beyond the end of the log.
        BrokerError: the log can't be read.
    """
    snapshots = SnapshotReader(settings, shard=shard, log_id=log.identity)
    # The snapshot before the end: a worker that runs meanwhile may write one that lies beyond it.
    found = snapshots.newest()
    begin, end = log.ends()
    start = found.next_offset if found is not None else begin
    if start > end:
        raise SnapshotError(
            f"the snapshot of shard {shard} is at offset {start}, but the log ends at {end}: it "
            "was made anew"
        )
    expected = Expected(settings, shard)
    library = silent_shard(settings, shard, found.state if found is not None else None)

    def after_the_snapshot() -> Iterator[Source]:
        for source in log.read(begin, end):
            expected.take(source)
            if source.offset >= start:
                yield source

    with scratch_upkeep(settings, shard) as upkeep:
        absorb(library, after_the_snapshot(), upkeep)
        comparison = compare(library.state, expected)
    return Verified(
        comparison, end, found.next_offset if found is not None else None, snapshots.damaged
    )
