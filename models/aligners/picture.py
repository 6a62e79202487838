"""A single picture as a query: which moments of the reference show it; numpy only.

Nothing lasts, so nothing runs along a diagonal: one frame that is as alike must do. Serves probes
of still pictures, and the pattern detector's `stills`.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from models.aligners.base import Segment
from models.aligners.matrix import SimilarityMatrix

AS_ALIKE = 0.1  # frames of the reference that are so much less alike than the best show it too


@dataclass(frozen=True)
class PictureAligner:
    """Finds the stretch of the reference whose frames are the picture; its similarity is the score.

    Attributes:
        min_similarity: of the frame that is most alike; less is another picture.
        version: what answers name it by.
    """

    version: ClassVar[str] = "picture"
    min_similarity: float

    def align(self, similarity: SimilarityMatrix) -> list[Segment]:
        """One span of the whole query and that stretch; empty where no frame is alike enough."""
        alike = similarity.values.max(axis=0)
        best = int(alike.argmax())
        if alike[best] < self.min_similarity:
            return []
        start, end = shown_seconds(similarity, alike, best)
        whole = similarity.query_duration_seconds
        return [Segment(0.0, whole, start, end, float(alike[best]))]


def shown_seconds(
    similarity: SimilarityMatrix, alike: NDArray[np.float32], number: int
) -> tuple[float, float]:
    """From when to when a reference shows what one of its frames shows.

    As far as the frames around it are as alike, then to a cut, or to other frames.

    Args:
        similarity: of the pair.
        alike: (Nr,) float32, how alike the picture each frame of the reference is.
        number: of the frame.
    """
    times = similarity.reference_seconds.astype(np.float64)
    first = last = number
    enough = alike[number] - AS_ALIKE
    while first > 0 and alike[first - 1] >= enough:
        first -= 1
    while last < len(times) - 1 and alike[last + 1] >= enough:
        last += 1
    cuts = similarity.reference_cuts_seconds.astype(np.float64)
    starts = [0.0, *cuts[cuts <= times[first]].tolist(), *times[times < times[first]].tolist()]
    ends = [*cuts[cuts > times[last]].tolist(), *times[times > times[last]].tolist()]
    return max(starts), min([*ends, similarity.reference_duration_seconds])
