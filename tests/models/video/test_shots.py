"""Changes between frames: what is worked out for many at once is what each frame would give."""

import numpy as np
import pytest
from numpy.typing import NDArray

from models.video.shots import (
    AT_ONCE,
    BLOCKS,
    FLOOR_DEVIATION,
    LOOK_BACK,
    SAMPLES,
    SIDE,
    Changes,
    block_means,
    jumps,
)


def footage(count: int, height: int = 90, width: int = 160) -> NDArray[np.uint8]:
    """(count, height, width): a camera pans over two pictures, one after the other."""
    random = np.random.default_rng(count)
    coarse = random.integers(0, 256, (2, height // 10, (width + count) // 10 + 1))
    looks = coarse.repeat(10, axis=1).repeat(10, axis=2)
    return np.stack([looks[n * 2 // count, :, n : n + width] for n in range(count)]).astype(
        np.uint8
    )


def changes_of(frames: NDArray[np.uint8], width: int | None = None) -> Changes:
    changes = Changes()
    for number, luma in enumerate(frames):
        changes.add(luma, number / 25, width)
    return changes


def test_block_means_are_those_of_every_block() -> None:
    taken = np.random.default_rng(1).integers(0, 256, (3, SIDE * SIDE)).astype(np.uint8)
    blocks = taken.reshape(3, BLOCKS, SAMPLES, BLOCKS, SAMPLES).astype(np.float64)
    np.testing.assert_allclose(block_means(taken), blocks.mean(axis=(2, 4)).reshape(3, -1))


def test_jumps_are_their_formula() -> None:
    rows = np.random.default_rng(2).normal(0, 30, (LOOK_BACK + 5, 256)).astype(np.float32)
    found = jumps(rows)
    for frame in range(5):
        for back in range(LOOK_BACK):
            one, other = rows[LOOK_BACK + frame], rows[LOOK_BACK + frame - 1 - back]
            energy = (one**2).sum() + (other**2).sum() + 256 * FLOOR_DEVIATION**2
            assert found[frame, back] == pytest.approx(((one - other) ** 2).sum() / energy)


@pytest.mark.parametrize("count", [1, AT_ONCE - 1, AT_ONCE, AT_ONCE + 1, 3 * AT_ONCE + 7])
def test_it_makes_no_difference_how_many_are_worked_out_at_once(count: int) -> None:
    frames = footage(count)
    whole = changes_of(frames)
    asked = Changes()
    for number, luma in enumerate(frames):
        asked.add(luma, number / 25)
        assert len(asked.steps) == len(asked) == number + 1  # works out what there is
    np.testing.assert_array_equal(asked.steps, whole.steps)
    assert asked.cuts() == whole.cuts() == ([count // 2 + count % 2] if count > 20 else [])


def test_padded_rows_are_not_looked_at() -> None:
    frames = footage(30)
    padded = np.concatenate([frames, np.full((30, 90, 32), 255, np.uint8)], axis=2)
    np.testing.assert_array_equal(changes_of(padded, 160).steps, changes_of(frames).steps)
    assert changes_of(padded).steps[1] != changes_of(frames).steps[1]
