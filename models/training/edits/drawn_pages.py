"""Draws pages of one template that differ in their words alone: what copies are taken for.

Slides, credits, code, chess, charts and chats: two pages of a family share layout, colours, fonts
and drawings, and are not the same page. The encoder learns them as each other's negatives.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from models.training.workers import spread
from models.video.frames import prepare

SIZE = (480, 270)  # pixels, 16:9: legible letters, which the encoder's square then shrinks
PLAIN = "plain"  # the font that Pillow ships
FONTS = (
    PLAIN, "DejaVuSans", "DejaVuSans-Bold", "DejaVuSerif", "STIXGeneral", "cmr10", "DejaVuSansMono",
)  # fmt: skip
SYLLABLES = (
    "ra", "ne", "tion", "lo", "mi", "ster", "ka", "pro", "en", "du", "al", "cer", "vi", "to", "sha",
    "qu", "ing", "be", "or", "ma", "li", "gen", "su", "per", "no", "ta", "ex", "fo", "ri", "wa",
)  # fmt: skip
Draw = ImageDraw.ImageDraw
Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Template:
    """What all pages of a family share.

    Attributes:
        ground: colour behind everything.
        ink: colour of the words.
        accent: colour of bars, marks and pieces.
        font: a name in `FONTS`.
        seed: of the family's layout.
    """

    ground: Colour
    ink: Colour
    accent: Colour
    font: str
    seed: int

    def sized(
        self, size: float, font: str | None = None
    ) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
        """The family's font, or another one, at a size in pixels."""
        if (font or self.font) == PLAIN:
            return ImageFont.load_default(size=size)
        import matplotlib  # here: it takes long to load, and few processes draw pages

        folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
        return ImageFont.truetype(folder / f"{font or self.font}.ttf", size)


def slide(draw: Draw, template: Template, random: Random) -> None:
    """A title, bullets, sometimes a box or a foot line."""
    layout = Random(template.seed)
    width, height = SIZE
    size = layout.uniform(20, 34)
    if layout.random() < 0.5:
        draw.rectangle((0, 0, width, size * 1.8), fill=template.accent)
    left = layout.uniform(0.04, 0.2) * width
    draw.text((left, 0.35 * size), _title(random), fill=template.ink, font=template.sized(size))
    small = layout.uniform(11, 19)
    step, mark = small * layout.uniform(1.4, 2.1), layout.choice(("•", "–", "▸", ""))
    right = layout.uniform(0.55, 0.95) * width
    for line in range(random.randint(3, 8)):
        y = size * 2.3 + line * step
        if y > height - 1.5 * small:
            break
        words = f"{mark} {_sentence(random, right - left, small)}"
        draw.text((left, y), words, fill=template.ink, font=template.sized(small))
    if layout.random() < 0.4:
        box = (0.66 * width, 0.4 * height, 0.95 * width, 0.82 * height)
        draw.rectangle(box, outline=template.accent, width=3)
        for _ in range(random.randint(2, 5)):
            x, y = random.uniform(0.68, 0.85) * width, random.uniform(0.43, 0.7) * height
            draw.ellipse((x, y, x + 30, y + 20), fill=template.accent)
    foot = (0.04 * width, height - 14)
    draw.text(foot, "samesource", fill=template.accent, font=template.sized(10))


def credits(draw: Draw, template: Template, random: Random) -> None:
    """Names in the middle, or roles to the left of names."""
    layout = Random(template.seed)
    size = layout.uniform(10, 18)
    columns = layout.random() < 0.6
    y = layout.uniform(0, 20) + random.uniform(-8, 8)
    while y < SIZE[1]:
        if random.random() < 0.2:
            y += size
        elif columns:
            font, middle = template.sized(size), SIZE[0] / 2
            draw.text((middle - 8, y), _name(random), fill=template.accent, font=font, anchor="ra")
            draw.text((middle + 8, y), _name(random), fill=template.ink, font=font)
        else:
            words = _name(random)
            draw.text(
                (SIZE[0] / 2, y), words, fill=template.ink, font=template.sized(size), anchor="ma"
            )
        y += size * 1.5


