"""A captions file: what people and machines say of each photo; serves training and evaluation."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from models.errors import BrokenDataError, MissingDataError

SOURCES = ("en", "zh", "zh_mt_a", "zh_mt_b")
SHOWN = 80  # characters of what is wrong: a message stays a line


@dataclass(frozen=True)
class Photo:
    """A line of a captions file.

    Attributes:
        image: the photo's name, without its ending.
        captions: by source; human English and Chinese, two machine translations.
        line: 1 is the file's first.
    """

    image: str
    captions: dict[str, list[str]]
    line: int


def read_captions(path: Path) -> list[Photo]:
    """Every line of a captions file, in its order.

    Raises:
        MissingDataError: no such file.
        BrokenDataError: names the line that is no photo with captions.
    """
    if not path.is_file():
        raise MissingDataError(f"no captions at {path}: expected a JSON line for each photo")
    lines = path.read_bytes().splitlines()
    photos: dict[str, Photo] = {}
    for photo in (_photo(text, path, at + 1) for at, text in enumerate(lines) if text.strip()):
        if photo.image in photos:
            first = photos[photo.image].line
            raise BrokenDataError(
                f"{path}, line {photo.line}: {photo.image} is on line {first} too"
            )
        photos[photo.image] = photo
    if not photos:
        raise BrokenDataError(f"{path} is empty: expected a JSON line for each photo")
    return list(photos.values())


def _photo(text: bytes, path: Path, line: int) -> Photo:
    try:
        raw = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise BrokenDataError(f"{path}, line {line}: no JSON: {error}") from error
    if not isinstance(raw, dict) or not isinstance(raw.get("image"), str):
        raise BrokenDataError(f'{path}, line {line}: expected {{"image": NAME, "en": [...], ...}}')
    captions = {source: raw[source] for source in SOURCES if source in raw}
    for source, texts in captions.items():
        if not isinstance(texts, list) or not all(_says_something(text) for text in texts):
            shown = str(texts)[:SHOWN]
            raise BrokenDataError(
                f"{path}, line {line}: {source} is {shown}, expected a list of captions"
            )
    return Photo(raw["image"], captions, line)


def _says_something(text: Any) -> bool:
    return isinstance(text, str) and bool(text.strip())
