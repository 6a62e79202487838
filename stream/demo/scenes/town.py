"""Scenes of a town: its skyline, a road, a big wheel, fireworks over the roofs."""

from math import cos, pi, sin

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from stream.demo.paint import (
    HEIGHT,
    SIZE,
    WIDTH,
    Colour,
    colour,
    gradient,
    hue_of,
    profile,
)

# In pixels; the camera can drive for as long as a shot lasts before it sees a house again.
STREET = 2 * WIDTH


class Skyline:
    """Two rows of towers with lit windows, and lights of cars in both directions."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._hue = hue_of(seed)
        night = seed % 2
        top, bottom = (0.12, 0.45) if night else (0.75, 1.0)
        self._sky = gradient(
            (WIDTH, HEIGHT),
            [colour(self._hue, 0.8, top), colour(self._hue + 0.1, 0.6, bottom)],
        )
        self._far = self._row(30, 105, 0.35 if night else 0.7, 12)
        self._near = self._row(65, 150, 0.18 if night else 0.45, 22)
        self._cars = self._rng.uniform(0, 1, (24, 3))
        self._way = 1 if seed % 3 else -1

    def _row(self, low: int, high: int, value: float, least: int) -> Image.Image:
        layer = Image.new("RGBA", (STREET, HEIGHT))
        draw = ImageDraw.Draw(layer)
        x = 0
        while x < STREET:
            wide, tall = int(self._rng.integers(least, 2 * least + 18)), 0
            tall = int(self._rng.integers(low, high))
            wall = colour(self._hue + self._rng.uniform(-0.15, 0.3), 0.5, value)
            self._tower(draw, x, wide, tall, wall)
            x += wide + int(self._rng.integers(0, 5))
        return layer

    def _tower(self, draw: ImageDraw.ImageDraw, x: int, wide: int, tall: int, wall: Colour) -> None:
        roof = HEIGHT - 22 - tall
        draw.rectangle((x, roof, x + wide, HEIGHT), (*wall, 255))
        if self._rng.random() < 0.4:
            draw.line((x + wide // 2, roof - 16, x + wide // 2, roof), (*wall, 255), 2)
        lit, step = self._rng.uniform(0.2, 0.9), int(self._rng.integers(6, 10))
        warm = colour(self._hue + self._rng.choice([0.15, 0.5]), 0.35, 1.0)
        for row in range(roof + 5, HEIGHT - 26, step):
            for column in range(x + 3, x + wide - 4, step - 1):
                glass = warm if self._rng.random() < lit else (25, 25, 40)
                draw.rectangle((column, row, column + 2, row + 3), (*glass, 255))

    def draw(self, seconds: float) -> Image.Image:
        """A camera that drives past."""
        picture = self._sky.copy()
        for layer, speed in ((self._far, 9), (self._near, 27)):
            left = round(150 + self._way * (speed * seconds - 75)) % (STREET - WIDTH)
            part = layer.crop((left, 0, left + WIDTH, HEIGHT))
            picture.paste(part, mask=part.getchannel("A"))
        draw = ImageDraw.Draw(picture)
        draw.rectangle((0, HEIGHT - 22, WIDTH, HEIGHT), (38, 36, 44))
        for start, speed, tone in self._cars:
            way = 1 if tone > 0.5 else -1
            x = (start * 380 + way * (50 + 60 * speed) * seconds) % 380 - 30
            y = HEIGHT - 17 + (9 if way > 0 else 0)
            draw.rectangle((x, y, x + 15, y + 5), colour(self._hue + tone, 0.8, 0.9))
            draw.rectangle((x - 2 + 15 * (way > 0), y + 1, x + 2 + 15 * (way > 0), y + 4),
                           (255, 240, 190) if way > 0 else (255, 70, 50))  # fmt: skip
        return picture


class Road:
    """A road to the horizon that bends, with posts and trees that come closer."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self._hue = hue_of(seed)
        self._horizon = int(rng.integers(62, 92))
        self._sky = np.asarray(
            gradient(
                (WIDTH, self._horizon),
                [colour(self._hue + 0.4, 0.7, 0.65), colour(self._hue + 0.3, 0.3, 1.0)],
            )
        ).copy()
        hills = profile(rng, WIDTH, 5, 5) * 34
        rows = np.arange(self._horizon)[:, None]
        self._sky[rows > self._horizon - hills[None]] = colour(self._hue + 0.1, 0.5, 0.4)
        below = np.arange(1, HEIGHT - self._horizon + 1)
        self._depth = (HEIGHT - self._horizon) / below
        self._grain = rng.uniform(-14, 14, (HEIGHT - self._horizon, WIDTH, 1))
        self._bend, self._tempo = rng.uniform(30, 90), rng.uniform(0.4, 0.8)
        self._trees = rng.uniform(0, 1, (18, 2))

    def _middle(self, depth: np.ndarray | float, seconds: float) -> np.ndarray | float:
        return WIDTH / 2 + self._bend * sin(self._tempo * seconds) * (np.log(depth)) ** 2 / 2

    def draw(self, seconds: float) -> Image.Image:
        """Driving at a steady speed."""
        travelled = 6 * seconds
        depth, middle = self._depth[:, None], self._middle(self._depth, seconds)
        across = (np.arange(WIDTH)[None] - np.asarray(middle)[:, None]) * depth / 120
        stripe = np.floor(depth * 1.5 + travelled) % 2 < 1
        grass = np.where(
            stripe[..., None], colour(self._hue, 0.65, 0.55), colour(self._hue, 0.75, 0.42)
        )
        edge = np.where(stripe[..., None], (235, 235, 235), (215, 45, 45))
        ground = np.where((np.abs(across) < 1.1)[..., None], edge, grass)
        ground = np.where((np.abs(across) < 0.98)[..., None], (88, 86, 92), ground)
        dash = (np.abs(across) < 0.04) & stripe
        ground = np.where(dash[..., None], (250, 240, 180), ground) + self._grain
        pixels = np.concatenate([self._sky, np.clip(ground, 0, 255)])
        picture = Image.fromarray(pixels.astype(np.uint8))
        self._wood(ImageDraw.Draw(picture), travelled, seconds)
        return picture

    def _wood(self, draw: ImageDraw.ImageDraw, travelled: float, seconds: float) -> None:
        depths = [(1.05 + (18 * place - travelled) % 18, tone) for place, tone in self._trees]
        for depth, tone in sorted(depths, reverse=True):
            side = -1 if tone > 0.5 else 1
            x = self._middle(depth, seconds) + side * (170 + 120 * (tone % 0.5)) / depth
            y, tall = self._horizon + (HEIGHT - self._horizon) / depth, 150 / depth
            draw.rectangle((x - tall / 30, y - tall / 2, x + tall / 30, y), (80, 55, 35))
            leaf = colour(self._hue + 0.06 * tone, 0.8, 0.25 + 0.3 * tone)
            draw.ellipse((x - tall / 4, y - tall, x + tall / 4, y - tall / 3), leaf)


