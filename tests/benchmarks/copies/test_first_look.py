"""A first look sees I-frames, and with a gap frames inside long groups of pictures too."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.copies.first_look import best_similarity, first_look
from benchmarks.copies.frame_choices import Choice
from stream.contract.packed import quantise
from tests.stream.videos import make_video

RATE = 10
SECONDS = 6
SIZE = 64


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three groups of pictures of two seconds each."""

    def blocks(index: int, width: int, height: int) -> NDArray[np.uint8]:
        coarse = np.random.default_rng(index // RATE).integers(0, 256, (6, 8, 3), np.uint8)
        return coarse.repeat(-(-height // 6), 0).repeat(-(-width // 8), 1)[:height, :width]

    return make_video(
        tmp_path_factory.mktemp("look") / "video.mp4",
        count=SECONDS * RATE,
        frames_per_second=RATE,
        key_every=2 * RATE,
        draw=blocks,
    )


@pytest.mark.parametrize(
    ("gap", "seconds"),
    [(np.inf, [0, 2, 4]), (1.0, [0, 1, 2, 3, 4, 5]), (1.5, [0, 1.5, 2, 3.5, 4, 5.5])],
)
def test_which_frames_are_seen(video: Path, gap: float, seconds: list[float]) -> None:
    look = first_look(video, SIZE, gap)
    assert look.frames.shape == (len(seconds), SIZE, SIZE, 3)
    # Frames that no other refers to aren't decoded: the next one may stand for one.
    assert look.seconds == pytest.approx(seconds, abs=0.31)
    assert look.decode_cpu_seconds > 0


def test_the_best_similarity_is_that_of_the_nearest_stored_frame() -> None:
    rows = np.eye(4, dtype=np.float32)
    zeros, none = np.zeros(2, np.int8), np.arange(2)
    stored = Choice(none, quantise(rows[:2]), zeros, none, quantise(rows[:2]), zeros)
    biases = np.zeros(2, np.float32)
    assert best_similarity(rows[1:3], biases, stored) == pytest.approx(1.0, abs=1e-3)
    assert best_similarity(rows[2:], biases, stored) == pytest.approx(0.0, abs=1e-3)
    assert best_similarity(rows[:0], biases[:0], stored) == -1.0
