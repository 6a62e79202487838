"""Edits that bend colours and places: filmed screens, mosaics, swapped channels, spotlights.

Part of the table in `models/training/edits/pictures.py`.
"""

from random import Random

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from models.training.edits.overlays import Picture


def heavy_crop(picture: Picture, random: Random, _other: Picture) -> Picture:
    """Keep 12–35 % of the area: a detail, enlarged."""
    width, height = picture.size
    side = random.uniform(0.12, 0.35) ** 0.5
    w, h = max(16, round(width * side)), max(16, round(height * side))
    left, top = random.randint(0, max(0, width - w)), random.randint(0, max(0, height - h))
    return picture.crop((left, top, left + w, top + h)).resize((width, height))


def filmed_screen(picture: Picture, random: Random, _other: Picture) -> Picture:
    """A screen filmed off: stripes of interference, glare, a dim and tinted picture."""
    values = np.asarray(picture, np.float32)
    height, width = values.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    angle, period = random.uniform(0, np.pi), random.uniform(2.5, 9.0)
    wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / period)
    values = values * (1 + random.uniform(0.03, 0.16) * wave[..., None])
    spot = ((x - random.uniform(0, width)) / width) ** 2
    spot = spot + ((y - random.uniform(0, height)) / height) ** 2
    glare = np.exp(-spot / random.uniform(0.02, 0.2)) * random.uniform(0, 120)
    tint = np.array([random.uniform(0.7, 1.05) for _ in range(3)], np.float32)
    return _picture(values * tint + glare[..., None])


def mosaic(picture: Picture, random: Random, _other: Picture) -> Picture:
    """A region, or all of it, in large blocks or blurred away, as faces are."""
    width, height = picture.size
    share = random.choice((0.25, 0.4, 0.6, 1.0))
    w, h = max(8, round(width * share)), max(8, round(height * share))
    left, top = random.randint(0, width - w), random.randint(0, height - h)
    part = picture.crop((left, top, left + w, top + h))
    block = random.uniform(4, 9) if share == 1.0 else random.uniform(6, 20)
    small = part.resize((max(2, round(w / block)), max(2, round(h / block))), Image.Resampling.BOX)
    way = random.choice((Image.Resampling.NEAREST, Image.Resampling.BICUBIC))
    picture = picture.copy()
    picture.paste(small.resize((w, h), way), (left, top))
    return picture


def swapped_channels(picture: Picture, random: Random, _other: Picture) -> Picture:
    """Red, green and blue in another order."""
    channels = list(picture.split())
    random.shuffle(channels)
    return Image.merge("RGB", channels)


def mirrored_half(picture: Picture, random: Random, _other: Picture) -> Picture:
    """One half beside its own mirror image."""
    width, height = picture.size
    half = picture.crop((0, 0, width // 2, height))
    if random.random() < 0.5:
        half = ImageOps.mirror(picture).crop((0, 0, width // 2, height))
    out = Image.new("RGB", (2 * (width // 2), height))
    out.paste(half, (0, 0))
    out.paste(ImageOps.mirror(half), (width // 2, 0))
    return out


def vignette(picture: Picture, random: Random, _other: Picture) -> Picture:
    """Dark corners, or a ramp of light across the picture."""
    values = np.asarray(picture, np.float32)
    height, width = values.shape[:2]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    if random.random() < 0.6:
        light = 1 - random.uniform(0.3, 0.8) * np.clip((x**2 + y**2) / 1.6, 0, 1)
    else:
        angle = random.uniform(0, 2 * np.pi)
        light = 1 + random.uniform(0.2, 0.7) * (x * np.cos(angle) + y * np.sin(angle))
    return _picture(values * light[..., None])


def stickers(picture: Picture, random: Random, other: Picture) -> Picture:
    """Up to eight cut-outs of another picture, round or square, over it."""
    picture = picture.copy()
    for _ in range(random.randint(2, 8)):
        side = max(6, round(random.uniform(0.08, 0.22) * min(picture.size)))
        piece = ImageOps.fit(other, (side, side), centering=(random.random(), random.random()))
        mask = Image.new("L", (side, side), 0)
        shape = random.choice((ImageDraw.Draw(mask).ellipse, ImageDraw.Draw(mask).rectangle))
        shape((0, 0, side - 1, side - 1), fill=255)
        place = (
            random.randint(0, max(0, picture.width - side)),
            random.randint(0, max(0, picture.height - side)),
        )
        picture.paste(piece.rotate(random.choice((0, 90, 180))), place, mask)
    return picture


def caption_bar(picture: Picture, random: Random, _other: Picture) -> Picture:
    """A plate with lines of bars above or below, as memes and news have."""
    width, height = picture.size
    bar = round(height * random.uniform(0.12, 0.4))
    fill = random.choice(((255, 255, 255), (0, 0, 0), (200, 20, 30), (20, 40, 120)))
    above = random.random() < 0.5
    out = Image.new("RGB", (width, height + bar), fill)
    out.paste(picture, (0, bar if above else 0))
    draw = ImageDraw.Draw(out)
    ink = (0, 0, 0) if sum(fill) > 380 else (255, 255, 255)  # about half of 3 x 255: legible
    top = 0 if above else height
    for line in range(random.randint(1, 3)):
        y = top + bar * (0.15 + 0.28 * line)
        x = width * random.uniform(0.03, 0.1)
        while x < width * random.uniform(0.5, 0.95):
            word = width * random.uniform(0.03, 0.14)
            draw.rectangle((x, y, x + word, y + bar * 0.14), fill=ink)
            x += word + width * 0.02
    return out


def grain(picture: Picture, random: Random, _other: Picture) -> Picture:
    """Film: coarse grain, scratches, a faded look."""
    values = np.asarray(picture, np.float32)
    height, width = values.shape[:2]
    generator = np.random.default_rng(random.getrandbits(32))
    coarse = generator.normal(0, random.uniform(15, 50), (height // 2 + 1, width // 2 + 1))
    values = values + np.kron(coarse, np.ones((2, 2)))[:height, :width, None]
    for _ in range(random.randint(0, 4)):
        values[:, random.randrange(width)] += random.choice((-90, 90))
    lift = random.uniform(0, 60)
    faded = _picture(lift + values * (255 - lift) / 255)
    return faded.filter(ImageFilter.GaussianBlur(random.uniform(0, 0.8)))


def _picture(values: NDArray[np.floating]) -> Picture:
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))
