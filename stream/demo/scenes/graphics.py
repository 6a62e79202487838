"""Scenes without a camera: a chart with its figures, waves of colour."""

from math import sin

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from stream.demo.paint import HEIGHT, SIZE, WIDTH, colour, gradient, hue_of, tint

MEASURES = ("Rainfall, mm", "Visitors", "Kilowatt hours", "Books lent", "Trains on time, %")
# Waves are worked out at every other pixel and enlarged: smooth as they are, nobody sees it, and a
# frame costs a quarter.
COARSE = (WIDTH // 2, HEIGHT // 2)


class Chart:
    """Bars that grow one after the other, and a line that is drawn across them."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self._hue = hue_of(seed)
        dark = bool(seed % 2)
        self._paper = gradient(
            SIZE,
            [colour(self._hue, 0.7 if dark else 0.1, 0.3 if dark else 1.0),
             colour(self._hue + 0.08, 0.6 if dark else 0.3, 0.12 if dark else 0.85)],
        )  # fmt: skip
        self._ink = (240, 240, 240) if dark else (35, 35, 45)
        self._bars = rng.uniform(0.2, 1.0, int(rng.integers(6, 13)))
        self._line = rng.uniform(0.1, 1.0, len(self._bars))
        self._title = MEASURES[seed % len(MEASURES)]
        self._year = int(rng.integers(1950, 2015))

    def draw(self, seconds: float) -> Image.Image:
        """Growing for six seconds, with a year that counts."""
        picture = self._paper.copy()
        draw = ImageDraw.Draw(picture)
        draw.text((14, 7), self._title, self._ink, ImageFont.load_default(19))
        year = str(self._year + int(2 * seconds))
        draw.text((246, 4), year, colour(self._hue + 0.5, 0.7, 0.9), ImageFont.load_default(27))
        for level in range(5):
            draw.line((26, 158 - 28 * level, 308, 158 - 28 * level), (128, 128, 128))
        step = 276 / len(self._bars)
        for number, share in enumerate(self._bars):
            grown = share * np.clip((seconds - 0.35 * number + 1) / 1.6, 0, 1)
            left = 30 + number * step
            top = 158 - 112 * grown * (0.93 + 0.07 * sin(2 * seconds + number))
            bar = colour(self._hue + 0.45 + 0.03 * number, 0.75, 0.9)
            draw.rectangle((left, top, left + step - 5, 158), bar)
            draw.text((left, 162), str(number + 1), self._ink, ImageFont.load_default(11))
        self._trace(draw, step, seconds)
        return picture

    def _trace(self, draw: ImageDraw.ImageDraw, step: float, seconds: float) -> None:
        shown = max(2, int(len(self._line) * min(1.0, (seconds + 1) / 5)))
        points = [(30 + step * (n + 0.4), 158 - 112 * self._line[n]) for n in range(shown)]
        draw.line(points, colour(self._hue + 0.9, 0.9, 1.0), 3, joint="curve")
        for x, y in points:
            draw.ellipse((x - 4, y - 4, x + 4, y + 4), self._ink)


class Plasma:
    """Waves that cross each other, in the colours of a ramp."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self._waves = rng.normal(0, 3.2, (5, 2)).astype(np.float32)
        self._tempo = rng.uniform(-1.4, 1.4, 5)
        hue = hue_of(seed)
        tones = [hue, hue + 0.09, hue + 0.5, hue + 0.62, hue]
        self._ramp = [
            colour(tone, rng.uniform(0.5, 1), value)
            for tone, value in zip(tones, (0.1, 0.9, 0.35, 1.0, 0.2), strict=True)
        ]
        self._across, self._down = _plane(COARSE)

    def draw(self, seconds: float) -> Image.Image:
        """All waves wander."""
        value = np.zeros_like(self._across)
        for (x, y), tempo in zip(self._waves, self._tempo, strict=True):
            value += np.sin(x * self._across + y * self._down + 2 * value + tempo * seconds)
        picture = Image.fromarray(tint((value + 5) / 10, self._ramp))
        return picture.resize(SIZE, Image.Resampling.BICUBIC)


def _plane(size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates of every pixel, (height, width) each; y in [-1, 1], x in proportion."""
    width, height = size
    x, y = np.linspace(-width / height, width / height, width), np.linspace(-1, 1, height)
    across, down = np.meshgrid(x.astype(np.float32), y.astype(np.float32))
    return across, down
