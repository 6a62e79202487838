"""Videos that are alike and copy nothing: pages of one template, credits that roll, games.

Serves `page_alerts`. Two shows of a family have its template, and other words or another course.
"""

from collections.abc import Callable, Iterator
from enum import StrEnum
from random import Random

import numpy as np
from PIL import Image, ImageDraw

from models.training.edits.drawn_pages import KINDS, SIZE, drawn_page
from stream.demo.footage import FRAMES_PER_SECOND

# All set by hand.
PAGE_SECONDS = 5  # of each page, long enough for several samples and key frames
ROLLED = 0.95  # of that time a page takes to roll by: shows of other pages needn't keep step
TREES, PLAYERS = 8, 6  # of a game
TURN_SECONDS = 4  # after which a game's camera moves another way

Frames = Iterator[Image.Image]
Show = Callable[[str, int, int, int], Frames]
GAME = "game"


def still_pages(kind: str, family: int, side: int, pages: int) -> Frames:
    """Pages of a template, each for some seconds.

    Args:
        kind: a name in `KINDS`.
        family: of its templates.
        side: of a family; shows of two sides have no page in common.
        pages: of the show.
    """
    for page in range(side * pages, (side + 1) * pages):
        drawn = Image.fromarray(drawn_page(kind, family, page))
        yield from (drawn for _ in range(PAGE_SECONDS * FRAMES_PER_SECOND))


def moving_show(kind: str, family: int, side: int, pages: int) -> Frames:
    """The same pages, rolling by from below; or, of `GAME`, a match of a game."""
    if kind == GAME:
        return _game(family, side, pages)
    return _rolling(kind, family, side, pages)


class Shows(StrEnum):
    """What is drawn: pages that stand, or what moves."""

    still = "still"
    moving = "moving"


SHOWS: dict[Shows, tuple[Show, tuple[str, ...]]] = {
    Shows.still: (still_pages, tuple(KINDS)),
    Shows.moving: (moving_show, (*KINDS, GAME)),
}
"""How shows are drawn, and of which kinds there are any."""


def _rolling(kind: str, family: int, side: int, pages: int) -> Frames:
    numbers = range(side * pages, (side + 1) * pages)
    strip = np.vstack([drawn_page(kind, family, number) for number in numbers])
    height = SIZE[1]
    frames = round(pages * PAGE_SECONDS * FRAMES_PER_SECOND * ROLLED)
    for number in range(frames):
        top = (len(strip) - height) * number // frames
        yield Image.fromarray(np.ascontiguousarray(strip[top : top + height]))


def _game(family: int, side: int, pages: int) -> Frames:
    """A field, trees and players of the family's colours; who runs where is the match's own."""
    width, height = SIZE
    looks, course = Random(f"{GAME} {family}"), Random(f"{GAME} {family} {side}")
    sky, ground = _colour(looks), _colour(looks)
    horizon = looks.uniform(0.4, 0.7) * height
    trees = [(looks.uniform(0, width), looks.uniform(20, 70), _colour(looks)) for _ in range(TREES)]
    players = [(looks.uniform(12, 30), _colour(looks)) for _ in range(PLAYERS)]
    places = np.array(
        [[course.uniform(0, width), course.uniform(horizon, height)] for _ in players]
    )
    speeds = np.array([[course.gauss(0, 90), course.gauss(0, 40)] for _ in players])
    low, high = np.array([0.0, horizon]), np.array([width, height], np.float64)
    panned = camera = 0.0
    for number in range(pages * PAGE_SECONDS * FRAMES_PER_SECOND):
        if number % (TURN_SECONDS * FRAMES_PER_SECOND) == 0:
            camera = course.uniform(-60, 60)
        panned += camera / FRAMES_PER_SECOND
        places += speeds / FRAMES_PER_SECOND
        speeds += [[course.gauss(0, 25), course.gauss(0, 25)] for _ in players]
        speeds = np.where((places < low) | (places > high), -speeds, speeds)
        places = np.clip(places, low, high)
        picture = Image.new("RGB", SIZE, sky)
        draw = ImageDraw.Draw(picture)
        draw.rectangle((0, horizon, width, height), fill=ground)
        for at, size, colour in trees:
            x = (at + panned) % (width + 80) - 40
            corners = [(x, horizon - size), (x - size / 2, horizon), (x + size / 2, horizon)]
            draw.polygon(corners, fill=colour)
        for (x, y), (size, colour) in zip(places.tolist(), players, strict=True):
            draw.ellipse((x - size, y - size, x + size, y + size), fill=colour)
        yield picture


def _colour(random: Random) -> tuple[int, int, int]:
    return random.randrange(30, 226), random.randrange(30, 226), random.randrange(30, 226)
