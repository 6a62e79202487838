"""Captions of photos as pairs to learn from, and the tokenizer that is learned from them."""

import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.errors import BrokenDataError
from models.text_video.captions import Photo
from models.text_video.tokenizer import ENTRIES, CaptionTokenizer

CHINESE_RUN = re.compile("[\u4e00-\u9fff]+")


@dataclass(frozen=True)
class Pairs:
    """Captions, each with the photo that it is taken to describe.

    Attributes:
        photos: (M,) int64, places in a list of photos.
        texts: M captions.
        chinese: (M,) bool, the language: Chinese or English.
    """

    photos: NDArray[np.int64]
    texts: list[str]
    chinese: NDArray[np.bool_]

    def __post_init__(self) -> None:
        """Refuse columns of different lengths."""
        if not len(self.photos) == len(self.texts) == len(self.chinese):
            raise ValueError(f"{len(self.photos)}, {len(self.texts)}, {len(self.chinese)} rows")

    def __len__(self) -> int:
        return len(self.texts)

    def where(self, keep: NDArray[np.bool_]) -> "Pairs":
        """Those that a mask, (M,) bool, keeps."""
        rows = np.flatnonzero(keep)
        return Pairs(self.photos[rows], [self.texts[row] for row in rows], self.chinese[rows])


def make_pairs(photos: list[Photo], sources: Iterable[str]) -> Pairs:
    """Every caption of some sources with its photo.

    Args:
        photos: in the order of their pictures.
        sources: of `models.text_video.captions.SOURCES`.

    Raises:
        BrokenDataError: there is none of a source.
    """
    rows: list[tuple[int, str, bool]] = []
    for source in sources:
        found = [
            (number, text, source != "en")
            for number, photo in enumerate(photos)
            for text in photo.captions.get(source, [])
        ]
        if not found:
            raise BrokenDataError(f"no photo has captions {source!r}")
        rows += found
    return Pairs(
        np.array([row[0] for row in rows], np.int64),
        [row[1] for row in rows],
        np.array([row[2] for row in rows], np.bool_),
    )


def mismatch(pairs: Pairs, share: float, photos: int, seed: int) -> tuple[Pairs, NDArray[np.bool_]]:
    """Give a share of captions a photo that isn't theirs, as web data does.

    Args:
        pairs: M of them.
        share: [0, 1].
        photos: how many there are.
        seed: of the choice.

    Returns:
        The pairs, and (M,) bool, which ones were changed.
    """
    random = np.random.default_rng(seed)
    wrong = random.random(len(pairs)) < share
    # From 1 on: no caption comes back to its own photo.
    moved = (pairs.photos + random.integers(1, photos, len(pairs))) % photos
    return Pairs(np.where(wrong, moved, pairs.photos), pairs.texts, pairs.chinese), wrong


def learn_tokenizer(photos: list[Photo], entries: int = ENTRIES) -> CaptionTokenizer:
    """The tokenizer of all captions of some photos, Chinese words found by jieba."""
    import jieba  # here: it takes long to load, and only training needs it

    jieba.setLogLevel(logging.WARNING)
    texts = [text for photo in photos for part in photo.captions.values() for text in part]
    return CaptionTokenizer.train([_spaced(text) for text in texts], entries)


def _spaced(text: str) -> str:
    """Blanks between the words of Chinese runs."""
    import jieba

    return CHINESE_RUN.sub(lambda run: f" {' '.join(jieba.lcut(run.group()))} ", text)
