"""Scenes that people built: a skyline with its traffic, a road ahead, a map with a route."""

from math import sin

import numpy as np
from PIL import Image, ImageDraw

from stream.demo.paint import (
    HEIGHT,
    WIDTH,
    Colour,
    Shot,
    colour,
    gradient,
    hue_of,
    look,
    noise,
    profile,
    tint,
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


class StreetMap:
    """A town from above; the camera follows a route that is being drawn."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        hue = hue_of(seed)
        size = (800, 560)
        ground = [colour(hue, 0.12, 0.96), colour(hue, 0.25, 0.82)]
        self._canvas = Image.fromarray(tint(noise(rng, size, 6, 3), ground))
        draw = ImageDraw.Draw(self._canvas)
        columns, rows = np.cumsum(rng.integers(22, 62, 22)), np.cumsum(rng.integers(22, 54, 18))
        for left, right in zip(columns, columns[1:], strict=False):
            for top, bottom in zip(rows, rows[1:], strict=False):
                self._block(draw, rng, hue, (int(left), int(top), int(right), int(bottom)))
        river = [(x, 280 + 120 * sin(x / 130 + seed) + 0.2 * x) for x in range(-20, 840, 20)]
        draw.line(river, colour(hue + 0.5, 0.55, 0.85), 34, joint="curve")
        steps = rng.integers(1, 3, 24)
        self._route = self._walk(columns[4:-5], rows[3:-6], steps)
        self._hue = hue

    def _block(
        self,
        draw: ImageDraw.ImageDraw,
        rng: np.random.Generator,
        hue: float,
        box: tuple[int, int, int, int],
    ) -> None:
        left, top, right, bottom = box
        kind = rng.random()
        park, house = colour(hue + 0.3, 0.55, 0.75), colour(hue + kind * 0.2, 0.4, 0.7)
        draw.rectangle((left + 4, top + 4, right - 4, bottom - 4), park if kind < 0.2 else house)
        if kind < 0.2:
            return
        for _ in range(4):
            x, y = rng.uniform(left + 5, right - 12), rng.uniform(top + 5, bottom - 12)
            roof = colour(hue + rng.uniform(0, 0.3), 0.6, rng.uniform(0.35, 0.95))
            draw.rectangle((x, y, x + 8, y + 8), roof, (60, 50, 50))

    def _walk(
        self, columns: np.ndarray, rows: np.ndarray, steps: np.ndarray
    ) -> list[tuple[float, float]]:
        """Corners of a staircase of streets, in canvas pixels."""
        column = row = 0
        corners = []
        for number, step in enumerate(steps):
            corners.append((float(columns[column]), float(rows[row])))
            column += int(step) * (number % 2)
            row += 1 - number % 2
            if column >= len(columns) or row >= len(rows):
                break
        return corners

    def draw(self, seconds: float) -> Image.Image:
        """About one corner a second and a half."""
        done = min(seconds * 1.4, len(self._route) - 1.001)
        corner, part = int(done), done % 1
        (x0, y0), (x1, y1) = self._route[corner], self._route[corner + 1]
        here = (x0 + part * (x1 - x0), y0 + part * (y1 - y0))
        canvas = self._canvas.copy()
        draw = ImageDraw.Draw(canvas)
        draw.line([*self._route[: corner + 1], here], colour(self._hue + 0.6, 0.9, 0.9), 6)
        draw.ellipse((here[0] - 8, here[1] - 8, here[0] + 8, here[1] + 8), (255, 255, 255))
        draw.ellipse((here[0] - 5, here[1] - 5, here[0] + 5, here[1] + 5), (230, 40, 60))
        return look(canvas, Shot(*here, 1.25), Shot(*here, 1.0, 12), min(1.0, seconds / 8))
