"""The photos of a tar, decoded one after the other, and the views of one that training shows."""

import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.errors import BrokenDataError, MissingDataError
from models.video.frames import prepare

Rgb = NDArray[np.uint8]

# Parts of a picture, (left, top, right, bottom) as shares of its sides, and whether mirrored.
VIEWS: dict[str, tuple[tuple[float, float, float, float], bool]] = {
    "full": ((0.0, 0.0, 1.0, 1.0), False),
    "mirrored": ((0.0, 0.0, 1.0, 1.0), True),
    "left": ((0.0, 0.0, 0.75, 1.0), False),
    "right": ((0.25, 0.0, 1.0, 1.0), False),
    "top": ((0.0, 0.0, 1.0, 0.75), False),
    "bottom": ((0.0, 0.25, 1.0, 1.0), False),
    "near": ((0.125, 0.125, 0.875, 0.875), False),
    "nearer": ((0.25, 0.25, 0.75, 0.75), False),
}  # three quarters, so that most of what a caption names is still there; the last is for zooms


def photo_names(tar: Path) -> list[str]:
    """Names of the photos of a tar without their endings, in its order.

    Raises:
        MissingDataError: no such file.
        BrokenDataError: it is no tar, or holds no photo.
    """
    return [Path(member.name).stem for member in _members(tar)]


def read_photos(tar: Path, begin: int = 0) -> Iterator[tuple[str, Rgb]]:
    """Name and picture, (H, W, 3) uint8, of each photo of a tar from the `begin`-th on.

    Raises:
        MissingDataError: no such file.
        BrokenDataError: it is no tar, or names the picture that can't be read.
    """
    members = _members(tar)
    with tarfile.open(tar) as archive:
        for member in members[begin:]:
            file = archive.extractfile(member)
            try:
                picture = np.asarray(Image.open(file).convert("RGB"))  # type: ignore[arg-type]
            except (OSError, ValueError, SyntaxError) as error:
                raise BrokenDataError(f"{tar}: {member.name} is no picture: {error}") from error
            yield Path(member.name).stem, picture


def make_views(picture: Rgb, size: int, views: tuple[str, ...]) -> Rgb:
    """Squares of a picture as serving prepares them.

    Args:
        picture: (H, W, 3) uint8.
        size: S, pixels.
        views: keys of `VIEWS`.

    Returns:
        (V, S, S, 3) uint8.
    """
    height, width = picture.shape[:2]
    made = []
    for (left, top, right, bottom), mirrored in (VIEWS[name] for name in views):
        part = picture[
            round(top * height) : max(round(bottom * height), 1),
            round(left * width) : max(round(right * width), 1),
        ]
        square = prepare(part, size)
        # Mirrored after preparing: borders are found as in the picture that serving sees.
        made.append(square[:, ::-1] if mirrored else square)
    return np.stack(made)


def _members(tar: Path) -> list[tarfile.TarInfo]:
    if not tar.is_file():
        raise MissingDataError(f"no photos at {tar}: expected a tar of pictures")
    try:
        with tarfile.open(tar) as archive:
            found = [member for member in archive if member.isfile()]
    except (tarfile.TarError, EOFError) as error:
        raise BrokenDataError(f"{tar} is no tar: {error}") from error
    if not found:
        raise BrokenDataError(f"{tar} holds no photo")
    return found
