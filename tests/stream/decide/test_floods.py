"""A reference that floods is held, and held alerts are released by a confirmation."""

from stream.contract.events import (
    AlertRaised,
    AlertSuppressed,
    VideoCompared,
)
from stream.decide.alert import alert_of
from stream.decide.floods import HOUR_MS
from stream.decide.policy import Policies
from tests.stream.answers import answer, match, policy, segment, verdict
from tests.stream.decide.judging import judge, policies_of, why


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
