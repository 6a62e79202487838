"""An even choice in time, without blanks and exact repeats: the rule that every selector must beat.

Measured before this was built: codec I-frames alone, or "differs from the last kept frame", find
fewer copies than even sampling at the same count, because they don't fall on the same moments in
a re-encode.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from models.frames import is_blank
from models.select import CandidateFrames

TILES = 8
REPEAT_DIFFERENCE = 1.0


class KeyFrameSettings(BaseModel):
    """Which candidate frames become key frames."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    selector: Literal["even"] = "even"
    every_seconds: float = Field(default=1.0, gt=0)
    max_gap_seconds: float = Field(default=10.0, gt=0)


def is_repeat(before: NDArray[np.uint8], frame: NDArray[np.uint8]) -> bool:
    """Whether a frame shows the same as another one, but for the noise of a codec.

    Every one of 8x8 tiles must agree, so that a small thing that moves is seen.

    Args:
        before: (S, S, 3) uint8.
        frame: (S, S, 3) uint8.
    """
    side = before.shape[0] // TILES * TILES
    difference = np.abs(before[:side, :side].astype(np.int16) - frame[:side, :side])
    tile = side // TILES
    tiles = difference.reshape(TILES, tile, TILES, tile, 3).mean(axis=(1, 3, 4))  # (8, 8)
    return bool(tiles.max() < REPEAT_DIFFERENCE)


class EvenSelector:
    """Keeps the candidate nearest to each even time, without blanks and repeats.

    A repeat is left out while less than `max_gap_seconds` have passed since the last kept frame.
    """

    def __init__(self, settings: KeyFrameSettings) -> None:
        self._settings = settings

    def select(self, candidates: CandidateFrames) -> NDArray[np.intp]:
        """Indices of the key frames; see `KeyFrameSelector.select`."""
        frames, seconds = candidates.frames, candidates.seconds
        kept: list[int] = []
        for index in self._even(seconds):
            if is_blank(frames[index]):
                continue
            if (
                kept
                and seconds[index] - seconds[kept[-1]] < self._settings.max_gap_seconds
                and is_repeat(frames[kept[-1]], frames[index])
            ):
                continue
            kept.append(index)
        return np.array(kept, np.intp)

    def _even(self, seconds: NDArray[np.float32]) -> list[int]:
        """The candidate nearest to each multiple of `every_seconds` that has one around it."""
        position = seconds.astype(np.float64) / self._settings.every_seconds
        slots = np.rint(position)
        order = np.lexsort((np.abs(position - slots), slots))
        nearest: list[int] = order[np.unique(slots[order], return_index=True)[1]].tolist()
        return nearest
