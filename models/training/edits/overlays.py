"""Edits that put something over or around a picture: bars, windows, captions, logos.

The other edits, and the table that chooses among all, are in `models/training/edits/pictures.py`.
"""

from random import Random

from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps

Picture = Image.Image

# Samples of several scripts; the font that Pillow ships draws those it has, boxes for the others.
TEXTS = (
    "SUBSCRIBE for more", "breaking news", "© all rights", "www.example.org", "LIVE 20:45",
    "Что это было?", "¿Qué pasó aquí?", "Ελληνικά", "今天的视频", "동영상", "ビデオ", "مرحبا",
    "part 2/7", "@somebody", "WOW!!! :-)", "follow + like", "100% REAL", "lorem ipsum dolor",
)  # fmt: skip


def border(picture: Picture, random: Random, _other: Picture) -> Picture:
    """Bars or a frame of one colour."""
    width, height = picture.size
    x, y = random.choice(((0, 1), (1, 0), (1, 1)))
    bars = (
        round(width * x * random.uniform(0.05, 0.35)),
        round(height * y * random.uniform(0.05, 0.35)),
    )
    fill = random.choice(((0, 0, 0), (255, 255, 255), _any_colour(random)))
    return ImageOps.expand(picture, (*bars, *bars), fill)


def blurred_sides(picture: Picture, random: Random, other: Picture) -> Picture:
    """A wide picture in a tall frame (or the reverse) over a blurred fill of itself or another."""
    width, height = picture.size
    if random.random() < 0.7:
        frame = (width, round(height * random.uniform(1.4, 3.0)))
    else:
        frame = (round(width * random.uniform(1.3, 2.2)), height)
    fill = (picture if random.random() < 0.7 else other).resize(frame, Image.Resampling.BILINEAR)
    fill = fill.filter(ImageFilter.GaussianBlur(random.uniform(4, 12)))
    fill.paste(picture, ((frame[0] - width) // 2, (frame[1] - height) // 2))
    return fill


def inset_in_other(picture: Picture, random: Random, other: Picture) -> Picture:
    """The picture plays in a window over other footage."""
    side = random.uniform(0.4, 0.85)
    size = (max(8, round(other.width * side)), max(8, round(other.height * side)))
    base = other.copy()
    base.paste(
        picture.resize(size, Image.Resampling.BILINEAR),
        (random.randint(0, base.width - size[0]), random.randint(0, base.height - size[1])),
    )
    return base


def other_inset(picture: Picture, random: Random, other: Picture) -> Picture:
    """Another picture plays in a window over this one: a reaction, a facecam."""
    side = random.uniform(0.2, 0.5)
    size = (max(8, round(picture.width * side)), max(8, round(picture.height * side)))
    small = other.resize(size, Image.Resampling.BILINEAR)
    place = (
        random.randint(0, picture.width - size[0]),
        random.randint(0, picture.height - size[1]),
    )
    base = picture.copy()
    if random.random() < 0.3:
        mask = Image.new("L", size, 0)
        ImageDraw.Draw(mask).ellipse((0, 0, *size), fill=255)
        base.paste(small, place, mask)
    else:
        base.paste(small, place)
    return base


def side_by_side(picture: Picture, random: Random, other: Picture) -> Picture:
    """A split screen with other footage."""
    beside = other.resize(picture.size, Image.Resampling.BILINEAR)
    pair = (picture, beside) if random.random() < 0.5 else (beside, picture)
    width, height = picture.size
    if random.random() < 0.5:
        screen = Image.new("RGB", (2 * width, height))
        screen.paste(pair[1], (width, 0))
    else:
        screen = Image.new("RGB", (width, 2 * height))
        screen.paste(pair[1], (0, height))
    screen.paste(pair[0], (0, 0))
    return screen


def blend(picture: Picture, random: Random, other: Picture) -> Picture:
    """A ghost of other footage over it, or the edge of a cross-fade."""
    ghost = other.resize(picture.size, Image.Resampling.BILINEAR)
    return Image.blend(picture, ghost, random.uniform(0.1, 0.4))


def text(picture: Picture, random: Random, _other: Picture) -> Picture:
    """One to four captions anywhere, with or without a plate."""
    picture = picture.copy()
    draw = ImageDraw.Draw(picture)
    for _ in range(random.randint(1, 4)):
        font = ImageFont.load_default(size=random.uniform(0.06, 0.2) * picture.height)
        place = (
            random.randint(-10, max(0, picture.width // 2)),
            random.randint(0, max(0, picture.height - 12)),
        )
        _caption(draw, place, random, font)
    return picture


def subtitle(picture: Picture, random: Random, _other: Picture) -> Picture:
    """A line or two at the bottom."""
    picture = picture.copy()
    draw = ImageDraw.Draw(picture)
    size = random.uniform(0.06, 0.1) * picture.height
    font = ImageFont.load_default(size=size)
    for line in range(random.randint(1, 2)):
        y = picture.height - (line + 1.4) * 1.25 * size
        _caption(draw, (round(picture.width * random.uniform(0.05, 0.25)), round(y)), random, font)
    return picture


def logo(picture: Picture, random: Random, _other: Picture) -> Picture:
    """One to five flat shapes, as logos, stickers and emoji are."""
    picture = picture.copy()
    draw = ImageDraw.Draw(picture)
    for _ in range(random.randint(1, 5)):
        side = random.uniform(0.08, 0.28) * min(picture.size)
        x = random.uniform(0, max(1, picture.width - side))
        y = random.uniform(0, max(1, picture.height - side))
        box = (x, y, x + side, y + side * random.uniform(0.5, 1.0))
        shape = random.choice((draw.ellipse, draw.rectangle, draw.rounded_rectangle))
        shape(box, fill=_any_colour(random), outline=_any_colour(random), width=2)
    return picture


def _caption(
    draw: ImageDraw.ImageDraw,
    place: tuple[int, int],
    random: Random,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    words = random.choice(TEXTS)
    fill = random.choice(((255, 255, 255), (255, 230, 0), (0, 0, 0), _any_colour(random)))
    if random.random() < 0.3:
        draw.rectangle(draw.textbbox(place, words, font=font), fill=_any_colour(random))
    stroke = random.choice((0, 1, 2))
    draw.text(place, words, fill=fill, font=font, stroke_width=stroke, stroke_fill=(0, 0, 0))


def _any_colour(random: Random) -> tuple[int, int, int]:
    return (random.randrange(256), random.randrange(256), random.randrange(256))
