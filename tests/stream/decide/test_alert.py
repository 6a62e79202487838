"""The alert of a match: which side is the copy, and an id that repetitions share."""

import pytest

from stream.contract.events import MatchedSegment
from stream.decide.alert import alert_id, alert_of, durations_of, with_segments
from tests.stream.answers import SEGMENT, answer, match, segment


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


def test_durations_change_places_with_the_sides() -> None:
    theirs = match("r", role="upload", reference_duration_seconds=90.0)
    assert durations_of(answer(0, duration_seconds=20.0), theirs) == (20.0, 90.0)
    late = answer(0, role="reference", duration_seconds=20.0)
    assert durations_of(late, theirs) == (90.0, 20.0)
    assert durations_of(answer(0), match("r")) == (None, None), "an older message has none"


def test_an_alert_of_fewer_segments_is_another_with_their_score() -> None:
    weak = segment(60.0, 70.0, score=0.7)
    whole = alert_of(answer(0), match("r", segments=[SEGMENT, weak]))
    less = with_segments(whole, [weak])
    assert (less.segments, less.score) == ([weak], 0.7)
    assert less.alert_id == alert_id("v", "r", [weak], "encoder-1") != whole.alert_id
