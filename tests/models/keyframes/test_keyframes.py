"""Key frames: an even choice, without blanks and repeats, with a bounded gap."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.keyframes.base import CandidateFrames
from models.keyframes.even import EvenSelector
from models.keyframes.settings import KeyFrameSettings
from models.video.frames import is_blank, is_repeat

SIZE = 32
Frames = NDArray[np.uint8]


def _scenes(count: int) -> Frames:
    """(N, S, S, 3) uint8, no two alike."""
    return np.random.default_rng(3).integers(0, 256, (count, SIZE, SIZE, 3)).astype(np.uint8)


def _select(frames: Frames, seconds: list[float], **settings: float) -> list[int]:
    selector = EvenSelector(KeyFrameSettings.model_validate(settings))
    times = np.array(seconds, np.float32)
    candidates = CandidateFrames(frames, times, float(times[-1]) + 1)
    return [int(index) for index in selector.select(candidates)]


def test_every_scene_is_kept_where_candidates_have_the_wanted_distance() -> None:
    assert _select(_scenes(5), [0, 1, 2, 3, 4]) == [0, 1, 2, 3, 4]


def test_of_denser_candidates_the_nearest_to_each_even_time_is_kept() -> None:
    seconds = [0.0, 0.5, 0.95, 1.4, 2.02, 2.5, 3.0]
    assert _select(_scenes(7), seconds) == [0, 2, 4, 6]
    assert _select(_scenes(6), seconds[:6], every_seconds=2) == [0, 4]


def test_a_candidate_shortly_before_its_time_is_not_lost() -> None:
    assert _select(_scenes(4), [0.0, 0.93, 1.96, 3.05]) == [0, 1, 2, 3]


def test_blank_frames_are_dropped() -> None:
    frames = _scenes(4)
    frames[1], frames[3] = 0, 255
    assert _select(frames, [0, 1, 2, 3]) == [0, 2]


def test_nothing_is_kept_of_a_blank_video() -> None:
    assert _select(np.zeros((3, SIZE, SIZE, 3), np.uint8), [0, 1, 2]) == []


def test_a_still_picture_is_kept_once_per_longest_gap() -> None:
    frames = np.repeat(_scenes(1), 26, axis=0)
    assert _select(frames, list(range(26)), max_gap_seconds=10) == [0, 10, 20]


def test_a_small_thing_that_moves_is_no_repeat() -> None:
    frames = np.repeat(_scenes(1), 2, axis=0)
    noisy = np.clip(frames[1].astype(int) + np.resize([0, 1, -1], frames[1].shape), 0, 255)
    assert is_repeat(frames[0], noisy.astype(np.uint8))
    frames[1, 4:8, 4:8] ^= 0x80
    assert not is_repeat(frames[0], frames[1])


def test_a_slow_change_is_measured_from_the_last_kept_frame() -> None:
    start = _scenes(1)[0] // 2
    frames = np.stack([start + step // 2 for step in range(9)]).astype(np.uint8)
    assert is_repeat(frames[0], frames[1])
    assert _select(frames, list(range(9)), max_gap_seconds=100) == [0, 2, 4, 6, 8]


@pytest.mark.parametrize("side", [8, 50, 160])
def test_frames_of_any_size_can_be_compared(side: int) -> None:
    frame = np.random.default_rng(1).integers(0, 256, (side, side, 3)).astype(np.uint8)
    assert is_repeat(frame, frame)
    assert not is_repeat(frame, 255 - frame)


@given(
    shown=st.lists(st.integers(0, 3), min_size=1, max_size=40),
    gaps=st.lists(st.floats(0.2, 3), min_size=40, max_size=40),
    max_gap_seconds=st.sampled_from([2.0, 5.0]),
)
def test_kept_frames_differ_or_are_a_gap_apart_and_nothing_new_is_missed(
    shown: list[int], gaps: list[float], max_gap_seconds: float
) -> None:
    pictures = _scenes(4)
    pictures[0] = 128  # blank
    frames = pictures[shown]
    seconds = np.cumsum(gaps[: len(shown)]).astype(np.float32)
    settings = {"every_seconds": 0.1, "max_gap_seconds": max_gap_seconds}
    kept = _select(frames, seconds.tolist(), **settings)
    assert kept == sorted(set(kept))
    assert not any(is_blank(frames[index]) for index in kept)
    for before, after in zip(kept, kept[1:], strict=False):
        gap = seconds[after] - seconds[before]
        assert shown[before] != shown[after] or gap >= max_gap_seconds
    for index in set(range(len(shown))) - set(kept):
        before_it = [other for other in kept if other < index]
        near = bool(before_it) and seconds[index] - seconds[before_it[-1]] < max_gap_seconds
        assert is_blank(frames[index]) or (near and shown[before_it[-1]] == shown[index])
