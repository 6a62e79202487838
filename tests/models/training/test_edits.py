"""The edits of training: every one keeps the contract, is repeatable, and changes the picture."""

from random import Random

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from models.training.edits.pictures import EDITS, edited

NAMES = sorted(EDITS)


def scene(width: int = 160, height: int = 120, seed: int = 1) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def pixels(picture: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(picture)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(160, 120), (120, 213), (16, 16), (320, 40)])
def test_every_edit_gives_a_picture_of_any_picture(name: str, size: tuple[int, int]) -> None:
    for seed in range(5):
        result = EDITS[name][0](scene(*size), Random(seed), scene(60, 90, seed=2))
        assert result.mode == "RGB"
        assert min(result.size) >= 1


@pytest.mark.parametrize("name", NAMES)
def test_every_edit_is_a_function_of_its_seed(name: str) -> None:
    edit, _ = EDITS[name]
    first = pixels(edit(scene(), Random(7), scene(seed=2)))
    again = pixels(edit(scene(), Random(7), scene(seed=2)))
    assert first.shape == again.shape
    assert (first == again).all()


@pytest.mark.parametrize("name", NAMES)
def test_every_edit_changes_the_picture_and_leaves_its_input_alone(name: str) -> None:
    source, other = scene(), scene(seed=2)
    before, other_before = pixels(source).copy(), pixels(other).copy()
    changed = 0
    for seed in range(5):
        result = pixels(EDITS[name][0](source, Random(seed), other))
        changed += result.shape != before.shape or bool((result != before).any())
    assert changed >= 4
    assert (pixels(source) == before).all()
    assert (pixels(other) == other_before).all()


def test_every_edit_can_be_drawn() -> None:
    assert all(weight > 0 for _, weight in EDITS.values())


def test_a_chain_of_edits_is_repeatable_and_stays_small() -> None:
    for seed in range(40):
        first = edited(scene(), Random(seed), scene(seed=2))
        assert max(first.size) <= 400
        assert (pixels(first) == pixels(edited(scene(), Random(seed), scene(seed=2)))).all()


def test_chains_differ_from_seed_to_seed() -> None:
    results = {edited(scene(), Random(seed), scene(seed=2)).tobytes() for seed in range(20)}
    assert len(results) == 20
