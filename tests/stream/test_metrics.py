"""The metrics say what is, and nothing that was."""

from typing import get_args

import pytest
from prometheus_client import REGISTRY

from stream.agents.decide import _count
from stream.contract.events import VideoDecided
from stream.contract.message import Source, submitted_at
from stream.errors import ErrorCode
from stream.metrics import begin_at_zero, show_models
from stream.times import now


def told(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(f"samesource_{name}", labels)


def test_a_counter_is_there_before_its_first_event() -> None:
    begin_at_zero("fingerprint")
    for code in get_args(ErrorCode):
        assert told("dead_letters_total", error=code) is not None
        assert told("outcomes_total", role="fingerprint", outcome=code) is not None


def test_a_network_that_was_replaced_is_shown_no_more() -> None:
    for version in ("one", "two"):
        show_models("tested", {"encoder": version})
    assert told("model_info", role="tested", network="encoder", version="one") is None
    assert told("model_info", role="tested", network="encoder", version="two") == 1
    show_models("tested", {"encoder": None})
    assert told("model_info", role="tested", network="encoder", version="two") is None


def decided(request_id: str) -> VideoDecided:
    return VideoDecided(
        video_id="v",
        content_version=1,
        outcome="clear",
        alert_ids=[],
        reason="",
        decided_at=now(),
        request_id=request_id,
        stage_seconds={},
    )


@pytest.mark.parametrize(("ahead_ms", "seconds"), [(-42_000, 42), (60_000, 0)])
def test_a_decision_takes_from_kafkas_time_of_the_upload(ahead_ms: int, seconds: float) -> None:
    at = round(now().timestamp() * 1000) + ahead_ms
    before = told("decision_seconds_sum", outcome="clear") or 0.0
    _count(decided(Source("video.uploaded", 3, 7, at, b"").request_id))
    taken = (told("decision_seconds_sum", outcome="clear") or 0.0) - before
    assert taken == pytest.approx(seconds, abs=5)


@pytest.mark.parametrize(
    "request_id",
    ["made up", "1-2", "1-2-3-4", "a-b-c", "1-2-0", "0--1-5", "1-2-²", "1-2-" + "9" * 500],
)
def test_a_request_of_another_form_has_no_time_and_is_not_counted(request_id: str) -> None:
    assert submitted_at(request_id) is None
    before = told("decision_seconds_count", outcome="clear")
    _count(decided(request_id))
    assert told("decision_seconds_count", outcome="clear") == before


def test_the_time_of_a_request_is_that_of_its_message() -> None:
    source = Source("video.uploaded", 3, 7, 1_700_000_000_123, b"")
    assert submitted_at(source.request_id) == 1_700_000_000.123
