"""Cuts of shots are found at their frame; motion, flashes, noise and fades are none."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from av.video.frame import VideoFrame
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import models.video.shots
from models.video.shots import find_cuts
from stream.decode.changes import CutFinder
from stream.decode.decoder import Decoder
from stream.decode.settings import DecodeSettings
from tests.stream.videos import make_video

RATE = 25
Picture = NDArray[np.uint8]


def scene(seed: int, width: int = 160, height: int = 120) -> NDArray[np.float64]:
    """A wide picture of soft blobs, twice as wide as the frame, (H, 2W, 3) in 0 to 255."""
    coarse = np.random.default_rng(seed).uniform(0, 255, (7, 16, 3))
    rows, columns = np.linspace(0, 5.99, height), np.linspace(0, 14.99, 2 * width)
    top, left = rows.astype(int), columns.astype(int)
    down, right = (rows - top)[:, None, None], (columns - left)[None, :, None]
    upper = coarse[top][:, left] * (1 - right) + coarse[top][:, left + 1] * right
    lower = coarse[top + 1][:, left] * (1 - right) + coarse[top + 1][:, left + 1] * right
    return np.asarray(upper * (1 - down) + lower * down)


def panned(seed: int, count: int, step: int = 1) -> list[Picture]:
    """A shot whose camera pans by `step` pixels a frame."""
    wide = scene(seed)
    return [wide[:, step * at : step * at + 160].astype(np.uint8) for at in range(count)]


def cuts_of(pictures: Iterable[Picture], pixel_format: str = "yuv420p") -> list[int]:
    finder = CutFinder()
    for number, picture in enumerate(pictures):
        frame = VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        finder.add(frame.reformat(format=pixel_format), number / RATE)
    return [round(seconds * RATE) for seconds in finder.cut_seconds()]


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv420p10le", "rgb24", "gray", "yuyv422"])
def test_each_cut_is_at_the_first_frame_of_the_new_shot(pixel_format: str) -> None:
    shots = [*panned(1, 20), *panned(2, 15), *panned(3, 30)]
    assert cuts_of(shots, pixel_format) == [20, 35]


def test_a_single_shot_has_no_cut_however_fast_the_camera_is() -> None:
    for step in (0, 1, 3, 5):
        assert cuts_of(panned(4, 30, step)) == []


def test_a_flash_goes_back_to_what_was_before() -> None:
    shot = panned(5, 40)
    for length in (1, 2):
        lit = [np.full_like(one, 250) if 20 <= at < 20 + length else one
               for at, one in enumerate(shot)]  # fmt: skip
        assert cuts_of(lit) == []


def test_noise_of_dark_frames_is_no_cut() -> None:
    random = np.random.default_rng(6)
    dark = [random.integers(10, 26, (120, 160, 3), dtype=np.uint8) for _ in range(40)]
    assert cuts_of(dark) == []


def test_a_slow_fade_is_no_cut_and_black_to_a_picture_is_one() -> None:
    shot = panned(7, 40, 0)
    fade = [(one * min(1.0, at / 30)).astype(np.uint8) for at, one in enumerate(shot)]
    assert cuts_of(fade) == []
    assert cuts_of([np.zeros_like(shot[0])] * 10 + shot[:10]) == [10]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_videos_of_few_frames_have_no_cut(count: int) -> None:
    assert cuts_of(panned(8, count)) == []


@settings(max_examples=8, deadline=None)
@given(st.integers(12, 25), st.integers(12, 25), st.integers(0, 10**6))
def test_a_cut_between_any_two_scenes_of_some_length_is_found(
    first: int, second: int, seed: int
) -> None:
    shots = [*panned(seed, first), *panned(seed + 1, second)]
    before, after = (shots[at].mean(axis=2).ravel() for at in (first - 1, first))
    assume(np.corrcoef(before, after)[0, 1] < 0.5)
    assert cuts_of(shots) == [first]


@pytest.mark.parametrize(
    ("key_every", "late_seconds"),
    [
        (250, 2.01 / RATE),  # frames that nothing refers to are skipped, two in a row
        (25, 0.5),  # a group is not decoded past its last sample
    ],
)
def test_the_decoder_names_the_cuts_of_a_file(
    tmp_path: Path, key_every: int, late_seconds: float
) -> None:
    shots = [*panned(1, 40), *panned(2, 33), *panned(3, 40)]
    path = make_video(
        tmp_path / "cuts.mp4",
        count=len(shots),
        size=(160, 120),
        key_every=key_every,
        options={"bf": "2", "sc_threshold": "0"},
        draw=lambda index, width, height: shots[index],
    )
    with Decoder(DecodeSettings(processes=1), 96) as decoder, decoder.decode(path) as video:
        late = video.cut_seconds - [40 / RATE, 73 / RATE]
    assert (late >= -1e-3).all() and (late <= late_seconds).all()


def test_a_stream_without_times_has_cuts_too(tmp_path: Path) -> None:
    shots = [*panned(1, 40), *panned(2, 40)]
    path = make_video(
        tmp_path / "cuts.h264",
        count=80,
        size=(160, 120),
        draw=lambda index, width, height: shots[index],
    )
    with Decoder(DecodeSettings(processes=1), 96) as decoder, decoder.decode(path) as video:
        assert video.strategy == "every_frame"
        assert video.cut_seconds == pytest.approx([40 / RATE], abs=1e-3)


def test_cuts_are_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []

    def counted(distances: NDArray[np.float32], seconds: NDArray[np.float64]) -> list[int]:
        looked.append(len(seconds))
        return find_cuts(distances, seconds)

    monkeypatch.setattr(models.video.shots, "find_cuts", counted)
    finder = CutFinder()
    for index in range(20):
        picture = np.full((64, 64, 3), 10 if index < 10 else 200, np.uint8)
        finder.add(VideoFrame.from_ndarray(picture, format="rgb24"), index / 10)
    finder.cut_seconds()
    finder.motion(2.0)
    assert looked == [20]
