"""What is lost, said twice or wrongly rejected of damaged videos that workers took is seen."""

import json

import pytest

from benchmarks.hostile.workers import Fates
from benchmarks.mutated_videos import is_bad
from stream.contract.events import VideoDecided
from stream.contract.message import Source
from stream.contract.outcomes import Outcome
from stream.errors import CorruptError, InternalError, RejectedError
from stream.times import now


def decided(video_id: str, outcome: Outcome) -> VideoDecided:
    return VideoDecided(
        video_id=video_id, content_version="1", outcome=outcome, alert_ids=[], reason="",
        decided_at=now(), request_id=f"request of {video_id}", stage_seconds={},
    )  # fmt: skip


def take(fates: Fates, video_id: str, *said: Outcome | RejectedError) -> None:
    for one in said:
        if isinstance(one, RejectedError):
            upload = {"video_id": video_id, "uri": "file:///a", "owner_id": "o"}
            source = Source("video.uploaded", 0, 0, 1000, json.dumps(upload).encode())
            fates.take(source.rejected(one))
        else:
            fates.take(decided(video_id, one))


def test_uploads_that_were_decided_once_are_counted_by_their_codes() -> None:
    fates = Fates()
    take(fates, "whole", "clear")
    take(fates, "copy", "matched")
    take(fates, "cut", CorruptError("no end"), "rejected")
    assert fates.outcomes() == {"processed": 2, "corrupt": 1}
    assert fates.problems(["whole", "copy", "cut"]) == []


@pytest.mark.parametrize(
    "said",
    [
        [],
        ["clear", "clear"],
        ["rejected"],
        [CorruptError("no end")],
        [CorruptError("no end"), "clear"],
        [CorruptError("no end"), CorruptError("no end"), "rejected"],
        [InternalError("a bug"), "rejected"],
    ],
    ids=str,
)
def test_what_is_not_decided_once_as_it_should_be_is_told(
    said: list[Outcome | RejectedError],
) -> None:
    fates = Fates()
    take(fates, "good", "clear")
    take(fates, "odd", *said)
    [problem] = fates.problems(["good", "odd"])
    assert problem.startswith("odd: ")


def test_a_letter_of_no_upload_that_was_sent_is_told() -> None:
    fates = Fates()
    take(fates, "stranger", CorruptError("no end"))
    [problem] = fates.problems([])
    assert problem.startswith("stranger: ")


def test_a_run_fails_for_what_is_lost_down_or_touched_or_has_grown() -> None:
    fine = {"problems": [], "down": [], "touched": [], "outcomes": {"processed": 3}}
    assert not is_bad(fine)
    assert not is_bad({"internal": [], "touched": [], "resident_mib": [90.0, 100.0, 109.0]})
    assert is_bad({"internal": [], "touched": [], "resident_mib": [90.0, 100.0, 111.0]})
    for name in ("problems", "down", "touched"):
        assert is_bad({**fine, name: ["one"]})
