"""What the benchmarks store and search of a video is what the service does."""

import json
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.copies.frame_choices import fingerprint_of
from benchmarks.copies.rows import key_frames_of
from benchmarks.copies.set_frames import read_set_frames
from stream.contract.events import VideoUploaded
from stream.fingerprint.fingerprinter import Fingerprinter
from stream.settings import load_settings
from tests.stream.videos import make_video, numbered, side_by_side

HELD = 90  # frames of 25 a second: most samples repeat the one before


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A set of one reference that stands still at times, and one query of two pictures."""
    for half in ("references", "queries"):
        (tmp_path / half).mkdir()
    make_video(
        tmp_path / "references" / "r.mp4",
        count=300,
        draw=lambda index, w, h: numbered(index // HELD * HELD, w, h),
    )
    make_video(tmp_path / "queries" / "q.mp4", count=150, draw=side_by_side)
    (tmp_path / "pairs.csv").write_text("query_id,reference_id\nq,r\n")
    (tmp_path / "labels.json").write_text(json.dumps({}))
    return tmp_path


def test_the_default_row_stores_and_searches_what_the_service_does(
    folder: Path, tmp_path: Path
) -> None:
    settings = load_settings()
    settings = settings.model_copy(
        update={
            "fetch": settings.fetch.model_copy(update={"roots": (tmp_path,)}),
        }
    )
    frames = read_set_frames(folder, settings, tmp_path / "kept", Console(quiet=True))
    sampling = key_frames_of(frames, settings.key_frames).sampling()
    assert [len(one.unrepeated) < len(one.seconds) for one in frames.videos] == [True, False]
    assert sampling.choose(frames.videos[1]).parts
    with Fingerprinter(settings) as service:
        for one in frames.videos:
            upload = VideoUploaded(video_id=one.video_id, uri=str(one.path), owner_id="o")
            theirs = service.fingerprint(upload, "r").fingerprint.to_event()
            ours = fingerprint_of(one, sampling.choose(one), frames.model_version).to_event()
            for field in (
                "key_frame_seconds", "descriptors", "score_offsets", "cut_seconds", "motion",
                "query_frame_seconds", "query_descriptors", "query_score_offsets",
            ):  # fmt: skip
                assert getattr(ours, field) == getattr(theirs, field), field
