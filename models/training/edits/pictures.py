"""The edits that people make to copies, on one RGB picture: what the encoder must see through.

Every edit is a function `(picture, random, other) -> picture`, where `other` is an unrelated
picture for those that mix two (`overlays.py`). Add one: write the function, name it in `EDITS`.
"""

import io
from collections.abc import Callable
from random import Random

import numpy as np
from PIL import Image, ImageChops, ImageEnhance, ImageFilter, ImageOps

from models.training.edits.distortions import (
    caption_bar,
    filmed_screen,
    grain,
    heavy_crop,
    mirrored_half,
    mosaic,
    stickers,
    swapped_channels,
    vignette,
)
from models.training.edits.overlays import (
    Picture,
    blend,
    blurred_sides,
    border,
    inset_in_other,
    logo,
    other_inset,
    side_by_side,
    subtitle,
    text,
)

Edit = Callable[[Picture, Random, Picture], Picture]


def crop(picture: Picture, random: Random, _other: Picture) -> Picture:
    """Keep 35–95 % of the area at 3:4 to 4:3 of its shape."""
    width, height = picture.size
    area, shape = random.uniform(0.35, 0.95), random.uniform(0.8, 1.25)
    w = min(width, round(width * (area * shape) ** 0.5))
    h = min(height, round(height * (area / shape) ** 0.5))
    left, top = random.randint(0, width - w), random.randint(0, height - h)
    return picture.crop((left, top, left + w, top + h))


def flip(picture: Picture, _random: Random, _other: Picture) -> Picture:
    """Mirror left and right."""
    return ImageOps.mirror(picture)


def rotate(picture: Picture, random: Random, _other: Picture) -> Picture:
    """Turn by up to 15 degrees, with or without black corners."""
    degrees = random.uniform(-15, 15)
    turned = picture.rotate(degrees, Image.Resampling.BILINEAR, expand=random.random() < 0.5)
    if random.random() < 0.5:
        width, height = turned.size
        cut = 0.08 + abs(degrees) / 90
        turned = turned.crop(
            (int(cut * width), int(cut * height), int((1 - cut) * width), int((1 - cut) * height))
        )
    return turned


def perspective(picture: Picture, random: Random, _other: Picture) -> Picture:
    """Film a screen: the corners move by up to 18 %."""
    width, height = picture.size

    def off(side: int) -> float:
        return random.uniform(-0.05, 0.18) * side

    corners = (
        off(width), off(height), off(width), height - off(height),
        width - off(width), height - off(height), width - off(width), off(height),
    )  # fmt: skip
    return picture.transform(picture.size, Image.Transform.QUAD, corners, Image.Resampling.BILINEAR)


def stretch(picture: Picture, random: Random, _other: Picture) -> Picture:
    """Change the aspect ratio by up to 1.5."""
    factor = random.uniform(1.0, 1.5) ** random.choice((-1, 1))
    return picture.resize((max(8, round(picture.width * factor)), picture.height))


def colour(picture: Picture, random: Random, _other: Picture) -> Picture:
    """Brightness, contrast, saturation, each by up to 1.7."""
    for kind in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        picture = kind(picture).enhance(1.7 ** random.uniform(-1, 1))
    return picture


def tint(picture: Picture, random: Random, _other: Picture) -> Picture:
    """A gain and a gamma for each channel."""
    values = np.asarray(picture, dtype=np.float32) / 255
    gamma = np.array([1.5 ** random.uniform(-1, 1) for _ in range(3)], dtype=np.float32)
    gain = np.array([random.uniform(0.7, 1.2) for _ in range(3)], dtype=np.float32)
    return Image.fromarray((np.clip(values**gamma * gain, 0, 1) * 255).astype(np.uint8))


def hue(picture: Picture, random: Random, _other: Picture) -> Picture:
    """Turn the hue."""
    h, s, v = picture.convert("HSV").split()
    shift = random.randint(10, 245)
    return Image.merge("HSV", (h.point(lambda x: (x + shift) % 256), s, v)).convert("RGB")


def grey(picture: Picture, _random: Random, _other: Picture) -> Picture:
    """No colour."""
    return picture.convert("L").convert("RGB")


def sepia(picture: Picture, random: Random, _other: Picture) -> Picture:
    """Two tones: dark and light ends of one hue."""
    dark = tuple(random.randint(0, 60) for _ in range(3))
    light = (255, random.randint(200, 250), random.randint(130, 230))
    return ImageOps.colorize(picture.convert("L"), dark, light)


def invert(picture: Picture, random: Random, _other: Picture) -> Picture:
    """The negative, or solarised."""
    return ImageOps.invert(picture) if random.random() < 0.5 else ImageOps.solarize(picture)


