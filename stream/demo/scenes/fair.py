"""Scenes of a day out: balloons above the clouds, a big wheel, flags in the wind, a boat."""

from math import cos, pi, sin

import numpy as np
from PIL import Image, ImageDraw

from stream.demo.paint import (
    HEIGHT,
    SIZE,
    WIDTH,
    colour,
    gradient,
    hue_of,
    noise,
    profile,
    tint,
)


class Balloons:
    """Striped balloons rise and drift before fair-weather clouds."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self._hue = hue_of(seed)
        self._sky = gradient(SIZE, [colour(0.58, 0.55, 0.95), colour(0.55, 0.1, 1.0)])
        clouds = np.clip(noise(rng, (2 * WIDTH, HEIGHT), 3, 5) * 2.4 - 1.2, 0, 1) * 255
        self._clouds = Image.fromarray(clouds.astype(np.uint8))
        self._balloons = sorted(rng.uniform(0, 1, (6, 5)).tolist(), key=lambda row: row[2])

    def draw(self, seconds: float) -> Image.Image:
        """Nearer balloons rise faster."""
        picture = self._sky.copy()
        left = round(9 * seconds) % WIDTH
        picture.paste((255, 255, 255), mask=self._clouds.crop((left, 0, left + WIDTH, HEIGHT)))
        draw = ImageDraw.Draw(picture)
        for x, y, near, tone, sway in self._balloons:
            radius = 14 + 26 * near
            down = (1.2 * y - 0.07 * seconds * (0.4 + near)) % 1.3 - 0.15
            across = WIDTH * x + 9 * sin(0.8 * seconds + 6 * sway)
            self._balloon(draw, across, HEIGHT * down, radius, tone)
        return picture

    def _balloon(
        self, draw: ImageDraw.ImageDraw, x: float, y: float, radius: float, tone: float
    ) -> None:
        for stripe in range(5):
            half = radius * (1 - stripe / 5)
            ink = colour(self._hue + tone + 0.45 * (stripe % 2), 0.85, 0.95)
            draw.ellipse((x - half, y - radius, x + half, y + radius), ink)
        basket = radius / 4
        for side in (-1, 1):
            knot = (x + side * radius * 0.6, y + radius * 0.8)
            draw.line((*knot, x + side * basket, y + radius * 1.6), (70, 50, 40))
        draw.rectangle(
            (x - basket, y + radius * 1.55, x + basket, y + radius * 1.55 + 1.6 * basket),
            (130, 85, 45),
        )


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


class Flags:
    """A large flag with a device, in waves of cloth and shadow."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        hue = hue_of(seed)
        cloth = Image.new("RGB", SIZE, colour(hue, 0.85, 0.85))
        draw = ImageDraw.Draw(cloth)
        second, third = colour(hue + 0.4, 0.75, 0.95), (250, 250, 245)
        if seed % 2:
            draw.polygon([(0, 0), (130, 90), (0, 180)], second)
            draw.rectangle((0, 75, WIDTH, 105), third)
        else:
            draw.rectangle((0, 60, WIDTH, 120), third)
            draw.line((0, 0, WIDTH, HEIGHT), second, 34)
        for number in range(int(rng.integers(3, 8))):
            place = (190 + 45 * cos(1.1 * number), 90 + 45 * sin(1.1 * number), 17)
            draw.regular_polygon(place, 5, 40 * number, (255, 215, 60), (60, 40, 20))
        self._cloth = np.asarray(cloth)
        across, down = np.arange(WIDTH, dtype=np.float32), np.arange(HEIGHT, dtype=np.float32)
        self._across, self._down = np.meshgrid(across, down)
        self._wave = rng.uniform(24, 46)

    def draw(self, seconds: float) -> Image.Image:
        """The waves run towards the loose end."""
        phase = self._across / self._wave + self._down / 90 - 2.6 * seconds
        loose = self._across / WIDTH
        rows = self._down + (13 * loose + 2) * np.sin(phase)
        columns = self._across + 7 * loose * np.cos(0.7 * phase)
        pixels = self._cloth[
            np.clip(rows, 0, HEIGHT - 1).astype(np.intp),
            np.clip(columns, 0, WIDTH - 1).astype(np.intp),
        ]
        light = 0.8 + 0.28 * np.cos(phase) * (0.3 + loose)
        return Image.fromarray(np.clip(pixels * light[..., None], 0, 255).astype(np.uint8))


class Boat:
    """A sail crosses rows of waves before a low sun and an island."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self._hue = hue_of(seed)
        self._back = gradient(SIZE, [colour(0.62, 0.6, 0.5), (255, 170, 110), (255, 230, 170)])
        draw = ImageDraw.Draw(self._back)
        draw.ellipse((215, 40, 275, 100), (255, 245, 200))
        island = 96 - 50 * profile(rng, 120, 2, 5) * np.sin(np.linspace(0, pi, 120))
        draw.polygon([(20, 98), *zip(range(20, 140), island, strict=True), (140, 98)], (70, 60, 80))
        self._rows = rng.uniform(0, 2 * pi, 9)
        self._sail = colour(self._hue, 0.8, 0.95)

    def draw(self, seconds: float) -> Image.Image:
        """The boat pitches and comes closer."""
        picture = self._back.copy()
        draw = ImageDraw.Draw(picture)
        for row, phase in enumerate(self._rows):
            top, high, long = 90 + 10 * row, 2 + row, 40 + 14 * row
            crest = [
                (x, top + high * sin(2 * pi * x / long + phase + (0.8 + 0.15 * row) * seconds))
                for x in range(0, WIDTH + 8, 8)
            ]
            water = tint(np.array(row / 9), [colour(0.55, 0.35, 0.85), colour(0.6, 0.95, 0.25)])
            draw.polygon([(0, HEIGHT), *crest, (WIDTH, HEIGHT)], tuple(water.tolist()))
            draw.line(crest, (235, 245, 250), 1)
            if row == 3:
                self._sailing(draw, seconds)
        return picture

    def _sailing(self, draw: ImageDraw.ImageDraw, seconds: float) -> None:
        x, y, size = 60 + 22 * seconds, 122 + 3 * sin(2 * seconds), 34 + 3 * seconds
        lean = 0.12 * sin(1.6 * seconds)
        mast = (x + size * 1.6 * sin(lean), y - size * 1.6)
        draw.polygon([(x - size * 0.9, y - 4), (x + size * 0.9, y - 4), (x + size * 0.6, y + 10),
                      (x - size * 0.6, y + 10)], (110, 60, 40))  # fmt: skip
        draw.polygon([mast, (x + 3, y - 8), (x + size * 0.85, y - 10)], self._sail)
        draw.polygon([mast, (x - 3, y - 8), (x - size * 0.7, y - 10)], (250, 250, 245))
        draw.line((*mast, x, y), (60, 40, 30), 3)
