"""The decide step: one decision per request, whatever order and repetition the answers have."""

import random
from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.agents.decide import decide_step
from stream.contract.events import (
    AlertRaised,
    AlertReviewed,
    AlertSuppressed,
    Event,
    PolicyUpdated,
    VideoCompared,
    VideoDecided,
    VideoRejected,
)
from stream.contract.message import Source
from stream.decide.decide import Join, on_compared, on_rejected
from stream.decide.policy import Policies
from stream.errors import BadEventError
from stream.times import now
from tests.stream.answers import answer, match, policy, verdict


def run(
    answers: Sequence[VideoCompared], policies: Policies | None = None, **options: Any
) -> list[Event]:
    join, published = Join(), []
    for each in answers:
        before = Join.from_bytes(join.to_bytes())
        join, events = on_compared(before, each, policies, **options)
        published += events
    return published


def decision_in(events: Sequence[Event]) -> VideoDecided:
    (decision,) = [event for event in events if isinstance(event, VideoDecided)]
    return decision


def raised_in(events: Sequence[Event]) -> list[str]:
    """The references of the alerts, in order."""
    return [event.reference_id for event in events if isinstance(event, AlertRaised)]


def with_policies(*events: Event) -> Policies:
    policies = Policies()
    for event in events:
        policies.take(event)
    return policies


@given(st.lists(st.integers(0, 3), min_size=1, max_size=20), st.randoms())
def test_one_decision_comes_when_all_shards_answered_in_any_order_and_repetition(
    extra: list[int], random_source: random.Random
) -> None:
    order = [0, 1, 2, 3, *extra]
    random_source.shuffle(order)

    published = run([answer(shard, match(f"r{shard}"), shards=4) for shard in order])

    decisions = [event for event in published if isinstance(event, VideoDecided)]
    alerts = [event for event in published if isinstance(event, AlertRaised)]
    assert len(decisions) == 1
    assert decisions[0].outcome == "matched"
    assert decisions[0].alert_ids == [alert.alert_id for alert in alerts]
    assert [alert.reference_id for alert in alerts] == ["r0", "r1", "r2", "r3"]


def test_a_missing_shard_delays_the_decision_and_is_never_clear() -> None:
    assert run([answer(0), answer(0), answer(0)]) == []


def test_answers_of_different_numbers_of_shards_are_never_joined() -> None:
    assert run([answer(0, shards=2), answer(1, shards=3), answer(2, shards=3)]) == []
    old = [answer(0, match("a"), shards=3), answer(2, shards=3), answer(1, shards=3)]
    new = [answer(0, match("b")), answer(1, match("c"))]
    *alerts, decision = run([*old[:2], *new, old[2]])
    assert [event.reference_id for event in alerts if isinstance(event, AlertRaised)] == ["b", "c"]
    assert isinstance(decision, VideoDecided) and len(decision.alert_ids) == len(alerts) == 2


def test_a_join_that_an_earlier_release_wrote_goes_on() -> None:
    earlier = {"answers": {"0": answer(0, match("a")).model_dump()}}
    join, events = on_compared(Join.from_bytes(orjson.dumps(earlier)), answer(1))
    assert [type(event) for event in events] == [AlertRaised, VideoDecided]
    assert join.decided_at is not None


def test_nothing_found_by_any_shard_is_clear_with_the_slowest_shards_time() -> None:
    (decision,) = run([answer(1), answer(0)])

    assert isinstance(decision, VideoDecided)
    assert decision.outcome == "clear"
    assert decision.alert_ids == []
    assert decision.stage_seconds == {"search": 0.2}


