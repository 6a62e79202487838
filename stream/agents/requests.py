"""What the decide worker knows of requests: in memory, in the changelog, and as metrics show it.

`stream.agents.join_table` reads the changelog back when partitions move.
"""

import asyncio
import logging
import time
from collections.abc import Collection
from itertools import islice

from stream.agents.publisher import Publisher
from stream.decide.decide import Join
from stream.decide.joins import CHANGELOG, Joins
from stream.decide.waiting import ShardWait, Waiting
from stream.errors import TooLargeError, brief
from stream.metrics import OPEN_REQUESTS, REMEMBERED_REQUESTS, WAITING_REQUESTS, WAITING_SECONDS
from stream.settings import Settings

log = logging.getLogger(__name__)

FORGET_EVERY_SECONDS, FORGET_AT_ONCE = 1.0, 200
"""So many old requests a second at the most: after a week's pause their deletions don't come before
the decisions. A worker that decides more than that for a week remembers more."""
SPARE_BYTES = 64 * 1024  # what Kafka adds to a record, with room


class Requests:
    """The newest state of each request on the worker's partitions, as the changelog has it."""

    def __init__(self, settings: Settings, publisher: Publisher) -> None:
        self._max_bytes = settings.kafka.max_message_bytes
        self._publisher = publisher
        self._joins = Joins(settings.worker.decided_retention_seconds)
        self._waiting, self._waited_for = Waiting(), {*range(settings.library.shards)}

    def get(self, partition: int, key: bytes) -> Join:
        """What is known of a request."""
        return self._joins.get(partition, key)

    def fitting(self, join: Join) -> Join:
        """The state as the changelog takes it: of much that is pending, without the answers.

        Raises:
            TooLargeError: the answers of the shards are too much, or what is said of them.
        """
        most = self._max_bytes - SPARE_BYTES
        size = len(join.to_bytes())
        if size > most and join.pending is not None and join.answers:
            return self.fitting(join.model_copy(update={"answers": {}}))
        if size > most:
            what = "the shards' answers" if join.pending is None else "what is said of a request"
            raise TooLargeError(f"{what}: {size} bytes, expected {most} at most")
        return join

    async def write(self, partition: int, key: bytes, join: Join) -> None:
        """Put the state into the changelog and wait until it is there, however long Kafka is away.

        Before `put`: what is known here, whoever takes the partition over knows too.
        """
        await self._publisher.send(CHANGELOG, join.to_bytes(), key, partition=partition)

    def put(self, partition: int, key: bytes, join: Join) -> None:
        """Take what was written for the newest state."""
        self._joins.put(partition, key, join, time.time())

    def note_waiting(self, partition: int, key: bytes, join: Join, since_ms: int) -> None:
        """Which shards a request waits for; since then, if its state doesn't say."""
        self._waiting.note(partition, key, join, since_ms)

    async def forget(self) -> None:
        """Drop what is too old to matter, also from the changelog, a few at a time."""
        while True:
            for partition, key in islice(self._joins.pop_expired(time.time()), FORGET_AT_ONCE):
                # A state that waits for nothing, so that the gauges forget it.
                self._waiting.note(partition, key, Join(), 0)
                await self._publisher.send(CHANGELOG, None, key, partition=partition)
            await asyncio.sleep(FORGET_EVERY_SECONDS)

    def recover(self, partition: int, key: bytes, value: bytes | None) -> None:
        """Take in what the changelog says of a request."""
        join = known_state(value)
        if value is None:
            self._joins.remove(partition, key)
        else:
            self._joins.put(partition, key, join, time.time())
        self._waiting.note(partition, key, join, _now_ms())

    def keep(self, partitions: set[int]) -> None:
        """Forget what belongs to other partitions.

        It is another worker's, and would be out of date when it returns.
        """
        self._joins.keep(partitions)
        self._waiting.keep(partitions)

    def show(self, partitions: Collection[int]) -> None:
        """Keep the gauges of what waits for each shard true; a shard that came back is at 0."""
        still_open, decided = self._joins.counts()
        OPEN_REQUESTS.set(still_open)
        REMEMBERED_REQUESTS.set(decided)
        waits = self._waiting.by_shard(partitions, _now_ms())
        self._waited_for |= waits.keys()
        for shard in self._waited_for:
            wait = waits.get(shard, ShardWait())
            WAITING_REQUESTS.labels(str(shard)).set(wait.requests)
            WAITING_SECONDS.labels(str(shard)).set(wait.oldest_seconds)


def known_state(state: bytes | None) -> Join:
    """What the changelog says of a request; nothing where anyone wrote something else there."""
    try:
        join = Join.from_bytes(state)
        join.missing_shards()
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        log.warning("a state in %s can't be read: %s", CHANGELOG, brief(error, 200))
        return Join()
    return join


def _now_ms() -> int:
    return round(1000 * time.time())
