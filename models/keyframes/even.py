"""An even choice in time, without blanks and exact repeats: the rule that every selector must beat.

Measured before this was built: codec I-frames alone, or "differs from the last kept frame", find
fewer copies than even sampling at the same count, because they don't fall on the same moments in
a re-encode.
"""

from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field


class KeyFrameSettings(BaseModel):
    """Which candidate frames become key frames."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    selector: Literal["even"] = "even"
    every_seconds: float = Field(default=1.0, gt=0)
    max_gap_seconds: float = Field(default=10.0, gt=0)


class KeyFrameSelector(Protocol):
    """Chooses which candidate frames are stored; a pure function of them."""

    def select(self, frames: NDArray[np.uint8], seconds: NDArray[np.float32]) -> NDArray[np.intp]:
        """Indices of the key frames.

        Args:
            frames: (N, S, S, 3) uint8 RGB, prepared candidates, in order of time.
            seconds: (N,) float32, ascending.

        Returns:
            (K,) ascending indices into the candidates; empty when every frame is blank.
        """
        ...
