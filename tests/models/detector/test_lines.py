"""The line of a copied span: at the pace and the second that motion tells, else at pace 1."""

import tracemalloc

import numpy as np
import pytest
from numpy.typing import NDArray

from models.aligners.base import Segment
from models.aligners.matrix import SimilarityMatrix
from models.detector.lines import LineFinder
from models.video.motion import as_stored, curve_of, motion_codes

Floats = NDArray[np.float64]

FRAMES_PER_SECOND = 40
REFERENCE_SECONDS, COPIED_FROM, COPIED_SECONDS = 60.0, 21.3, 15.0


def movement(seed: int) -> Floats:
    """Change a second, at every frame of the reference: bursts of some tenths of a second."""
    chance = np.random.default_rng(seed)
    count = round(REFERENCE_SECONDS * FRAMES_PER_SECOND)
    noise = np.convolve(chance.normal(size=count + 15), np.hanning(16), mode="valid")
    moved: Floats = np.exp(noise / noise.std() - 1.0)
    return moved


def curve(changes: Floats, pace: float) -> NDArray[np.float32]:
    """The motion curve of a video that shows those frames, at a pace."""
    steps = (changes * pace / FRAMES_PER_SECOND) ** 2
    seconds = np.arange(len(changes)) / FRAMES_PER_SECOND
    codes = motion_codes(steps.astype(np.float32), seconds, [], len(changes) / FRAMES_PER_SECOND)
    return curve_of(codes)


def one_shot(changes: Floats, pace: float) -> SimilarityMatrix:
    """A copy, the whole query, of a reference that shows one scene, in which things move."""
    shown = COPIED_FROM + np.arange(0, COPIED_SECONDS, abs(pace) / FRAMES_PER_SECOND)
    frames = np.rint(shown * FRAMES_PER_SECOND).astype(np.intp)
    copied = changes[frames if pace > 0 else frames[::-1]]
    seconds = len(copied) / FRAMES_PER_SECOND
    times = np.arange(0.5, seconds, 1.0, dtype=np.float32)
    stored = np.arange(2.0, REFERENCE_SECONDS, 4.0, dtype=np.float32)
    return SimilarityMatrix(
        np.full((len(times), len(stored)), 0.7, np.float32),
        times,
        stored,
        seconds,
        REFERENCE_SECONDS,
        query_motion=curve(copied, abs(pace)),
        reference_motion=as_stored(curve(changes, 1.0)),
    )


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("pace", [0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, -1.0, -2.0])
def test_motion_tells_the_pace_and_the_second(pace: float, seed: int) -> None:
    pair = one_shot(movement(seed), pace)
    seconds = pair.query_duration_seconds
    middle = COPIED_FROM + COPIED_SECONDS / 2 + 0.8
    boxed = 0.6 * seconds  # as long in the reference as boxes of the network mostly are
    box = Segment(0, seconds, middle - boxed, middle + boxed, 0.8, reversed=pace < 0)
    found = LineFinder(pair).find(box)
    ends = [COPIED_FROM, COPIED_FROM + COPIED_SECONDS]
    wanted = ends if pace > 0 else ends[::-1]
    np.testing.assert_allclose(found.at(np.array([0.0, seconds])), wanted, atol=0.4)


@pytest.mark.parametrize("boxed", [0.7, 0.9, 1.2, 1.45])
def test_where_nothing_tells_the_pace_it_is_one(boxed: float) -> None:
    nothing = np.empty(0, np.float32)
    moved = one_shot(movement(1), 1.0)
    still = SimilarityMatrix(
        moved.values,
        moved.query_seconds,
        moved.reference_seconds,
        moved.query_duration_seconds,
        moved.reference_duration_seconds,
        query_motion=nothing,
        reference_motion=nothing,
    )
    found = LineFinder(still).find(Segment(0, 15, 20, 20 + 15 * boxed, 0.8))
    assert found.pace == pytest.approx(1.0)
    assert found.at_middle == pytest.approx(20 + 7.5 * boxed)


def test_a_sliver_of_a_box_keeps_its_pace_and_takes_no_memory() -> None:
    finder = LineFinder(one_shot(movement(1), 1.0))
    tracemalloc.start()
    try:
        found = finder.find(Segment(7.0, 7.00001, 0.0, 50.0, 0.8))
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()
    assert found.pace > 1e6
