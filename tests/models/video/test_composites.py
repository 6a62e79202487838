"""Seams are found where pictures are put together, and nowhere else; parts are what they were."""

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from models.video import views
from models.video.composites import BLOCK, MAX_AREA, MIN_AREA, parts_of
from models.video.frames import squared
from models.video.views import views_of

Rgb = NDArray[np.uint8]
SIDE = 160
FRAMES = 12


@cache
def moving(seed: int, height: int = SIDE, width: int = SIDE) -> Rgb:
    """(FRAMES, height, width, 3): a soft texture that drifts."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (24, 24, 3)).astype(np.float32)
    texture = coarse.repeat(12, axis=0).repeat(12, axis=1)
    kernel = np.hanning(25) / np.hanning(25).sum()
    for axis in (0, 1):
        texture = np.apply_along_axis(np.convolve, axis, texture, kernel, "same")
    step = random.integers(3, 9, 2)
    shown = [
        np.roll(texture, tuple(step * number), (0, 1))[:height, :width] for number in range(FRAMES)
    ]
    return np.stack(shown).clip(0, 255).astype(np.uint8)


def pasted(ground: Rgb, other: Rgb, left: int, top: int) -> Rgb:
    """One over the other."""
    height, width = other.shape[1:3]
    ground = ground.copy()
    ground[:, top : top + height, left : left + width] = other
    return ground


COMPOSITES = {
    "side by side": (moving(1), moving(2, SIDE, 80), 80, 0, (0.5, 0.0, 1.0, 1.0)),
    "one over the other": (moving(3), moving(4, 60, SIDE), 0, 0, (0.0, 0.0, 1.0, 0.375)),
    "one of four": (moving(5), moving(6, 80, 80), 80, 80, (0.5, 0.5, 1.0, 1.0)),
    "a window": (moving(7), moving(8, 70, 90), 30, 40, (0.1875, 0.25, 0.75, 0.6875)),
    "a window in a corner": (moving(9), moving(10, 56, 64), 96, 0, (0.6, 0.0, 1.0, 0.35)),
}


@pytest.mark.parametrize("name", COMPOSITES)
def test_the_parts_of_a_composite_are_found(name: str) -> None:
    ground, other, left, top, box = COMPOSITES[name]
    frames = pasted(ground, other, left, top)
    found = parts_of(frames, np.arange(FRAMES))
    near = [part for part in found if np.abs(np.subtract(part.box, box)).max() <= 0.03]
    covered = {place for part in near for place in range(part.first, part.end)}
    assert covered == set(range(FRAMES))
    for part in found:
        area = (part.box[2] - part.box[0]) * (part.box[3] - part.box[1])
        assert MIN_AREA <= area <= MAX_AREA


@pytest.mark.parametrize("side", [96, 128, 224, 288])
def test_encoders_of_other_sizes_see_the_same_parts(side: int) -> None:
    ground, other, left, top, box = COMPOSITES["side by side"]
    frames = np.stack(
        [squared(f, (0, 0, SIDE, SIDE), side) for f in pasted(ground, other, left, top)]
    )
    found = parts_of(frames, np.arange(FRAMES))
    assert any(np.abs(np.subtract(part.box, box)).max() <= 0.04 for part in found)


@pytest.mark.parametrize("seed", range(6))
def test_what_is_one_picture_has_no_parts(seed: int) -> None:
    assert parts_of(moving(seed), np.arange(FRAMES)) == []


def test_a_picture_that_stands_still_has_no_parts() -> None:
    frames = pasted(moving(1), moving(2, SIDE, 80), 80, 0)
    assert parts_of(frames[:1].repeat(FRAMES, axis=0), np.arange(FRAMES)) == []


def test_a_seam_is_found_while_it_is_there_and_not_long_after() -> None:
    before = moving(1)
    frames = np.concatenate([before, pasted(moving(3), moving(2, SIDE, 80), 80, 0), before])
    places = [set(range(p.first, p.end)) for p in parts_of(frames, np.arange(len(frames)))]
    found = set().union(*places)
    assert found >= set(range(FRAMES, 2 * FRAMES - BLOCK))
    assert found <= set(range(FRAMES - 2 * BLOCK, 2 * FRAMES + 2 * BLOCK))


@pytest.mark.parametrize("count", range(2 * BLOCK))
def test_few_frames_are_no_error(count: int) -> None:
    frames = pasted(moving(1), moving(2, SIDE, 80), 80, 0)
    for part in parts_of(frames, np.arange(count)):
        assert 0 <= part.first < part.end <= count


def test_views_are_the_parts_as_large_as_a_frame() -> None:
    other = moving(2, SIDE, 80)
    frames = pasted(moving(1), other, 80, 0)
    chosen = np.arange(0, FRAMES, 2)
    found = views_of(frames, chosen, 4)
    right = np.flatnonzero(np.abs(found.boxes - (0.5, 0, 1, 1)).max(axis=1) < 0.03)
    assert found.places[right].tolist() == list(range(len(chosen)))
    shown = found[right]
    assert shown.shape == (len(chosen), SIDE, SIDE, 3) and shown.dtype == np.uint8
    wide = other[chosen].repeat(2, axis=2)
    assert np.abs(shown.astype(np.int16) - wide)[:, 4:-4, 8:-8].mean() < 6


def test_views_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = pasted(moving(1), moving(2, SIDE, 80), 80, 0)
    chosen = np.arange(FRAMES)
    assert len(views_of(frames, chosen, 0)) == 0
    assert len(views_of(frames, chosen, 1)) == FRAMES
    assert len(views_of(frames, chosen, 4)) > FRAMES
    monkeypatch.setattr(views, "MAX_VIEWS", FRAMES)
    assert len(views_of(frames, chosen, 4)) == FRAMES
    monkeypatch.setattr(views, "MAX_VIEWS", 5)
    assert 3 <= len(views_of(frames, chosen, 4)) <= 5
