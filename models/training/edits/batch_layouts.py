"""Batched edits that put something over or around a picture: bars, windows, split screens, words.

Part of the table in `models/training/edits/batch_edits.py`, whose signature every edit has.
"""

import torch
from torch import Tensor
from torch.nn import functional

from models.training.edits.batch_warps import matrices, put, warp
from models.training.edits.beside import Beside
from models.training.edits.chance import Chance


def border(pictures: Tensor, beside: Beside) -> Tensor:
    """Bars or a frame of one colour, black or white on two pictures of three."""
    count, chance = len(pictures), beside.chance
    flat = chance.field(count, 0, 1, 3)
    flat = torch.where(chance.one_in(count, 0.66), flat[:, :1].round(), flat)
    bars = torch.stack([chance.uniform(count, -0.3, 0.6) for _ in range(2)], dim=1).clamp(min=0)
    return put(flat.expand_as(pictures), pictures, torch.cat([bars - 1, 1 - bars], dim=1))


def blurred_sides(pictures: Tensor, beside: Beside) -> Tensor:
    """A wide picture in a tall frame, or the reverse, over a blurred fill of itself or another."""
    count, chance = len(pictures), beside.chance
    own = chance.one_in(count, 0.7)
    # Made small and large again instead of a wide blur: a pass over few pixels.
    fill = functional.avg_pool2d(torch.where(own, pictures, beside.others), 8)
    fill = functional.interpolate(fill, pictures.shape[-1], mode="bilinear", align_corners=False)
    bar, tall = chance.uniform(count, 0.25, 0.72), chance.one_in(count, 0.75).view(-1)
    x, y = bar.masked_fill(tall, 0.0), bar.masked_fill(~tall, 0.0)
    return put(fill, pictures, torch.stack([x - 1, y - 1, 1 - x, 1 - y], dim=1))


def caption_bar(pictures: Tensor, beside: Beside) -> Tensor:
    """A plate with words above or below, as memes and news have."""
    count, chance = len(pictures), beside.chance
    plate = chance.field(count, 0, 1, 3)
    plate = torch.where(chance.one_in(count, 0.7), plate[:, :1].round(), plate)
    words = _drawn(pictures, beside, "bar")
    bar, above = chance.uniform(count, 0.25, 0.85), chance.one_in(count, 0.5).view(-1)
    edge = torch.where(above, bar - 1, 1 - bar)
    low, high, one = torch.full_like(edge, -1.0), edge, torch.ones_like(edge)
    shown = torch.stack([low, torch.where(above, high, low), one, torch.where(above, one, high)], 1)
    rest = torch.stack([low, torch.where(above, low, high), one, torch.where(above, high, one)], 1)
    base = put(plate.expand_as(pictures), pictures, shown)
    return put(base, words[:, :3], rest, words[:, 3:])


def inset_in_other(pictures: Tensor, beside: Beside) -> Tensor:
    """The picture plays in a window of 15 to 60 % of other footage."""
    return put(beside.others, pictures, _window(pictures, beside.chance, 0.15, 0.6))


def other_inset(pictures: Tensor, beside: Beside) -> Tensor:
    """Another picture plays in a window over this one, round on a third: a facecam."""
    count, chance = len(pictures), beside.chance
    box = _window(pictures, chance, 0.04, 0.3)
    round_one = torch.where(
        chance.one_in(count, 0.33), _disc(pictures), torch.ones_like(pictures[:, :1])
    )
    return put(pictures, beside.others, box, round_one)


def split_screen(pictures: Tensor, beside: Beside) -> Tensor:
    """Two videos side by side or one above the other, at 30 to 70 % of the frame."""
    count, chance = len(pictures), beside.chance
    edge = chance.uniform(count, -0.4, 0.4)
    edge = torch.where(chance.uniform(count) < 0.6, torch.zeros_like(edge), edge)
    low, one = torch.full_like(edge, -1.0), torch.ones_like(edge)
    ways = torch.stack(
        [
            torch.stack([low, low, edge, one], dim=1),
            torch.stack([edge, low, one, one], dim=1),
            torch.stack([low, low, one, edge], dim=1),
            torch.stack([low, edge, one, one], dim=1),
        ]
    )  # (4, N, 4)
    chosen = chance.below(count, 4)
    rows = torch.arange(count, device=pictures.device)
    base = put(beside.others, beside.others, ways[chosen ^ 1, rows])  # the last bit: the other half
    cropped = torch.where(chance.one_in(count, 0.4), _middle(pictures, chosen), pictures)
    return put(base, cropped, ways[chosen, rows])


def four_screens(pictures: Tensor, beside: Beside) -> Tensor:
    """The picture is one of four; the others show one other video, turned and mirrored."""
    count, chance = len(pictures), beside.chance
    small = functional.avg_pool2d(beside.others, 2)
    top = torch.cat([small, small.flip(-1)], dim=-1)
    base = torch.cat([top, top.flip(-2)], dim=-2)
    x, y = (chance.below(count, 2).to(torch.float32) - 1 for _ in range(2))
    return put(base, pictures, torch.stack([x, y, x + 1, y + 1], dim=1))


