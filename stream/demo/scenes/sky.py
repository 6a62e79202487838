"""Scenes above: a planet that turns, a spiral galaxy, fireworks over roofs."""

from math import cos, pi, sin

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from stream.demo.paint import HEIGHT, SIZE, WIDTH, colour, gradient, hue_of, noise, tint


def _splat(x: np.ndarray, y: np.ndarray, light: np.ndarray) -> NDArray[np.float64]:
    """Sum points of light: (N,) pixel coordinates, (N, 3) light; (HEIGHT, WIDTH, 3) float64."""
    seen = (x >= 0) & (x < WIDTH) & (y >= 0) & (y < HEIGHT)
    place = y[seen].astype(np.intp) * WIDTH + x[seen].astype(np.intp)
    total: NDArray[np.float64] = np.zeros((HEIGHT, WIDTH, 3))
    for channel in range(3):
        sums = np.bincount(place, light[seen, channel], WIDTH * HEIGHT)
        total[..., channel] = sums.reshape(HEIGHT, WIDTH)
    return total


def _glow(light: NDArray[np.float64], radius: float) -> NDArray[np.float64]:
    """The light with a halo, (HEIGHT, WIDTH, 3), 0–255."""
    sharp = Image.fromarray(np.clip(light, 0, 255).astype(np.uint8))
    return np.asarray(sharp.filter(ImageFilter.BoxBlur(radius)), np.float64) * 3 + light


class Planet:
    """A ball with weather turns before the stars; its moon passes."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        hue = hue_of(seed)
        self._hue = hue
        dust = tint(
            noise(rng, SIZE, 2, 5) ** 2, [colour(hue, 0.9, 0.05), colour(hue + 0.4, 0.8, 0.55)]
        ).copy()
        stars = rng.integers(0, (HEIGHT, WIDTH), (240, 2))
        dust[stars[:, 0], stars[:, 1]] = rng.integers(120, 255, (240, 1))
        self._dust = dust
        self._radius = int(rng.integers(48, 74))
        self._centre = int(rng.integers(100, 220)), int(rng.integers(75, 105))
        half = noise(rng, (160, 128), 5, 5)
        belts = 0.5 + 0.5 * np.sin(np.linspace(0, rng.uniform(8, 26), 128))[:, None]
        weather = 0.6 * np.hstack([half, half[:, ::-1]]) + 0.4 * belts
        self._texture = tint(
            weather,
            [colour(hue + s, w, v) for s, w, v in ((0, 0.9, 0.35), (0.1, 0.6, 1), (0.5, 0.5, 0.9))],
        )
        self._ringed = bool(rng.random() < 0.6)
        self._map_ball()

    def _map_ball(self) -> None:
        """Which texture row and column each pixel of the ball shows, and how it is lit."""
        span = np.linspace(-1, 1, 2 * self._radius)
        x, y = np.meshgrid(span, span)
        inside = x**2 + y**2 < 1
        z = np.sqrt(np.clip(1 - x**2 - y**2, 0, 1))
        self._row = ((np.arcsin(y) / pi + 0.5) * 127).astype(np.intp)
        self._column = (np.arctan2(x, z) / pi * 160).astype(np.intp)
        self._light = np.clip(0.2 + 0.8 * (0.8 * z - 0.5 * x - 0.3 * y), 0.05, 1)[..., None]
        self._inside = Image.fromarray((inside * 255).astype(np.uint8))

    def draw(self, seconds: float) -> Image.Image:
        """A turn in ten seconds, while the camera drifts."""
        picture = Image.fromarray(np.roll(self._dust, round(-5 * seconds), axis=1))
        column = (self._column + round(32 * seconds)) % 320
        ball = Image.fromarray((self._texture[self._row, column] * self._light).astype(np.uint8))
        x, y, r = self._centre[0] - round(7 * seconds), self._centre[1], self._radius
        draw = ImageDraw.Draw(picture)
        ring = (x - 1.7 * r, y - 0.45 * r, x + 1.7 * r, y + 0.45 * r)
        if self._ringed:
            draw.ellipse(ring, None, colour(self._hue + 0.15, 0.3, 0.9), 7)
        picture.paste(ball, (x - r, y - r), self._inside)
        if self._ringed:
            draw.arc(ring, 0, 180, colour(self._hue + 0.15, 0.3, 0.9), 7)
        around = 0.8 * seconds + 9 * self._hue
        mx, my = x + 1.9 * r * cos(around), y + 0.5 * r * sin(around)
        if sin(around) > 0 or abs(mx - x) > r:
            draw.ellipse((mx - 9, my - 9, mx + 9, my + 9), (205, 200, 190), (90, 90, 90))
        return picture


class Galaxy:
    """Thousands of stars on spiral arms that wind up as they turn."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        hue = hue_of(seed)
        count, arms = 5200, int(rng.integers(2, 6))
        self._radius = rng.gamma(2.0, 34, count)
        arm = rng.integers(0, arms, count) * 2 * pi / arms
        self._angle = arm + self._radius / rng.uniform(22, 48) + rng.normal(0, 0.22, count)
        warm = np.clip(self._radius / 120, 0, 1)
        ramp = [(255, 240, 200), colour(hue, 0.6, 1.0), colour(hue + 0.35, 0.9, 0.9)]
        self._light = tint(warm, ramp) * rng.uniform(0.15, 0.75, (count, 1))
        self._tilt, self._lean = rng.uniform(0.35, 0.8), rng.uniform(-0.7, 0.7)
        dark = [colour(hue + 0.5, 0.9, 0.06), colour(hue + 0.6, 0.8, 0.4)]
        self._back = tint(noise(rng, SIZE, 3, 5) ** 2, dark).astype(np.float32)

    def draw(self, seconds: float) -> Image.Image:
        """The inner stars overtake the outer ones; the camera comes closer."""
        angle = self._angle + seconds * 0.75 / (0.4 + self._radius / 60)
        zoom = 0.8 + 0.07 * seconds
        flat_x = self._radius * np.cos(angle) * zoom
        flat_y = self._radius * np.sin(angle) * self._tilt * zoom
        x = WIDTH / 2 + flat_x * cos(self._lean) - flat_y * sin(self._lean)
        y = HEIGHT / 2 + flat_x * sin(self._lean) + flat_y * cos(self._lean)
        light = _glow(_splat(x, y, self._light), 2) + self._back
        return Image.fromarray(np.clip(light, 0, 255).astype(np.uint8))


