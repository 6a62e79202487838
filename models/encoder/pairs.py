"""Batches of picture pairs: two looks at one moment, with other moments of the clip beside them."""

from dataclasses import dataclass
from random import Random

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from models.training.bounds import Count, Natural, Share
from models.training.edits.pictures import edited
from models.training.source import Source
from models.video.frames import prepare

STILL_DISTANCE = 9.0  # mean absolute difference of 12 x 12 thumbnails, in grey levels
CUT_DISTANCE = 30.0  # above it, another shot


@dataclass(frozen=True)
class PairConfig:
    """How batches are made.

    Attributes:
        pairs: pairs in a batch.
        clip_share: share of pairs from clips; the rest are photos.
        frames_per_clip: frames of one clip in a batch, hard negatives of each other.
        apart: least distance between them, in frames of the source (0.5 s each).
        neighbour_share: how often the second look is of a frame nearby in the same shot.
        neighbour_frames: how far off it is at most, in frames of the source.
        plain_share: how often the first look is not edited, as a library's side is.
        max_edits: how many edits one look has at the most.
    """

    pairs: Count = 128
    clip_share: Share = 0.5
    frames_per_clip: Count = 4
    apart: Count = 5
    neighbour_share: Share = 0.4
    neighbour_frames: Natural = 1
    plain_share: Share = 0.6
    max_edits: Natural = 4


class PairBatches(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """Item `i` is batch `i`, a pure function of the seed and `i`: workers and resuming agree."""

    def __init__(
        self,
        clips: list[Source],
        photos: list[Source],
        config: PairConfig,
        *,
        size: int,
        seed: int,
        batches: int,
        scenes: list[set[str]] | None = None,
    ) -> None:
        """Prepare batches.

        Args:
            clips: sources of several frames.
            photos: sources of one.
            config: how batches are made.
            size: side of the prepared squares in pixels.
            seed: item `i` depends on it and on `i` alone.
            batches: how many there are.
            scenes: names of the clips of each scene that several show; a batch holds one of each,
                or twins would count as different.
        """
        self._twins = {name: scene for scene in scenes or [] for name in scene}
        self._clips = [clip for clip in clips if len(clip.pictures) > 2]
        self._photos = photos or self._clips
        self._config, self._size, self._seed, self._batches = config, size, seed, batches

    def __len__(self) -> int:
        return self._batches

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        """Batch `index`: (N, S, S, 3) uint8 twice, and (N,) groups."""
        random = Random(self._seed * 1_000_003 + index)
        moments = self._moments(random)
        groups = _groups([picture for picture, _ in moments])
        first, second = [], []
        for picture, again in moments:
            plain = random.random() < self._config.plain_share
            first.append(self._look(picture, random, plain))
            second.append(self._look(again, random, False))
        return (
            torch.from_numpy(np.stack(first)),
            torch.from_numpy(np.stack(second)),
            torch.from_numpy(groups),
        )

    def _moments(self, random: Random) -> list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
        config = self._config
        moments: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]] = []
        clips = random.sample(self._clips, len(self._clips))
        shown: set[str] = set()
        while clips and len(moments) < config.pairs * config.clip_share:
            clip = clips.pop()
            if clip.name in shown:
                continue
            shown |= self._twins.get(clip.name, set())
            pictures = clip.pictures
            taken: list[int] = []
            # Some tries, not until it works: a short clip hasn't so many frames that far apart.
            for _ in range(4 * config.frames_per_clip):
                at = random.randrange(len(pictures))
                if all(abs(at - other) >= config.apart for other in taken):
                    taken.append(at)
                if len(taken) == config.frames_per_clip:
                    break
            for at in taken:
                near = at
                if random.random() < config.neighbour_share:
                    near = _nearby(pictures, at, config.neighbour_frames, random)
                moments.append((pictures[at], pictures[near]))
        moments = moments[: config.pairs]
        photos = random.sample(self._photos, min(len(self._photos), config.pairs - len(moments)))
        moments += [(photo.pictures[0], photo.pictures[0]) for photo in photos]
        return moments

    def _look(self, picture: NDArray[np.uint8], random: Random, plain: bool) -> NDArray[np.uint8]:
        image = Image.fromarray(picture)
        if not plain:
            source = random.choice(self._photos if random.random() < 0.5 else self._clips)
            other = Image.fromarray(random.choice(source.pictures))
            image = edited(image, random, other, self._config.max_edits)
        return prepare(np.asarray(image), self._size)


def _nearby(pictures: list[NDArray[np.uint8]], at: int, most: int, random: Random) -> int:
    """A frame up to `most` further, as far as the shot goes."""
    step, near = random.choice((-1, 1)), at
    for _ in range(random.randint(1, most)):
        after = near + step
        if not 0 <= after < len(pictures):
            break
        # The first step may cross a cut, as in the first runs; further ones stay in the shot.
        if near != at and _apart(pictures[near], pictures[after]) > CUT_DISTANCE:
            break
        near = after
    return near


def _apart(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Mean absolute difference of two thumbnails, in grey levels."""
    small = [np.asarray(Image.fromarray(p).resize((12, 12)), np.float32) for p in (one, other)]
    return float(np.abs(small[0] - small[1]).mean())


def _groups(pictures: list[NDArray[np.uint8]]) -> NDArray[np.int64]:
    """One number per picture; near-identical ones, as in a still shot, share theirs."""
    thumbnails = np.stack(
        # 12 x 12: what is left is layout and light, which noise and codecs don't change.
        [np.asarray(Image.fromarray(picture).resize((12, 12)), np.float32) for picture in pictures]
    ).reshape(len(pictures), -1)
    groups = np.arange(len(pictures))
    for index in range(1, len(pictures)):
        distance = np.abs(thumbnails[:index] - thumbnails[index]).mean(axis=1)
        nearest = int(distance.argmin())
        if distance[nearest] < STILL_DISTANCE:
            groups[index] = groups[nearest]
    return groups
