"""The key-frame network's view of a frame: small, so that looking at all of them costs little."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # as in `models.video.frames`
    from PIL import Image

THUMBNAIL = 32  # pixels, as the network was trained; divides 128 and 160, so that means are exact


def thumbnails(frames: Iterable[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Shrink prepared frames, each pixel a mean.

    Args:
        frames: N, each (S, S, 3) uint8 RGB.

    Returns:
        (N, 32, 32, 3) uint8.
    """
    from PIL import Image

    pictures = [_shrunk(Image.fromarray(frame)) for frame in frames]
    return np.array(pictures, np.uint8).reshape(-1, THUMBNAIL, THUMBNAIL, 3)


def _shrunk(picture: "Image.Image") -> NDArray[np.uint8]:
    from PIL import Image

    whole, rest = divmod(picture.width, THUMBNAIL)
    if rest == 0 and picture.width == picture.height:
        return np.asarray(picture.reduce(whole))  # the same means, in half the time
    return np.asarray(picture.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX))
