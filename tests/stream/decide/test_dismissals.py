"""What was dismissed, a pair, seconds, one alert or an uploader, stays so until it is withdrawn."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from stream.contract.events import (
    AlertRaised,
    AlertSuppressed,
)
from stream.decide.alert import alert_of
from tests.stream.answers import answer, match, segment, verdict
from tests.stream.decide.judging import dismissing, excluding, judge, policies_of, why


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
