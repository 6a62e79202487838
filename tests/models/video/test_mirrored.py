"""Mirrored copies: told from plain ones whatever else was done; open where nothing tells."""

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageOps

from models.video.frames import Rgb
from models.video.mirrored import is_mirrored

SIDE = 96
Edit = Callable[[Image.Image], Image.Image]


def scenes(seed: int, count: int = 4) -> list[Image.Image]:
    """Pictures of a few boxes and lines each."""
    random, made = np.random.default_rng(seed), []
    for _ in range(count):
        picture = Image.new("RGB", (SIDE, SIDE), tuple(random.integers(0, 255, 3).tolist()))
        draw = ImageDraw.Draw(picture)
        for _ in range(12):
            one, other = np.sort(random.integers(0, SIDE, (2, 2)), axis=0).tolist()
            draw.rectangle((*one, *other), fill=tuple(random.integers(0, 255, 3).tolist()))
            draw.line(random.integers(0, SIDE, 4).tolist(), fill="white", width=2)
        made.append(picture)
    return made


def pictures(made: list[Image.Image]) -> Rgb:
    return np.stack([np.asarray(each.resize((SIDE, SIDE)).convert("RGB")) for each in made])


def captioned(picture: Image.Image) -> Image.Image:
    picture = picture.copy()
    ImageDraw.Draw(picture).text((8, 70), "A caption\nof the uploader", fill="yellow")
    return picture


def inset(picture: Image.Image) -> Image.Image:
    around = Image.linear_gradient("L").resize((SIDE, SIDE)).convert("RGB")
    around.paste(picture.resize((SIDE // 2, SIDE // 2)), (8, 40))
    return around


EDITS: dict[str, Edit] = {
    "as it is": lambda picture: picture,
    "grey": lambda picture: picture.convert("L").convert("RGB"),
    "inverted": ImageOps.invert,
    "cropped": lambda picture: picture.crop((20, 10, 85, 90)),
    "captioned": captioned,
    "inset": inset,
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_a_mirrored_copy_is_found_whatever_else_was_done(edit: Edit) -> None:
    original = scenes(1)
    copy = pictures([edit(each) for each in original])
    mirrored = pictures([edit(ImageOps.mirror(each)) for each in original])
    assert is_mirrored(mirrored, pictures(original)) is True
    assert is_mirrored(copy, pictures(original)) is False


def test_of_symmetrical_flat_or_other_pictures_nothing_is_known() -> None:
    original = pictures(scenes(1))
    symmetrical = np.maximum(original, original[:, :, ::-1])
    flat = np.full_like(original, 90)
    assert is_mirrored(symmetrical, symmetrical) is None
    assert is_mirrored(flat, flat) is is_mirrored(flat, original) is None
    assert is_mirrored(pictures(scenes(2)), original) is None
