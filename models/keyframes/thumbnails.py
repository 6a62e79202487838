"""The key-frame network's view of a frame: small, so that looking at all of them costs little."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

THUMBNAIL = 32


def thumbnails(frames: Iterable[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Shrink prepared frames, each pixel a mean.

    Args:
        frames: N, each (S, S, 3) uint8 RGB.

    Returns:
        (N, 32, 32, 3) uint8.
    """
    side = (THUMBNAIL, THUMBNAIL)
    pictures = [Image.fromarray(frame).resize(side, Image.Resampling.BOX) for frame in frames]
    return np.array([np.asarray(picture) for picture in pictures], np.uint8).reshape(
        -1, THUMBNAIL, THUMBNAIL, 3
    )
