"""Abstract scenes: plasma, a Julia set, curved tiles, a kaleidoscope, stained glass."""

from math import cos, pi, sin

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from stream.demo.paint import HEIGHT, SIZE, WIDTH, Shot, colour, hue_of, look, noise, tint

# The functions are worked out at every other pixel and enlarged: smooth as they are, nobody sees
# it, and a frame costs a quarter.
COARSE = (WIDTH // 2, HEIGHT // 2)


def _plane(size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates of every pixel, (height, width) each; y in [-1, 1], x in proportion."""
    width, height = size
    x, y = np.linspace(-width / height, width / height, width), np.linspace(-1, 1, height)
    across, down = np.meshgrid(x.astype(np.float32), y.astype(np.float32))
    return across, down


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


class Julia:
    """A Julia set whose constant travels, so that it unfolds."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        hue = hue_of(seed)
        self._angle, self._turn = rng.uniform(0, 2 * pi), rng.uniform(0.09, 0.16)
        self._zoom, self._spin = rng.uniform(0.8, 1.2), rng.uniform(-0.15, 0.15)
        across, down = _plane(COARSE)
        self._points = (across + 1j * down).astype(np.complex64)
        self._ramp = [
            colour(hue, 0.9, 0.08),
            colour(hue + 0.05, 0.8, 0.6),
            colour(hue + 0.35, 0.6, 1.0),
            colour(hue + 0.5, 0.3, 0.9),
            colour(hue + 0.6, 0.9, 0.25),
        ]

    def draw(self, seconds: float) -> Image.Image:
        """Zooming in while the shape changes."""
        angle = self._angle + self._turn * seconds
        constant = np.complex64(0.7885 * complex(cos(angle), sin(angle)))
        turned = complex(cos(self._spin * seconds), sin(self._spin * seconds))
        z = self._points * np.complex64(turned * self._zoom * 0.94**seconds * 1.3)
        steps = np.zeros(z.shape, np.float32)
        for _ in range(28):
            inside = np.abs(z) < 4
            z = np.where(inside, z * z + constant, z)
            steps += inside
        picture = Image.fromarray(tint((steps / 28) ** 0.6, self._ramp))
        return picture.resize(SIZE, Image.Resampling.BICUBIC)


class Tiles:
    """Quarter circles on a grid, turned at random into an endless ribbon."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        hue = hue_of(seed)
        side = int(rng.integers(28, 60))
        self._canvas = Image.new("RGB", (800, 560), colour(hue, 0.75, 0.3))
        draw = ImageDraw.Draw(self._canvas)
        inks = [colour(hue + shift, 0.8, 1.0) for shift in (0.13, 0.5, 0.62, 0.85)]
        for x in range(0, 800, side):
            for y in range(0, 560, side):
                if rng.random() < 0.3:
                    draw.rectangle((x, y, x + side, y + side), colour(hue + 0.4, 0.5, 0.55))
                ink = inks[int(rng.integers(len(inks)))]
                corners = [(x, y), (x + side, y + side)]
                if rng.random() < 0.5:
                    corners = [(x + side, y), (x, y + side)]
                for cx, cy in corners:
                    box = (cx - side / 2, cy - side / 2, cx + side / 2, cy + side / 2)
                    draw.ellipse(box, None, ink, max(4, side // 6))
        self._way = rng.uniform(-1, 1, 3)

    def draw(self, seconds: float) -> Image.Image:
        """A camera that slides and turns over the floor."""
        along, aside, turn = self._way
        start = Shot(400 - 130 * along, 280 - 60 * aside, 1.0, -20 * turn)
        end = Shot(400 + 130 * along, 280 + 60 * aside, 1.6, 30 * turn)
        return look(self._canvas, start, end, min(1.0, seconds / 8))


class Kaleidoscope:
    """A colourful texture seen through mirrors."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        hue = hue_of(seed)
        shapes = Image.fromarray(
            tint(noise(rng, (256, 256), 5, 3), [colour(hue, 1, 0.2), colour(hue + 0.2, 0.8, 1)])
        )
        draw = ImageDraw.Draw(shapes)
        for _ in range(70):
            points = rng.uniform(0, 256, 2) + rng.uniform(-34, 34, (3, 2))
            draw.polygon(
                [tuple(point) for point in points.tolist()],
                colour(hue + rng.choice([0.0, 0.3, 0.5, 0.7]), rng.uniform(0.4, 1), 1.0),
            )
        self._texture = np.asarray(shapes)
        across, down = _plane(SIZE)
        mirrors = 2 * pi / int(rng.integers(5, 10))
        angle = np.abs((np.arctan2(down, across) % mirrors) - mirrors / 2)
        radius = np.hypot(across, down)
        self._x, self._y = 120 * radius * np.cos(angle), 120 * radius * np.sin(angle)
        self._speed = rng.uniform(9, 20, 2) * rng.choice([-1, 1], 2)

    def draw(self, seconds: float) -> Image.Image:
        """The texture slides behind the mirrors."""
        x = (self._x + 128 + self._speed[0] * seconds).astype(np.intp) % 256
        y = (self._y + 128 + self._speed[1] * seconds).astype(np.intp) % 256
        return Image.fromarray(self._texture[y, x])


class StainedGlass:
    """Cells around points that drift, with lead between them."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        count = 34
        self._places = rng.uniform(-1, 1, (count, 2)) * (1.9, 1.1)
        self._drift = rng.uniform(-0.14, 0.14, (count, 2))
        hue = hue_of(seed)
        self._inks = np.asarray(
            [
                colour(hue + rng.choice([0, 0.1, 0.45, 0.6]), rng.uniform(0.3, 1), 1.0)
                for _ in range(count)
            ],
            np.float32,
        )
        self._across, self._down = (axis[..., None] for axis in _plane(COARSE))

    def draw(self, seconds: float) -> Image.Image:
        """The points drift and the panes follow."""
        places = (self._places + self._drift * seconds).astype(np.float32)
        away = (self._across - places[:, 0]) ** 2 + (self._down - places[:, 1]) ** 2
        near = np.argmin(away, axis=-1)
        shade = 1 - 0.9 * np.sqrt(np.take_along_axis(away, near[..., None], axis=-1))
        panes = Image.fromarray((self._inks[near] * np.clip(shade, 0, 1)).astype(np.uint8))
        lead = Image.fromarray((near * 7).astype(np.uint8)).filter(ImageFilter.FIND_EDGES)
        panes.paste((15, 12, 18), mask=lead.point(lambda value: 255 if value else 0))
        return panes.resize(SIZE, Image.Resampling.BICUBIC)
