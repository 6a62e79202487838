"""An alert is held against the replayed log, and against what was said of it before."""

from typing import Any

from benchmarks.delivery.chaos_truth import OF_A_POLICY, Replay, alert_contents, content_of
from benchmarks.delivery.outside_client import Answers

ALERT = {
    "alert_id": "a",
    "library_offset": 4,
    "score": 0.9,
    "raised_at": "then",
    "policy": {"least_seconds": 3.0},
}
HELD = {**ALERT, "reason": "held", "detail": "a flood"}


def losses(
    *raised: dict[str, Any],
    suppressed: tuple[dict[str, Any], ...] = (),
    requests: tuple[str, ...] = ("r",),
) -> list[str]:
    answers: Answers = {"alert.raised": [*raised], "alert.suppressed": [*suppressed]}
    contents = {("a", 4): {(request, content_of(ALERT, OF_A_POLICY)) for request in requests}}
    return [loss.kind for loss in alert_contents(answers, Replay(contents=contents))]


def test_a_second_copy_may_have_another_time_and_nothing_else() -> None:
    assert losses(ALERT) == []
    assert losses(ALERT, {**ALERT, "raised_at": "later"}) == []
    other_policy = {**ALERT, "policy": {"least_seconds": 4.0}}
    assert losses(ALERT, other_policy) == ["alert told otherwise the second time"]


def test_each_request_that_gives_an_alert_may_say_it_under_a_policy_of_its_own() -> None:
    others = [{**ALERT, "policy": {"least_seconds": seconds}} for seconds in (4.0, 5.0)]
    assert losses(ALERT, others[0], requests=("r", "s")) == []
    assert losses(ALERT, *others, requests=("r", "s")) == ["alert told otherwise the second time"]


def test_an_alert_is_either_raised_or_suppressed() -> None:
    assert losses(suppressed=(HELD, HELD)) == []
    assert losses(ALERT, suppressed=(HELD,)) == ["alert told otherwise the second time"]


def test_content_that_the_log_does_not_give_is_a_loss() -> None:
    (wrong,) = losses({**ALERT, "score": 0.8})
    assert wrong == "alert with other content than the log gives"
    assert losses({**ALERT, "library_offset": 5}) == [wrong]
