"""The edits of the harder school on the pictures of a video, one by one.

`models.training.edits.batch_edits` edits batches, a picture like no other; a copied span of a video
is edited in one way throughout, so here the same chance is drawn again for each picture.
"""

from functools import cache
from random import Random

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from models.training.edits.batch_edits import EDITS
from models.training.edits.beside import Beside
from models.training.edits.chance import Chance
from models.training.edits.overlay_bank import overlay_bank

SIDE = 288  # pixels: more than an encoder sees; edits take squares
OVERLAYS = 24  # of each kind, drawn once a process; a span shows one of them
WEIGHTS = {name: weight for name, (_, weight) in EDITS.items()}


def hard_names(random: Random, most: int) -> tuple[str, ...]:
    """One to `most` different edits, by their weights, in order."""
    count = random.randint(1, most)
    chosen = random.choices(list(WEIGHTS), list(WEIGHTS.values()), k=count)
    return tuple(dict.fromkeys(chosen))


def hard_edited(
    picture: Image.Image, names: tuple[str, ...], seed: int, other: Image.Image
) -> Image.Image:
    """A picture with some edits, in order.

    Args:
        picture: RGB.
        names: in `EDITS`.
        seed: the same one gives the same edit of another picture.
        other: for edits that mix two pictures.

    Returns:
        RGB, as large as the picture.
    """
    beside = Beside(_tensor(other), _overlays(), Chance("cpu", seed))
    shown = _tensor(picture)
    for number, name in enumerate(names):
        beside.chance.restart(seed + number)
        shown = EDITS[name][0](shown, beside).clamp(0, 1)
    pixels = (255 * shown[0]).round().to(torch.uint8).permute(1, 2, 0).numpy()
    return Image.fromarray(pixels).resize(picture.size, Image.Resampling.BICUBIC)


def _tensor(picture: Image.Image) -> Tensor:
    """(1, 3, SIDE, SIDE) float32 in [0, 1]."""
    square = np.asarray(picture.convert("RGB").resize((SIDE, SIDE)), np.float32) / 255
    return torch.from_numpy(square.transpose(2, 0, 1)[None].copy())


@cache
def _overlays() -> dict[str, Tensor]:
    return overlay_bank(SIDE, each=OVERLAYS)
