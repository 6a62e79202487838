"""The dynamic-time-warping aligner: the query warped onto the reference, cut where it is no copy.

Subsequence warping (Müller, "Information Retrieval for Music and Motion", 2007, chapter 4.4): the
path begins and ends anywhere in the reference. As in VCSL's benchmark (He et al., CVPR 2022) the
warp is then cut at its discontinuities: where one side stands still, or the two differ, for long.
"""

from pydantic import BaseModel, ConfigDict, Field

from models.aligners.base import Segment
from models.aligners.confidence import Sure, confidence
from models.aligners.matrix import SimilarityMatrix
from models.aligners.time_axis import EvenMatrix, less_background
from models.aligners.warps import Path, heaviest_warp, pieces

WORST_DISTANCE = 2.0  # 1 less a cosine of -1: the next warp keeps out of boxes already found


class DynamicTimeWarpingSettings(BaseModel):
    """How the warp is made, and what of it is a copy.

    Defaults are the best of `benchmarks/tuning/tune_aligners.py` on videos made of training clips
    (docs/experiments.md, "Their settings"), but for `similarity`, held at 0.25 by hand: at 0.1 F1
    is 0.3 points higher, and a box on unrelated videos scores better than even odds.

    Attributes:
        cell_seconds: length of a cell of the even time axis.
        max_cells: on an axis; longer videos get longer cells.
        background: share of the medians of a row and a column that is taken off a similarity.
        min_cell_similarity: cells of the warp below this similarity are no copy.
        discontinuity_seconds: the warp is cut where one side stands still, or the two differ, for
            longer.
        min_similarity: least mean along a box's path.
        shortest_seconds: shorter boxes, on either side, are chance.
        warps: how often the query is warped anew without the boxes found before, so that spans
            in another order than the reference's are found.
        sure: of `models.aligners.confidence`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    cell_seconds: float = Field(default=1.0, gt=0)
    max_cells: int = Field(default=1000, ge=1)
    background: float = Field(default=0.75, ge=0, le=1)
    min_cell_similarity: float = Field(default=0.25, ge=-1, le=1)
    discontinuity_seconds: float = Field(default=9.0, ge=0)
    min_similarity: float = Field(default=0.25, ge=-1, le=1)
    shortest_seconds: float = Field(default=1.5, ge=0)
    warps: int = Field(default=4, ge=1)
    sure: Sure = (-6.19, 2.84, 4.18)


class DynamicTimeWarpingAligner:
    """Boxes forward copies, several per pair."""

    def __init__(self, settings: DynamicTimeWarpingSettings | None = None) -> None:
        self.settings = settings or DynamicTimeWarpingSettings()

    def align(self, similarity: SimilarityMatrix) -> list[Segment]:
        """The copied spans, best first; empty when nothing is copied."""
        settings = self.settings
        if min(similarity.values.shape) == 0:
            return []
        lifted = less_background(similarity, settings.background)
        even = EvenMatrix.of(lifted, settings.cell_seconds, settings.max_cells)
        longest = int(settings.discontinuity_seconds / even.cell_seconds)
        distances = 1.0 - even.values
        found: list[Segment] = []
        for _ in range(settings.warps):
            # Rows can't be left out, so a warp finds something always; `pieces` says what counts.
            path, _ = heaviest_warp(-distances, side_weight=1.0, ends="all_rows")
            along = 1.0 - distances[path[:, 0], path[:, 1]]
            copies = [
                (piece, segment)
                for piece in pieces(path, along < settings.min_cell_similarity, longest)
                if (segment := self._segment(even, piece)) is not None
            ]
            if not copies:
                break
            for piece, segment in copies:
                found.append(segment)
                (top, left), (bottom, right) = piece[0], piece[-1]
                distances[top : bottom + 1, left : right + 1] = WORST_DISTANCE
        return sorted(found, key=lambda segment: -segment.score)

    def _segment(self, even: EvenMatrix, piece: Path) -> Segment | None:
        start, end, reference_start, reference_end = even.seconds(piece)
        shorter = min(end - start, reference_end - reference_start)
        similarity = float(even.values[piece[:, 0], piece[:, 1]].mean())
        if shorter <= self.settings.shortest_seconds or similarity < self.settings.min_similarity:
            return None
        return Segment(
            query_start_seconds=start,
            query_end_seconds=end,
            reference_start_seconds=reference_start,
            reference_end_seconds=reference_end,
            score=confidence(self.settings.sure, shorter, similarity),
        )
