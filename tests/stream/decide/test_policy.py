"""Judging matches: licences and minima keep back what they should, and an alert says by what."""

from typing import Any

import pytest

from stream.contract.events import (
    AlertRaised,
    AlertSuppressed,
    AppliedPolicy,
    Event,
)
from stream.decide.alert import alert_of
from stream.decide.policy import Policies
from tests.stream import library_log
from tests.stream.answers import answer, match, policy, segment, verdict
from tests.stream.decide.judging import dismissing, excluding, judge, policies_of, why


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


def test_the_newest_policy_holds_until_it_is_taken_back() -> None:
    policies = policies_of(policy(least_score=1.0), policy(least_seconds=60.0))
    assert (why(judge(policies)) or ("",))[0] == "too_short"
    policies.remove("policy.updated", "owner of r")
    assert why(judge(policies)) is None


def test_an_event_that_says_nothing_about_alerts_is_a_mistake() -> None:
    with pytest.raises(TypeError, match="VideoCompared"):
        Policies().take(answer(0))
