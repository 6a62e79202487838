"""Copies for browsers: VP9, small, and with the seconds of the video."""

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from stream.decode.decoder import Decoder
from stream.decode.playable import write_playable
from stream.decode.settings import DecodeSettings
from stream.errors import CorruptError
from tests.stream.decode.test_decoder import SIZE, X265
from tests.stream.videos import make_video, numbers_of, set_display_matrix

SETTINGS = DecodeSettings(processes=1, frames_per_second=1, motion_frames_per_second=0)


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder(SETTINGS, SIZE) as decoder:
        yield decoder


def copied(video: Path) -> Path:
    target = video.with_name("copy.webm")
    target.touch()
    write_playable(video, target, SETTINGS)
    return target


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("hevc.mp4", {"codec": "libx265", "options": {"x265-params": X265}}),
        ("alpha.mov", {"codec": "prores_ks", "pixel_format": "yuva444p10le"}),
        ("odd.mkv", {"size": (321, 241), "pixel_format": "yuv444p"}),
        ("late.ts", {"times_ms": [2000 + 40 * index for index in range(100)]}),
        ("large.mp4", {"size": (1280, 720)}),
    ],
)
def test_each_second_of_the_copy_shows_what_the_video_shows(
    decoder: Decoder, tmp_path: Path, name: str, options: dict[str, object]
) -> None:
    copy = copied(make_video(tmp_path / name, **options))  # type: ignore[arg-type]
    with av.open(copy.as_posix()) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "vp9"
        assert min(stream.width, stream.height) <= 360
    with decoder.decode(copy) as video:
        assert numbers_of(video.frames) == [0, 25, 50, 75]
        assert video.seconds == pytest.approx([0, 1, 2, 3], abs=0.05)
        assert video.duration_seconds == pytest.approx(4, abs=0.1)


def test_a_still_end_is_as_long_as_the_videos(decoder: Decoder, tmp_path: Path) -> None:
    times = [0, 500, 1000, 9000]
    copy = copied(make_video(tmp_path / "still.mp4", times_ms=times))
    with decoder.decode(copy) as video:
        assert video.duration_seconds == pytest.approx(9, abs=0.2)


def test_the_copy_is_turned_as_the_video_says(tmp_path: Path) -> None:
    def half(index: int, width: int, height: int) -> np.ndarray:
        rgb = np.zeros((height, width, 3), np.uint8)
        rgb[:, : width // 2] = 255
        return rgb

    video = make_video(tmp_path / "turned.mp4", size=(320, 160), draw=half)
    set_display_matrix(video, (0, 1, -1, 0))
    with av.open(copied(video).as_posix()) as container:
        rgb = next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert rgb.shape[:2] == (320, 160)
    assert rgb[:150].mean() > 200 and rgb[170:].mean() < 50


def test_an_animated_picture_has_a_copy(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (96, 64), colour) for colour in ("red", "green", "blue")]
    path = tmp_path / "animated.webp"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=1000)
    with av.open(copied(path).as_posix()) as container:
        shown = [frame.to_ndarray(format="rgb24").mean((0, 1)) for frame in container.decode()]
    assert shown[0].argmax() == 0 and shown[-1].argmax() == 2


def test_what_is_no_video_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("this is no video" * 100)
    with pytest.raises(CorruptError):
        copied(text)
