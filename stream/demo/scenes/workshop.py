"""Scenes of made things: newspaper, circuit board, ball on a floor, tunnel, curves, lights."""

from math import cos, pi, sin

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

from stream.demo.paint import HEIGHT, SIZE, WIDTH, Shot, colour, gradient, hue_of, look, noise, tint

HEADLINES = ("OLD BRIDGE REOPENS", "RECORD APPLE CROP", "NIGHT TRAIN RETURNS")


class Newspaper:
    """Columns of print, headlines and pictures; the camera reads along."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        size = (640, 520)
        paper = tint(noise(rng, size, 30, 3), [(214, 205, 186), (240, 234, 220)])
        self._page = Image.fromarray(paper)
        draw = ImageDraw.Draw(self._page)
        headline = HEADLINES[seed % len(HEADLINES)]
        draw.text((30, 20), headline, (25, 25, 25), ImageFont.load_default(52))
        draw.line((30, 88, 610, 88), (25, 25, 25), 4)
        for column in range(5):
            left = 30 + 118 * column
            y = 104
            while y < 505:
                if rng.random() < 0.06 and y < 400:
                    photo = tint(noise(rng, (104, 76), 3, 5), [(20, 20, 20), (225, 225, 225)])
                    self._page.paste(Image.fromarray(photo), (left, y))
                    y += 84
                    continue
                wide = 104 if rng.random() < 0.85 else int(rng.integers(20, 90))
                self._line(draw, rng, left, y, wide)
                y += 8
        self._way = rng.uniform(-1, 1, 2)

    def _line(
        self, draw: ImageDraw.ImageDraw, rng: np.random.Generator, left: int, y: int, wide: int
    ) -> None:
        x = left
        while x < left + wide:
            word = min(int(rng.integers(4, 20)), left + wide - x)
            draw.rectangle((x, y, x + word, y + 3), (70, 68, 66))
            x += word + 4

    def draw(self, seconds: float) -> Image.Image:
        """From the headline down into the columns."""
        along, turn = self._way
        start, end = Shot(320, 110, 0.75, -4 * turn), Shot(320 + 150 * along, 380, 1.5, 8 * turn)
        return look(self._page, start, end, min(1.0, seconds / 8))


class Circuit:
    """Chips and traces on a board, with signals that run along them."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self._hue = hue_of(seed)
        board = [colour(self._hue, 0.9, 0.16), colour(self._hue, 0.85, 0.34)]
        self._board = Image.fromarray(tint(noise(rng, SIZE, 4, 3), board))
        draw = ImageDraw.Draw(self._board)
        self._traces = [self._trace(rng) for _ in range(46)]
        for trace in self._traces:
            draw.line(trace, colour(self._hue + 0.08, 0.6, 0.75), 2)
            for x, y in (trace[0], trace[-1]):
                draw.ellipse((x - 4, y - 4, x + 4, y + 4), (230, 200, 120), (60, 50, 30))
        for _ in range(6):
            x, y = int(rng.integers(10, WIDTH - 80)), int(rng.integers(10, HEIGHT - 60))
            self._chip(draw, x, y, int(rng.integers(34, 76)), int(rng.integers(22, 48)))

    def _trace(self, rng: np.random.Generator) -> list[tuple[float, float]]:
        """A path of level, slanted and level pieces, in pixels."""
        x, y = rng.uniform(0, WIDTH), rng.uniform(0, HEIGHT)
        points = [(x, y)]
        for piece in range(3):
            step = rng.uniform(15, 70) * rng.choice([-1, 1])
            x, y = x + step, y + (abs(step) * rng.choice([-1, 1]) if piece == 1 else 0)
            points.append((x, y))
        return points

    def _chip(self, draw: ImageDraw.ImageDraw, x: int, y: int, wide: int, tall: int) -> None:
        for pin in range(x + 3, x + wide - 2, 7):
            draw.rectangle((pin, y - 5, pin + 3, y + tall + 5), (200, 200, 205))
        draw.rectangle((x, y, x + wide, y + tall), (28, 28, 32), (70, 70, 76))
        draw.text((x + 5, y + tall / 2 - 6), f"SX{wide}{tall}", (190, 190, 190))

    def draw(self, seconds: float) -> Image.Image:
        """Every trace carries a pulse; the camera comes closer."""
        picture = self._board.copy()
        draw = ImageDraw.Draw(picture)
        for number, trace in enumerate(self._traces):
            place = (0.7 * seconds + 0.37 * number) % 3
            piece, part = int(place), place % 1
            (x0, y0), (x1, y1) = trace[piece], trace[piece + 1]
            x, y = x0 + part * (x1 - x0), y0 + part * (y1 - y0)
            glow = colour(self._hue + 0.5 + 0.02 * number, 0.5, 1.0)
            draw.ellipse((x - 5, y - 5, x + 5, y + 5), glow)
        start, end = Shot(WIDTH / 2, HEIGHT / 2), Shot(WIDTH * 0.58, HEIGHT * 0.45, 1.35, 6)
        return look(picture, start, end, min(1.0, seconds / 8))


