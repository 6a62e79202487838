"""What moderators said: the newest on each alert, as far as its scope goes, in whatever order."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.contract.events import AlertReviewed
from stream.decide.verdicts import Verdicts, pair_of
from tests.stream.answers import verdict as verdict_event

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SPAN = {"reference_id": "r", "reference_start_seconds": 10.0, "reference_end_seconds": 20.0}
OWNERS = {"video_owner_id": "owner of v", "reference_owner_id": "league"}


def said(alert_id: str, verdict: Any, minute: int, *pair: str, **more: Any) -> AlertReviewed:
    named: dict[str, Any] = dict(zip(("video_id", "reference_id"), pair, strict=False))
    at = NOON + timedelta(minutes=minute)
    return verdict_event(alert_id, verdict, reviewed_at=at, **named, **more)


def verdict_of(verdicts: Verdicts, *alert_ids: str, pair: str = "vr") -> str | None:
    found = verdicts.about(alert_ids, pair_of(*pair))
    return None if found is None else found.verdict


def test_a_verdict_is_on_the_alert_and_on_the_pair_in_either_order() -> None:
    verdicts = Verdicts()
    verdicts.take(said("a", "dismissed", 0, "v", "r"))
    assert verdict_of(verdicts, "a", pair="xy") == "dismissed"
    assert verdict_of(verdicts, "another", pair="rv") == "dismissed"
    assert verdict_of(verdicts, "another", pair="vx") is None


def test_a_verdict_without_a_pair_is_on_the_alert_only_unless_an_earlier_one_named_it() -> None:
    verdicts = Verdicts()
    verdicts.take(said("a", "dismissed", 0))
    assert verdict_of(verdicts, "a") == "dismissed"
    assert verdict_of(verdicts, "another") is None
    verdicts.take(said("a", "dismissed", 1, "v", "r"))
    verdicts.take(said("a", "confirmed", 2))
    assert verdict_of(verdicts, "another") == "confirmed"


def test_of_two_verdicts_at_the_same_time_the_later_read_holds() -> None:
    verdicts = Verdicts()
    verdicts.take(said("a", "dismissed", 0, "v", "r"))
    verdicts.take(said("a", "confirmed", 0, "v", "r"))
    assert verdict_of(verdicts, "another") == "confirmed"


def test_a_verdict_that_is_taken_back_leaves_the_others_of_the_pair() -> None:
    verdicts = Verdicts()
    verdicts.take(said("a", "dismissed", 0, "v", "r"))
    verdicts.take(said("b", "confirmed", 1, "v", "r"))
    verdicts.remove("b")
    verdicts.remove("never said")
    assert verdict_of(verdicts, "b") == "dismissed"
    verdicts.remove("a")
    assert verdict_of(verdicts, "a") is None


def test_an_older_verdict_that_comes_late_may_still_name_the_pair() -> None:
    verdicts = Verdicts()
    verdicts.take(said("a", "confirmed", 1))
    verdicts.take(said("a", "dismissed", 0, "v", "r"))
    assert verdict_of(verdicts, "another") == "confirmed"


def test_an_alert_that_is_dismissed_alone_leaves_the_others_of_the_pair() -> None:
    verdicts = Verdicts()
    verdicts.take(said("a", "dismissed", 0, "v", "r", scope="alert"))
    assert verdict_of(verdicts, "a") == "dismissed"
    assert verdict_of(verdicts, "another") is None


def test_an_alert_that_is_dismissed_alone_stays_so_when_another_of_the_pair_is_confirmed() -> None:
    verdicts = Verdicts()
    verdicts.take(said("a", "dismissed", 0, "v", "r", scope="alert"))
    verdicts.take(said("b", "confirmed", 1, "v", "r"))
    assert verdict_of(verdicts, "a") == "dismissed"
    assert verdict_of(verdicts, "b") == verdict_of(verdicts, "another") == "confirmed"
    verdicts.take(said("a", "confirmed", 2))
    assert verdict_of(verdicts, "a") == "confirmed"


def test_seconds_and_uploaders_are_dismissed_as_such_and_not_as_the_alert_or_its_pair() -> None:
    verdicts = Verdicts()
    verdicts.take(said("a", "dismissed", 0, video_id="v", scope="span", **SPAN))
    verdicts.take(said("b", "dismissed", 0, "v", "r", scope="uploader", **OWNERS))
    assert verdict_of(verdicts, "a", "b") is None
    assert [one.span for one in verdicts.spans("r")] == [(10.0, 20.0)]
    assert verdicts.spans("s") == []
    assert verdicts.uploader("league", "owner of v") is None
    found = verdicts.uploader("owner of v", "league")
    assert found is not None and found.alert_id == "b"


@pytest.mark.parametrize(
    "scope", [{}, {"scope": "alert"}, {"scope": "span", **SPAN}, {"scope": "uploader", **OWNERS}]
)
@pytest.mark.parametrize("undo", ["withdrawn", "confirmed", "tombstone"])
def test_each_scope_is_undone_by_what_is_said_later_of_the_same_alert(
    scope: dict[str, Any], undo: str
) -> None:
    verdicts = Verdicts()
    named = {"video_id": "v", "reference_id": "r", **scope}
    verdicts.take(said("a", "dismissed", 0, **named))
    assert rules(verdicts) != rules(Verdicts())
    if undo == "tombstone":
        verdicts.remove("a")
    else:
        verdicts.take(said("a", undo, 1))
    assert (verdicts.spans("r"), verdicts.uploader("owner of v", "league")) == ([], None)
    assert verdict_of(verdicts, "a") == ("confirmed" if undo == "confirmed" else None)
    verdicts.take(said("a", "dismissed", 0, **named))  # redelivered
    if undo == "withdrawn":
        assert rules(verdicts) == rules(Verdicts())


def test_what_is_withdrawn_lets_an_older_verdict_on_the_pair_hold_again() -> None:
    verdicts = Verdicts()
    verdicts.take(said("a", "dismissed", 0, "v", "r"))
    verdicts.take(said("b", "confirmed", 1, "v", "r"))
    verdicts.take(said("b", "withdrawn", 2, "v", "r"))
    assert verdict_of(verdicts, "b") == verdict_of(verdicts, "another") == "dismissed"


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(["confirmed", "dismissed"])), min_size=1
    ),
    st.data(),
)
def test_the_newest_verdict_on_a_pair_holds_in_whatever_order_they_are_read(
    given_verdicts: list[tuple[str, str]], data: st.DataObject
) -> None:
    events = [
        said(alert_id, word, minute, "v", "r")
        for minute, (alert_id, word) in enumerate(given_verdicts)
    ]
    verdicts = Verdicts()
    for event in data.draw(st.permutations(events + events[:3])):
        verdicts.take(event)
    assert verdict_of(verdicts, "new") == events[-1].verdict


ALERTS = {"a": ("v", "r"), "b": ("v", "r"), "c": ("w", "r"), "d": ("v", "s")}
STARTS = st.integers(0, 3)


@st.composite
def some_verdicts(draw: st.DrawFn) -> list[AlertReviewed]:
    """A minute apart, each on one of a few alerts; whether both videos are named is the alert's."""
    events = []
    for minute in range(draw(st.integers(1, 8))):
        alert_id = draw(st.sampled_from(sorted(ALERTS)))
        word = draw(st.sampled_from(["confirmed", "dismissed", "dismissed", "withdrawn"]))
        scopes = [None, "alert", "pair", "span", "uploader"] if word == "dismissed" else [None]
        video_id, reference_id = ALERTS[alert_id]
        start = float(draw(STARTS))
        events.append(
            said(
                alert_id, word, minute, video_id, reference_id,
                scope=draw(st.sampled_from(scopes)),
                reference_start_seconds=start, reference_end_seconds=start + 1,
                video_owner_id=f"owner of {video_id}", reference_owner_id="league",
            )
        )  # fmt: skip
    return events


