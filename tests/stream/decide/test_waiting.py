"""What waits for a shard that is down: how many requests, and for how long the oldest."""

from stream.decide.decide import Join, on_compared
from stream.decide.waiting import ShardWait, Waiting
from tests.stream.answers import answer


def open_join(since_ms: int, *shards: int) -> Join:
    join = Join()
    for shard in shards:
        join, _ = on_compared(join, answer(shard, shards=3), timestamp_ms=since_ms)
    return join


def test_requests_are_counted_by_the_shards_they_wait_for_and_the_oldest_is_timed() -> None:
    waiting = Waiting()
    waiting.note(0, b"a", open_join(1_000, 0), 1_000)
    waiting.note(1, b"b", open_join(3_000, 0, 1), 3_000)
    assert waiting.by_shard({0, 1}, 5_000) == {1: ShardWait(1, 4.0), 2: ShardWait(2, 4.0)}
    assert waiting.by_shard({1}, 5_000) == {2: ShardWait(1, 2.0)}, "partitions of this worker only"


def test_a_decided_request_waits_no_more() -> None:
    waiting = Waiting()
    waiting.note(0, b"a", open_join(1_000, 0, 1), 1_000)
    waiting.note(0, b"a", open_join(1_000, 0, 1, 2), 9_000)
    assert waiting.by_shard({0}, 9_000) == {}


def test_one_of_an_earlier_release_waits_since_it_was_read() -> None:
    waiting = Waiting()
    earlier = open_join(1_000, 0, 1).model_copy(update={"since_ms": None})
    waiting.note(0, b"a", earlier, 6_000)
    assert waiting.by_shard({0}, 9_000) == {2: ShardWait(1, 3.0)}
