"""Pictures of one origin, as training takes them, however they were decoded."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Source:
    """Pictures of one origin, in order of time.

    Attributes:
        name: a clip's id, or a photo's name.
        pictures: each (H, W, 3) uint8, small.
    """

    name: str
    pictures: list[NDArray[np.uint8]]
