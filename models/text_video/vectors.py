"""Vectors as towers hand them out: finite, of unit length; serves both pairs."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.errors import ModelFileError


class VideoVectors(NamedTuple):
    """What a video tower says of a video.

    Attributes:
        vector: (D,) float32, of unit length: the whole video's.
        frames: (T, D) float32, unit rows: each frame's by itself; (0, D) of a file that has none.
    """

    vector: NDArray[np.float32]
    frames: NDArray[np.float32]


def unit_rows(rows: NDArray[Any], path: Path) -> NDArray[np.float32]:
    """Bring rows to unit length.

    Args:
        rows: (N, D) floats.
        path: the network that gave them, for the error.

    Returns:
        (N, D) float32, unit rows.

    Raises:
        ModelFileError: a row isn't finite, or zero.
    """
    wide = np.asarray(rows, np.float64)
    norms = np.linalg.norm(wide, axis=1, keepdims=True)
    unusable = ~np.isfinite(norms) | (norms == 0)
    if unusable.any():
        raise ModelFileError(
            f"{path} gives {int(unusable.sum())} of {len(rows)} vectors that aren't finite or are "
            "zero: export the network again, in full precision if it was float16"
        )
    unit: NDArray[np.float32] = (wide / norms).astype(np.float32)
    return unit
