"""Clips whose shots are captioned photos, and an exported pair's vectors of them.

Serves `clips`, `one_of_ten` and `moment_margin`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from models.text_video.captions import Photo
from models.text_video.serve import VideoEncoder
from stream.evaluate.text_video import photo_frames, pictured_photos

JOINTS = {"en": ", then ", "zh": "，然后"}
MOST = 1000  # photos in memory, some 200 MB; as many as validation has

Part = Literal["train", "val"]
Pictures = NDArray[np.uint8]
Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class ClipSet:
    """Clips with a sentence each.

    Attributes:
        groups: (N, T) places of each clip's photos.
        captions: N, of T captions each.
        language: `en` or `zh`.
    """

    groups: NDArray[np.intp]
    captions: list[list[str]]
    language: str

    @property
    def texts(self) -> list[str]:
        """N sentences, of all captions of a clip."""
        return [JOINTS[self.language].join(told) for told in self.captions]


class ClipVectors(NamedTuple):
    """What a video tower says of N clips of T shots.

    Attributes:
        whole: (N, D) float32 unit rows.
        frames: (N, T, D) float32, unit along the last axis: each shot's by itself.
    """

    whole: Vectors
    frames: Vectors


def read_shots(data: Path, part: Part, size: int, seed: int) -> tuple[list[Photo], Pictures]:
    """Up to `MOST` photos with captions, and what the video tower is shown of them.

    Args:
        data: holds `photos/flickr8k-PART.tar` and `captions/flickr8k-PART.jsonl`.
        part: of the photos.
        size: S, pixels.
        seed: draws those that are read, where there are more.

    Returns:
        P photos in the order of their captions, and (P, S, S, 3) uint8 RGB.

    Raises:
        MissingDataError: a file isn't there.
        BrokenDataError: a file can't be read, or a caption's photo isn't in the tar.
    """
    tar = data / "photos" / f"flickr8k-{part}.tar"
    photos = pictured_photos(data / "captions" / f"flickr8k-{part}.jsonl", tar)
    drawn = np.random.default_rng(seed).permutation(len(photos))[:MOST]
    photos = [photos[place] for place in np.sort(drawn)]
    pictures = np.empty((len(photos), size, size, 3), np.uint8)
    for place, frames in photo_frames(photos, tar, size, Console(stderr=True)):
        pictures[place] = frames[0]
    return photos, pictures


def draw_groups(count: int, shots: int, random: np.random.Generator) -> NDArray[np.intp]:
    """(N, T) places of photos, each of them in one clip at most."""
    return random.permutation(count)[: count // shots * shots].reshape(-1, shots)


def make_clips(photos: list[Photo], language: str, shots: int, seed: int) -> ClipSet:
    """Every photo once, in groups of some shots, with a drawn caption each.

    Args:
        photos: that have captions in the language.
        language: `en` or `zh`.
        shots: photos a clip.
        seed: of the groups, which are the same in each language, and captions.
    """
    random = np.random.default_rng(seed)
    groups = draw_groups(len(photos), shots, random)
    told = [
        [str(random.choice(photos[place].captions[language])).rstrip(" .。") for place in group]
        for group in groups
    ]
    return ClipSet(groups, told, language)


def clip_vectors(video: VideoEncoder, pictures: Pictures, groups: NDArray[np.intp]) -> ClipVectors:
    """Of clips whose shots are these photos, (N, T) places."""
    found = [video.embed_frames(pictures[group]) for group in groups]
    return ClipVectors(
        np.stack([one.vector for one in found]), np.stack([one.frames for one in found])
    )


def nearest_shots(texts: Vectors, frames: Vectors) -> Vectors:
    """(M, N) similarities of (M, D) texts and the nearest of each clip's (N, T, D) frames."""
    each = texts @ frames.reshape(-1, frames.shape[-1]).T
    found: Vectors = each.reshape(len(texts), *frames.shape[:2]).max(axis=2)
    return found