def code(draw: Draw, template: Template, random: Random) -> None:
    """An editor: numbered lines, indented, in a few colours."""
    layout = Random(template.seed)
    size = layout.uniform(9, 14)
    font, words = template.sized(size, "DejaVuSansMono"), layout.random() < 0.6
    inks = (template.ink, template.accent, _any_colour(layout), _any_colour(layout))
    draw.rectangle((0, 0, 3 * size, SIZE[1]), fill=_nearer(template.ground, template.ink))
    indent, first = 0, random.randint(1, 400)
    for line in range(int(SIZE[1] / (1.4 * size))):
        y = line * 1.4 * size
        draw.text((2, y), str(first + line), fill=template.accent, font=font)
        indent = max(0, min(5, indent + random.choice((-1, -1, 0, 0, 0, 1, 1))))
        x = 4 * size + indent * 2 * size
        for _ in range(random.choice((0, 1, 2, 3, 4, 5))):
            word = random.choice(("", "_", "(", "= ", ".")) + _word(random)
            fill, end = random.choice(inks), x + 0.62 * size * len(word)
            if words:
                draw.text((x, y), word, fill=fill, font=font)
            else:  # too small to read: blocks
                draw.rectangle((x, y, end, y + 0.6 * size), fill=fill)
            x = end + 0.62 * size


def chess(draw: Draw, template: Template, random: Random) -> None:
    """A board with men on some squares; letters beside it."""
    layout = Random(template.seed)
    side = layout.uniform(0.8, 1.0) * SIZE[1] / 8
    left = layout.choice((0.0, (SIZE[0] - 8 * side) / 2))
    dark, light = template.accent, _nearer(template.accent, (255, 255, 255))
    men, discs = template.sized(0.85 * side, "DejaVuSans"), layout.random() < 0.4
    for row in range(8):
        for column in range(8):
            x, y = left + column * side, row * side
            fill = dark if (row + column) % 2 else light
            draw.rectangle((x, y, x + side, y + side), fill=fill)
            if random.random() > 0.35:
                continue
            if discs:
                inner = (x + 0.2 * side, y + 0.2 * side, x + 0.8 * side, y + 0.8 * side)
                draw.ellipse(inner, fill=random.choice(("black", "white")), outline="grey")
            else:
                man = random.choice("♔♕♖♗♘♙♚♛♜♝♞♟")
                draw.text((x + 0.08 * side, y - 0.05 * side), man, fill=(10, 10, 10), font=men)
    for line in range(8):
        place = (left + 8.4 * side, 8 + line * 0.9 * side)
        draw.text(place, _word(random), fill=template.ink, font=template.sized(0.45 * side))


def chart(draw: Draw, template: Template, random: Random) -> None:
    """A title, axes, and bars or a line."""
    layout = Random(template.seed)
    width, height = SIZE
    title = template.sized(layout.uniform(14, 24))
    draw.text((width / 2, 6), _title(random), fill=template.ink, font=title, anchor="ma")
    left, floor, top = 0.1 * width, 0.88 * height, 0.2 * height
    draw.line((left, top, left, floor, 0.95 * width, floor), fill=template.ink, width=2)
    count = layout.randint(5, 14)
    step = 0.85 * width / count
    heights = [floor - random.random() * (floor - top) for _ in range(count)]
    if layout.random() < 0.5:
        for at, level in enumerate(heights):
            x = left + (at + 0.15) * step
            draw.rectangle((x, level, x + 0.7 * step, floor), fill=template.accent)
    else:
        places = [(left + (at + 0.5) * step, level) for at, level in enumerate(heights)]
        draw.line(places, fill=template.accent, width=3)
    for at in range(count):
        place = (left + (at + 0.1) * step, floor + 4)
        draw.text(place, _word(random)[:5], fill=template.ink, font=template.sized(9))


