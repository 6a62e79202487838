"""Policies out of events, and what they say of a match; serves the tests of judging."""

from typing import Any

from stream.contract.events import (
    AlertRaised,
    Event,
    Match,
    VideoCompared,
)
from stream.decide.policy import Judged, Policies
from stream.decide.settings import PolicySettings
from tests.stream.answers import answer, match, policy, verdict


def policies_of(*events: Event, **settings: Any) -> Policies:
    """Those that hold after these events."""
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
    """What they make of a match, by default one of an upload in `r`."""
    return policies.judge(asked or answer(0), found or match("r"), timestamp_ms)


def why(judged: Judged) -> tuple[str, str] | None:
    """Reason and detail of what was kept back; None of an alert."""
    if isinstance(judged, AlertRaised):
        return None
    return judged.reason, judged.detail


def excluding(*spans: tuple[float, float], reference_id: str = "r", **fields: Any) -> Any:
    """A policy by which seconds of a reference don't count."""
    exclusions = [
        {"reference_id": reference_id, "start_seconds": start, "end_seconds": end}
        for start, end in spans
    ]
    return policy(exclusions=exclusions, **fields)


def dismissing(start: float, end: float, alert_id: str = "a jingle's", **more: Any) -> Event:
    """A verdict on these seconds of `r`, whatever copies them."""
    fields = {"reference_start_seconds": start, "reference_end_seconds": end, "scope": "span"}
    return verdict(alert_id, reference_id="r", **fields | more)