def test_a_dead_letter_is_decided_as_rejected_once_and_says_why() -> None:
    letter = VideoRejected(
        video_id="v",
        content_version="b",
        error="corrupt",
        message="no moov atom",
        source_topic="video.uploaded",
        source_partition=0,
        source_offset=7,
        attempts=1,
        request_id="0-7-1",
        rejected_at=now(),
    )
    join, events = on_rejected(Join(), letter)
    _, again = on_rejected(join, letter)

    (decision,) = events
    assert isinstance(decision, VideoDecided)
    assert (decision.outcome, decision.content_version) == ("rejected", "b")
    assert decision.reason == "corrupt: no moov atom"
    assert again == []


def test_a_dead_letter_without_a_video_id_has_nobody_who_waits() -> None:
    letter = VideoRejected(
        error="bad_event",
        message="not JSON",
        source_topic="video.uploaded",
        source_partition=0,
        source_offset=7,
        attempts=1,
        request_id="0-7-1",
        rejected_at=now(),
    )
    assert on_rejected(Join(), letter) == (Join(), [])


@pytest.mark.parametrize("topic", [PolicyUpdated.topic, AlertReviewed.topic])
def test_a_dead_letter_of_a_policy_or_verdict_decides_nothing_of_the_video_it_names(
    topic: str,
) -> None:
    letter = VideoRejected(
        video_id="v",
        error="bad_event",
        message="no verdict",
        source_topic=topic,
        source_partition=0,
        source_offset=7,
        attempts=1,
        request_id="0-7-1",
        rejected_at=now(),
    )
    assert on_rejected(Join(), letter) == (Join(), [])


@pytest.mark.parametrize("early", [False, True])
def test_what_is_suppressed_is_published_counted_and_leaves_the_upload_clear(early: bool) -> None:
    own = match("mine", reference_owner_id="me")
    two = match("short", reference_owner_id="studio"), match("brief", reference_owner_id="studio")
    published = run(
        [answer(0, own), answer(1, *two)],
        with_policies(policy("studio", least_seconds=60.0)),
        as_soon_as_matched=early,
    )
    suppressed = [event for event in published if isinstance(event, AlertSuppressed)]
    assert [event.reason for event in suppressed] == ["same_owner", "too_short", "too_short"]
    decision = decision_in(published)
    assert (decision.outcome, decision.alert_ids) == ("clear", [])
    assert decision.reason == "3 matches suppressed (1 same_owner, 2 too_short)"
    assert published[-1] is decision


def test_a_held_alert_is_matched_and_said_to_be_held() -> None:
    policies = with_policies(policy("owner of r", alerts_per_hour=1))
    run([answer(0, match("r"), shards=1)], policies)
    other = answer(0, match("r"), shards=1, video_id="w")
    held, decision = run([other], policies)
    assert isinstance(held, AlertSuppressed) and held.reason == "held"
    assert isinstance(decision, VideoDecided)
    assert (decision.outcome, decision.alert_ids) == ("matched", [])
    assert decision.reason == "held for review: footage of r"


def test_the_reason_names_what_was_raised_and_counts_the_rest() -> None:
    found = [match("r"), match("mine", reference_owner_id="me")]
    decision = decision_in(run([answer(0, *found, shards=1)]))
    assert decision.reason == "shares footage with r; 1 match suppressed (1 same_owner)"


def test_deciding_early_waits_for_no_shard_but_the_first_that_raises_an_alert() -> None:
    published = run([answer(2, shards=4), answer(1, match("b"), shards=4)], as_soon_as_matched=True)
    assert [type(event) for event in published] == [AlertRaised, VideoDecided]
    assert decision_in(published).outcome == "matched"


