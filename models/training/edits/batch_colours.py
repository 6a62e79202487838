"""Batched edits of colours and of sharpness: tints, duotones, night, blur, noise, codecs.

Part of the table in `models/training/edits/batch_edits.py`, whose signature every edit has.
"""

import math
from itertools import permutations

import torch
from torch import Tensor
from torch.nn import functional

from models.training.edits.beside import Beside
from models.training.edits.chance import Chance

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as JPEG and Pillow weigh red, green and blue
BLOCK = 8  # pixels on a side of what JPEG and most video codecs transform


def colour(pictures: Tensor, beside: Beside) -> Tensor:
    """Brightness, contrast and saturation, each by up to 1.9."""
    brightness, contrast, saturation = (_gain(pictures, beside.chance, 1.9) for _ in range(3))
    out = pictures * brightness
    middle = out.mean(dim=(1, 2, 3), keepdim=True)
    out = middle + (out - middle) * contrast
    grey = luma(out)
    return (grey + (out - grey) * saturation).clamp(0, 1)


def tint(pictures: Tensor, beside: Beside) -> Tensor:
    """A gain and a gamma for each channel."""
    count, chance = len(pictures), beside.chance
    gamma = 1.6 ** chance.field(count, -1, 1, 3)
    return (pictures.clamp(min=1e-3) ** gamma * chance.field(count, 0.6, 1.25, 3)).clamp(0, 1)


def hue(pictures: Tensor, beside: Beside) -> Tensor:
    """Turn the colours about the grey axis, by any angle."""
    angle = beside.chance.uniform(len(pictures), 0.3, 2 * math.pi - 0.3)
    cos, sin = angle.cos(), angle.sin() / math.sqrt(3)
    third = (1 - cos) / 3
    rows = [cos + third, third - sin, third + sin]
    turn = torch.stack([torch.stack(rows[-at:] + rows[:-at], dim=1) for at in range(3)], dim=1)
    return torch.einsum("nij,njhw->nihw", turn, pictures).clamp(0, 1)


def grey(pictures: Tensor, _beside: Beside) -> Tensor:
    """No colour."""
    return luma(pictures).expand_as(pictures)


def sepia(pictures: Tensor, beside: Beside) -> Tensor:
    """Two tones: dark and light ends of one hue, brown on half of the pictures."""
    count, chance = len(pictures), beside.chance
    brown = torch.tensor((1.0, 0.87, 0.68), device=pictures.device).view(1, 3, 1, 1)
    light = torch.where(chance.one_in(count, 0.5), brown, chance.field(count, 0.4, 1.0, 3))
    dark = chance.field(count, 0.0, 0.22, 3)
    return torch.lerp(dark, light, luma(pictures))


def invert(pictures: Tensor, beside: Beside) -> Tensor:
    """The negative, or solarised."""
    solar = torch.where(pictures < 0.5, pictures, 1 - pictures)
    return torch.where(beside.chance.one_in(len(pictures), 0.6), 1 - pictures, solar)


def posterise(pictures: Tensor, beside: Beside) -> Tensor:
    """Three to eight levels, or contrast stretched to the ends."""
    count, chance = len(pictures), beside.chance
    levels = chance.field(count, 2.5, 8.5).round()
    low, high = pictures.amin(dim=(2, 3), keepdim=True), pictures.amax(dim=(2, 3), keepdim=True)
    stretched = (pictures - low) / (high - low).clamp(min=0.05)
    few = (pictures * levels).round() / levels
    return torch.where(chance.one_in(count, 0.6), few, stretched.clamp(0, 1))


def night(pictures: Tensor, beside: Beside) -> Tensor:
    """Day for night, or seen by a night camera: dark, of one colour, with noise."""
    count, chance = len(pictures), beside.chance
    cast = torch.tensor(
        ((0.35, 0.5, 1.0), (0.2, 1.0, 0.3), (1.0, 1.0, 1.0)), device=pictures.device
    )
    cast = cast[chance.below(count, 3)].view(-1, 3, 1, 1)
    dim = luma(pictures) ** chance.field(count, 1.0, 2.2) * chance.field(count, 0.25, 0.9)
    mixed = torch.lerp(dim, dim * pictures, chance.field(count, 0.0, 0.6))
    return (mixed * cast + chance.field(count, 0, 0.05) * _noise(pictures, beside)).clamp(0, 1)


def swapped_channels(pictures: Tensor, beside: Beside) -> Tensor:
    """Red, green and blue in another order."""
    orders = torch.tensor(list(permutations(range(3)))[1:], device=pictures.device)
    order = orders[beside.chance.below(len(pictures), len(orders))].view(-1, 3, 1, 1)
    return pictures.gather(1, order.expand_as(pictures))


def vignette(pictures: Tensor, beside: Beside) -> Tensor:
    """Dark corners, or a ramp of light across the picture."""
    count, chance, side = len(pictures), beside.chance, pictures.shape[-1]
    at = torch.linspace(-1, 1, side, device=pictures.device)
    x, y = at.view(1, 1, 1, -1), at.view(1, 1, -1, 1)
    corners = 1 - chance.field(count, 0.3, 0.85) * ((x**2 + y**2) / 1.6).clamp(max=1)
    angle = chance.field(count, 0, 2 * math.pi)
    ramp = 1 + chance.field(count, 0.2, 0.7) * (x * angle.cos() + y * angle.sin())
    return (pictures * torch.where(chance.one_in(count, 0.6), corners, ramp)).clamp(0, 1)


