"""What people do to footage before they upload it again, picture by picture."""

from collections.abc import Callable

from PIL import Image, ImageDraw, ImageFont, ImageOps

from stream.demo.scene import Scene

Edit = Callable[[Image.Image, float], Image.Image]
"""An RGB picture and its time in seconds since the span began → a picture of the same size."""

LINES = ("I can't believe this is real", "Wait for it …", "Follow for part two!", "So beautiful")


def untouched(picture: Image.Image, seconds: float) -> Image.Image:
    """No edit: the file is another all the same, as it is encoded again."""
    return picture


def crop(picture: Image.Image, seconds: float) -> Image.Image:
    """The middle three quarters of each side, enlarged."""
    width, height = picture.size
    box = (0.13 * width, 0.12 * height, 0.88 * width, 0.87 * height)
    return picture.resize(picture.size, Image.Resampling.BICUBIC, box)


def subtitle(picture: Image.Image, seconds: float) -> Image.Image:
    """A line of text at the foot, another one every three seconds."""
    width, height = picture.size
    drawn, font = picture.copy(), ImageFont.load_default(round(height * 0.1))
    line = LINES[int(seconds // 3) % len(LINES)]
    ImageDraw.Draw(drawn).text(
        (width / 2, height * 0.9), line, "white", font, anchor="mm", stroke_width=2,
        stroke_fill="black",
    )  # fmt: skip
    return drawn


def logo(picture: Image.Image, seconds: float) -> Image.Image:
    """A channel's badge in the corner."""
    width, height = picture.size
    drawn, size = picture.copy(), height * 0.2
    draw = ImageDraw.Draw(drawn)
    left, top = width - 1.35 * size, 0.3 * size
    draw.rounded_rectangle((left, top, left + size, top + size), size / 4, "crimson", "white", 3)
    draw.polygon(
        [(left + size * 0.36, top + size * 0.27), (left + size * 0.36, top + size * 0.73),
         (left + size * 0.75, top + size * 0.5)],
        "white",
    )  # fmt: skip
    return drawn


def border(picture: Image.Image, seconds: float) -> Image.Image:
    """Made smaller inside a coloured frame."""
    width, height = picture.size
    framed = Image.new("RGB", picture.size, (24, 92, 84))
    small = picture.resize((round(width * 0.8), round(height * 0.8)), Image.Resampling.BICUBIC)
    framed.paste(small, (round(width * 0.1), round(height * 0.1)))
    return framed


def flip(picture: Image.Image, seconds: float) -> Image.Image:
    """Left and right change places."""
    return ImageOps.mirror(picture)


def grey(picture: Image.Image, seconds: float) -> Image.Image:
    """Grey: what a search by colour would miss."""
    return ImageOps.grayscale(picture).convert("RGB")


EDITS: dict[str, Edit] = {
    "untouched": untouched,
    "border": border,
    "crop": crop,
    "flip": flip,
    "grey": grey,
    "logo": logo,
    "subtitle": subtitle,
}


def picture_in_picture(background: Scene) -> Edit:
    """An edit that shows the footage in a large window before another scene."""

    def inlay(picture: Image.Image, seconds: float) -> Image.Image:
        width, height = picture.size
        whole = background.draw(seconds).resize(picture.size)
        window = picture.resize((round(width * 0.7), round(height * 0.7)), Image.Resampling.BICUBIC)
        whole.paste(window, (round(width * 0.24), round(height * 0.08)))
        return whole

    return inlay
