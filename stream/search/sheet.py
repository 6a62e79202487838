"""Draws a contact sheet of search hits: their pictures, rank, id and similarity under them.

Serves `samesource search --sheet`. Text is drawn in a font that has all of its characters, or not
at all: never as boxes.
"""

import base64
import io
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, UnidentifiedImageError

from stream.errors import SettingsError

log = logging.getLogger(__name__)

COLUMNS = 2  # of videos; what follows is in pixels: a sheet of ten is read at full size on a laptop
SHOWN = 3  # pictures of a video
PICTURE = (156, 132)
# Pictures, a gap beside them, two lines of text below.
CELL = (SHOWN * PICTURE[0] + 24, PICTURE[1] + 44)
MARGIN = 12  # around all
TITLE_HEIGHT = 44  # one line of `TITLE_SIZE` with air above and below
TITLE_SIZE, LABEL_SIZE = 22, 16
PAPER, INK, EMPTY = (250, 250, 250), (25, 25, 25), (215, 215, 215)
SUBSTITUTE = "?"
ABSENT = "\U0010fffe"  # no font has it
FONT_NAMES = (
    "notosanscjk", "notosanssc", "notoserifcjk", "sourcehansans", "wqy", "droidsansfallback",
    "pingfang", "hiragino", "stheiti", "msyh", "simhei", "simsun", "uming", "ukai", "unifont",
    "arialunicode", "dejavusans.", "notosans-",
)  # fmt: skip

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True)
class Shown:
    """One video of a sheet.

    Attributes:
        label: what is written under its pictures.
        pictures: base64 of JPEGs; the first few are shown.
    """

    label: str
    pictures: Sequence[str]


def write_sheet(path: Path, title: str, videos: Sequence[Shown]) -> None:
    """Write a PNG.

    Args:
        path: of the file.
        title: above the pictures; left out, with a warning, where no font here has its characters.
        videos: in order of rank.

    Raises:
        SettingsError: the file can't be written.
    """
    sheet = draw_sheet(title, videos)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sheet.save(path, "PNG")
    except OSError as error:
        raise SettingsError(f"--sheet {path} can't be written: {error}") from error


def draw_sheet(title: str, videos: Sequence[Shown]) -> Image.Image:
    """A sheet as a picture; arguments as in `write_sheet`."""
    rows = -(-len(videos) // COLUMNS)
    size = (COLUMNS * CELL[0] + MARGIN, TITLE_HEIGHT + rows * CELL[1] + MARGIN)
    sheet = Image.new("RGB", size, PAPER)
    _draw_title(sheet, title)
    for number, video in enumerate(videos):
        row, column = divmod(number, COLUMNS)
        _draw_video(sheet, video, (MARGIN + column * CELL[0], TITLE_HEIGHT + row * CELL[1]))
    return sheet


def font_for(text: str, size: int) -> Font | None:
    """A font of this machine, or Pillow's own, that has all characters of a text; None without."""
    default = ImageFont.load_default(size)
    if has_all(default, text):
        return default
    for path in _font_files():
        try:
            font = ImageFont.truetype(path, size)
        except OSError:
            continue
        if has_all(font, text):
            return font
    return None


def has_all(font: Font, text: str) -> bool:
    """Whether a font has a picture of its own for each character of a text."""
    absent = _drawn(font, ABSENT)
    return all(
        character.isspace() or (character.isprintable() and _drawn(font, character) != absent)
        for character in dict.fromkeys(text)
    )


def _draw_title(sheet: Image.Image, title: str) -> None:
    text = " ".join(title.split())
    font = font_for(text, TITLE_SIZE)
    if font is None:
        log.warning(
            "the sheet has no title: no font here has the characters of %r; install one that has, "
            "such as Noto Sans CJK",
            text,
        )
        return
    fitting = _shortened(font, text, sheet.width - 2 * MARGIN)
    ImageDraw.Draw(sheet).text((MARGIN, MARGIN), fitting, INK, font)


def _draw_video(sheet: Image.Image, video: Shown, corner: tuple[int, int]) -> None:
    left, top = corner
    pictures = [picture for picture in map(_opened, video.pictures[:SHOWN]) if picture is not None]
    draw = ImageDraw.Draw(sheet)
    if not pictures:
        draw.rectangle((left, top, left + PICTURE[0] - 8, top + PICTURE[1]), EMPTY)
        draw.text((left + 12, top + 56), "no picture", INK, ImageFont.load_default(LABEL_SIZE))
    for number, picture in enumerate(pictures):
        picture.thumbnail((PICTURE[0] - 8, PICTURE[1]))
        down = (PICTURE[1] - picture.height) // 2
        sheet.paste(picture, (left + number * PICTURE[0], top + down))
    label = " ".join(video.label.split())
    font = font_for(label, LABEL_SIZE)
    if font is None:
        font = ImageFont.load_default(LABEL_SIZE)
        label = "".join(each if has_all(font, each) else SUBSTITUTE for each in label)
    label = _shortened(font, label, CELL[0] - 16)
    draw.text((left, top + PICTURE[1] + 8), label, INK, font)


def _opened(text: str) -> Image.Image | None:
    """A picture of an event; None where it is none."""
    try:
        picture = Image.open(io.BytesIO(base64.b64decode(text, validate=True)))
        return picture.convert("RGB")
    except (ValueError, OSError, UnidentifiedImageError, Image.DecompressionBombError):
        return None


def _shortened(font: Font, text: str, width: int) -> str:
    """As much of a text as fits, with dots where something is missing."""
    if font.getlength(text) <= width:
        return text
    shortest, longest = 0, len(text)
    while shortest < longest:
        middle = (shortest + longest + 1) // 2
        if font.getlength(f"{text[:middle]}...") <= width:
            shortest = middle
        else:
            longest = middle - 1
    return f"{text[:shortest]}..."


def _drawn(font: Font, character: str) -> bytes:
    mask = font.getmask(character)
    return bytes(str(mask.size), "ascii") + bytes(mask)


@cache
def _font_files() -> tuple[Path, ...]:
    """Fonts of this machine that may have Chinese characters, the likeliest first."""
    found = {
        path: name
        for folder in _font_folders()
        for path in folder.rglob("*")
        if path.suffix.lower() in (".ttf", ".otf", ".ttc")
        for name in [path.name.lower().replace(" ", "")]
        if name.startswith(FONT_NAMES)
    }
    rank = {path: next(at for at, start in enumerate(FONT_NAMES) if name.startswith(start))
            for path, name in found.items()}  # fmt: skip
    return tuple(sorted(found, key=lambda path: (rank[path], path.name)))


def _font_folders() -> Iterator[Path]:
    home = Path.home()
    folders = [Path("/usr/share/fonts"), Path("/usr/local/share/fonts"), home / ".fonts",
               home / ".local/share/fonts"]  # fmt: skip
    if sys.platform == "darwin":
        folders = [Path("/System/Library/Fonts"), Path("/Library/Fonts"), home / "Library/Fonts"]
    elif sys.platform == "win32":
        folders = [Path(os.path.expandvars("%WINDIR%")) / "Fonts"]
    return (folder for folder in folders if folder.is_dir())
