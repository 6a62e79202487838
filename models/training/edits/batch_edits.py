"""The edits of copies on whole batches: those of `pictures.py` and more, on a GPU.

Every edit is a function `(pictures, beside) -> pictures`, (N, 3, S, S) float32 in [0, 1]. Add one:
write the function, name it in `EDITS`.
"""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from models.training.edits import batch_colours as colours
from models.training.edits import batch_layouts as layouts
from models.training.edits import batch_views as views
from models.training.edits.batch_warps import content_boxes, crops, warp
from models.training.edits.beside import Beside

BatchEdit = Callable[[Tensor, Beside], Tensor]
Weighted = Mapping[str, tuple[BatchEdit, float]]

KINDS_AT_ONCE = 6  # a batch sees so many kinds of edit in a turn, the next one others

# Name: (edit, weight in a random choice).
EDITS: dict[str, tuple[BatchEdit, float]] = {
    "crop": (views.crop, 2.5),
    "heavy_crop": (views.heavy_crop, 2.0),
    "flip": (views.flip, 3.0),
    "rotate": (views.rotate, 1.0),
    "perspective": (views.perspective, 1.2),
    "tall_window": (views.tall_window, 1.6),
    "mirrored_half": (views.mirrored_half, 0.4),
    "filmed_screen": (views.filmed_screen, 1.8),
    "colour": (colours.colour, 1.6),
    "tint": (colours.tint, 1.0),
    "hue": (colours.hue, 1.3),
    "grey": (colours.grey, 0.9),
    "sepia": (colours.sepia, 1.1),
    "invert": (colours.invert, 0.8),
    "posterise": (colours.posterise, 0.5),
    "night": (colours.night, 0.8),
    "swapped_channels": (colours.swapped_channels, 0.6),
    "vignette": (colours.vignette, 0.5),
    "blur": (colours.blur, 1.0),
    "sharpen": (colours.sharpen, 0.5),
    "noise": (colours.noise, 1.2),
    "low_resolution": (colours.low_resolution, 1.2),
    "codec": (colours.codec, 1.4),
    "mosaic": (colours.mosaic, 0.5),
    "border": (layouts.border, 1.2),
    "blurred_sides": (layouts.blurred_sides, 1.3),
    "caption_bar": (layouts.caption_bar, 1.0),
    "inset_in_other": (layouts.inset_in_other, 2.4),
    "other_inset": (layouts.other_inset, 1.4),
    "split_screen": (layouts.split_screen, 2.0),
    "four_screens": (layouts.four_screens, 1.0),
    "reaction": (layouts.reaction, 1.2),
    "blend": (layouts.blend, 0.8),
    "erased": (layouts.erased, 0.8),
    "cut_outs": (layouts.cut_outs, 0.8),
    "words": (layouts.words, 1.4),
    "subtitle": (layouts.subtitle, 1.2),
    "logo": (layouts.logo, 1.2),
    "lower_third": (layouts.lower_third, 1.0),
    "sticker": (layouts.sticker, 1.2),
    "watermark": (layouts.watermark, 0.5),
}

# What leaves words readable, for pages that differ in their words alone.
GENTLE: dict[str, tuple[BatchEdit, float]] = {
    name: EDITS[name]
    for name in (
        "colour", "tint", "hue", "grey", "sepia", "sharpen", "noise", "codec", "border", "flip",
        "perspective", "vignette", "logo", "watermark", "invert", "swapped_channels",
    )
}  # fmt: skip


def edited(
    pictures: Tensor,
    beside: Beside,
    random: np.random.Generator,
    most: int,
    edits: Weighted = EDITS,
) -> Tensor:
    """Apply one to `most` edits to each picture, in random order.

    Args:
        pictures: (N, 3, S, S) float32 in [0, 1].
        beside: what the edits take besides.
        random: chooses the edits; their parameters come from `beside.chance`.
        most: how many edits one picture has at the most; an edit may come twice.
        edits: the table to choose from.

    Returns:
        (N, 3, S, S) float32 in [0, 1].
    """
    counts = random.integers(1, most + 1, len(pictures))
    out = pictures.clone()
    names = list(edits)
    weights = np.array([edits[name][1] for name in names])
    for turn in range(most):
        rows = random.permutation(np.flatnonzero(counts > turn))
        several = min(KINDS_AT_ONCE, len(names))
        chosen = random.choice(len(names), several, replace=False, p=weights / weights.sum())
        # A kind edits its part of the batch at once: a GPU would wait on picture after picture.
        for kind, part in zip(chosen, np.array_split(rows, several), strict=True):
            if len(part):
                at = torch.from_numpy(part).to(pictures.device)
                out[at] = edits[names[kind]][0](out[at], beside.of(at))
    return out


def as_frames(pictures: Tensor, size: int) -> Tensor:
    """Pictures as the encoder gets them: flat borders cut, square, bytes.

    Args:
        pictures: (N, 3, S, S) float32 in [0, 1].
        size: side of the result in pixels.

    Returns:
        (N, size, size, 3) uint8.
    """
    shown = warp(pictures, crops(content_boxes(pictures)))
    shown = functional.interpolate(
        shown, size, mode="bilinear", align_corners=False, antialias=True
    )
    return (255 * shown).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()
