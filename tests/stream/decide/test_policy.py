"""Judging matches: each rule keeps back what it should, says got and expected, and nothing else."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.contract.events import (
    AlertRaised,
    AlertSuppressed,
    AppliedPolicy,
    Event,
    Match,
    VideoCompared,
)
from stream.decide.alert import alert_of
from stream.decide.floods import HOUR_MS
from stream.decide.policy import Judged, Policies
from stream.decide.settings import PolicySettings
from tests.stream import library_log
from tests.stream.answers import answer, match, policy, segment, verdict


def policies_of(*events: Event, **settings: Any) -> Policies:
    policies = Policies(PolicySettings(**settings))
    for event in events:
        policies.take(event)
    return policies


def judge(
    policies: Policies,
    found: Match | None = None,
    asked: VideoCompared | None = None,
    timestamp_ms: int = 0,
) -> Judged:
    return policies.judge(asked or answer(0), found or match("r"), timestamp_ms)


def why(judged: Judged) -> tuple[str, str] | None:
    if isinstance(judged, AlertRaised):
        return None
    return judged.reason, judged.detail


def test_without_policies_a_match_is_its_alert() -> None:
    judged = judge(policies_of())
    assert isinstance(judged, AlertRaised)
    whole = alert_of(answer(0), match("r"))
    added = {"raised_at": whole.raised_at, "policy": None}
    assert judged.model_copy(update=added) == whole


def test_a_suppressed_alert_has_all_fields_of_the_alert_and_the_reason() -> None:
    whole = alert_of(answer(0), match("r"))
    judged = judge(policies_of(policy(licensed_owner_ids=["me"])))
    assert isinstance(judged, AlertSuppressed)
    fields = judged.model_dump(exclude={"reason", "detail", "raised_at", "policy"})
    assert fields == whole.model_dump(exclude={"raised_at", "policy"})
    assert judged.reason == "licensed"
    assert AlertSuppressed.from_bytes(judged.to_bytes()) == judged


def test_an_alert_says_which_numbers_it_was_judged_by() -> None:
    policies = policies_of(
        policy(least_seconds=2, licensed_owner_ids=["a partner"]),
        least_seconds=5.0,
        least_score=0.5,
    )
    own = judge(policies).policy
    assert own == AppliedPolicy(
        is_own=True, least_seconds=2.0, least_video_share=0.0, least_reference_share=0.0,
        least_score=0.5, is_licensed=False, exclusions=0, excluded_seconds=0.0,
    )  # fmt: skip
    judged = judge(policies, match("s"))
    assert judged.policy is not None
    assert (judged.policy.is_own, judged.policy.least_seconds) == (False, 5.0)
    policies.take(policy(least_seconds=8.0))
    assert judge(policies).policy != own
    policies.remove("policy.updated", "owner of r")
    assert judge(policies).policy == judged.policy
    assert AlertRaised.from_bytes(judged.to_bytes()) == judged


def test_what_is_kept_back_says_so_too_and_what_is_released_says_it_as_it_was_held() -> None:
    licensed = judge(policies_of(policy(licensed_owner_ids=["me"]))).policy
    assert licensed is not None and licensed.is_licensed
    policies = policies_of(policy(alerts_per_hour=1))
    judge(policies, asked=uploaded(0))
    kept = held(policies, 1)
    assert kept.policy is not None and kept.policy.alerts_per_hour == 1
    policies.take(policy(alerts_per_hour=7))
    raised = policies.release(verdict(kept.alert_id, "confirmed", alert=kept), 0)
    assert raised is not None and raised.policy == kept.policy


def test_an_alert_says_what_exclusions_of_its_reference_have_cut_out() -> None:
    found = match("r", segments=[segment(60, 120), segment(5, 30, video_start=70.0)])

    def said(*events: Event) -> tuple[int, float] | None:
        policy = judge(policies_of(*events), found).policy
        return None if policy is None else (policy.exclusions, policy.excluded_seconds)

    assert said() == said(excluding((0, 90), reference_id="s")) == (0, 0.0)
    assert said(excluding((200, 290))) == (1, 0.0)
    assert said(excluding((0, 90), (200, 290))) == (2, 55.0)
    # With what is too short to keep.
    assert said(excluding((0, 118))) == (1, 85.0)
    assert said(excluding((0, 90)), dismissing(100, 120)) == (1, 55.0), "not what a person cut"


def test_a_policy_of_any_length_makes_an_alert_no_longer() -> None:
    long = excluding(
        *((float(at), at + 0.5) for at in range(5000)),
        licensed_owner_ids=[f"partner {number}" for number in range(5000)],
    )
    judged = judge(policies_of(long), match("r", segments=[segment(6000, 6100)]))
    assert judged.policy is not None and judged.policy.exclusions == 5000
    assert len(judged.policy.model_dump_json()) < 300


@pytest.mark.parametrize("least", [float("inf"), 1e300])
def test_a_minimum_of_the_settings_beyond_all_bounds_is_said_as_the_longest(least: float) -> None:
    judged = judge(policies_of(least_seconds=least))
    assert isinstance(judged, AlertSuppressed)
    assert judged.policy is not None and judged.policy.least_seconds == 1e9
    assert AlertSuppressed.from_bytes(judged.to_bytes()) == judged


def test_two_videos_of_one_owner_never_alert() -> None:
    own = match("r", reference_owner_id="me")
    assert why(judge(policies_of(), own)) == (
        "same_owner",
        "both videos are me's, expected two owners",
    )
    confirmed = verdict("a", "confirmed", video_id="v", reference_id="r")
    assert why(judge(policies_of(confirmed), own)) is not None


def test_a_licence_is_the_reference_owners_to_give() -> None:
    assert why(judge(policies_of(policy("me", licensed_owner_ids=["owner of r"])))) is None
    late = answer(0, role="reference")
    found = match("r", role="upload")
    mine = policies_of(policy("me", licensed_owner_ids=["owner of r"]))
    assert why(judge(mine, found, late)) == (
        "licensed",
        "owner of r is licensed by me, expected an uploader who isn't",
    )


@pytest.mark.parametrize(
    ("fields", "reason", "words"),
    [
        ({"least_seconds": 8.5}, "too_short", "8.0 s are copied, expected at least 8.5 s"),
        ({"least_score": 0.95}, "low_score", "score 0.9, expected at least 0.95"),
        (
            {"least_video_share": 0.5},
            "too_small_share",
            "8.0 s of v's 20.0 s are 40.0%, expected at least 50.0%",
        ),
        (
            {"least_reference_share": 0.1},
            "too_small_share",
            "8.0 s of r's 100.0 s are 8.0%, expected at least 10.0%",
        ),
    ],
)
def test_each_minimum_keeps_back_what_is_below_it(
    fields: dict[str, Any], reason: str, words: str
) -> None:
    found = match("r", reference_duration_seconds=100.0)
    asked = answer(0, duration_seconds=20.0)
    assert why(judge(policies_of(policy(**fields)), found, asked)) == (reason, words)
    assert why(judge(policies_of(**fields), found, asked)) == (reason, words), "by the settings"
    assert why(judge(policies_of(policy("another", **fields)), found, asked)) is None


def test_what_reaches_every_minimum_is_raised() -> None:
    exact = policy(
        least_seconds=8.0, least_score=0.9, least_video_share=0.4, least_reference_share=0.08
    )
    found = match("r", reference_duration_seconds=100.0)
    assert why(judge(policies_of(exact), found, answer(0, duration_seconds=20.0))) is None


def test_a_policy_wins_over_the_settings_with_zero_too() -> None:
    assert why(judge(policies_of(policy(least_seconds=0.0), least_seconds=60.0))) is None
    assert why(judge(policies_of(policy(), least_seconds=60.0))) is not None


def test_without_durations_a_share_is_not_known_and_keeps_nothing_back() -> None:
    shares = policy(least_video_share=1.0, least_reference_share=1.0)
    assert why(judge(policies_of(shares))) is None


def test_shards_tell_both_durations_so_that_shares_are_known() -> None:
    library = library_log.shard(min_score=0.0)
    film, copy = library_log.look(1, seconds=120), library_log.look(2, seconds=40)
    copy[10:30] = film[50:70]
    library.apply(library_log.fingerprint("film", film, role="reference"), 0)
    asked = library.apply(library_log.fingerprint("copy", copy), 1)
    (found,) = asked.matches
    assert (asked.duration_seconds, found.reference_duration_seconds) == (40.0, 120.0)
    studio = policy("owner of film", least_reference_share=0.9)
    assert (why(judge(policies_of(studio), found, asked)) or ("",))[0] == "too_small_share"


def test_overlapping_segments_are_counted_once() -> None:
    found = match("r", segments=[segment(0, 6), segment(50, 56, video_start=2.0)])
    assert why(judge(policies_of(policy(least_seconds=8.5)), found)) == (
        "too_short",
        "8.0 s are copied, expected at least 8.5 s",
    )


def excluding(*spans: tuple[float, float], reference_id: str = "r", **fields: Any) -> Any:
    exclusions = [
        {"reference_id": reference_id, "start_seconds": start, "end_seconds": end}
        for start, end in spans
    ]
    return policy(exclusions=exclusions, **fields)


def test_a_copy_of_nothing_but_excluded_spans_is_suppressed_whole() -> None:
    found = match("r", segments=[segment(0, 88.0)])
    judged = judge(policies_of(excluding((0, 90))), found)
    assert isinstance(judged, AlertSuppressed)
    assert (judged.reason, judged.segments) == ("excluded", found.segments)
    assert "excluded spans of r" in judged.detail


def test_a_segment_is_cut_down_to_what_is_outside_and_one_inside_is_dropped() -> None:
    found = match("r", segments=[segment(60, 120), segment(5, 30, video_start=70.0, score=0.95)])
    judged = judge(policies_of(excluding((0, 90))), found)
    assert isinstance(judged, AlertRaised)
    assert judged.segments == [segment(90, 120, video_start=30.0)]
    assert judged.score == 0.9
    assert judged.alert_id != alert_of(answer(0), found).alert_id


def test_minima_are_of_what_exclusions_leave() -> None:
    found = match("r", segments=[segment(60, 120)])
    policies = policies_of(excluding((0, 90), least_seconds=31.0))
    assert why(judge(policies, found)) == (
        "too_short",
        "30.0 s are copied, expected at least 31.0 s",
    )


def test_exclusions_are_of_the_named_reference_and_by_its_owner() -> None:
    found = match("r", segments=[segment(60, 80)])
    other_video = policies_of(excluding((0, 90), reference_id="s"))
    other_owner = policies_of(excluding((0, 90), owner_id="another"))
    assert why(judge(other_video, found)) is None
    assert why(judge(other_owner, found)) is None


def test_the_newest_policy_holds_until_it_is_taken_back() -> None:
    policies = policies_of(policy(least_score=1.0), policy(least_seconds=60.0))
    assert (why(judge(policies)) or ("",))[0] == "too_short"
    policies.remove("policy.updated", "owner of r")
    assert why(judge(policies)) is None


def test_a_dismissed_pair_stays_dismissed_until_it_is_confirmed() -> None:
    policies = policies_of(verdict("an older model's", video_id="r", reference_id="v"))
    reason, detail = why(judge(policies)) or ("", "")
    assert reason == "dismissed"
    assert detail.startswith("ann dismissed alert an older model's at 2")
    assert why(judge(policies, match("s"))) is None
    policies.take(verdict("another", "confirmed", video_id="v", reference_id="r"))
    assert why(judge(policies)) is None


def test_a_dismissed_alert_stays_dismissed_when_an_exclusion_cuts_it() -> None:
    found = match("r", segments=[segment(60, 120)])
    whole = alert_of(answer(0), found)
    policies = policies_of(verdict(whole.alert_id), excluding((0, 90)))
    assert (why(judge(policies, found)) or ("",))[0] == "dismissed"


def dismissing(start: float, end: float, alert_id: str = "a jingle's", **more: Any) -> Event:
    """Seconds of r."""
    fields = {"reference_start_seconds": start, "reference_end_seconds": end, "scope": "span"}
    return verdict(alert_id, reference_id="r", **fields | more)


def test_dismissed_seconds_are_cut_out_of_any_upload_and_what_is_outside_still_alerts() -> None:
    found = match("r", segments=[segment(60, 120), segment(5, 30, video_start=70.0)])
    policies = policies_of(dismissing(0, 90))
    for video_id in ("v", "w"):
        judged = judge(policies, found, answer(0, video_id=video_id))
        assert isinstance(judged, AlertRaised)
        assert judged.segments == [segment(90, 120, video_start=30.0)]
    assert why(judge(policies, match("s", segments=found.segments))) is None


def test_a_copy_of_nothing_but_dismissed_seconds_is_dismissed_until_that_is_withdrawn() -> None:
    found = match("r", segments=[segment(0, 88.0)])
    policies = policies_of(dismissing(0, 50, "one"), dismissing(50, 90, "another"))
    judged = judge(policies, found)
    assert isinstance(judged, AlertSuppressed)
    assert (judged.reason, judged.segments) == ("dismissed", found.segments)
    assert "dismissed spans of r, the newest by ann with alert another at 2" in judged.detail
    policies.take(verdict("another", "withdrawn"))
    assert why(judge(policies, found)) is None


def test_dismissed_seconds_and_exclusions_leave_what_neither_covers() -> None:
    found = match("r", segments=[segment(60, 120)])
    policies = policies_of(excluding((0, 90)), dismissing(100, 130))
    judged = judge(policies, found)
    assert judged.segments == [segment(90, 100, video_start=30.0)]
    policies.take(dismissing(85, 130, "more"))
    judged = judge(policies, found)
    assert (why(judged) or ("",))[0] == "dismissed"
    assert judged.segments == [segment(90, 120, video_start=30.0)], "what the exclusion left"
    policies.take(excluding((0, 130)))
    assert (why(judge(policies, found)) or ("",))[0] == "excluded"


def test_an_alert_dismissed_alone_is_its_seconds_and_model_and_nothing_else() -> None:
    found = match("r", segments=[segment(60, 120)])
    alert = alert_of(answer(0), found)
    policies = policies_of(verdict(alert.alert_id, scope="alert", video_id="v", reference_id="r"))
    assert (why(judge(policies, found)) or ("",))[0] == "dismissed"
    assert why(judge(policies, match("r", segments=[segment(70, 120)]))) is None
    assert why(judge(policies, found, answer(0, model_version="encoder-2"))) is None


def test_a_dismissed_uploader_is_dismissed_against_one_rights_holder_until_withdrawn() -> None:
    said = verdict("a", scope="uploader", video_owner_id="me", reference_owner_id="owner of r")
    policies = policies_of(said)
    reason, detail = why(judge(policies, asked=answer(0, video_id="another"))) or ("", "")
    assert reason == "dismissed"
    assert detail.startswith("ann dismissed me's videos against owner of r's with alert a at 2")
    assert why(judge(policies, match("s"))) is None
    assert why(judge(policies, asked=answer(0, owner_id="another"))) is None
    policies.take(verdict("b", "confirmed", video_id="v", reference_id="r"))
    assert why(judge(policies)) is not None, "as a licence, for all of the uploader's videos"
    policies.take(verdict("a", "withdrawn"))
    assert why(judge(policies)) is None


def held(policies: Policies, number: int, timestamp_ms: int = 0) -> AlertSuppressed:
    judged = judge(policies, asked=uploaded(number), timestamp_ms=timestamp_ms)
    assert isinstance(judged, AlertSuppressed)
    assert judged.reason == "held"
    return judged


def test_a_confirmation_that_carries_the_held_alert_raises_it_in_the_same_words_each_time() -> None:
    policies = policies_of(policy(alerts_per_hour=1))
    judge(policies, asked=uploaded(0))
    kept = held(policies, 1)
    said = verdict(kept.alert_id, "confirmed", alert=kept)
    raised = policies.release(said, 0)
    assert raised is not None
    assert raised.raised_at == said.reviewed_at
    fields = kept.model_dump(exclude={"reason", "detail", "raised_at"})
    assert raised.model_dump(exclude={"raised_at"}) == fields
    again = policies.release(type(said).from_bytes(said.to_bytes()), 7 * HOUR_MS)
    assert again is not None and again.to_bytes() == raised.to_bytes()


def test_a_confirmation_without_the_alert_and_any_other_verdict_raise_nothing() -> None:
    for word in ("confirmed", "dismissed", "withdrawn"):
        assert policies_of().release(verdict("a", word), 0) is None


def test_a_released_alert_counts_in_the_hour_in_which_it_is_raised() -> None:
    policies = policies_of(policy(alerts_per_hour=2))
    for number in range(2):
        judge(policies, asked=uploaded(number))
    kept = held(policies, 2)
    said, later = verdict(kept.alert_id, "confirmed", alert=kept), 3 * HOUR_MS
    assert policies.release(said, later) is not None
    assert policies.release(said, later) is not None, "a repeat is not another alert"
    assert why(judge(policies, asked=uploaded(3), timestamp_ms=later)) is None
    held(policies, 4, later)


def test_a_released_alert_is_claimed_elsewhere_where_its_reference_has_a_limit() -> None:
    limited = policies_of(policy(alerts_per_hour=1))
    judge(limited, asked=uploaded(0))
    kept = held(limited, 1)
    said = verdict(kept.alert_id, "confirmed", alert=kept)
    policies = Policies(claimed_elsewhere=True)
    assert policies.release(said, 0) is not None
    assert policies.take_unclaimed() == [], "no limit, nothing to count"
    policies.take(policy(alerts_per_hour=1))
    assert policies.release(said, 0) is not None
    assert policies.take_unclaimed() == [("r", kept.alert_id)]
    policies.floods.claim("r", kept.alert_id, 0)
    assert policies.release(said, 3 * HOUR_MS) is not None
    assert policies.take_unclaimed() == [("r", kept.alert_id)], "it counts in this hour too"


@given(
    st.lists(st.sampled_from(["judge", "repeat", "policy", "other verdict"]), max_size=12),
    st.floats(0, 60),
)
def test_a_dismissed_pair_never_alerts_again_whatever_else_comes(
    steps: Sequence[str], start: float
) -> None:
    policies = policies_of()
    policies.take(verdict("first", video_id="v", reference_id="r"))
    found = match("r", segments=[segment(start, start + 30)])
    for number, step in enumerate(steps):
        if step == "policy":
            policies.take(excluding((0, float(number + 1)), alerts_per_hour=1))
        elif step == "other verdict":
            policies.take(verdict(f"x{number}", "confirmed", video_id="v", reference_id="s"))
        elif step == "repeat":
            policies.take(verdict("first", video_id="v", reference_id="r"))
        assert isinstance(judge(policies, found, timestamp_ms=number), AlertSuppressed)


def uploaded(number: int) -> VideoCompared:
    return answer(0, video_id=f"v{number}", owner_id=f"uploader {number}")


def test_a_reference_that_floods_is_held_and_a_repeat_is_not_another_alert() -> None:
    policies = policies_of(policy(alerts_per_hour=2))
    for number in (0, 1, 0, 1):
        assert why(judge(policies, asked=uploaded(number))) is None
    held = why(judge(policies, asked=uploaded(2)))
    assert held == ("held", "r got 2 other alerts within an hour, expected fewer than 2")
    assert why(judge(policies, match("s"), uploaded(2))) is None, "another reference isn't held"
    assert why(judge(policies, asked=uploaded(0))) is None, "it was raised before"


def test_a_flood_lasts_while_held_alerts_come_and_ends_an_hour_after() -> None:
    policies = policies_of(policy(alerts_per_hour=1))
    judge(policies, asked=uploaded(0))
    for number in range(1, 5):
        at = number * HOUR_MS // 2
        assert (why(judge(policies, asked=uploaded(number), timestamp_ms=at)) or ("",))[0] == "held"
    assert why(judge(policies, asked=uploaded(9), timestamp_ms=4 * HOUR_MS)) is None


def test_an_alert_that_is_suppressed_for_another_reason_or_without_a_limit_doesnt_count() -> None:
    policies = policies_of(policy(alerts_per_hour=1, least_seconds=5.0))
    short = match("r", segments=[segment(0, 3)])
    assert (why(judge(policies, short, uploaded(0))) or ("",))[0] == "too_short"
    other = match("s", reference_owner_id="nobody's")
    assert why(judge(policies, other, uploaded(0))) is None
    assert why(judge(policies, asked=uploaded(1))) is None
    assert (why(judge(policies, asked=uploaded(2))) or ("",))[0] == "held"


def test_what_is_claimed_elsewhere_is_asked_for_and_judged_by_its_place_in_that_order() -> None:
    policies = Policies(claimed_elsewhere=True)
    policies.take(policy("owner of r", alerts_per_hour=1))
    alerts = [alert_of(uploaded(number), match("r")) for number in range(2)]
    for number, alert in enumerate(alerts):
        judge(policies, asked=uploaded(number))
        assert policies.take_unclaimed() == [("r", alert.alert_id)]
        assert policies.take_unclaimed() == []
    for alert in reversed(alerts):
        policies.floods.claim("r", alert.alert_id, 0)
    found = [judge(policies, asked=uploaded(number)) for number in range(2)]
    assert [isinstance(one, AlertRaised) for one in found] == [False, True]
    assert policies.take_unclaimed() == []


def test_a_confirmed_alert_is_not_held() -> None:
    policies = policies_of(policy(alerts_per_hour=1))
    judge(policies, asked=uploaded(0))
    held = judge(policies, asked=uploaded(1))
    assert why(held) is not None
    policies.take(verdict(held.alert_id, "confirmed"))
    assert why(judge(policies, asked=uploaded(1))) is None


def test_an_event_that_says_nothing_about_alerts_is_a_mistake() -> None:
    with pytest.raises(TypeError, match="VideoCompared"):
        Policies().take(answer(0))