class Fireworks:
    """Bursts that open, fall and fade over the roofs of a town."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self._hue = hue_of(seed)
        self._back = np.asarray(
            gradient(SIZE, [colour(self._hue, 0.9, 0.12), colour(self._hue + 0.15, 0.7, 0.5)]),
            np.float32,
        ).copy()
        roofs = HEIGHT - 18 - 26 * np.repeat(rng.random(32), 10)
        self._back[np.arange(HEIGHT)[:, None] > roofs[None]] = 12
        self._bursts = rng.uniform(0, 1, (22, 4))
        spread = rng.normal(0, 1, (170, 3))
        self._rays = spread / np.linalg.norm(spread, axis=1, keepdims=True)

    def draw(self, seconds: float) -> Image.Image:
        """A new burst about twice a second."""
        light = np.zeros((HEIGHT, WIDTH, 3))
        for number, (x, y, size, tone) in enumerate(self._bursts):
            age = (seconds + 1.2 - 0.45 * number) % 9.9
            if age > 2.2:
                continue
            reach = (35 + 50 * size) * (1 - 0.25**age)
            ink = np.asarray(colour(self._hue + 0.3 + 0.5 * tone, 0.65, 1.0))
            for trail in range(5):
                far = reach * (1 - 0.07 * trail)
                px = 30 + 260 * x + far * self._rays[:, 0]
                py = 25 + 75 * y + far * self._rays[:, 1] + 9 * age**2
                fade = (1 - age / 2.2) / (1 + trail)
                light += _splat(px, py, np.tile(ink * fade, (len(px), 1)))
        return Image.fromarray(np.clip(_glow(light, 2) + self._back, 0, 255).astype(np.uint8))