class BouncingBall:
    """A chequered ball on a chequered floor, with its shadow."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self._hue = hue_of(seed)
        self._wall = gradient((WIDTH, 90), [(40, 40, 60), colour(self._hue, 0.3, 0.8)])
        down = np.arange(1, 91)[:, None]
        self._depth = 110 / down
        self._across = (np.arange(WIDTH)[None] - WIDTH / 2) / down
        self._inks = np.asarray([colour(self._hue, 0.75, 0.9), (245, 245, 245)])
        self._tempo, self._start = rng.uniform(0.6, 0.9), rng.uniform(0, 2)
        span = np.linspace(-1, 1, 76)
        x, y = np.meshgrid(span, span)
        self._inside = Image.fromarray(((x**2 + y**2 < 1) * 255).astype(np.uint8))
        z = np.sqrt(np.clip(1 - x**2 - y**2, 0, 1))
        self._turn, self._rise = np.arctan2(x, z), np.arcsin(np.clip(y, -1, 1))
        self._light = (0.35 + 0.65 * z)[..., None]

    def draw(self, seconds: float) -> Image.Image:
        """It bounces from wall to wall and spins; the floor rolls by."""
        tiles = (np.floor(2.2 * self._across) + np.floor(2 * self._depth + 1.5 * seconds)) % 2
        picture = Image.new("RGB", SIZE)
        picture.paste(self._wall, (0, 0))
        floor = self._inks[tiles.astype(np.intp)] * np.clip(1.6 / self._depth, 0.3, 1)[..., None]
        picture.paste(Image.fromarray(floor.astype(np.uint8)), (0, 90))
        x = 45 + 230 * (1 - abs((self._start + 0.28 * seconds) % 2 - 1))
        y = 122 - 85 * abs(sin(pi * self._tempo * seconds))
        ImageDraw.Draw(picture).ellipse((x - 30, 146, x + 38, 162), (30, 30, 35))
        checks = (np.floor((self._turn + 2 * seconds) * 2.6) + np.floor(self._rise * 2.6)) % 2
        inks = np.asarray([colour(self._hue + 0.45, 0.9, 0.9), (250, 250, 250)])
        ball = (inks[checks.astype(np.intp)] * self._light).astype(np.uint8)
        picture.paste(Image.fromarray(ball), (round(x) - 38, round(y) - 38), self._inside)
        return picture


class Tunnel:
    """Flying through a winding tube with painted panels."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        hue = hue_of(seed)
        panels = tint(rng.random((64, 16)), [colour(hue + s, 0.8, 0.9) for s in (0, 0.15, 0.5)])
        self._texture = np.kron(panels, np.ones((4, 4, 1), np.uint8))
        self._texture[::4] = 20
        self._texture[:, ::4] = 20
        across, down = np.arange(WIDTH, dtype=np.float32), np.arange(HEIGHT, dtype=np.float32)
        self._across, self._down = np.meshgrid(across - WIDTH / 2, down - HEIGHT / 2)
        self._spin = rng.uniform(-6, 6)

    def draw(self, seconds: float) -> Image.Image:
        """The far end wanders; the panels rush past."""
        x = self._across - 70 * sin(0.7 * seconds)
        y = self._down - 32 * cos(0.9 * seconds)
        radius = np.hypot(x, y) + 3
        along = (900 / radius + 22 * seconds).astype(np.intp) % 256
        around = ((np.arctan2(y, x) / (2 * pi) * 64) + self._spin * seconds).astype(np.intp) % 64
        light = np.clip(radius / 95, 0.05, 1)[..., None]
        return Image.fromarray(
            (self._texture[along, around] * light.astype(np.float32)).astype(np.uint8)
        )


class Spirograph:
    """Looping curves that a pen draws in several inks."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        hue = hue_of(seed)
        self._paper = gradient(SIZE, [colour(hue, 0.08, 1.0), colour(hue, 0.2, 0.88)])
        self._inks = [colour(hue + 0.2 * k, 0.9, 0.75) for k in range(5)]
        turns = rng.permutation(np.array([3, 5, 7, 8, 11]))
        pens = rng.uniform(0.35, 0.9, 5)
        angle = np.linspace(0, 2 * pi, 900)
        self._curves = [
            [
                (x, y)
                for x, y in zip(
                    WIDTH / 2 + 60 * (np.cos(angle) + pen * np.cos(turn * angle)),
                    HEIGHT / 2 + 46 * (np.sin(angle) - pen * np.sin(turn * angle)),
                    strict=True,
                )
            ]
            for turn, pen in zip(turns.tolist(), pens.tolist(), strict=True)
        ]

    def draw(self, seconds: float) -> Image.Image:
        """Each ink starts when the one before is half way."""
        picture = self._paper.copy()
        draw = ImageDraw.Draw(picture)
        for number, (ink, curve) in enumerate(zip(self._inks, self._curves, strict=True)):
            shown = int(np.clip(450 * (seconds + 1 - 0.9 * number), 0, len(curve)))
            if shown > 1:
                draw.line(curve[:shown], ink, 3)
                x, y = curve[shown - 1]
                draw.ellipse((x - 5, y - 5, x + 5, y + 5), ink, (20, 20, 20))
        return picture


class Bokeh:
    """Lights of a street, far out of focus, that pass and overlap."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self._hue = hue_of(seed)
        self._lights = rng.uniform(0, 1, (34, 6))
        self._back = gradient(SIZE, [colour(self._hue, 0.7, 0.06), colour(self._hue, 0.6, 0.3)])

    def draw(self, seconds: float) -> Image.Image:
        """Larger lights are nearer and faster."""
        whole = self._back
        for part in range(3):
            layer = Image.new("RGB", SIZE)
            draw = ImageDraw.Draw(layer)
            for x, y, near, tone, strength, sway in self._lights[part::3]:
                radius = 8 + 26 * near
                across = ((x + 0.09 * (near - 0.4) * seconds) % 1.2 - 0.1) * WIDTH
                down = y * HEIGHT + 6 * sin(seconds + 6 * sway)
                ink = colour(self._hue + 0.3 * tone, 0.75, 0.35 + 0.45 * strength)
                box = (across - radius, down - radius, across + radius, down + radius)
                draw.ellipse(box, ink, tuple(min(255, c + 60) for c in ink))
            whole = ImageChops.add(whole, layer)
        return whole.filter(ImageFilter.BoxBlur(1))