def chat(draw: Draw, template: Template, random: Random) -> None:
    """A table of messages: bubbles to the left and right."""
    layout = Random(template.seed)
    size = layout.uniform(10, 15)
    bubble = _nearer(template.ground, template.accent)
    y = size
    while y < SIZE[1] - 2 * size:
        lines, wide = random.randint(1, 3), random.uniform(0.25, 0.55) * SIZE[0]
        left = 0.04 * SIZE[0] if random.random() < 0.5 else 0.96 * SIZE[0] - wide
        box = (left, y, left + wide, y + (lines + 0.8) * 1.3 * size)
        draw.rounded_rectangle(box, radius=6, fill=bubble)
        for line in range(lines):
            place = (left + 6, y + (line + 0.2) * 1.3 * size)
            words = _sentence(random, wide - 12, size)
            draw.text(place, words, fill=template.ink, font=template.sized(size))
        y = box[3] + 0.6 * size


KINDS: dict[str, Callable[[Draw, Template, Random], None]] = {
    "slide": slide,
    "credits": credits,
    "code": code,
    "chess": chess,
    "chart": chart,
    "chat": chat,
}


def template_of(kind: str, family: int) -> Template:
    """The look of a family: light on dark or dark on light, one accent, one font."""
    random = Random(f"{kind} {family}")
    dark = kind == "credits" or random.random() < 0.45
    low: Colour = (random.randrange(70), random.randrange(70), random.randrange(70))
    high: Colour = (
        255 - random.randrange(60),
        255 - random.randrange(60),
        255 - random.randrange(60),
    )
    if kind == "credits" and random.random() < 0.7:
        low = (0, 0, 0)
    ground, ink = (low, high) if dark else (high, low)
    return Template(ground, ink, _any_colour(random), random.choice(FONTS), random.getrandbits(32))


def drawn_page(kind: str, family: int, number: int) -> NDArray[np.uint8]:
    """One page: (H, W, 3) uint8.

    Args:
        kind: a name in `KINDS`.
        family: pages of one family have one template.
        number: of the page in its family; another number has other words.
    """
    template = template_of(kind, family)
    picture = Image.new("RGB", SIZE, template.ground)
    KINDS[kind](ImageDraw.Draw(picture), template, Random(f"{kind} {family} {number}"))
    return np.asarray(picture)


def page_families(
    families: range, pages: int, side: int, workers: int = 1
) -> list[list[NDArray[np.uint8]]]:
    """Families of every kind, their pages as squares.

    Args:
        families: their numbers, of each kind.
        pages: in a family.
        side: S.
        workers: processes that draw.

    Returns:
        For each family, its pages, (S, S, 3) uint8.
    """
    wanted = [
        (kind, family, page, side) for kind in KINDS for family in families for page in range(pages)
    ]
    drawn = spread(_square, wanted, workers)
    return [drawn[at : at + pages] for at in range(0, len(drawn), pages)]


def _square(wanted: tuple[str, int, int, int]) -> NDArray[np.uint8]:
    kind, family, number, side = wanted
    return prepare(drawn_page(kind, family, number), side)


def _word(random: Random) -> str:
    return "".join(random.choice(SYLLABLES) for _ in range(random.choice((1, 1, 2, 2, 3, 4))))


def _title(random: Random) -> str:
    return " ".join(_word(random) for _ in range(random.randint(1, 4))).capitalize()


def _name(random: Random) -> str:
    return " ".join(_word(random).capitalize() for _ in range(random.choice((1, 2, 2, 3))))


def _sentence(random: Random, width: float, size: float) -> str:
    """Words up to about a width in pixels, some lines shorter."""
    letters, words = random.uniform(0.4, 1.0) * width / (0.55 * size), _word(random)
    while len(words) < letters - 6:
        words += " " + _word(random)
    return words


def _nearer(one: Colour, other: Colour) -> Colour:
    """A colour a third of the way to another."""
    red, green, blue = (round(a + (b - a) / 3) for a, b in zip(one, other, strict=True))
    return (red, green, blue)


def _any_colour(random: Random) -> Colour:
    return (random.randrange(256), random.randrange(256), random.randrange(256))