def blur(pictures: Tensor, beside: Beside) -> Tensor:
    """Out of focus, or moved along the rows or columns; one strength for all."""
    taps = torch.arange(-6, 7, device=pictures.device, dtype=torch.float32)
    width = beside.chance.uniform(1, 0.7, 2.8)
    kernel = torch.exp(-(taps**2) / (2 * width**2))
    kernel = (kernel / kernel.sum()).view(1, 1, 1, -1).expand(3, 1, 1, -1)
    along = functional.conv2d(pictures, kernel, padding=(0, 6), groups=3)
    both = functional.conv2d(along, kernel.transpose(2, 3), padding=(6, 0), groups=3)
    return torch.where(beside.chance.one_in(len(pictures), 0.75), both, along)


def sharpen(pictures: Tensor, beside: Beside) -> Tensor:
    """More contrast at edges."""
    soft = functional.avg_pool2d(pictures, 3, 1, 1, count_include_pad=False)
    strength = beside.chance.field(len(pictures), 0.5, 3.0)
    return (pictures + strength * (pictures - soft)).clamp(0, 1)


def noise(pictures: Tensor, beside: Beside) -> Tensor:
    """Sensor noise, coloured or grey, fine or in grains of two pixels."""
    count, chance, side = len(pictures), beside.chance, pictures.shape[-1]
    fine, grains = _noise(pictures, beside), chance.noise(count, 3, side // 2, side // 2)
    coarse = functional.interpolate(grains, side, mode="nearest")
    mixed = torch.where(chance.one_in(count, 0.7), fine, coarse)
    mixed = torch.where(chance.one_in(count, 0.6), mixed, mixed[:, :1])
    return (pictures + chance.field(count, 0.02, 0.17) * mixed).clamp(0, 1)


def low_resolution(pictures: Tensor, beside: Beside) -> Tensor:
    """Made small and large again, to a sixth up to a half; one factor for all."""
    side = pictures.shape[-1]
    small = max(8, side // beside.chance.pick((2, 3, 4, 6)))
    shrunk = functional.interpolate(pictures, small, mode="area")
    blocks = functional.interpolate(shrunk, side, mode="nearest")
    smooth = functional.interpolate(shrunk, side, mode="bilinear", align_corners=False)
    return torch.where(beside.chance.one_in(len(pictures), 0.3), blocks, smooth)


def codec(pictures: Tensor, beside: Beside) -> Tensor:
    """Few bits: cosine transforms of blocks in few steps, as JPEG and video have; thin colours."""
    count, side = len(pictures), pictures.shape[-1]
    basis = _cosines(pictures.device)
    grey = luma(pictures)
    rest = functional.avg_pool2d(pictures - grey, 2)
    rest = functional.interpolate(rest, side, mode="bilinear", align_corners=False)
    whole = torch.cat([grey, rest], dim=1)  # (N, 4, S, S)
    blocks = whole.view(count, 4, side // BLOCK, BLOCK, side // BLOCK, BLOCK)
    coded = torch.einsum("ux,ncaxby,vy->ncaubv", basis, blocks, basis)
    step = beside.chance.field(count, 0.04, 0.45).view(count, 1, 1, 1, 1, 1) * _steps(basis)
    coded = (coded / step).round() * step
    out = torch.einsum("ux,ncaubv,vy->ncaxby", basis, coded, basis).reshape(whole.shape)
    return (out[:, :1] + out[:, 1:]).clamp(0, 1)


def mosaic(pictures: Tensor, beside: Beside) -> Tensor:
    """A region in large blocks, as faces are; on a fifth of the pictures all of it."""
    count, chance, side = len(pictures), beside.chance, pictures.shape[-1]
    block = chance.pick((4, 6, 8, 12))
    shrunk = functional.interpolate(pictures, max(4, side // block), mode="area")
    blocks = functional.interpolate(shrunk, side, mode="nearest")
    at = torch.linspace(-1, 1, side, device=pictures.device)
    x, y, half = (
        chance.field(count, -0.7, 0.7),
        chance.field(count, -0.7, 0.7),
        chance.field(count, 0.2, 0.6),
    )
    near = ((at.view(1, 1, 1, -1) - x).abs() < half) & ((at.view(1, 1, -1, 1) - y).abs() < half)
    return torch.where(near | chance.one_in(count, 0.2), blocks, pictures)


def luma(pictures: Tensor) -> Tensor:
    """(N, 3, S, S) to (N, 1, S, S): how bright."""
    weights = torch.tensor(LUMA, device=pictures.device).view(1, 3, 1, 1)
    return (pictures * weights).sum(dim=1, keepdim=True)


def _gain(pictures: Tensor, chance: Chance, most: float) -> Tensor:
    """(N, 1, 1, 1) from 1 / most to most."""
    return most ** chance.field(len(pictures), -1, 1)


def _noise(pictures: Tensor, beside: Beside) -> Tensor:
    return beside.chance.noise(*pictures.shape)


def _cosines(device: torch.device) -> Tensor:
    """(8, 8) orthonormal basis of the cosine transform: a row for each frequency."""
    at = torch.arange(BLOCK, device=device, dtype=torch.float32)
    basis = torch.cos((2 * at + 1) * at[:, None] * math.pi / (2 * BLOCK)) * math.sqrt(2 / BLOCK)
    basis[0] /= math.sqrt(2)
    return basis


def _steps(basis: Tensor) -> Tensor:
    """(1, 1, 1, 8, 1, 8) how much coarser each frequency is stored than the lowest."""
    at = torch.arange(BLOCK, device=basis.device, dtype=torch.float32)
    return (1 + 0.6 * (at[:, None] + at)).view(1, 1, 1, BLOCK, 1, BLOCK)
