"""The batched edits: pictures stay pictures, chance repeats, geometry puts things where it says."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from models.training.edits.batch_edits import EDITS, GENTLE, as_frames, edited
from models.training.edits.batch_warps import content_boxes, crops, put, warp, windows, within
from models.training.edits.beside import Beside
from models.training.edits.chance import Chance
from models.training.edits.overlay_bank import KINDS, overlay, overlay_bank
from models.video.frames import content_box

SIDE = 48


@pytest.fixture(scope="module")
def overlays() -> dict[str, Tensor]:
    return overlay_bank(SIDE, each=3)


def pictures(count: int, seed: int = 1) -> Tensor:
    coarse = np.random.default_rng(seed).integers(0, 256, (count, 5, 6, 3), dtype=np.uint8)
    drawn = [
        np.asarray(Image.fromarray(one).resize((SIDE, SIDE), Image.Resampling.BICUBIC))
        for one in coarse
    ]
    return torch.from_numpy(np.stack(drawn)).permute(0, 3, 1, 2).float() / 255


def beside(count: int, overlays: dict[str, Tensor], seed: int = 3) -> Beside:
    return Beside(pictures(count, seed=77), overlays, Chance("cpu", seed))


@pytest.mark.parametrize("name", list(EDITS))
def test_an_edit_makes_pictures_of_pictures(name: str, overlays: dict[str, Tensor]) -> None:
    given = pictures(9)
    before = given.clone()
    made = EDITS[name][0](given, beside(9, overlays))
    assert made.shape == given.shape
    assert made.dtype == torch.float32
    assert bool(made.isfinite().all())
    assert -1e-4 <= float(made.min()) <= float(made.max()) <= 1 + 1e-4
    assert torch.equal(given, before)
    assert float((made - given).abs().mean()) > 0.002
    again = EDITS[name][0](given, beside(9, overlays))
    assert torch.equal(made, again)
    assert name in ("flip", "grey") or not torch.equal(
        made, EDITS[name][0](given, beside(9, overlays, seed=4))
    )


def test_several_edits_are_chosen_by_the_seed_alone(overlays: dict[str, Tensor]) -> None:
    def made(seed: int) -> Tensor:
        random = np.random.default_rng(seed)
        return edited(pictures(20), beside(20, overlays), random, most=4)

    assert torch.equal(made(1), made(1))
    assert not torch.equal(made(1), made(2))


def test_every_picture_is_edited_and_no_more_often_than_asked(
    overlays: dict[str, Tensor],
) -> None:
    def darker(given: Tensor, _beside: Beside) -> Tensor:
        return given * 0.5

    given = torch.ones(200, 3, SIDE, SIDE)
    made = edited(
        given, beside(200, overlays), np.random.default_rng(1), 3, {"darker": (darker, 1.0)}
    )
    assert set(made[:, 0, 0, 0].tolist()) == {0.5, 0.25, 0.125}


def test_gentle_edits_are_edits() -> None:
    assert set(GENTLE) < set(EDITS)
    assert not set(GENTLE) & {"heavy_crop", "low_resolution", "mosaic", "words", "inset_in_other"}


def test_the_whole_box_changes_nothing() -> None:
    whole = torch.tensor([[-1.0, -1.0, 1.0, 1.0]]).expand(2, 4)
    assert torch.allclose(warp(pictures(2), crops(whole)), pictures(2), atol=1e-5)
    assert torch.allclose(warp(pictures(2), windows(whole)), pictures(2), atol=1e-5)
    assert bool(within(windows(whole), SIDE).all())


def test_a_picture_is_put_into_its_box() -> None:
    base, white = torch.zeros(1, 3, SIDE, SIDE), torch.ones(1, 3, SIDE, SIDE)
    made = put(base, white, torch.tensor([[-0.5, -1.0, 0.0, 0.5]]))[0, 0]
    wanted = torch.zeros(SIDE, SIDE)
    wanted[: 3 * SIDE // 4, SIDE // 4 : SIDE // 2] = 1
    assert torch.equal(made, wanted)


def test_a_crop_of_what_was_put_is_the_picture_again() -> None:
    box = torch.tensor([[-0.8, -0.6, 0.9, 0.7]])
    made = put(torch.zeros(1, 3, SIDE, SIDE), pictures(1), box)
    again = warp(made, crops(box))
    assert float((again - pictures(1)).abs().mean()) < 0.02


@pytest.mark.parametrize("tone", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("bars", [(8, 8, 0, 0), (0, 0, 5, 9), (6, 0, 0, 0), (4, 7, 3, 11)])
def test_flat_borders_are_found_where_serving_finds_them(
    bars: tuple[int, int, int, int], tone: float
) -> None:
    top, bottom, left, right = bars
    shown = pictures(3)
    for start, end in ((0, top), (SIDE - bottom, SIDE)):
        shown[:, :, start:end] = tone
    for start, end in ((0, left), (SIDE - right, SIDE)):
        shown[:, :, :, start:end] = tone
    found = (content_boxes(shown) + 1) * SIDE / 2
    rgb = (255 * shown).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    assert found.round().int().tolist() == [list(content_box(one)) for one in rgb]


def test_a_flat_picture_has_no_borders() -> None:
    assert content_boxes(torch.full((1, 3, SIDE, SIDE), 0.3)).tolist() == [[-1, -1, 1, 1]]


def test_frames_are_bytes_of_the_asked_size() -> None:
    frames = as_frames(pictures(2), 32)
    assert (frames.shape, frames.dtype) == ((2, 32, 32, 3), torch.uint8)
    assert frames.is_contiguous()


@pytest.mark.parametrize("kind", list(KINDS))
def test_an_overlay_covers_part_of_a_picture(kind: str) -> None:
    drawn = overlay(kind, SIDE, seed=2)
    assert drawn.shape == (4, SIDE, SIDE)
    assert 0.003 < drawn[3].mean() / 255 < 0.9
    assert np.array_equal(drawn, overlay(kind, SIDE, seed=2))
    assert not np.array_equal(drawn, overlay(kind, SIDE, seed=3))
