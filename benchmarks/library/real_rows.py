"""Real descriptors of distinct pictures, in many views; serves `candidate_thresholds`.

Round 0 is every picture whole; then, in turn, a detail of it, an edited copy, a crop and another
detail, each encoded as the service encodes a frame. A round is kept in a file, so that a run that
was cut short goes on.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.encoder.serve import FrameEncoder
from models.training.edits.distortions import heavy_crop
from models.training.edits.overlays import Picture
from models.training.edits.pictures import crop, edited
from models.training.pictures import load_clips, load_photos
from models.video.frames import is_blank, prepare
from stream.contract.packed import quantise

CLIP_FRAME_EVERY = 4  # of the two a second that `load_clips` gives
BATCH = 64

Codes = NDArray[np.int8]
View = Callable[[Picture, Random, Picture], Picture]


def _whole(picture: Picture, _random: Random, _other: Picture) -> Picture:
    return picture


def _edited(picture: Picture, random: Random, other: Picture) -> Picture:
    return edited(picture, random, other, most=2)


VIEWS: tuple[View, ...] = (heavy_crop, _edited, crop, heavy_crop)


def view_of(number: int) -> View:
    """What a round shows of each picture."""
    return _whole if number == 0 else VIEWS[(number - 1) % len(VIEWS)]


@dataclass(frozen=True)
class RealRows:
    """What was encoded.

    Attributes:
        codes: (N, D) int8, unit descriptors times 127.
        pictures: (N,) int32, which picture a row shows; frames of one clip are of one picture.
        count: how many pictures there are, clips counted once.
    """

    codes: Codes
    pictures: NDArray[np.int32]
    count: int


def encode_rounds(data: Path, kept: Path, rounds: int, encoder: FrameEncoder) -> RealRows:
    """Encode what isn't encoded yet.

    Args:
        data: the training data: `clips/` and `photos/`.
        kept: a file for each round.
        rounds: how many.
        encoder: the service's.
    """
    kept.mkdir(parents=True, exist_ok=True)
    files = [kept / f"{encoder.model_version}-{number}.npz" for number in range(rounds)]
    if not all(file.exists() for file in files):
        pictures, owners = _pictures(data)
        for number, file in enumerate(files):
            if not file.exists():
                _encode_round(pictures, owners, number, file, encoder)
    loaded = [np.load(file) for file in files]
    owners = np.concatenate([one["pictures"] for one in loaded])
    codes = np.concatenate([one["codes"] for one in loaded])
    return RealRows(codes, owners, len(np.unique(owners)))


def _pictures(data: Path) -> tuple[list[NDArray[np.uint8]], NDArray[np.int32]]:
    pictures: list[NDArray[np.uint8]] = []
    owners: list[int] = []
    clips, photos = load_clips(data), load_photos(data)
    for owner, source in enumerate([*clips, *photos]):
        chosen = source.pictures[::CLIP_FRAME_EVERY]
        pictures += chosen
        owners += [owner] * len(chosen)
    return pictures, np.array(owners, np.int32)


def _encode_round(
    pictures: list[NDArray[np.uint8]],
    owners: NDArray[np.int32],
    number: int,
    file: Path,
    encoder: FrameEncoder,
) -> None:
    codes, shown = [], []
    for indices, frames in _views(pictures, number, encoder.input_size):
        codes.append(quantise(encoder.encode(frames)))
        shown.append(owners[indices])
    part = file.with_suffix(".part.npz")
    np.savez(part, codes=np.concatenate(codes), pictures=np.concatenate(shown))
    part.rename(file)


def _views(
    pictures: list[NDArray[np.uint8]], number: int, size: int
) -> Iterator[tuple[list[int], NDArray[np.uint8]]]:
    view, random = view_of(number), Random(number)
    indices: list[int] = []
    frames: list[NDArray[np.uint8]] = []
    for index, picture in enumerate(pictures):
        other = Image.fromarray(pictures[random.randrange(len(pictures))])
        shown = view(Image.fromarray(picture), random, other).convert("RGB")
        frame = prepare(np.asarray(shown), size)
        if not is_blank(frame):
            indices.append(index)
            frames.append(frame)
        if len(frames) == BATCH:
            yield indices, np.stack(frames)
            indices, frames = [], []
    if frames:
        yield indices, np.stack(frames)