class BigWheel:
    """A wheel with cabins and lamps turns in the evening."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self._hue = hue_of(seed)
        dusk = [colour(self._hue, 0.8, 0.2), colour(self._hue + 0.1, 0.7, 0.75), (255, 190, 120)]
        self._back = gradient(SIZE, dusk)
        draw = ImageDraw.Draw(self._back)
        for x in range(0, WIDTH, 20):
            tent = colour(self._hue + rng.uniform(0, 1), 0.7, 0.5)
            top = 158 - 14 * rng.random()
            draw.polygon([(x - 4, HEIGHT), (x + 10, top), (x + 24, HEIGHT)], tent)
        self._cabins = int(rng.integers(10, 17))
        self._centre = WIDTH * rng.uniform(0.35, 0.65), 92.0

    def draw(self, seconds: float) -> Image.Image:
        """A turn in twenty seconds; the lamps run around faster."""
        picture = self._back.copy()
        draw = ImageDraw.Draw(picture)
        x, y = self._centre
        for foot in (-45, 45):
            draw.line((x, y, x + foot, HEIGHT), (235, 235, 240), 5)
        draw.ellipse((x - 78, y - 78, x + 78, y + 78), None, (235, 235, 240), 3)
        draw.ellipse((x - 50, y - 50, x + 50, y + 50), None, (200, 200, 210), 2)
        for number in range(self._cabins):
            angle = 2 * pi * (number / self._cabins + seconds / 20)
            cx, cy = x + 78 * cos(angle), y + 78 * sin(angle)
            draw.line((x, y, cx, cy), (215, 215, 225), 2)
            cabin = colour(self._hue + 0.3 + number / self._cabins, 0.9, 1.0)
            draw.rounded_rectangle((cx - 9, cy - 2, cx + 9, cy + 14), 4, cabin, (30, 30, 30))
            lit = (number + int(6 * seconds)) % 3 == 0
            lamp = (255, 250, 190) if lit else (150, 90, 60)
            lx, ly = x + 64 * cos(angle + 0.2), y + 64 * sin(angle + 0.2)
            draw.ellipse((lx - 4, ly - 4, lx + 4, ly + 4), lamp)
        return picture


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
