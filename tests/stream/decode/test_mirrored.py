"""Which spans are mirrored, of whole files: their pictures are those of the matching seconds."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from stream.contract.events import MatchedSegment
from stream.decode.mirrored import mirrored_spans, stills
from stream.decode.settings import DecodeSettings
from stream.errors import CorruptError
from tests.stream.videos import Draw, make_video, numbered, numbers_of

SETTINGS = DecodeSettings(processes=1)
VIDEOS: dict[str, dict[str, Any]] = {
    "many.mp4": {},
    "few-keys.mp4": {"key_every": 1000},
    "late.ts": {"times_ms": [2000 + 40 * index for index in range(100)]},
    "sound-first.mp4": {
        "times_ms": [1000 + 40 * index for index in range(100)],
        "audio_seconds": 5,
    },
}


def segment(video: float, reference: float, backwards: bool = False) -> MatchedSegment:
    return MatchedSegment(
        video_start_seconds=video, video_end_seconds=video + 2, reference_start_seconds=reference,
        reference_end_seconds=reference + 2, score=0.9, reversed=backwards,
    )  # fmt: skip


@pytest.mark.parametrize("name", VIDEOS)
def test_stills_are_of_the_seconds_that_are_asked_for(tmp_path: Path, name: str) -> None:
    video = make_video(tmp_path / name, **VIDEOS[name])
    lead = 1.0 if name == "sound-first.mp4" else 0.0
    asked = lead + np.array([3.02, 0.5, 0.5, 2.1, 99.0, -1.0])
    assert numbers_of(stills(video, asked, SETTINGS)) == [75, 12, 12, 52, 99, 0]


def test_stills_of_an_animated_picture(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (96, 64), colour) for colour in ("red", "green", "blue")]
    path = tmp_path / "animated.webp"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=1000)
    shown = stills(path, np.array([2.5, 0.5]), SETTINGS).mean(axis=(1, 2))
    assert shown.argmax(axis=1).tolist() == [2, 0]


def test_each_span_says_for_itself_whether_it_is_mirrored(tmp_path: Path) -> None:
    def draw(first: int, last: int, step: int = 1) -> Draw:
        """A copy of the reference from its second 4 on, mirrored in some of its frames."""

        def copied(index: int, width: int, height: int) -> np.ndarray:
            picture = changing(100 + step * index, width, height)
            return picture[:, ::-1] if first <= index < last else picture

        return copied

    def changing(index: int, width: int, height: int) -> np.ndarray:
        """Other blocks in each second, so that no other second will do."""
        return np.roll(numbered(index, width, height), 37 * (index // 25), axis=1)

    reference = make_video(tmp_path / "r.mp4", count=250, draw=changing)
    video = make_video(tmp_path / "u.mp4", draw=draw(50, 100))
    spans = [segment(0, 4), segment(2, 6)]
    assert mirrored_spans(video, reference, spans, SETTINGS) == [False, True]
    backwards = make_video(tmp_path / "b.mp4", draw=draw(0, 50, -1))
    spans = [segment(0, 2, backwards=True), segment(2, 0, backwards=True)]
    assert mirrored_spans(backwards, reference, spans, SETTINGS) == [True, False]


def test_of_what_is_no_video_nothing_is_said(tmp_path: Path) -> None:
    (tmp_path / "no.mp4").write_bytes(b"no video")
    with pytest.raises(CorruptError):
        stills(tmp_path / "no.mp4", np.array([1.0]), SETTINGS)
