"""The decoder's motion curve: low where nothing moves, and a copy's is its original's."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from models.video.motion import RATE, curve_of
from stream.decode.decoded_video import DecodedVideo
from stream.decode.decoder import Decoder
from stream.decode.settings import DecodeSettings
from tests.stream.videos import Draw, make_video

FRAMES_PER_SECOND = 24
SECONDS = 20
WIDTH, HEIGHT = 160, 120
BLOB = 40
LATE_SECONDS = 3.25
Picture = NDArray[np.uint8]
Curve = NDArray[np.float32]


def wide_picture(width: int) -> NDArray[np.float64]:
    """Soft blobs, (HEIGHT, width, 3) in 0 to 255."""
    across = width // BLOB + 2
    coarse = np.random.default_rng(3).uniform(0, 255, (5, across, 3))
    columns, places = np.arange(width) / BLOB, np.arange(across)
    rows, steps = np.linspace(0, 4, HEIGHT), np.arange(5)
    wide = np.apply_along_axis(lambda one: np.interp(columns, places, one), 1, coarse)
    return np.apply_along_axis(lambda one: np.interp(rows, steps, one), 0, wide)


def wandering(frames: int) -> NDArray[np.intp]:
    """Where a camera that speeds up and slows down is at each frame, in pixels."""
    knots = np.random.default_rng(4).uniform(0.1, 2, SECONDS + 1)
    speed = np.interp(np.arange(frames) / FRAMES_PER_SECOND, np.arange(SECONDS + 1), knots)
    return np.cumsum(speed).astype(np.intp)


PLACES = wandering(SECONDS * FRAMES_PER_SECOND)
WIDE = wide_picture(int(PLACES[-1]) + WIDTH)


def original(index: int, width: int, height: int) -> Picture:
    return WIDE[:, PLACES[index] : PLACES[index] + WIDTH].astype(np.uint8)


def mirrored(index: int, width: int, height: int) -> Picture:
    return original(index, width, height)[:, ::-1]


def recoloured(index: int, width: int, height: int) -> Picture:
    shown = original(index, width, height) / 255
    return np.asarray(255 * shown**1.3 * [0.7, 0.9, 0.6] + 20).astype(np.uint8)


def late(index: int, width: int, height: int) -> Picture:
    return original(index + round(LATE_SECONDS * FRAMES_PER_SECOND), width, height)


def still(index: int, width: int, height: int) -> Picture:
    return original(0, width, height)


def panned(index: int, width: int, height: int) -> Picture:
    return WIDE[:, index : index + WIDTH].astype(np.uint8)


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder(DecodeSettings(processes=1), 96) as made:
        yield made


def decoded(
    decoder: Decoder, path: Path, draw: Draw, *, frames: int = len(PLACES), crf: int = 20
) -> DecodedVideo:
    make_video(
        path,
        count=frames,
        frames_per_second=FRAMES_PER_SECOND,
        size=(WIDTH, HEIGHT),
        options={"crf": str(crf)},
        draw=draw,
    )
    with decoder.decode(path) as video:
        return video


@pytest.fixture(scope="module")
def known(decoder: Decoder, tmp_path_factory: pytest.TempPathFactory) -> Curve:
    path = tmp_path_factory.mktemp("motion") / "original.mp4"
    return curve_of(decoded(decoder, path, original).motion)


def agreement(copy: Curve, known: Curve, offset: int) -> float:
    """Correlation where both are, code n of the copy beside code n + offset of the original."""
    first, last = max(0, -offset), min(len(copy), len(known) - offset)
    return float(np.corrcoef(copy[first:last], known[first + offset : last + offset])[0, 1])


@pytest.mark.parametrize(
    ("draw", "crf", "begins_seconds"),
    [(original, 38, 0.0), (mirrored, 24, 0.0), (recoloured, 24, 0.0), (late, 24, LATE_SECONDS)],
    ids=["encoded again", "mirrored", "recoloured", "late"],
)
def test_a_copy_moves_as_its_original_at_the_true_offset_alone(
    decoder: Decoder, known: Curve, tmp_path: Path, draw: Draw, crf: int, begins_seconds: float
) -> None:
    frames = len(PLACES) - round(begins_seconds * FRAMES_PER_SECOND)
    video = decoded(decoder, tmp_path / "copy.mp4", draw, frames=frames, crf=crf)
    offsets = range(-32, 33)
    found = [agreement(curve_of(video.motion), known, offset) for offset in offsets]
    assert max(found) > 0.8
    assert offsets[int(np.argmax(found))] == begins_seconds * RATE


def test_a_pan_moves_and_a_still_picture_does_not(decoder: Decoder, tmp_path: Path) -> None:
    nothing = decoded(decoder, tmp_path / "still.mp4", still, frames=120).motion
    moving = decoded(decoder, tmp_path / "pan.mp4", panned, frames=120).motion
    assert nothing.max() <= 20
    assert np.median(moving) > nothing.max() + 30


@pytest.mark.parametrize("frames", [24, 25, 30, 47, 121])
def test_there_are_four_codes_a_second(decoder: Decoder, tmp_path: Path, frames: int) -> None:
    video = decoded(decoder, tmp_path / "some.mp4", panned, frames=frames)
    assert video.motion.dtype == np.uint8
    assert len(video.motion) == np.ceil(round(RATE * video.duration_seconds, 6))
    assert video.duration_seconds == pytest.approx(frames / FRAMES_PER_SECOND, abs=1e-3)


def test_a_stream_without_times_has_a_curve_too(decoder: Decoder, tmp_path: Path) -> None:
    video = decoded(decoder, tmp_path / "plain.h264", panned, frames=60)
    assert video.strategy == "every_frame"
    assert len(video.motion) == np.ceil(round(RATE * video.duration_seconds, 6))


def test_a_single_frame_has_no_curve(decoder: Decoder, tmp_path: Path) -> None:
    assert len(decoded(decoder, tmp_path / "one.mp4", still, frames=1).motion) == 0