def rules(verdicts: Verdicts) -> list[object]:
    """All that they say of the alerts above and of one that nobody has judged."""
    words: list[object] = [
        verdict_of(verdicts, alert_id, pair="".join(pair))
        for alert_id, pair in [*ALERTS.items(), ("new", ("v", "r")), ("new", ("w", "r"))]
    ]
    spans = [sorted(one.span for one in verdicts.spans(name)) for name in "rs"]
    uploaders = [verdicts.uploader(f"owner of {name}", "league") for name in "vw"]
    newest = [uploader and uploader.alert_id for uploader in uploaders]
    return [*words, *spans, *newest]


def slow_rules(events: Sequence[AlertReviewed]) -> list[object]:
    """The same by going through all of them, newest first."""
    newest: dict[str, AlertReviewed] = {}
    for event in sorted(events, key=lambda event: event.reviewed_at, reverse=True):
        newest.setdefault(event.alert_id, event)
    holding = [event for event in newest.values() if event.verdict != "withdrawn"]

    def word(alert_id: str, pair: tuple[str, str]) -> str | None:
        for event in holding:
            if event.scope == "alert" and event.alert_id == alert_id:
                return event.verdict
        for event in holding:
            if event.scope in (None, "pair") and ALERTS[event.alert_id] == pair:
                return event.verdict
        return None

    words: list[object] = [
        word(alert_id, pair)
        for alert_id, pair in [*ALERTS.items(), ("new", ("v", "r")), ("new", ("w", "r"))]
    ]
    dismissed = [event for event in holding if event.scope == "span"]
    spans = [
        sorted(
            (event.reference_start_seconds, event.reference_end_seconds)
            for event in dismissed
            if event.reference_id == name
        )
        for name in "rs"
    ]
    uploaders = [
        next(
            (
                event.alert_id
                for event in holding
                if event.scope == "uploader" and event.video_owner_id == f"owner of {name}"
            ),
            None,
        )
        for name in "vw"
    ]
    return [*words, *spans, *uploaders]


@given(some_verdicts(), st.data())
def test_whatever_is_delivered_again_and_in_whatever_order_the_same_holds(
    events: list[AlertReviewed], data: st.DataObject
) -> None:
    verdicts = Verdicts()
    again = data.draw(st.lists(st.sampled_from(events), max_size=6))
    for event in data.draw(st.permutations(events + again)):
        verdicts.take(event)
    assert rules(verdicts) == slow_rules(events)
    assert len(verdicts._newest) == len({event.alert_id for event in events})


@given(some_verdicts())
def test_what_is_said_again_and_again_and_taken_back_leaves_nothing_behind(
    events: list[AlertReviewed],
) -> None:
    verdicts = Verdicts()
    for event in events * 2:
        verdicts.take(event)
    for alert_id in ALERTS:
        verdicts.remove(alert_id)
    assert verdicts == Verdicts()