@given(st.permutations(range(4)), st.lists(st.integers(0, 3), max_size=6), st.data())
def test_in_any_order_early_or_not_each_alert_comes_once_and_one_decision(
    order: Sequence[int], again: Sequence[int], data: st.DataObject
) -> None:
    answers = [
        answer(0, shards=4),
        answer(1, match("b"), match("mine", reference_owner_id="me"), shards=4),
        answer(2, match("gone"), shards=4),
        answer(3, match("d"), shards=4),
    ]
    shuffled = [*order]
    for shard in again:
        shuffled.insert(data.draw(st.integers(0, len(shuffled))), shard)
    dismissed = verdict("an earlier alert", video_id="gone", reference_id="v")
    for early in (False, True):
        published = run(
            [answers[shard] for shard in shuffled],
            with_policies(dismissed),
            as_soon_as_matched=early,
        )
        assert sorted(raised_in(published)) == ["b", "d"]
        assert decision_in(published).outcome == "matched"
        kept_back = [event for event in published if isinstance(event, AlertSuppressed)]
        assert sorted(event.reason for event in kept_back) == ["dismissed", "same_owner"]


@given(st.permutations(range(3)))
def test_deciding_early_is_never_clear_before_all_shards_have_answered(
    order: Sequence[int],
) -> None:
    answers = [answer(shard, shards=3) for shard in order]
    assert run(answers[:2], as_soon_as_matched=True) == []
    assert decision_in(run(answers, as_soon_as_matched=True)).outcome == "clear"


def test_after_an_early_decision_shards_of_another_number_repeat_no_alert() -> None:
    first = answer(0, match("a"), shards=2)
    others = [
        answer(0, match("b"), shards=3),
        answer(1, match("a"), shards=3),
        answer(2, shards=3),
        answer(1, match("b"), shards=2),
    ]
    published = run([first, *others], as_soon_as_matched=True)
    assert raised_in(published) == ["a", "b"]
    assert decision_in(published).alert_ids == [published[0].alert_id]  # type: ignore[attr-defined]


@pytest.mark.parametrize("shard", [2, 2**63])
def test_an_answer_of_no_shard_is_refused_as_its_request_would_wait_for_ever(shard: int) -> None:
    value = answer(0, shards=2).model_copy(update={"shard": shard}).to_bytes()
    with pytest.raises(BadEventError, match="said.shard = "):
        decide_step(Source("video.compared", 0, 0, 0, value), lambda _: Join(), Policies())


def test_an_answer_of_a_shard_that_there_is_not_completes_nothing() -> None:
    assert run([answer(0, shards=2), answer(5, shards=2)]) == []


def test_a_request_says_which_shards_it_waits_for() -> None:
    join, _ = on_compared(Join(), answer(1, shards=3), timestamp_ms=5)
    assert (join.missing_shards(), join.since_ms) == ({0, 2}, 5)
    join, _ = on_compared(join, answer(0, match("r"), shards=3), as_soon_as_matched=True)
    assert (join.missing_shards(), join.since_ms) == ({2}, 5), "its alerts are still to come"
    join, _ = on_compared(join, answer(2, shards=3))
    assert join == Join(decided_at=join.decided_at)
    assert join.missing_shards() == set()


def pending_join() -> Join:
    """Of a request that one of two shards had answered, about to be decided."""
    before, _ = on_compared(Join(), answer(0, match("a")), timestamp_ms=5)
    then, outputs = on_compared(before, answer(1, match("mine", reference_owner_id="me")))
    return before.about_to_say(outputs, then)


def test_what_is_pending_is_the_same_text_again_and_waits_for_no_shard() -> None:
    join = pending_join()
    again = Join.from_bytes(join.to_bytes())
    assert again == join
    assert again.pending is not None and join.pending is not None
    assert [type(event) for event in again.pending.outputs] == [
        AlertRaised,
        AlertSuppressed,
        VideoDecided,
    ]
    texts = [event.to_bytes() for event in again.pending.outputs]
    assert texts == [event.to_bytes() for event in join.pending.outputs]
    assert join.missing_shards() == set()


def test_a_release_that_knows_of_nothing_pending_finds_the_request_as_it_was() -> None:
    before, _ = on_compared(Join(), answer(0, match("a")), timestamp_ms=5)
    known = orjson.loads(pending_join().to_bytes())
    del known["pending"]
    assert Join.from_bytes(orjson.dumps(known)) == before == pending_join().unsaid()
