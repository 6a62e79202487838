"""What a decide worker remembers of requests is right, small, and forgotten in time."""

import sys
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.decide.decide import Join, on_compared
from stream.decide.joins import Decided, Joins, packed, unpacked
from tests.stream.answers import answer

DAY = 86400.0
NOW = 1_800_000_000.0


def decided(at: float = NOW) -> Join:
    return Join(decided_at=datetime.fromtimestamp(at, UTC))


def open_join(since: float = NOW) -> Join:
    join, _ = on_compared(Join(), answer(0), timestamp_ms=round(1000 * since))
    return join


@given(st.tuples(*(st.integers(0, 2**50) for _ in range(3))).map(lambda ids: b"%d-%d-%d" % ids))
def test_a_request_id_packed_is_the_same_again(key: bytes) -> None:
    assert unpacked(packed(key)) == key


@given(st.binary(max_size=40))
def test_any_other_key_packed_is_the_same_again(key: bytes) -> None:
    assert unpacked(packed(key)) == key


@pytest.mark.parametrize("key", [b"00-1-1", b"-1-1-1", b"1-1", b"1-2-3-4", "²-1-1".encode()])
def test_a_key_that_only_looks_like_a_request_id_is_kept_as_it_is(key: bytes) -> None:
    assert unpacked(packed(key)) == key


def test_a_request_id_takes_a_few_bytes() -> None:
    assert len(packed(b"7-123456789-1795819046603")) == 13


def test_a_decided_request_takes_about_a_hundred_bytes() -> None:
    known = Decided(3600.0)
    for number in range(20_000):
        known.add(b"%d-%d-%d" % (number % 8, number, 1_795_819_046_603 + number), NOW)
    known.add(b"0-1-1", NOW + 3600)  # the hour is over
    bucket = next(iter(known._buckets.values()))
    held = sys.getsizeof(bucket) + sum(map(sys.getsizeof, bucket))
    assert held / len(known) < 110


def test_an_open_request_is_known_whole_and_a_decided_one_as_decided() -> None:
    joins, join = Joins(7 * DAY), open_join()
    joins.put(3, b"3-1-1", join, NOW)
    assert joins.get(3, b"3-1-1") == join
    joins.put(3, b"3-1-1", decided(), NOW)
    found = joins.get(3, b"3-1-1")
    assert found.decided_at is not None
    assert not found.answers
    assert joins.counts() == (0, 1)
    assert joins.get(3, b"3-1-2") == Join()


def test_an_answer_that_comes_again_after_the_decision_is_dropped() -> None:
    joins = Joins(7 * DAY)
    joins.put(3, b"3-1-1", decided(), NOW)
    before = joins.get(3, b"3-1-1")
    after, outputs = on_compared(before, answer(0))
    assert after is before
    assert outputs == []


def test_what_is_decided_early_stays_open_until_all_shards_are_heard() -> None:
    joins = Joins(7 * DAY)
    early = decided().model_copy(update={"told": ("0/2",), "since_ms": round(1000 * NOW)})
    joins.put(0, b"0-1-1", early, NOW)
    assert joins.get(0, b"0-1-1").told == ("0/2",)
    joins.put(0, b"0-1-1", decided(), NOW)
    assert joins.counts() == (0, 1)


def test_what_is_pending_of_a_request_is_known_whole_until_it_is_said() -> None:
    joins, outputs = Joins(7 * DAY), on_compared(Join(), answer(0, shards=1))[1]
    pending = Join().about_to_say(outputs, decided())
    joins.put(0, b"0-1-1", pending, NOW)
    assert joins.get(0, b"0-1-1") == pending
    assert joins.counts() == (1, 0)
    joins.put(0, b"0-1-1", decided(), NOW)
    assert joins.counts() == (0, 1)


def test_decided_requests_are_forgotten_after_the_retention_and_each_is_told_once() -> None:
    joins = Joins(7 * DAY)
    joins.put(1, b"1-1-1", decided(NOW), NOW)
    joins.put(1, b"1-2-1", decided(NOW + DAY), NOW)
    assert list(joins.pop_expired(NOW + 6.9 * DAY)) == []
    assert list(joins.pop_expired(NOW + 7.1 * DAY)) == [(1, b"1-1-1")]
    assert list(joins.pop_expired(NOW + 7.1 * DAY)) == []
    assert joins.get(1, b"1-1-1") == Join()
    assert joins.get(1, b"1-2-1").decided_at is not None


def test_forgetting_may_pause_and_go_on() -> None:
    joins = Joins(7 * DAY)
    keys = {b"1-%d-1" % number for number in range(50)}
    for key in keys:
        joins.put(1, key, decided(), NOW)
    found: set[bytes] = set()
    while len(found) < 50:
        expired = joins.pop_expired(NOW + 8 * DAY)
        found |= {key for _, key in [next(expired), next(expired)]}
    assert found == keys
    assert joins.counts() == (0, 0)


def test_recovered_ones_are_forgotten_just_as_well() -> None:
    joins = Joins(7 * DAY)
    joins.put(1, b"1-1-1", decided(NOW - 9 * DAY), NOW)  # the changelog kept it for so long
    assert list(joins.pop_expired(NOW)) == [(1, b"1-1-1")]


def test_an_open_request_whose_answers_have_left_their_topic_is_forgotten() -> None:
    joins = Joins(7 * DAY)
    joins.put(1, b"1-1-1", open_join(NOW), NOW)
    assert list(joins.pop_expired(NOW + 7.5 * DAY)) == []
    assert list(joins.pop_expired(NOW + 8.5 * DAY)) == [(1, b"1-1-1")]
    assert joins.counts() == (0, 0)


def test_what_another_worker_has_now_is_forgotten() -> None:
    joins = Joins(7 * DAY)
    for partition in (1, 2):
        joins.put(partition, b"%d-1-1" % partition, decided(), NOW)
        joins.put(partition, b"%d-2-1" % partition, open_join(), NOW)
    joins.keep({2})
    assert joins.counts() == (1, 1)
    assert joins.get(1, b"1-1-1") == Join()


def test_a_removed_one_is_unknown() -> None:
    joins = Joins(7 * DAY)
    joins.put(1, b"1-1-1", decided(), NOW)
    joins.put(1, b"1-2-1", open_join(), NOW)
    joins.remove(1, b"1-1-1")
    joins.remove(1, b"1-2-1")
    assert joins.counts() == (0, 0)
