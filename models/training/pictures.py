"""The pictures that the encoder learns from: frames of clips, and photos, decoded once into RAM."""

import tarfile
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.errors import MissingDataError
from models.training.source import Source

SHORT_SIDE = 160  # pixels, of the largest encoder's input: all pictures are in RAM at once
FRAME_EVERY_SECONDS = 0.5  # nearer ones hardly differ; recipes count neighbours in these steps
PHOTO_TARS = ("flickr8k-train.tar", "caltech101.tar", "imagenet-samples.tar")


def load_clips(folder: Path) -> list[Source]:
    """Every clip of `folder/clips`, two frames a second.

    Raises:
        MissingDataError: no clips there.
    """
    paths = sorted((folder / "clips").glob("*.mp4"))
    if not paths:
        raise MissingDataError(f"no clips/*.mp4 in {folder}: name the data folder")
    return [load_clip(path) for path in paths]


def load_clip(path: Path) -> Source:
    """One video, two frames a second."""
    return Source(path.stem, _frames(path))


def load_photos(folder: Path) -> list[Source]:
    """Every photo of the tars in `folder/photos` that are there."""
    found = []
    for name in PHOTO_TARS:
        path = folder / "photos" / name
        if path.exists():
            found += _photos(path)
    return found


def _frames(path: Path) -> list[NDArray[np.uint8]]:
    pictures, due = [], 0.0
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        for frame in container.decode(stream):
            seconds = float(frame.time or 0.0)
            if seconds >= due:
                pictures.append(_small(Image.fromarray(frame.to_ndarray(format="rgb24"))))
                due = seconds + FRAME_EVERY_SECONDS
    return pictures


def _photos(path: Path) -> list[Source]:
    with tarfile.open(path) as archive:
        found = []
        for member in archive:
            file = archive.extractfile(member)
            if file is not None and member.name.endswith(".webp"):
                found.append(Source(Path(member.name).stem, [_small(Image.open(file))]))
        return found


def _small(picture: Image.Image) -> NDArray[np.uint8]:
    picture = picture.convert("RGB")
    factor = SHORT_SIDE / min(picture.size)
    if factor < 1:
        size = (round(picture.width * factor), round(picture.height * factor))
        picture = picture.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    return np.asarray(picture)
