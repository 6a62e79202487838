"""Scenes made in a studio: a business chart, a title card, a match from above, gears."""

from math import cos, pi, sin

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from stream.demo.paint import HEIGHT, SIZE, WIDTH, Shot, colour, gradient, hue_of, look, noise, tint

WORDS = ("HARVEST", "NORTHERN LINE", "FIVE O'CLOCK", "RIVER SONG", "PAPER MOON", "GRAND TOUR",
         "SECOND HALF", "OPEN HOUSE", "BLUE HOUR")  # fmt: skip
MEASURES = ("Rainfall, mm", "Visitors", "Kilowatt hours", "Books lent", "Trains on time, %")


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


class TitleCard:
    """Big words and bouncing shapes before moving stripes."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self._hue = hue_of(seed)
        self._words = WORDS[seed % len(WORDS)]
        self._stripe = int(rng.integers(18, 44))
        self._shapes = rng.uniform(0, 1, (11, 6))
        self._across, self._down = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
        self._slope = rng.uniform(-1.2, 1.2)
        self._bright = rng.uniform(0.3, 0.9)

    def draw(self, seconds: float) -> Image.Image:
        """Shapes bounce off the edges, the words slide in."""
        along = self._across + self._slope * self._down + 30 * seconds
        band = (along // self._stripe) % 3 / 2
        ramp = [colour(self._hue + s, 0.6, self._bright) for s in (0, 0.06, 0.16)]
        picture = Image.fromarray(tint(band, ramp))
        draw = ImageDraw.Draw(picture)
        for shape in self._shapes:
            self._bounce(draw, shape, seconds)
        font = ImageFont.load_default(36)
        wide = draw.textlength(self._words, font)
        x = (WIDTH - wide) / 2 + 200 * max(0.0, 1 - seconds) ** 2 + 6 * sin(seconds)
        draw.text((x + 3, 71), self._words, (0, 0, 0), font)
        draw.text((x, 68), self._words, (255, 255, 255), font)
        return picture

    def _bounce(self, draw: ImageDraw.ImageDraw, shape: np.ndarray, seconds: float) -> None:
        place_x, place_y, speed_x, speed_y, size, tone = shape
        x = WIDTH * (1 - abs((place_x + 0.3 * speed_x * seconds) % 2 - 1))
        y = HEIGHT * (1 - abs((place_y + 0.5 * speed_y * seconds) % 2 - 1))
        ink = colour(self._hue + 0.35 + 0.4 * tone, 0.9, 1.0)
        sides = 3 + int(9 * tone) % 4
        draw.regular_polygon((x, y, 12 + 26 * size), sides, round(60 * seconds), ink, (25, 25, 25))


class Match:
    """A ball game from above: mown stripes, chalk lines, two teams and a running clock."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        hue = hue_of(seed)
        size = (520, 300)
        grass = noise(rng, size, 40, 2) * 0.3 + (np.arange(520) // 40 % 2)[None] * 0.6
        self._pitch = Image.fromarray(
            tint(grass, [colour(hue, 0.75, 0.35), colour(hue, 0.6, 0.72)])
        )
        draw = ImageDraw.Draw(self._pitch)
        chalk = (240, 240, 235)
        draw.rectangle((20, 20, 500, 280), None, chalk, 3)
        draw.line((260, 20, 260, 280), chalk, 3)
        draw.ellipse((215, 105, 305, 195), None, chalk, 3)
        for left, right in ((20, 90), (430, 500)):
            draw.rectangle((left, 80, right, 220), None, chalk, 3)
        self._teams = colour(hue + 0.3, 0.9, 1.0), colour(hue + 0.66, 0.9, 0.9)
        self._players = rng.uniform(0, 1, (22, 4))
        self._minute = int(rng.integers(1, 80))
        self._phase = rng.uniform(0, 2 * pi)

    def draw(self, seconds: float) -> Image.Image:
        """The camera follows the ball."""
        picture = self._pitch.copy()
        draw = ImageDraw.Draw(picture)
        for number, (x, y, swing, tempo) in enumerate(self._players):
            turn = 6 * x + (0.5 + tempo) * seconds
            px, py = 40 + 440 * x + 30 * cos(turn), 35 + 230 * y + 30 * swing * sin(turn)
            draw.ellipse((px - 7, py - 4, px + 9, py + 9), (20, 50, 20))
            draw.ellipse((px - 7, py - 7, px + 7, py + 7), self._teams[number % 2], (20, 20, 20))
        turn = self._phase + 0.5 * seconds
        bx, by = 260 + 130 * cos(turn), 150 + 85 * sin(1.7 * turn)
        draw.ellipse((bx - 4, by - 4, bx + 4, by + 4), (255, 255, 255), (0, 0, 0))
        shot = Shot(min(max(bx, 145), 375), min(max(by, 85), 215), 1.12)
        seen = look(picture, shot, shot, 0)
        board = ImageDraw.Draw(seen)
        board.rectangle((8, 8, 112, 27), (15, 15, 30))
        clock = f"{self._minute + int(seconds) // 60}:{int(seconds * 4) % 60:02d}  2 : 1"
        board.text((13, 10), clock, (255, 255, 255), ImageFont.load_default(13))
        return seen


class Gears:
    """A train of gears turning on drawing paper."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self._hue = hue_of(seed)
        paper = [colour(self._hue, 0.75, 0.25), colour(self._hue, 0.6, 0.5)]
        self._paper = Image.fromarray(tint(noise(rng, SIZE, 3, 4), paper))
        draw = ImageDraw.Draw(self._paper)
        for x in range(0, WIDTH, 16):
            draw.line((x, 0, x, HEIGHT), colour(self._hue, 0.4, 0.6))
        for y in range(0, HEIGHT, 16):
            draw.line((0, y, WIDTH, y), colour(self._hue, 0.4, 0.6))
        self._teeth = [int(n) for n in rng.integers(8, 22, 6)]
        self._tilt = rng.uniform(-0.9, 0.9, 6)
        self._start = float(rng.uniform(10, 50)), float(rng.uniform(60, 120))

    def draw(self, seconds: float) -> Image.Image:
        """Each gear drives the next one the other way."""
        picture = self._paper.copy()
        draw = ImageDraw.Draw(picture)
        x, y = self._start
        for number, teeth in enumerate(self._teeth):
            radius, way = 3.0 * teeth, 1 if number % 2 else -1
            self._gear(draw, x, y, teeth, way * 12 * seconds / teeth, number)
            follow = self._teeth[(number + 1) % len(self._teeth)]
            reach = radius + 3.0 * follow
            x, y = x + reach * cos(self._tilt[number]), y + reach * sin(self._tilt[number])
            if not 15 < y < HEIGHT - 15:
                y = HEIGHT / 2
        return picture

    def _gear(
        self, draw: ImageDraw.ImageDraw, x: float, y: float, teeth: int, angle: float, number: int
    ) -> None:
        radius, metal = 3.0 * teeth, colour(self._hue + 0.4 + 0.1 * number, 0.6, 0.95)
        rim = []
        for k in range(4 * teeth):
            reach = radius + (4 if k % 4 < 2 else -3)
            turn = angle + 2 * pi * k / (4 * teeth)
            rim.append((x + reach * cos(turn), y + reach * sin(turn)))
        draw.polygon(rim, metal, (20, 20, 25))
        for k in range(5):
            turn = angle + 2 * pi * k / 5
            hx, hy, hole = x + 0.55 * radius * cos(turn), y + 0.55 * radius * sin(turn), radius / 6
            draw.ellipse((hx - hole, hy - hole, hx + hole, hy + hole), (30, 30, 40))
        draw.ellipse((x - 5, y - 5, x + 5, y + 5), (245, 245, 245), (20, 20, 20))
