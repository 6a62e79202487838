"""What `samesource evaluate text-video` does: photos and captions through the pair, then ranks."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from models.errors import BrokenDataError
from models.metrics.recall import Retrieval, retrieval
from models.text_video.captions import Photo, read_captions
from models.text_video.photos import make_views, photo_names, read_photos
from models.text_video.serve import Pair

LANGUAGES = ("en", "zh")
TEXTS_AT_ONCE = 256  # in one run of the tower; bounds its memory and changes no figure. Set by hand
WAYS = ("text_to_video", "video_to_text")


@dataclass(frozen=True)
class TextReport:
    """What one run found.

    Attributes:
        languages: the figures of each.
        photos: how many were ranked.
        model_version: of the pair.
    """

    languages: dict[str, Retrieval]
    photos: int
    model_version: str

    def to_json(self) -> dict[str, Any]:
        """The figures as plain values, by language; the rest beside them."""
        found: dict[str, Any] = {"model_version": self.model_version, "photos": self.photos}
        for language, figures in self.languages.items():
            ways = asdict(figures)
            ranks = {way: ways[way].pop("median_rank") for way in WAYS}
            found[language] = {**ways, "median_rank": ranks, "r_sum": figures.r_sum}
        return found

    def table(self) -> Table:
        """The figures for a terminal."""
        title = f"{self.model_version}, {self.photos} photos"
        table = Table("", "", "R@1", "R@5", "R@10", "median rank", "R@sum", title=title)
        for language, figures in self.languages.items():
            for way in WAYS:
                recall = getattr(figures, way)
                shown = [f"{value:.1f}" for value in asdict(recall).values()]
                table.add_row(language, way.replace("_", " "), *shown, f"{figures.r_sum:.1f}")
        return table


def evaluate_text_video(
    tar: Path,
    captions: Path,
    pair: Pair,
    *,
    language: str | None = None,
    console: Console | None = None,
) -> TextReport:
    """Rank all photos for every caption, and all captions for every photo.

    A photo is a video of one frame. Photos of the tar without a line of captions are left out.

    Args:
        tar: of photos.
        captions: a JSON line for each photo.
        pair: makes the vectors.
        language: one of `LANGUAGES` alone; all that the file has if None.
        console: shows the progress.

    Raises:
        MissingDataError: a file isn't there.
        BrokenDataError: names the line or the photo that can't be used, or the language that is
            missing.
    """
    photos = pictured_photos(captions, tar)
    chosen = [language] if language else [name for name in LANGUAGES if _has(photos, name)]
    # Before the networks run, which takes long; a file of neither language is refused here too.
    for name in chosen or LANGUAGES:
        _check_language(photos, name, captions)
    videos = photo_vectors(photos, tar, pair, console)
    found = {}
    for name in chosen:
        texts = [text for photo in photos for text in photo.captions[name]]
        counts = [len(photo.captions[name]) for photo in photos]
        owners = np.repeat(np.arange(len(photos)), counts)
        found[name] = retrieval(videos, _texts(texts, pair, name, console), owners)
    return TextReport(found, len(photos), pair.model_version)


def pictured_photos(captions: Path, tar: Path) -> list[Photo]:
    """Every line of a captions file, in its order, after a look whether the tar has all photos.

    Raises:
        MissingDataError: a file isn't there.
        BrokenDataError: one can't be read; names the line whose photo isn't in the tar.
    """
    photos, there = read_captions(captions), set(photo_names(tar))
    for photo in photos:
        if photo.image not in there:
            raise BrokenDataError(f"{captions}, line {photo.line}: {photo.image} is not in {tar}")
    return photos


def _has(photos: list[Photo], language: str) -> bool:
    return any(photo.captions.get(language) for photo in photos)


def _check_language(photos: list[Photo], language: str, captions: Path) -> None:
    for photo in photos:
        if not photo.captions.get(language):
            raise BrokenDataError(
                f"{captions}, line {photo.line}: {photo.image} has no caption {language!r}, "
                f"expected some for every photo: choose another --language"
            )


def photo_vectors(
    photos: list[Photo], tar: Path, pair: Pair, console: Console | None
) -> NDArray[np.float32]:
    """(P, D) float32 unit rows of photos, each a video of one frame, in the order of `photos`.

    Raises:
        MissingDataError: no such tar.
        BrokenDataError: names the photo that can't be used.
    """
    vectors = np.zeros((len(photos), pair.video.dimension), np.float32)
    for place, frames in photo_frames(photos, tar, pair.video.input_size, console):
        vectors[place] = pair.video.embed(frames)
    return vectors


def photo_frames(
    photos: list[Photo], tar: Path, size: int, console: Console | None
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Place in `photos` and (1, S, S, 3) uint8 RGB of each that the tar holds, in the tar's order.

    Raises:
        MissingDataError: no such tar.
        BrokenDataError: names the photo that can't be used.
    """
    places = {photo.image: place for place, photo in enumerate(photos)}
    pictures = read_photos(tar)
    for name, picture in track(pictures, "photos", total=len(photo_names(tar)), console=console):
        if name in places:
            yield places[name], make_views(picture, size, ("full",))


def _texts(
    texts: list[str], pair: Pair, language: str, console: Console | None
) -> NDArray[np.float32]:
    """(M, D) float32 unit rows."""
    starts = range(0, len(texts), TEXTS_AT_ONCE)
    parts = [
        pair.text.embed(texts[at : at + TEXTS_AT_ONCE])
        for at in track(starts, f"captions, {language}", console=console)
    ]
    return np.concatenate(parts)
