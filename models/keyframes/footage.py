"""Footage as thumbnails beside its descriptors, and made videos of it, plain and edited.

Serves the training of the key-frame network.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from models.encoder.serve import FrameEncoder
from models.errors import MissingDataError
from models.keyframes.thumbnails import thumbnails
from models.training.descriptor_pool import Footage, load_pool
from models.training.pool_pictures import FRAMES_PER_SECOND

Random = np.random.Generator
CHUNK = 64  # frames that are read from disk at once; the result is the same


@dataclass(frozen=True)
class SeenFootage:
    """One clip of the pool with its pictures.

    Attributes:
        footage: descriptors and cuts; variant 0 is not edited.
        small: (V, N, 32, 32, 3) uint8, thumbnails of the same frames.
    """

    footage: Footage
    small: NDArray[np.uint8]

    def __len__(self) -> int:
        return int(self.small.shape[1])


def load_seen(pictures: Path, encoder: FrameEncoder) -> list[SeenFootage]:
    """Describe and shrink every clip of a built pool; both are kept beside the pictures.

    Args:
        pictures: what `models.training.pool_pictures.build_pictures` made.
        encoder: what describes them.

    Raises:
        MissingDataError: nothing is built there.
    """
    pool = load_pool(pictures, encoder)
    return [SeenFootage(footage, _small(pictures, footage.name)) for footage in pool]


def first_thumbnails(pictures: Path) -> NDArray[np.uint8]:
    """The unedited thumbnails of one clip, (N, 32, 32, 3) uint8, to compare an export on.

    Raises:
        MissingDataError: nothing is built there.
    """
    names = sorted(path.stem for path in pictures.glob("*.json"))
    if not names:
        raise MissingDataError(f"no footage in {pictures}: name the pictures of the training")
    first: NDArray[np.uint8] = _small(pictures, names[0])[0]
    return first


def _small(pictures: Path, name: str) -> NDArray[np.uint8]:
    place = pictures / "thumbnails" / f"{name}.npy"
    if not place.exists():
        squares = np.load(pictures / f"{name}.npy", mmap_mode="r")  # (V, N, S, S, 3)
        flat = squares.reshape(-1, *squares.shape[2:])
        parts = [thumbnails(flat[at : at + CHUNK]) for at in range(0, len(flat), CHUNK)]
        small = np.concatenate(parts)
        place.parent.mkdir(exist_ok=True)
        aside = place.with_suffix(".part.npy")
        np.save(aside, small.reshape(*squares.shape[:2], *small.shape[1:]))
        aside.rename(place)  # what has the name is whole, also when a build was broken off
    found: NDArray[np.uint8] = np.load(place)
    return found


@dataclass(frozen=True)
class ViewPairs:
    """Made videos and an edited view of each, frame by frame at nearly the same moment.

    Attributes:
        plain: (B, T, 32, 32, 3) uint8.
        edited: (B, T, 32, 32, 3) uint8.
        plain_rows: (B, T, D) float32 unit rows.
        edited_rows: (B, T, D) float32 unit rows.
        shots: (B, T) int64, ascending.
        step_seconds: (B,) float32 between two frames.
    """

    plain: Tensor
    edited: Tensor
    plain_rows: Tensor
    edited_rows: Tensor
    shots: Tensor
    step_seconds: Tensor


class ViewBatches(Dataset[ViewPairs]):
    """Item `i` is batch `i`, a function of the seed and `i`."""

    def __init__(
        self, pool: list[SeenFootage], *, videos: int, frames: int, batches: int, seed: int
    ) -> None:
        """Remember what to make.

        Args:
            pool: the footage.
            videos: B of a batch.
            frames: T of a video.
            batches: length.
            seed: of everything.

        Raises:
            ValueError: no footage.
        """
        if not pool:
            raise ValueError("no footage: expected at least one clip")
        self._pool, self._videos, self._frames = pool, videos, frames
        self._batches, self._seed = batches, seed

    def __len__(self) -> int:
        return self._batches

    def __getitem__(self, index: int) -> ViewPairs:
        """Batch `index`."""
        random = np.random.default_rng((self._seed, index))
        made = [self._video(random) for _ in range(self._videos)]
        tensors = [torch.from_numpy(np.stack(parts)) for parts in zip(*made, strict=True)]
        return ViewPairs(*tensors)

    def _video(self, random: Random) -> tuple[NDArray[np.generic], ...]:
        """One video of clips in a row, each edited in its own way."""
        step = int(random.choice((2, 4)))  # of four frames a second: two a second, or one
        rows: list[tuple[NDArray[np.generic], ...]] = []
        total, shots = 0, 0
        while total < self._frames:
            one = self._pool[int(random.integers(len(self._pool)))]
            plain = np.arange(int(random.integers(step)), len(one), step)[: self._frames - total]
            if len(plain) == 0:
                continue
            # An upload's frames fall between those of the library, by half a step at the most.
            drift = int(random.integers(-(step // 2), step // 2 + 1))
            edited = np.clip(plain + drift, 0, len(one) - 1)
            variant = int(random.integers(1, len(one.small))) if len(one.small) > 1 else 0
            shot = np.searchsorted(one.footage.cut_seconds, plain / FRAMES_PER_SECOND, side="right")
            rows.append((
                one.small[0, plain],
                one.small[variant, edited],
                one.footage.descriptors[0, plain],
                one.footage.descriptors[variant, edited],
                shots + shot.astype(np.int64),
            ))  # fmt: skip
            total += len(plain)
            shots += int(shot[-1]) + 1
        whole = tuple(np.concatenate(parts) for parts in zip(*rows, strict=True))
        return (*whole, np.array(step / FRAMES_PER_SECOND, np.float32))
