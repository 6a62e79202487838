"""The key-frame network's view of a frame: small, so that looking at all of them costs little."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

THUMBNAIL = 32


def thumbnails(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Shrink prepared frames, each pixel a mean.

    Args:
        frames: (N, S, S, 3) uint8 RGB.

    Returns:
        (N, 32, 32, 3) uint8.
    """
    small = np.empty((len(frames), THUMBNAIL, THUMBNAIL, 3), np.uint8)
    for index, frame in enumerate(frames):
        picture = Image.fromarray(frame)
        small[index] = np.asarray(picture.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX))
    return small
