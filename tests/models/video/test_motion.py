"""The motion curve: its length, its scale, what a cut does to it, and what 16 levels keep."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from models.video.motion import (
    COARSE,
    FLOOR,
    RATE,
    SCALE,
    at,
    coarse,
    coarse_curve,
    curve_of,
    motion_codes,
)

FRAMES_PER_SECOND = 25
Steps = NDArray[np.float32]

steps = st.integers(2, 60).flatmap(
    lambda count: arrays.arrays(np.float32, count, elements=st.floats(0, 2, width=32))
)
codes = arrays.arrays(np.uint8, st.integers(0, 40))


def codes_of(steps: Steps, cuts: list[int] | None = None) -> NDArray[np.uint8]:
    """Of frames at an even rate."""
    seconds = np.arange(len(steps)) / FRAMES_PER_SECOND
    return motion_codes(steps, seconds, cuts or [], len(steps) / FRAMES_PER_SECOND)


@given(steps, st.floats(1, 20))
def test_more_change_never_gives_a_smaller_code(steps: Steps, factor: float) -> None:
    more = steps * np.float32(factor)
    assert (codes_of(more) >= codes_of(steps)).all()


@given(steps)
def test_there_is_a_code_for_each_quarter_of_a_second(steps: Steps) -> None:
    found = codes_of(steps)
    assert found.dtype == np.uint8
    assert len(found) == -(-len(steps) * int(RATE) // FRAMES_PER_SECOND)


@given(steps.filter(lambda steps: len(steps) > 5), st.data())
def test_what_a_cut_jumps_does_not_count(steps: Steps, data: st.DataObject) -> None:
    cut = data.draw(st.integers(1, len(steps) - 1))
    around = np.arange(max(1, cut - 2), min(len(steps), cut + 3))
    most = np.float32(max(steps[around].max(), 0.1))
    small, large = steps.copy(), steps.copy()
    small[cut], large[cut] = most, 10 * most
    np.testing.assert_array_equal(codes_of(small, [cut]), codes_of(large, [cut]))


@pytest.mark.parametrize("change", [0.0, 0.01, 0.05])
def test_the_code_is_the_logarithm_of_the_change_in_a_second(change: float) -> None:
    found = codes_of(np.full(100, change**2, np.float32))
    expected = SCALE * np.log1p(change * FRAMES_PER_SECOND / FLOOR)
    np.testing.assert_allclose(found[:-1], expected, atol=0.51)


@pytest.mark.parametrize("frames_per_second", [2, 8, 30])
def test_a_steady_pace_has_one_code_however_many_frames_are_skipped(frames_per_second: int) -> None:
    count = 10 * frames_per_second + 1
    each = np.full(count, (0.5 / frames_per_second) ** 2, np.float32)
    found = motion_codes(each, np.arange(count) / frames_per_second, [], 10.0)
    assert len(found) == 10 * RATE
    np.testing.assert_allclose(found, SCALE * np.log1p(0.5 / FLOOR), atol=0.51)


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_frames_have_no_curve(count: int) -> None:
    assert len(motion_codes(np.zeros(count, np.float32), np.zeros(count), [], 5.0)) == 0


@given(codes)
def test_a_coarse_curve_is_within_half_a_level(codes: NDArray[np.uint8]) -> None:
    levels = coarse(codes)
    assert levels.dtype == np.uint8 and (levels < 16).all()
    apart = coarse_curve(levels) - curve_of(codes)
    assert apart.dtype == np.float32
    assert (np.abs(apart) <= COARSE / 2 / SCALE).all()


def test_a_curve_is_read_at_the_middle_of_each_quarter_and_between() -> None:
    curve = np.array([0.0, 2.0, 1.0], np.float32)
    middles = np.array([0.125, 0.375, 0.625])
    assert at(curve, middles).tolist() == [0, 2, 1]
    assert at(curve, np.array([-1.0, 0.25, 9.0])).tolist() == [0, 1, 1]
