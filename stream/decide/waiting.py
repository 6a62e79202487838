"""Which open requests wait for which shard, and since when; serves the decide worker's metrics."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field

from stream.decide.decide import Join


@dataclass(frozen=True)
class ShardWait:
    """What waits for one shard: how many requests, and for how long the oldest."""

    requests: int = 0
    oldest_seconds: float = 0.0


@dataclass
class Waiting:
    """The open requests of each partition. Noting the newest state of a request is enough."""

    _open: dict[int, dict[bytes, tuple[int, set[int]]]] = field(
        default_factory=lambda: defaultdict(dict)
    )

    def note(self, partition: int, key: bytes, join: Join, now_ms: int) -> None:
        """A request has come to this state.

        Args:
            partition: of the request's answers.
            key: of the request.
            join: its state.
            now_ms: since when it waits if the state doesn't say; milliseconds since 1970.
        """
        missing = join.missing_shards()
        if missing:
            since_ms = now_ms if join.since_ms is None else join.since_ms
            self._open[partition][key] = (since_ms, missing)
        else:
            self._open[partition].pop(key, None)

    def keep(self, partitions: Collection[int]) -> None:
        """Forget what belongs to other partitions."""
        for partition in [number for number in self._open if number not in partitions]:
            del self._open[partition]

    def by_shard(self, partitions: Collection[int], now_ms: int) -> dict[int, ShardWait]:
        """What waits for each shard, of the requests on some partitions."""
        found: dict[int, ShardWait] = defaultdict(ShardWait)
        for partition in partitions:
            for since_ms, missing in self._open.get(partition, {}).values():
                seconds = max(0.0, (now_ms - since_ms) / 1000)
                for shard in missing:
                    before = found[shard]
                    oldest = max(before.oldest_seconds, seconds)
                    found[shard] = ShardWait(before.requests + 1, oldest)
        return dict(found)
