"""Scenes outdoors: mountains in layers, a reef under water."""

from math import sin

import numpy as np
from PIL import Image, ImageDraw

from stream.demo.paint import HEIGHT, SIZE, WIDTH, colour, gradient, hue_of, noise, profile, tint

PANORAMA = 2 * WIDTH  # drawn once and looked at through a window that moves: a frame is then a copy


class Landscape:
    """Ridges, each nearer one passing faster, under a sky with its sun and drifting clouds."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        hue = hue_of(seed)
        sky = gradient((PANORAMA, HEIGHT), [colour(hue + 0.5, 0.7, 0.5), colour(hue, 0.35, 1.0)])
        x, y = rng.uniform(80, PANORAMA - 200), rng.uniform(25, 70)
        ImageDraw.Draw(sky).ellipse((x, y, x + 34, y + 34), colour(hue + 0.1, 0.2, 1.0))
        clouds = np.clip(noise(rng, (PANORAMA, HEIGHT), 3, 5) * 2 - 1, 0, 1) * 200
        sky.paste((250, 245, 240), mask=Image.fromarray(clouds.astype(np.uint8)))
        self._sky = sky
        self._speed = rng.uniform(12, 22)
        self._ridges = [self._ridge(rng, hue + 0.12 * near, near) for near in range(4)]

    def _ridge(self, rng: np.random.Generator, hue: float, near: int) -> Image.Image:
        """One layer, RGBA: opaque below its skyline, with rocks, and trees on the nearest."""
        skyline = profile(rng, PANORAMA, 7 - near, 6) * (75 - 13 * near) + 42 + 29 * near
        rows = np.arange(HEIGHT)[:, None]
        light = 0.25 + 0.75 * noise(rng, (PANORAMA, HEIGHT), 12, 4)
        snow = (rows - skyline[None] < 14 * light) & (near == 0)
        rock = np.asarray(colour(hue, 0.25 + 0.18 * near, 0.85 - 0.13 * near))
        pixels = np.where(snow[..., None], 245, rock) * light[..., None]
        layer = np.dstack([pixels, np.where(rows > skyline[None], 255, 0)]).astype(np.uint8)
        picture = Image.fromarray(layer)
        if near == 3:
            self._plant(ImageDraw.Draw(picture), rng, hue, skyline)
        return picture

    def _plant(
        self, draw: ImageDraw.ImageDraw, rng: np.random.Generator, hue: float, skyline: np.ndarray
    ) -> None:
        for x in rng.integers(0, PANORAMA, 45):
            foot, tall = skyline[x] + 14, rng.uniform(22, 55)
            green = colour(hue + rng.uniform(-0.06, 0.06), 0.8, rng.uniform(0.2, 0.5))
            for part in range(3):
                top = foot - tall * (1 - part / 4)
                wide = tall * (0.12 + 0.06 * part)
                draw.polygon(
                    [(x, top), (x - wide, top + tall / 2.6), (x + wide, top + tall / 2.6)],
                    (*green, 255),
                )

    def draw(self, seconds: float) -> Image.Image:
        """A camera that travels sideways."""
        picture = self._sky.crop((round(4 * seconds), 0, round(4 * seconds) + WIDTH, HEIGHT))
        for near, ridge in enumerate(self._ridges):
            left = round(self._speed * seconds * (0.4 + 0.6 * near)) % (PANORAMA - WIDTH)
            layer = ridge.crop((left, 0, left + WIDTH, HEIGHT))
            picture.paste(layer, mask=layer.getchannel("A"))
        return picture


class Reef:
    """Under water: rays of light, a rough floor, weed that sways, fish and bubbles."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        hue = hue_of(seed)
        water = tint(
            np.linspace(0, 1, HEIGHT)[:, None] * 0.8 + 0.2 * noise(rng, SIZE, 3, 4),
            [colour(hue, 0.45, 0.95), colour(hue + 0.08, 0.9, 0.2)],
        )
        floor = noise(rng, SIZE, 10, 4)
        below = np.arange(HEIGHT)[:, None] > 150 - 25 * profile(rng, WIDTH, 4, 4)[None]
        sand = tint(floor, [colour(hue + 0.45, 0.7, 0.25), colour(hue + 0.5, 0.4, 0.95)])
        self._back = np.where(below[..., None], sand, water)
        self._fish = rng.uniform(0, 1, (16, 5))
        self._weed = rng.uniform(0, 1, (14, 3))
        self._hue = hue
        self._across, self._down = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))

    def draw(self, seconds: float) -> Image.Image:
        """Everything swims."""
        slant = (self._across + 0.6 * self._down) / 23
        rays = 22 * np.sin(slant + seconds) * np.sin(0.37 * slant - 0.6 * seconds)
        light = rays * (1 - self._down / HEIGHT)
        lit = np.clip(self._back + light[..., None], 0, 255)
        picture = Image.fromarray(lit.astype(np.uint8))
        draw = ImageDraw.Draw(picture)
        for number, (place, tall, dark) in enumerate(self._weed):
            self._sway(draw, place * WIDTH, 40 + 50 * tall, dark, seconds + number)
        for fish in self._fish:
            self._swim(draw, fish, seconds)
        return picture

    def _sway(
        self, draw: ImageDraw.ImageDraw, x: float, tall: float, dark: float, seconds: float
    ) -> None:
        stem = [
            (x + 10 * (k / 8) ** 2 * sin(1.7 * seconds + k / 2), HEIGHT - tall * k / 8)
            for k in range(9)
        ]
        draw.line(stem, colour(self._hue + 0.75 + 0.1 * dark, 0.8, 0.3 + 0.5 * dark), width=4)

    def _swim(self, draw: ImageDraw.ImageDraw, fish: np.ndarray, seconds: float) -> None:
        start, depth, speed, size, tone = fish
        way = 1 if speed > 0.4 else -1
        x = (start * 400 + way * (25 + 55 * speed) * seconds) % 400 - 40
        y, half = 20 + 115 * depth + 4 * sin(3 * seconds + 9 * start), 6 + 13 * size
        body = colour(self._hue + 0.3 + 0.5 * tone, 0.85, 1.0)
        tail = x - way * half
        wag = 3 * sin(9 * seconds + 20 * start)
        draw.polygon(
            [(tail, y), (tail - way * half * 0.7, y - half / 2 + wag),
             (tail - way * half * 0.7, y + half / 2 + wag)],
            body,
        )  # fmt: skip
        draw.ellipse((x - half, y - half / 2, x + half, y + half / 2), body, (20, 20, 30))
        draw.line((x, y - half / 2 + 1, x, y + half / 2 - 1), (250, 250, 250), 2)
        eye = x + way * half * 0.6
        draw.ellipse((eye - 1.5, y - 3, eye + 1.5, y), (10, 10, 10))
