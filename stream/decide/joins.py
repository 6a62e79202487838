"""What a decide worker remembers of requests: open ones whole, decided ones in a few bytes each.

Bounded: a decided request is forgotten after the retention, an open one when its answers have left
their topic. `benchmarks/delivery/decide_memory.py` measures it.
"""

import struct
from collections.abc import Collection, Iterator
from datetime import UTC, datetime

from stream.contract.topics import load_topics
from stream.decide.decide import Join

BUCKETS = 168  # of the retention: an hour each where it is a week
CHANGELOG = "samesource-decide-state"
WHERE_AND_WHEN = struct.Struct(">HIBIH")  # partition, 40 bits of offset, 48 bits of time
OTHER = b"\xff"  # before a request id of another form
PARTITIONS = 0xFF00  # so that the first byte of a packed id is never `OTHER`


def packed(key: bytes) -> bytes:
    """A request id in 13 bytes where it has the form of `Source.request_id`."""
    parts = key.split(b"-")
    if len(parts) == 3 and all(part.isdigit() and len(part) < 16 for part in parts):
        partition, offset, time_ms = map(int, parts)
        if partition < PARTITIONS and offset < 2**40 and time_ms < 2**48:
            short = WHERE_AND_WHEN.pack(
                partition, offset >> 8, offset & 0xFF, time_ms >> 16, time_ms & 0xFFFF
            )
            # Leading zeros would be lost: such an id stays as it is.
            if unpacked(short) == key:
                return short
    return OTHER + key


def unpacked(short: bytes) -> bytes:
    """The request id of which `packed` made these bytes."""
    if short[:1] == OTHER:
        return short[1:]
    partition, offset, last, time_ms, low = WHERE_AND_WHEN.unpack(short)
    return b"%d-%d-%d" % (partition, offset << 8 | last, time_ms << 16 | low)


class Decided:
    """Request ids of one partition by when they were decided."""

    def __init__(self, bucket_seconds: float) -> None:
        self._seconds = bucket_seconds
        self._buckets: dict[int, set[bytes]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._buckets.values()))

    def add(self, key: bytes, decided_at: float) -> None:
        """Remember that it was decided, in seconds since 1970."""
        bucket = int(decided_at // self._seconds)
        if bucket not in self._buckets:
            for full, known in self._buckets.items():
                self._buckets[full] = set(known)  # a copy has no room to grow: half the memory
            self._buckets[bucket] = set()
        self._buckets[bucket].add(packed(key))

    def when(self, key: bytes) -> float | None:
        """When it was decided, to the bucket; None where it isn't known to be."""
        bucket = self._bucket_of(packed(key))
        return None if bucket is None else bucket * self._seconds

    def discard(self, key: bytes) -> None:
        """Forget a request, where it is known: it is open again, or gone from the changelog."""
        short = packed(key)
        bucket = self._bucket_of(short)
        if bucket is not None:
            self._remove(bucket, short)

    def pop_before(self, seconds: float) -> Iterator[bytes]:
        """Forget those that were decided before, one as each is taken."""
        for bucket in sorted(self._buckets):
            if (bucket + 1) * self._seconds > seconds:
                return
            for short in list(self._buckets[bucket]):
                self._remove(bucket, short)
                yield unpacked(short)

    def _bucket_of(self, short: bytes) -> int | None:
        return next((at for at, known in self._buckets.items() if short in known), None)

    def _remove(self, bucket: int, short: bytes) -> None:
        known = self._buckets[bucket]
        known.discard(short)
        if not known:
            del self._buckets[bucket]


class Joins:
    """The newest state of every request, by partition of its answers."""

    def __init__(self, retention_seconds: float) -> None:
        """Nothing is known.

        Args:
            retention_seconds: how long a decided request recognises repeated answers.
        """
        self._retention = retention_seconds
        self._open: dict[int, dict[bytes, tuple[float, bytes]]] = {}
        self._decided: dict[int, Decided] = {}
        days = next(topic.retention_days for topic in load_topics() if topic.name == CHANGELOG)
        self._open_seconds = days * 86400.0

    def counts(self) -> tuple[int, int]:
        """How many requests are open, and how many are remembered as decided."""
        return sum(map(len, self._open.values())), sum(map(len, self._decided.values()))

    def get(self, partition: int, key: bytes) -> Join:
        """What is known of a request."""
        found = self._open.get(partition, {}).get(key)
        if found is not None:
            return Join.from_bytes(found[1])
        decided = self._decided.get(partition)
        when = decided.when(key) if decided is not None else None
        return Join() if when is None else Join(decided_at=datetime.fromtimestamp(when, UTC))

    def put(self, partition: int, key: bytes, join: Join, now: float) -> None:
        """A request has come to this state.

        Args:
            partition: of its answers.
            key: of the request.
            join: its state.
            now: seconds since 1970, for a state that doesn't say since when it waits.
        """
        still_open = self._open.setdefault(partition, {})
        if join.answers or join.told or join.pending is not None:
            since = now if join.since_ms is None else join.since_ms / 1000
            still_open[key] = (since, join.to_bytes())
            return
        still_open.pop(key, None)
        if join.decided_at is not None:
            self._decided_on(partition).add(key, join.decided_at.timestamp())

    def remove(self, partition: int, key: bytes) -> None:
        """Forget a request, open or decided, as its deletion in the changelog says."""
        self._open.get(partition, {}).pop(key, None)
        self._decided_on(partition).discard(key)

    def keep(self, partitions: Collection[int]) -> None:
        """Forget what belongs to other partitions: another worker has them."""
        for known in (self._open, self._decided):
            for partition in [number for number in known if number not in partitions]:
                del known[partition]

    def pop_expired(self, now: float) -> Iterator[tuple[int, bytes]]:
        """Forget what is too old to matter, partition and key of one as each is taken."""
        # Copies: the caller awaits between two of these, and partitions may come and go meanwhile.
        for partition, still_open in list(self._open.items()):
            old = [
                key for key, (since, _) in still_open.items() if since < now - self._open_seconds
            ]
            for key in old:
                still_open.pop(key, None)
                yield partition, key
        for partition, decided in list(self._decided.items()):
            for key in decided.pop_before(now - self._retention):
                yield partition, key

    def _decided_on(self, partition: int) -> Decided:
        return self._decided.setdefault(partition, Decided(self._retention / BUCKETS))
