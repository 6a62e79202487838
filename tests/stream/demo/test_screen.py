"""The demo's view of the events: the stories they tell, what is shown, and the closing verdict."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from stream.contract.events import (
    AlertRaised,
    Event,
    MatchedSegment,
    Outcome,
    Role,
    VideoCompared,
    VideoDecided,
    VideoEmbedded,
    VideoFingerprinted,
    VideoRejected,
    VideoUploaded,
)
from stream.demo.demo_set import DemoSet, span
from stream.demo.report import Verdict, closing_table, covers, problems_of, times, totals
from stream.demo.screen import DemoScreen
from stream.demo.tally import Tally, covered_share
from stream.errors import ErrorCode
from stream.times import now

SEGMENT = MatchedSegment(
    video_start_seconds=12.0,
    video_end_seconds=20.5,
    reference_start_seconds=4.0,
    reference_end_seconds=12.4,
    score=0.93,
)


def uploaded(video_id: str, role: Role = "upload") -> VideoUploaded:
    return VideoUploaded(video_id=video_id, uri=f"file:///{video_id}", owner_id="o", role=role)


def fingerprinted(video_id: str) -> VideoFingerprinted:
    return VideoFingerprinted(
        video_id=video_id, content_version=1, owner_id="o", role="upload", request_id=video_id,
        model_version="m", duration_seconds=30.0, dimension=4, key_frame_seconds="", descriptors="",
    )  # fmt: skip


def compared(video_id: str, shard: int) -> VideoCompared:
    return VideoCompared(
        video_id=video_id, content_version=1, owner_id="o", role="upload", request_id=video_id,
        model_version="m", shard=shard, shards=2, library_offset=0, matches=[],
    )  # fmt: skip


def alert(video_id: str, reference_id: str, segment: MatchedSegment = SEGMENT) -> AlertRaised:
    return AlertRaised(
        alert_id=f"{video_id}/{reference_id}", video_id=video_id, reference_id=reference_id,
        video_owner_id="o", reference_owner_id="p", score=0.93, segments=[segment],
        model_version="m", library_offset=0, raised_at=now(),
    )  # fmt: skip


def decided(video_id: str, outcome: Outcome = "clear", *alert_ids: str) -> VideoDecided:
    return VideoDecided(
        video_id=video_id, content_version=1, outcome=outcome, alert_ids=list(alert_ids),
        reason="", decided_at=now(), request_id=video_id, stage_seconds={},
    )  # fmt: skip


def embedded(video_id: str) -> VideoEmbedded:
    return VideoEmbedded(
        video_id=video_id, model_version="m", dimension=1, vector=[1.0], duration_seconds=30.0
    )


def rejected(video_id: str, error: ErrorCode = "corrupt") -> VideoRejected:
    return VideoRejected(
        video_id=video_id, error=error, message="cut off [at] byte 7", source_topic="t",
        source_partition=0, source_offset=0, attempts=1, request_id=video_id, rejected_at=now(),
    )  # fmt: skip


def whole_way(video_id: str, *found: AlertRaised) -> list[Event]:
    ids = [raised.alert_id for raised in found]
    return [
        uploaded(video_id), fingerprinted(video_id), embedded(video_id), compared(video_id, 0),
        compared(video_id, 1), *found, decided(video_id, "matched" if ids else "clear", *ids),
    ]  # fmt: skip


def tally_of(*events: Event) -> Tally:
    tally = Tally()
    for number, event in enumerate(events):
        tally.take(event, float(number))
    return tally


def made_set(**truth: str) -> DemoSet:
    """Upload → the reference that it copies, at the place of `SEGMENT`."""
    copied = {(upload, of): [span(12.0, 20.5, 4.0, 12.4)] for upload, of in truth.items()}
    return DemoSet([], [], copied, judged=None, made=True)


def printed(*events: Event) -> str:
    console = Console(file=io.StringIO(), width=120)
    with DemoScreen(console) as screen:
        for event in events:
            screen.show(event)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def rendered(demo: DemoSet, tally: Tally) -> str:
    console = Console(file=io.StringIO(), width=140)
    console.print(closing_table(demo, tally), totals(demo, tally))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_video_is_complete_when_decision_answers_and_alerts_are_in() -> None:
    events = whole_way("u", alert("u", "r"))
    assert tally_of(*events).complete()
    for left_out in (3, 5, 6):
        some = [event for number, event in enumerate(events) if number != left_out]
        assert not tally_of(*some).complete()


def test_a_rejected_video_is_complete_with_its_letter() -> None:
    assert not tally_of(uploaded("u"), decided("u", "rejected")).complete()
    assert tally_of(uploaded("u"), rejected("u"), decided("u", "rejected")).complete()


def test_the_order_of_topics_does_not_matter() -> None:
    first, *others = whole_way("u", alert("u", "r"))
    assert tally_of(first, *reversed(others)).complete()


def test_unanswered_and_twice_answered_videos_are_named() -> None:
    tally = tally_of(uploaded("a"), uploaded("b"), decided("b"), decided("b"))
    problems = problems_of(made_set(), tally)
    assert problems[0].startswith("no decision for a:")
    assert problems[1].startswith("more than one decision for b:")


def test_the_time_taken_runs_from_submission_to_decision() -> None:
    tally = tally_of(uploaded("u"), fingerprinted("u"), decided("u"), embedded("u"))
    assert tally.stories["u"].took_seconds == 2.0


@pytest.mark.parametrize(
    ("spans", "share"),
    [
        ([], 0.0),
        ([(0.0, 100.0)], 1.0),
        ([(12.0, 14.0), (13.0, 15.0)], 0.5),
        ([(15.0, 16.0), (10.0, 11.0), (30.0, 40.0)], 1 / 3),
    ],
)
def test_covered_share_is_that_of_the_union(spans: list[tuple[float, float]], share: float) -> None:
    assert covered_share(10.0, 16.0, spans) == pytest.approx(share)


def test_a_span_is_covered_only_when_both_sides_are() -> None:
    truth = span(12.0, 20.0, 4.0, 12.0)
    assert covers([SEGMENT], truth)
    assert not covers([SEGMENT], span(12.0, 20.0, 40.0, 48.0))
    assert not covers([SEGMENT], span(0.0, 20.0, 4.0, 12.0))


def test_plain_output_tells_each_outcome_in_one_line() -> None:
    text = printed(*whole_way("u02", alert("u02", "r03")), *whole_way("u03"))
    assert "u02 12.0–20.5 s copies r03 4.0–12.4 s, 93%" in text
    assert "u02: submitted ▸ fingerprinted ▸ compared 2/2 ▸ matched, " in text
    assert "u03: submitted ▸ fingerprinted ▸ compared 2/2 ▸ clear, " in text
    assert "\x1b" not in text


def test_a_rejection_shows_its_code_and_message_as_they_are() -> None:
    text = printed(uploaded("u"), rejected("u"), decided("u", "rejected"))
    assert "u rejected: corrupt, cut off [at] byte 7" in text
    assert "u: submitted ▸ rejected, " in text


def test_a_repeated_alert_is_shown_once() -> None:
    assert printed(uploaded("u"), alert("u", "r"), alert("u", "r")).count("copies") == 1


def test_a_terminal_shows_videos_on_their_way() -> None:
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=120, height=40)
    with DemoScreen(console) as screen:
        for event in (uploaded("u"), fingerprinted("u"), compared("u", 1)):
            screen.show(event)
    assert "compared 1/2" in file.getvalue()
    assert "0 of 1 decided" in file.getvalue()


def test_many_videos_fit_the_window() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=120, height=20)
    screen = DemoScreen(console)
    for number in range(60):
        for event in whole_way(f"done{number}") if number < 30 else [uploaded(f"new{number}")]:
            screen.show(event)
    lines = console.render_lines(screen.picture())
    assert len(lines) <= 20
    shown = "".join(segment.text for line in lines for segment in line)
    assert "done" in shown
    assert "new" in shown
    assert "30 of 60 decided" in shown


def test_a_good_demo_has_no_problems() -> None:
    tally = tally_of(*whole_way("u1", alert("u1", "r1")), *whole_way("u2"))
    assert problems_of(made_set(u1="r1"), tally) == []


def test_missed_extra_and_partly_found_copies_are_problems() -> None:
    elsewhere = SEGMENT.model_copy(
        update={"reference_start_seconds": 50.0, "reference_end_seconds": 58.0}
    )
    tally = tally_of(
        *whole_way("u1"),
        *whole_way("u2", alert("u2", "r9")),
        *whole_way("u3", alert("u3", "r3", elsewhere)),
    )
    assert problems_of(made_set(u1="r1", u3="r3"), tally) == [
        "not found: u1 in r1",
        "found in part: u3 in r3",
        "found, but not there: u2 in r9",
    ]


def test_broken_files_must_be_rejected_and_whole_ones_not() -> None:
    demo = DemoSet([], [], {}, judged=None, made=True, broken=frozenset({"u1"}))
    tally = tally_of(*whole_way("u1"), uploaded("u2"), rejected("u2"), decided("u2", "rejected"))
    assert problems_of(demo, tally) == [
        "broken, but not rejected: u1",
        "whole, but rejected: u2",
    ]


def test_other_peoples_videos_are_judged_only_where_labelled() -> None:
    pair, other = ("u1", "r1"), ("u1", "r2")
    demo = DemoSet([], [], {pair: [span(0, 1, 0, 1)]}, judged=frozenset({pair, other}))
    tally = tally_of(*whole_way("u1", alert("u1", "r2"), alert("u1", "r3")))
    verdict = Verdict.of(demo, tally)
    assert verdict.missed == {pair}
    assert verdict.extra == {other}
    assert verdict.unjudged == {("u1", "r3")}
    assert problems_of(demo, tally) == []


def test_the_closing_table_shows_both_spans_beside_the_truth() -> None:
    tally = tally_of(
        *whole_way("u1", alert("u1", "r1")),
        *whole_way("u2"),
        uploaded("u3"), rejected("u3"), decided("u3", "rejected"),
    )  # fmt: skip
    text = rendered(made_set(u1="r1", u2="r1"), tally)
    row = next(line for line in text.splitlines() if "u1" in line)
    assert row.count("12.0–20.5 ← 4.0–12.4") == 2
    assert "12.0–20.5 ← 4.0–12.4, 93%" in row
    assert "✓ found" in row
    assert "✗ missed" in next(line for line in text.splitlines() if "u2" in line)
    assert "corrupt" in next(line for line in text.splitlines() if "u3" in line)


@pytest.mark.parametrize(
    ("refused", "words"),
    [
        (["u1"], "source rejected: corrupt"),
        (["u2"], " rejected: no_video"),
        (["u1", "u2"], " rejected: no_video"),
    ],
)
def test_a_pair_with_a_rejected_video_is_not_missed(refused: list[str], words: str) -> None:
    codes: dict[str, ErrorCode] = {"u1": "corrupt", "u2": "no_video"}
    events: list[Event] = []
    for video_id, code in codes.items():
        refusal = [uploaded(video_id), rejected(video_id, code), decided(video_id, "rejected")]
        events += refusal if video_id in refused else whole_way(video_id)
    found, lost = ("u4", "u3"), ("u5", "u3")
    tally = tally_of(
        *events, *whole_way("u3"), *whole_way("u4", alert("u4", "u3")), *whole_way("u5")
    )
    truth = {pair: [span(12.0, 20.5, 4.0, 12.4)] for pair in (("u2", "u1"), found, lost)}
    demo = DemoSet([], [], truth, judged=frozenset(truth))
    verdict = Verdict.of(demo, tally)
    assert verdict.rejected == {("u2", "u1")}
    assert verdict.found == {found}
    assert verdict.missed == {lost}
    text = rendered(demo, tally)
    row = next(line for line in text.splitlines() if " u2 " in line)
    assert words in row and "missed" not in row and "12.0–20.5 ← 4.0–12.4" in row
    assert "of 2 copied pairs 1 found (50%); 1 copied, but rejected" in text


def test_a_video_that_text_cannot_find_is_complete_all_the_same() -> None:
    events = [event for event in whole_way("u") if not isinstance(event, VideoEmbedded)]
    assert tally_of(*events).complete()


def test_the_totals_count_seconds_alerts_and_recall() -> None:
    tally = tally_of(*whole_way("u1", alert("u1", "r1")), *whole_way("u2"))
    text = rendered(made_set(u1="r1", u2="r1"), tally)
    assert "2 videos, 60 s of footage; 1 alert; of 2 copied pairs 1 found (50%); 0 false" in text


def test_the_clock_is_told_apart_from_the_answers() -> None:
    events = [*whole_way("u1", alert("u1", "r1")), *whole_way("u2")]
    slow = Tally()
    for number, event in enumerate(events):
        slow.take(event, 100.0 + 7.0 * number)
    quick, demo = tally_of(*events), made_set(u1="r1")
    assert rendered(demo, quick) == rendered(demo, slow)
    text = str(times(slow, began_seconds=90.0, done_seconds=200.0))
    assert "first decision after 52.0 s, the last after 110.0 s" in text
    assert "42.0 s (longest); 0.6x real time" in text
    assert str(times(Tally(), 0.0, 1.0)) == ""


def test_references_appear_in_the_table_only_with_a_finding() -> None:
    events = [event for event in whole_way("r1") if not isinstance(event, VideoUploaded)]
    tally = tally_of(uploaded("r1", "reference"), *events)
    assert "r1" not in rendered(DemoSet([Path("r1.mp4")], [], {}), tally)
