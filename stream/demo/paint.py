"""Paint for the demo's scenes: colours, gradients, clouds of noise."""

import colorsys
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

WIDTH, HEIGHT = 320, 180  # pixels: larger than an encoder looks at, and quick to draw
SIZE = (WIDTH, HEIGHT)

Colour = tuple[int, int, int]
Values = TypeVar("Values", np.float32, np.float64)


def colour(hue: float, saturation: float, value: float) -> Colour:
    """An RGB colour, 0–255 each; the hue is taken modulo 1, the others lie in [0, 1]."""
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)


def hue_of(seed: int) -> float:
    """A hue for the seed; neighbouring seeds get hues that are far apart (golden ratio)."""
    return seed * 0.618034 % 1.0


def tint(values: NDArray[np.floating], colours: Sequence[Colour]) -> NDArray[np.uint8]:
    """Colour a picture by a ramp.

    Args:
        values: (…,) in [0, 1]: 0 takes the first colour, 1 the last.
        colours: at least two.

    Returns:
        (…, 3) uint8 RGB.
    """
    ramp = np.linspace(0, 1, 256)
    stops = np.linspace(0, 1, len(colours))
    table = np.stack([np.interp(ramp, stops, channel) for channel in zip(*colours, strict=True)])
    rows = np.clip(values * 255, 0, 255).astype(np.intp)
    pixels: NDArray[np.uint8] = table.T.astype(np.uint8)[rows]
    return pixels


def gradient(size: tuple[int, int], colours: Sequence[Colour]) -> Image.Image:
    """A vertical ramp of colours, (width, height)."""
    width, height = size
    column = tint(np.linspace(0, 1, height), colours)
    return Image.fromarray(np.repeat(column[:, None], width, axis=1))


def noise(
    rng: np.random.Generator, size: tuple[int, int], cells: int = 4, octaves: int = 4
) -> NDArray[np.float32]:
    """Cloudy noise: a sum of ever finer random grids, each half as strong.

    Args:
        rng: where the randomness comes from.
        size: (width, height) of the picture.
        cells: grid points along the short side in the first octave.
        octaves: how many grids are summed.

    Returns:
        (height, width) float32, stretched to [0, 1].
    """
    width, height = size
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        points = cells * 2**octave
        shape = (
            max(2, points * height // min(size) + 1),
            max(2, points * width // min(size) + 1),
        )
        grid = Image.fromarray(rng.random(shape, dtype=np.float32))
        total += np.asarray(grid.resize(size, Image.Resampling.BICUBIC)) / 2**octave
    return _stretched(total)


def profile(
    rng: np.random.Generator, width: int, cells: int = 4, octaves: int = 4
) -> NDArray[np.float64]:
    """A rough line, as of hills: like `noise` in one dimension, (width,) in [0, 1]."""
    total = np.zeros(width)
    for octave in range(octaves):
        points = cells * 2**octave + 1
        place = np.linspace(0, points - 1, width)
        total += np.interp(place, np.arange(points), rng.random(points)) / 2**octave
    return _stretched(total)


def _stretched(values: NDArray[Values]) -> NDArray[Values]:
    low, high = values.min(), values.max()
    values -= low
    values /= high - low
    return values
