"""An even choice in time, without blanks and exact repeats: the rule that every selector must beat.

Measured before this was built: codec I-frames alone, or "differs from the last kept frame", find
fewer copies than even sampling at the same count, because they don't fall on the same moments in
a re-encode.
"""

import numpy as np
from numpy.typing import NDArray

from models.keyframes.base import CandidateFrames
from models.keyframes.settings import KeyFrameSettings
from models.video.frames import is_blank, is_repeat


class EvenSelector:
    """Keeps the candidate nearest to each even time, without blanks and repeats.

    Where frames are encoded already, only those are chosen among. A repeat is left out while less
    than `max_gap_seconds` have passed since the last kept frame.
    """

    def __init__(self, settings: KeyFrameSettings) -> None:
        self._settings = settings

    def select(self, candidates: CandidateFrames) -> NDArray[np.intp]:
        """Indices of the key frames; see `KeyFrameSelector.select`."""
        frames, seconds = candidates.frames, candidates.seconds
        among = np.arange(len(seconds)) if candidates.descriptors is None else candidates.described
        kept: list[int] = []
        for index in among[self._even(seconds[among])].tolist():
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
        # By slot, and in it the nearest first; of two as near the earlier, as the sort is stable.
        order = np.lexsort((np.abs(position - slots), slots))
        nearest: list[int] = order[np.unique(slots[order], return_index=True)[1]].tolist()
        return nearest