def reaction(pictures: Tensor, beside: Beside) -> Tensor:
    """The picture in one corner of a layout, another video in the opposite one, a flat ground."""
    count, chance = len(pictures), beside.chance
    ground = chance.field(count, 0, 1, 3).expand_as(pictures)
    side = chance.uniform(count, 0.75, 1.3)
    own, rest = [], []
    for _ in range(2):
        far = chance.uniform(count) < 0.5
        own.append(torch.where(far, 1 - side, -1.0))
        rest.append(torch.where(far, -1.0, side - 1))
    base = put(ground, beside.others, _corners(rest, 2 - side))
    return put(base, pictures, _corners(own, side))


def blend(pictures: Tensor, beside: Beside) -> Tensor:
    """A ghost of other footage over it, or the edge of a cross-fade."""
    return torch.lerp(pictures, beside.others, beside.chance.field(len(pictures), 0.1, 0.45))


def erased(pictures: Tensor, beside: Beside) -> Tensor:
    """An opaque rectangle of one colour over 4 to 35 % of the picture."""
    flat = beside.chance.field(len(pictures), 0, 1, 3).expand_as(pictures)
    return put(pictures, flat, _window(pictures, beside.chance, 0.04, 0.35))


def cut_outs(pictures: Tensor, beside: Beside) -> Tensor:
    """Four pieces of another picture, round or square, over it."""
    count, chance = len(pictures), beside.chance
    shape = torch.where(
        chance.one_in(count, 0.5), _disc(pictures), torch.ones_like(pictures[:, :1])
    )
    out = pictures
    for _ in range(4):
        out = put(out, beside.others, _window(pictures, chance, 0.01, 0.06), shape)
    return out


def words(pictures: Tensor, beside: Beside) -> Tensor:
    """Captions anywhere."""
    return _over(pictures, beside, "text")


def subtitle(pictures: Tensor, beside: Beside) -> Tensor:
    """A line or two at the bottom."""
    return _over(pictures, beside, "subtitle")


def logo(pictures: Tensor, beside: Beside) -> Tensor:
    """Flat shapes, as logos and emoji are."""
    return _over(pictures, beside, "logo")


def lower_third(pictures: Tensor, beside: Beside) -> Tensor:
    """A name plate, as news have."""
    return _over(pictures, beside, "lower_third")


def sticker(pictures: Tensor, beside: Beside) -> Tensor:
    """One large opaque sticker."""
    return _over(pictures, beside, "sticker")


def watermark(pictures: Tensor, beside: Beside) -> Tensor:
    """Pale words all over."""
    return _over(pictures, beside, "watermark")


def _over(pictures: Tensor, beside: Beside, kind: str) -> Tensor:
    """A drawn overlay, a little larger or smaller and moved."""
    count, chance = len(pictures), beside.chance
    scale = chance.uniform(count, 0.75, 1.25)
    x, y = (chance.uniform(count, -0.2, 0.2) for _ in range(2))
    moved = matrices([[scale, 0.0, x], [0.0, scale, y], [0.0, 0.0, 1.0]], pictures)
    drawn = warp(_drawn(pictures, beside, kind), moved, "zeros")
    return torch.lerp(pictures, drawn[:, :3], drawn[:, 3:])


def _drawn(pictures: Tensor, beside: Beside, kind: str) -> Tensor:
    """(N, 4, S, S) float32: colour and opacity of a drawn overlay for each picture."""
    bank = beside.overlays[kind]
    return bank[beside.chance.below(len(pictures), len(bank))].to(torch.float32) / 255


def _window(pictures: Tensor, chance: Chance, low: float, high: float) -> Tensor:
    """(N, 4) boxes anywhere, of so large a share of the area."""
    count = len(pictures)
    area, shape = chance.uniform(count, low, high), chance.uniform(count, 0.7, 1.43)
    sides = torch.stack([(area * shape).sqrt(), (area / shape).sqrt()], dim=1).clamp(max=1.0)
    start = torch.stack([chance.uniform(count), chance.uniform(count)], dim=1) * (1 - sides)
    return 2 * torch.cat([start, start + sides], dim=1) - 1


def _corners(start: list[Tensor], side: Tensor) -> Tensor:
    """(N, 4) squares of a side, from their left and top."""
    left, top = start
    return torch.stack([left, top, left + side, top + side], dim=1)


def _middle(pictures: Tensor, way: Tensor) -> Tensor:
    """The middle half of a picture, of its width (ways 0 and 1) or of its height (2 and 3)."""
    half, whole = (
        torch.full_like(way, 0.5, dtype=torch.float32),
        torch.ones(len(way), device=way.device),
    )
    x, y = torch.where(way < 2, half, whole), torch.where(way < 2, whole, half)
    return warp(pictures, matrices([[x, 0.0, 0.0], [0.0, y, 0.0], [0.0, 0.0, 1.0]], pictures))


def _disc(pictures: Tensor) -> Tensor:
    """(N, 1, S, S) float32, 1 inside the largest circle."""
    at = torch.linspace(-1, 1, pictures.shape[-1], device=pictures.device)
    inside = (at[:, None] ** 2 + at**2 <= 1).to(torch.float32)
    return inside.expand(len(pictures), 1, -1, -1)
