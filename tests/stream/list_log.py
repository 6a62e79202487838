"""A library log in memory, with what Kafka keeps beside it; serves the tests of the commands."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from stream.admin.restore import absorb, closing_upkeep, silent_shard
from stream.contract.events import VideoFingerprinted
from stream.contract.fingerprint import Fingerprint
from stream.contract.message import Source
from stream.library.settings import LibrarySettings
from stream.library.snapshot import SnapshotStore

LOG_ID = "cluster/log"


class ListLog:
    """Entries, and the offsets of the shards' groups. A text in the list is a takedown of it."""

    identity = LOG_ID

    def __init__(self, entries: Iterable[Fingerprint | str | bytes] = ()) -> None:
        self.sources = [_source(offset, entry) for offset, entry in enumerate(entries)]
        self.groups: dict[tuple[int, int], int] = {}

    def ends(self) -> tuple[int, int]:
        """The first offset and the next one."""
        return 0, self.sources[-1].offset + 1 if self.sources else 0

    def read(self, start: int, stop: int) -> Iterator[Source]:
        """Entries of a span."""
        return (source for source in self.sources if start <= source.offset < stop)

    def answered(self, shard: int, shards: int) -> int | None:
        """A group's offset."""
        return self.groups.get((shard, shards))

    def set_answered(self, shard: int, shards: int, offset: int) -> None:
        """Set it."""
        self.groups[shard, shards] = offset

    def compacted(self, before: int) -> "ListLog":
        """As Kafka leaves it: of the entries before an offset, the last of each key."""
        made = ListLog()
        made.groups = self.groups
        last = {one.key: one.offset for one in self.sources if one.offset < before}
        made.sources = [
            one for one in self.sources if one.offset >= before or last[one.key] == one.offset
        ]
        return made

    def snapshot(self, settings: LibrarySettings, shard: int, offset: int) -> None:
        """What a worker of a shard leaves behind that answered up to an offset and was stopped."""
        library = silent_shard(settings, shard)
        snapshots = SnapshotStore(settings, shard=shard, log_id=LOG_ID)
        with closing_upkeep(snapshots) as upkeep:
            absorb(library, self.read(0, offset), upkeep)
            snapshots.save(library.state, offset)
        self.groups[shard, settings.shards] = offset


def _source(offset: int, entry: Fingerprint | str | bytes) -> Source:
    source = Source(VideoFingerprinted.topic, 0, offset, 0, None)
    if isinstance(entry, str):
        return replace(source, key=entry.encode())
    if isinstance(entry, bytes):
        return replace(source, key=b"nobody", value=entry)
    event = entry.to_event()
    return replace(source, key=event.key(), value=event.to_bytes())
