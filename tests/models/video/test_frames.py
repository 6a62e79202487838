"""Borders are found and nothing else is cut; blank frames are named; the square is right."""

import io
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from models.video.frames import content_box, is_blank, prepare

Rgb = NDArray[np.uint8]


def scene(height: int = 120, width: int = 160, seed: int = 1) -> Rgb:
    """Large soft blobs, as real pictures have."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    picture = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    return np.array(picture)


def bordered(
    picture: Rgb, left: int, top: int, right: int, bottom: int, colour: tuple[int, int, int]
) -> Rgb:
    height, width = picture.shape[:2]
    frame = np.empty((height + top + bottom, width + left + right, 3), np.uint8)
    frame[:] = colour
    frame[top : top + height, left : left + width] = picture
    return frame


def close(box: tuple[int, ...], wanted: tuple[int, ...], within: int = 2) -> bool:
    return all(abs(a - b) <= within for a, b in zip(box, wanted, strict=True))


@pytest.mark.parametrize("seed", range(8))
def test_a_frame_without_borders_is_kept_whole(seed: int) -> None:
    assert content_box(scene(seed=seed)) == (0, 0, 160, 120)


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (30, 90, 200)])
@pytest.mark.parametrize("sides", [(0, 20, 0, 20), (25, 0, 25, 0), (12, 18, 30, 9)])
def test_bars_of_any_colour_are_cut(
    sides: tuple[int, int, int, int], colour: tuple[int, int, int]
) -> None:
    left, top, right, bottom = sides
    frame = bordered(scene(), left, top, right, bottom, colour)
    assert close(content_box(frame), (left, top, left + 160, top + 120), within=0)


@pytest.mark.parametrize("quality", [20, 50, 80])
def test_bars_are_found_after_noise_and_compression(quality: int) -> None:
    frame = bordered(scene(), 24, 16, 24, 16, (0, 0, 0)).astype(np.int16)
    frame += np.random.default_rng(1).normal(0, 3, frame.shape).astype(np.int16)
    data = io.BytesIO()
    Image.fromarray(frame.clip(0, 255).astype(np.uint8)).save(data, "JPEG", quality=quality)
    decoded = np.array(Image.open(data).convert("RGB"))
    assert close(content_box(decoded), (24, 16, 184, 136), within=8)  # one block


def test_a_wide_picture_in_a_tall_frame_is_found() -> None:
    frame = bordered(scene(90, 160), 0, 97, 0, 97, (0, 0, 0))
    assert content_box(frame) == (0, 97, 160, 187)


def test_one_coloured_bar_alone_may_be_sky_and_stays() -> None:
    frame = bordered(scene(), 0, 30, 0, 0, (90, 140, 220))
    assert content_box(frame) == (0, 0, 160, 150)


def test_one_black_bar_alone_is_cut() -> None:
    assert content_box(bordered(scene(), 0, 0, 0, 30, (0, 0, 0))) == (0, 0, 160, 120)


def test_a_frame_that_is_nearly_all_border_is_kept_whole() -> None:
    frame = bordered(scene(8, 160), 0, 56, 0, 56, (0, 0, 0))
    assert content_box(frame) == (0, 0, 160, 120)


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (10, 200, 30)])
def test_a_flat_frame_is_blank_and_kept_whole(colour: tuple[int, int, int]) -> None:
    frame = np.full((120, 160, 3), colour, np.uint8)
    assert is_blank(frame)
    assert content_box(frame) == (0, 0, 160, 120)


def test_two_flat_halves_are_no_picture_between_borders() -> None:
    frame = np.zeros((120, 160, 3), np.uint8)
    frame[60:] = 255
    assert content_box(frame) == (0, 0, 160, 120)
    assert not is_blank(frame)


def test_a_scene_is_not_blank_and_a_grainy_flat_frame_is() -> None:
    assert not is_blank(scene())
    grain = np.random.default_rng(1).normal(60, 3, (120, 160, 3)).astype(np.uint8)
    assert is_blank(grain)


def dark(deviation: float, grain: int, seed: int = 1) -> Image.Image:
    """What a sensor sees in the dark."""
    shape = (120 // grain, 160 // grain, 3)
    levels = np.random.default_rng(seed).normal(8, deviation, shape).clip(0, 255)
    return Image.fromarray(levels.astype(np.uint8)).resize((160, 120))


@pytest.mark.parametrize(("deviation", "grain"), [(15, 1), (30, 1), (20, 2), (14, 2)])
def test_strong_noise_of_the_dark_is_blank(deviation: float, grain: int) -> None:
    assert is_blank(np.asarray(dark(deviation, grain)))


def test_what_is_dim_but_shows_something_is_not_blank() -> None:
    noisy = np.asarray(dark(15, 1)).astype(np.float32)
    dim = noisy + scene().astype(np.float32) / 8
    assert not is_blank(dim.clip(0, 255).astype(np.uint8))


def test_stars_are_not_blank() -> None:
    draws, sky = np.random.default_rng(3), np.zeros((120, 160, 3), np.uint8)
    sky[draws.integers(0, 120, 90), draws.integers(0, 160, 90)] = 230
    assert not is_blank(sky)


def test_bright_noise_is_not_blank() -> None:
    snow = np.random.default_rng(4).normal(127, 60, (120, 160, 3)).clip(0, 255)
    assert not is_blank(snow.astype(np.uint8))


@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(0, 2**32 - 1),
    st.sampled_from((0, 128, 255)),
)
def test_the_box_is_always_inside_and_never_tiny(
    height: int, width: int, seed: int, level: int
) -> None:
    frame = np.random.default_rng(seed).choice(
        np.array([level, level, level, 77], np.uint8), (height, width, 1)
    )
    left, top, right, bottom = content_box(np.repeat(frame, 3, axis=2))
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    assert right - left >= 0.2 * width
    assert bottom - top >= 0.2 * height


def test_prepare_gives_the_same_square_with_and_without_borders() -> None:
    plain = prepare(scene(), 64).astype(np.int16)
    framed = prepare(bordered(scene(), 24, 16, 24, 16, (0, 0, 0)), 64).astype(np.int16)
    assert plain.shape == (64, 64, 3)
    assert np.abs(plain - framed).mean() < 1.5


def test_prepare_is_antialiased() -> None:
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::2] = 255
    small = prepare(stripes, 64)[4:-4, 4:-4]
    assert small.std() < 12
    assert abs(float(small.mean()) - 127.5) < 3


@pytest.mark.parametrize(
    "frame",
    [
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((8, 8, 3), np.float32),
    ],
)
def test_prepare_refuses_what_is_not_rgb(frame: Rgb) -> None:
    with pytest.raises(ValueError, match="expected"):
        prepare(frame, 64)


def test_prepare_takes_a_view_that_is_not_contiguous() -> None:
    picture = scene()
    assert (prepare(picture[:, ::-1], 32) == prepare(picture[:, ::-1].copy(), 32)).all()


@pytest.mark.timed
def test_the_box_is_cheap_enough_for_every_frame() -> None:
    frame = bordered(scene(256, 340), 0, 40, 0, 40, (0, 0, 0))
    best = float("inf")
    for _ in range(20):
        start = time.perf_counter()
        content_box(frame)
        best = min(best, time.perf_counter() - start)
    assert best < 0.005  # ten times the usual, so that a busy machine passes
