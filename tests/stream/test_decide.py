"""The decide step: one decision per request, whatever order and repetition the answers have."""

import random
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.decide import Join, alert_id, alert_of, on_compared, on_rejected
from stream.events import (
    AlertRaised,
    Event,
    Match,
    MatchedSegment,
    VideoCompared,
    VideoDecided,
    VideoRejected,
)
from stream.times import now

SEGMENT = MatchedSegment(
    video_start_seconds=1.0,
    video_end_seconds=9.0,
    reference_start_seconds=31.0,
    reference_end_seconds=39.0,
    score=0.9,
)


def match(reference_id: str, role: Any = "reference") -> Match:
    return Match(
        reference_id=reference_id,
        reference_owner_id=f"owner of {reference_id}",
        reference_role=role,
        score=0.9,
        segments=[SEGMENT],
    )


def answer(shard: int, *matches: Match, shards: int = 2, role: Any = "upload") -> VideoCompared:
    return VideoCompared(
        video_id="v",
        content_version=1,
        owner_id="me",
        role=role,
        request_id="0-7-1",
        model_version="encoder-1",
        shard=shard,
        shards=shards,
        library_offset=7,
        matches=list(matches),
        stage_seconds={"search": 0.1 * (shard + 1)},
    )


def run(answers: list[VideoCompared]) -> list[Event]:
    join, published = Join(), []
    for each in answers:
        join, events = on_compared(Join.from_bytes(join.to_bytes()), each)
        published += events
    return published


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


def test_alert_ids_depend_on_both_videos_spans_and_model_but_not_on_last_digits() -> None:
    def shifted(by: float) -> MatchedSegment:
        return SEGMENT.model_copy(update={"video_start_seconds": 1.0 + by})

    same = alert_id("v", "r", [SEGMENT], "m")
    assert same == alert_id("v", "r", [shifted(0.2)], "m")
    others = {
        alert_id("v", "r", [shifted(3.0)], "m"),
        alert_id("w", "r", [SEGMENT], "m"),
        alert_id("v", "s", [SEGMENT], "m"),
        alert_id("v", "r", [SEGMENT], "n"),
        alert_id("v", "r", [SEGMENT.model_copy(update={"reversed": True})], "m"),
    }
    assert len(others | {same}) == 6


@pytest.mark.parametrize("late_reference", [False, True])
def test_the_alert_names_the_upload_as_the_copy_whichever_came_first(late_reference: bool) -> None:
    if late_reference:
        alert = alert_of(answer(0, role="reference"), match("earlier upload", role="upload"))
        assert (alert.video_id, alert.reference_id) == ("earlier upload", "v")
        assert alert.segments[0].video_start_seconds == 31.0
        assert (alert.video_owner_id, alert.reference_owner_id) == ("owner of earlier upload", "me")
    else:
        alert = alert_of(answer(0), match("r"))
        assert (alert.video_id, alert.reference_id) == ("v", "r")
        assert alert.segments[0].video_start_seconds == 1.0