def posterise(picture: Picture, random: Random, _other: Picture) -> Picture:
    """Few levels, equalised, or contrast stretched to the ends."""
    kind = random.randrange(3)
    if kind == 0:
        return ImageOps.posterize(picture, random.randint(2, 4))
    return ImageOps.equalize(picture) if kind == 1 else ImageOps.autocontrast(picture, cutoff=2)


def blur(picture: Picture, random: Random, _other: Picture) -> Picture:
    """Gaussian, or as if the camera moved."""
    if random.random() < 0.7:
        return picture.filter(ImageFilter.GaussianBlur(random.uniform(0.6, 3.0)))
    # It wraps around at the edge: a few pixels, at half their strength.
    shifted = ImageChops.offset(picture, random.randint(2, 5), random.randint(-1, 1))
    return Image.blend(picture, shifted, 0.5)


def sharpen(picture: Picture, random: Random, _other: Picture) -> Picture:
    """Sharpen until edges have halos, as filters of apps do."""
    return ImageEnhance.Sharpness(picture).enhance(random.uniform(2, 6))


def noise(picture: Picture, random: Random, _other: Picture) -> Picture:
    """Grain, the same or another in each channel."""
    generator = np.random.default_rng(random.getrandbits(32))
    channels = random.choice((1, 3))
    grain = generator.standard_normal((picture.height, picture.width, channels), dtype=np.float32)
    noisy = np.asarray(picture, dtype=np.float32) + grain * random.uniform(6, 35)
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


def jpeg(picture: Picture, random: Random, _other: Picture) -> Picture:
    """Saved again with strong compression."""
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=random.randint(5, 50))
    return Image.open(data).convert("RGB")


def low_resolution(picture: Picture, random: Random, _other: Picture) -> Picture:
    """Made small and large again."""
    factor = random.uniform(0.15, 0.5)
    small = (max(8, round(picture.width * factor)), max(8, round(picture.height * factor)))
    way = random.choice((Image.Resampling.NEAREST, Image.Resampling.BILINEAR))
    return picture.resize(small, Image.Resampling.BOX).resize(picture.size, way)


# Name: (edit, weight in a random choice).
EDITS: dict[str, tuple[Edit, float]] = {
    "crop": (crop, 3.0),
    "flip": (flip, 2.5),
    "rotate": (rotate, 1.0),
    "perspective": (perspective, 1.0),
    "stretch": (stretch, 1.0),
    "colour": (colour, 2.0),
    "tint": (tint, 1.0),
    "hue": (hue, 0.7),
    "grey": (grey, 1.0),
    "sepia": (sepia, 0.7),
    "invert": (invert, 0.3),
    "posterise": (posterise, 0.5),
    "blur": (blur, 1.2),
    "sharpen": (sharpen, 0.5),
    "noise": (noise, 1.2),
    "jpeg": (jpeg, 1.2),
    "low_resolution": (low_resolution, 1.2),
    "border": (border, 1.2),
    "blurred_sides": (blurred_sides, 1.0),
    "inset_in_other": (inset_in_other, 1.8),
    "other_inset": (other_inset, 1.2),
    "side_by_side": (side_by_side, 0.4),
    "blend": (blend, 0.8),
    "text": (text, 1.2),
    "subtitle": (subtitle, 0.8),
    "logo": (logo, 1.2),
    "heavy_crop": (heavy_crop, 0.8),
    "filmed_screen": (filmed_screen, 0.8),
    "mosaic": (mosaic, 0.6),
    "swapped_channels": (swapped_channels, 0.4),
    "mirrored_half": (mirrored_half, 0.4),
    "vignette": (vignette, 0.5),
    "stickers": (stickers, 1.0),
    "caption_bar": (caption_bar, 0.8),
    "grain": (grain, 0.6),
}


def edited(picture: Picture, random: Random, other: Picture, most: int = 4) -> Picture:
    """Apply one to `most` different edits in random order.

    Args:
        picture: RGB, at least 16 pixels a side.
        random: the only source of chance.
        other: an unrelated RGB picture.
        most: how many edits at the most.
    """
    names = list(EDITS)
    weights = [EDITS[name][1] for name in names]
    # A dict keeps the order that was drawn, where a set's differs from process to process.
    chosen = dict.fromkeys(random.choices(names, weights, k=random.randint(1, most)))
    for name in chosen:
        picture = EDITS[name][0](picture, random, other)
        # Bars and split screens make pictures larger: the next edit should cost no more for it.
        if max(picture.size) > 400:
            picture.thumbnail((320, 320), Image.Resampling.BILINEAR)
    return picture
