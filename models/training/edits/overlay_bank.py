"""Drawn overlays with their opacity, made once: words, plates, logos, stickers for whole batches.

What draws on a picture draws here on black and on white: how little they differ is the opacity.
"""

from random import Random

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from models.training.edits.overlays import TEXTS, Picture, logo, subtitle, text
from models.training.workers import spread


def lower_third(picture: Picture, random: Random, _other: Picture) -> Picture:
    """A name plate of one or two bands, with a tag before it."""
    picture = picture.copy()
    draw = ImageDraw.Draw(picture)
    width, height = picture.size
    top, left = height * random.uniform(0.6, 0.8), width * random.uniform(0.0, 0.15)
    for band in range(random.randint(1, 2)):
        tall = height * random.uniform(0.08, 0.15)
        fill = _any_colour(random)
        right = left + width * random.uniform(0.4, 0.9)
        draw.rectangle((left, top, right, top + tall), fill=fill)
        ink = (0, 0, 0) if sum(fill) > 380 else (255, 255, 255)
        font = ImageFont.load_default(size=max(6.0, 0.62 * tall))
        draw.text((left + 0.02 * width, top + 0.12 * tall), _words(random), fill=ink, font=font)
        if band == 0 and random.random() < 0.5:
            tag = (left, top - tall * 0.8, left + width * 0.2, top)
            draw.rectangle(tag, fill=_any_colour(random))
        top += tall
    return picture


def sticker(picture: Picture, random: Random, _other: Picture) -> Picture:
    """One large opaque shape over a tenth to two fifths of the picture, with a face or words."""
    picture = picture.copy()
    draw = ImageDraw.Draw(picture)
    width, height = picture.size
    wide = width * random.uniform(0.3, 0.65)
    tall = height * random.uniform(0.3, 0.65)
    left, top = random.uniform(0, width - wide), random.uniform(0, height - tall)
    box = (left, top, left + wide, top + tall)
    fill = _any_colour(random)
    shape = random.choice((draw.ellipse, draw.rectangle, draw.rounded_rectangle))
    shape(box, fill=fill, outline=_any_colour(random), width=random.choice((0, 2, 5)))
    if random.random() < 0.5:
        for eye in (0.3, 0.6):
            x, y = left + eye * wide, top + 0.3 * tall
            draw.ellipse((x, y, x + 0.12 * wide, y + 0.16 * tall), fill=(20, 20, 20))
        mouth = (left + 0.28 * wide, top + 0.45 * tall, left + 0.74 * wide, top + 0.8 * tall)
        draw.arc(mouth, 10, 170, fill=(20, 20, 20), width=3)
    else:
        font = ImageFont.load_default(size=max(8.0, 0.2 * tall))
        place = (left + 0.1 * wide, top + 0.35 * tall)
        draw.text(place, _words(random), fill=_any_colour(random), font=font)
    return picture


def watermark(picture: Picture, random: Random, _other: Picture) -> Picture:
    """Words repeated all over, see-through."""
    drawn = picture.copy()
    draw = ImageDraw.Draw(drawn)
    width, height = picture.size
    font = ImageFont.load_default(size=height * random.uniform(0.06, 0.16))
    words, fill = _words(random), random.choice(((255, 255, 255), (0, 0, 0)))
    for y in range(0, height, round(height * random.uniform(0.2, 0.45))):
        for x in range(-20, width, round(width * random.uniform(0.35, 0.8))):
            draw.text((x, y), words, fill=fill, font=font)
    return Image.blend(picture, drawn, random.uniform(0.2, 0.6))


def bar(picture: Picture, random: Random, _other: Picture) -> Picture:
    """Two or three large lines that fill the whole picture: for plates above or below."""
    picture = picture.copy()
    draw = ImageDraw.Draw(picture)
    lines = random.randint(2, 3)
    fill = random.choice(((0, 0, 0), (255, 255, 255), (255, 220, 0), _any_colour(random)))
    for line in range(lines):
        size = picture.height / lines * random.uniform(0.5, 0.8)
        place = (picture.width * random.uniform(0.02, 0.1), (line + 0.1) * picture.height / lines)
        draw.text(place, _words(random), fill=fill, font=ImageFont.load_default(size=size))
    return picture


KINDS = {
    "text": text,
    "subtitle": subtitle,
    "logo": logo,
    "lower_third": lower_third,
    "sticker": sticker,
    "watermark": watermark,
    "bar": bar,
}


def overlay(kind: str, side: int, seed: int) -> NDArray[np.uint8]:
    """One overlay: (4, S, S) uint8, red, green, blue and opacity.

    Args:
        kind: a name in `KINDS`.
        side: S.
        seed: the same one gives the same overlay.
    """
    black, white = (
        np.asarray(KINDS[kind](ground, Random(seed), ground), np.float32)
        for ground in (Image.new("RGB", (side, side), tone) for tone in ("black", "white"))
    )
    opacity = 1 - (white - black).mean(axis=2, keepdims=True) / 255  # (S, S, 1)
    colour = black / np.maximum(opacity, 1 / 255)  # on black it was dimmed by its opacity
    both = np.concatenate([colour, 255 * opacity], axis=2)
    drawn: NDArray[np.uint8] = np.clip(both, 0, 255).astype(np.uint8).transpose(2, 0, 1)
    return drawn


def overlay_bank(side: int, each: int, device: str = "cpu", workers: int = 1) -> dict[str, Tensor]:
    """So many overlays of each kind, as `Beside` takes them.

    Args:
        side: S.
        each: K, of one kind.
        device: where they are kept.
        workers: processes that draw.

    Returns:
        By kind, (K, 4, S, S) uint8.
    """
    wanted = [(kind, side, seed) for kind in KINDS for seed in range(each)]
    drawn = torch.from_numpy(np.stack(spread(_overlay, wanted, workers))).to(device)
    return dict(zip(KINDS, torch.split(drawn, each), strict=True))


def _overlay(wanted: tuple[str, int, int]) -> NDArray[np.uint8]:
    return overlay(*wanted)


def _words(random: Random) -> str:
    return random.choice(TEXTS)


def _any_colour(random: Random) -> tuple[int, int, int]:
    return (random.randrange(256), random.randrange(256), random.randrange(256))
