"""Batched edits of what is seen of a picture: crops, mirrors, turns, screens filmed off.

Part of the table in `models/training/edits/batch_edits.py`, whose signature every edit has.
"""

import math

import torch
from torch import Tensor

from models.training.edits.batch_warps import crops, matrices, put, warp, within
from models.training.edits.beside import Beside


def crop(pictures: Tensor, beside: Beside) -> Tensor:
    """Keep 35 to 95 % of the area."""
    return warp(pictures, crops(_part(pictures, beside, 0.35, 0.95)))


def heavy_crop(pictures: Tensor, beside: Beside) -> Tensor:
    """Keep 15 to 40 % of the area: a detail, enlarged."""
    return warp(pictures, crops(_part(pictures, beside, 0.15, 0.4)))


def flip(pictures: Tensor, _beside: Beside) -> Tensor:
    """Mirror left and right."""
    return pictures.flip(-1)


def rotate(pictures: Tensor, beside: Beside) -> Tensor:
    """Turn by up to 18 degrees and enlarge by up to a third; corners black or smeared."""
    count, chance = len(pictures), beside.chance
    angle = chance.uniform(count, -1, 1) * math.radians(18)
    scale, wide = chance.uniform(count, 0.68, 1.05), chance.uniform(count, 1.0, 1.78)
    cos, sin = angle.cos() * scale, angle.sin() * scale
    # People turn a picture before it is squeezed into a square: its shape is drawn, `wide` to 1.
    turn = matrices([[cos, -sin / wide, 0.0], [sin * wide, cos, 0.0], [0.0, 0.0, 1.0]], pictures)
    black = chance.one_in(count, 0.5)
    return torch.where(black, warp(pictures, turn, "zeros"), warp(pictures, turn))


def perspective(pictures: Tensor, beside: Beside) -> Tensor:
    """Seen from the side: vertical and horizontal lines run together."""
    return warp(pictures, _leaning(pictures, beside, 0.35, (0.7, 1.05)))


def tall_window(pictures: Tensor, beside: Beside) -> Tensor:
    """A wide picture cut for a tall frame: 28 to 60 % of its width, all of its height."""
    count, chance = len(pictures), beside.chance
    width = chance.uniform(count, 0.28, 0.6)
    left = chance.uniform(count) * (1 - width)
    box = torch.stack([left, torch.zeros_like(left), left + width, torch.ones_like(left)], dim=1)
    return warp(pictures, crops(2 * box - 1))


def mirrored_half(pictures: Tensor, beside: Beside) -> Tensor:
    """One half beside its own mirror image."""
    turned = torch.where(beside.chance.one_in(len(pictures), 0.5), pictures, pictures.flip(-1))
    half = turned[..., : pictures.shape[-1] // 2]
    return torch.cat([half, half.flip(-1)], dim=-1)


def filmed_screen(pictures: Tensor, beside: Beside) -> Tensor:
    """A screen filmed off: leaning, in a bezel before a room, with moiré, glare and a cast."""
    count, chance = len(pictures), beside.chance
    rim = chance.uniform(count, 0.0, 0.1)
    bezel = chance.field(count, 0.0, 0.25).expand(-1, 3, *pictures.shape[2:])
    framed = put(bezel, pictures, torch.stack([rim - 1, rim - 1, 1 - rim, 1 - rim], dim=1))
    lean = _leaning(pictures, beside, 0.4, (0.85, 1.6))
    room = beside.others * chance.field(count, 0.1, 0.8)
    seen = torch.where(within(lean, pictures.shape[-1]), warp(framed, lean), room)
    seen = seen * (1 + _moire(seen, beside))
    return (seen * chance.field(count, 0.65, 1.1, 3) + _glare(seen, beside)).clamp(0, 1)


def _part(pictures: Tensor, beside: Beside, low: float, high: float) -> Tensor:
    """(N, 4) boxes of so large a share of the area, at 3:4 to 4:3 of the picture's shape."""
    count, chance = len(pictures), beside.chance
    area, shape = chance.uniform(count, low, high), chance.uniform(count, 0.75, 1.33)
    sides = torch.stack([(area * shape).sqrt(), (area / shape).sqrt()], dim=1).clamp(max=1.0)
    start = torch.stack([chance.uniform(count), chance.uniform(count)], dim=1) * (1 - sides)
    return 2 * torch.cat([start, start + sides], dim=1) - 1


def _leaning(pictures: Tensor, beside: Beside, most: float, scales: tuple[float, float]) -> Tensor:
    """(N, 3, 3) matrices of a camera beside the axis: a scale above 1 shows the surroundings."""
    count, chance = len(pictures), beside.chance
    scale, angle = chance.uniform(count, *scales), chance.uniform(count, -0.12, 0.12)
    lean_x, lean_y = (chance.uniform(count, -most, most) for _ in range(2))
    off_x, off_y = (chance.uniform(count, -0.15, 0.15) for _ in range(2))
    return matrices(
        [
            [scale * angle.cos(), -scale * angle.sin(), off_x],
            [scale * angle.sin(), scale * angle.cos(), off_y],
            [lean_x, lean_y, 1.0],
        ],
        pictures,
    )


def _moire(pictures: Tensor, beside: Beside) -> Tensor:
    """(N, 3, S, S) interference of two gratings, each channel with a phase of its own."""
    count, chance, side = len(pictures), beside.chance, pictures.shape[-1]
    at = torch.arange(side, device=pictures.device, dtype=torch.float32)
    strength = chance.field(count, 0.0, 0.11)
    wave = torch.ones_like(pictures)
    for _ in range(2):
        angle, period = chance.field(count, 0, math.pi), chance.field(count, 2.2, 14.0)
        phase = chance.field(count, 0, 2.0, 3)
        along = at.view(1, 1, 1, -1) * angle.cos() + at.view(1, 1, -1, 1) * angle.sin()
        wave = wave * (along * (2 * math.pi / period) + phase).sin()
    return strength * wave


def _glare(pictures: Tensor, beside: Beside) -> Tensor:
    """(N, 1, S, S) a bright spot, faint on most."""
    count, chance, side = len(pictures), beside.chance, pictures.shape[-1]
    at = torch.linspace(-1, 1, side, device=pictures.device)
    x, y = at.view(1, 1, 1, -1), at.view(1, 1, -1, 1)
    squared = (x - chance.field(count, -1, 1)) ** 2 + (y - chance.field(count, -1, 1)) ** 2
    return (
        chance.field(count, -0.3, 0.6).clamp(min=0)
        * (-squared / chance.field(count, 0.05, 0.7)).exp()
    )
