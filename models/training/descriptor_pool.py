"""Footage as descriptors: every training clip, plain and edited, four frames a second.

Serves the training of the pattern detector, which pastes spans of it into each other. Of the
pictures of `models.training.pool_pictures`.
"""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import orjson
from numpy.typing import NDArray
from rich.progress import track

from models.encoder.serve import FrameEncoder
from models.errors import MissingDataError
from models.training.pool_pictures import FRAMES_PER_SECOND
from models.video.motion import curve_of

BATCH = 64  # frames that are described at once; the encoder cuts it further


def _no_motion() -> NDArray[np.float32]:
    return np.empty(0, np.float32)


@dataclass(frozen=True)
class Footage:
    """One clip of the pool.

    Attributes:
        name: the clip's id.
        descriptors: (V, N, D) float32, unit rows; variant 0 is not edited.
        score_biases: (V, N) float32.
        cut_seconds: (C,) float32, cuts inside the clip.
        motion: (M,) float32, the plain clip's curve of `models.video.motion`; empty if unknown.
        family: of drawn pages; footage of one family looks alike and shows no page twice.
    """

    name: str
    descriptors: NDArray[np.float32]
    score_biases: NDArray[np.float32]
    cut_seconds: NDArray[np.float32]
    motion: NDArray[np.float32] = field(default_factory=_no_motion)
    family: str | None = None

    @property
    def group(self) -> str:
        """What is held out as one: the family, or the clip alone."""
        return self.family or self.name

    @property
    def seconds(self) -> float:
        """Length of the clip."""
        return float(self.descriptors.shape[1] / FRAMES_PER_SECOND)


def load_pool(pictures: Path, encoder: FrameEncoder) -> list[Footage]:
    """Describe every clip of a built pool, once per encoder: descriptors lie beside the pictures.

    Args:
        pictures: what `build_pictures` made.
        encoder: what describes them.

    Raises:
        MissingDataError: nothing is built there.
    """
    paths = sorted(path for path in pictures.glob("*.npy") if path.with_suffix(".json").exists())
    if not paths:
        raise MissingDataError(f"no footage in {pictures}: build the pictures first")
    kept = pictures / encoder.model_version
    kept.mkdir(exist_ok=True)
    return [_described(path, kept, encoder) for path in track(paths, "descriptors")]


def _described(path: Path, kept: Path, encoder: FrameEncoder) -> Footage:
    place = kept / f"{path.stem}.npz"
    if not place.exists():
        squares = np.load(path, mmap_mode="r")
        flat = squares.reshape(-1, *squares.shape[2:])
        parts = [encoder.describe(flat[at : at + BATCH]) for at in range(0, len(flat), BATCH)]
        rows = np.concatenate([part.descriptors for part in parts])
        biases = np.concatenate([part.score_biases for part in parts])
        aside = kept / f"{path.stem}.part.npz"
        np.savez(
            aside,
            # Half the disk; the noise that training adds is far above what rounding does.
            descriptors=rows.reshape(*squares.shape[:2], -1).astype(np.float16),
            score_offsets=biases.reshape(squares.shape[:2]).astype(np.float16),
        )
        aside.rename(place)
    notes = orjson.loads(path.with_suffix(".json").read_bytes())
    with np.load(place) as arrays:
        return Footage(
            name=path.stem,
            descriptors=arrays["descriptors"].astype(np.float32),
            score_biases=arrays["score_offsets"].astype(np.float32),
            cut_seconds=np.array(notes["cut_seconds"], np.float32),
            motion=curve_of(np.array(notes["motion"], np.uint8)),
            family=notes.get("family"),  # footage of before has none
        )


def part_of(name: str, parts: int) -> int:
    """A stable number below `parts` for a clip's name: which fold it belongs to."""
    # Of the name alone: clips that come or go move no other one between training and validation.
    return hashlib.blake2b(name.encode()).digest()[0] % parts
