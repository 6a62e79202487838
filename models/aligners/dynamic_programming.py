"""The dynamic-programming aligner: best monotone paths that may lose their way for a while.

After Chou, Chen and Lee, "Pattern-based near-duplicate video retrieval and localization on
web-scale videos", IEEE Transactions on Multimedia 17(3), 2015, equation 5, as benchmarked in VCSL
(He et al., CVPR 2022): a step along one axis brings half of what a step along both does, and a
path ends after so many cells below a similarity.
"""

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from models.aligners.base import Segment
from models.aligners.confidence import Sure, confidence
from models.aligners.matrix import SimilarityMatrix
from models.aligners.time_axis import EvenMatrix, less_background
from models.aligners.warps import Path, heaviest_warp, pieces


class DynamicProgrammingSettings(BaseModel):
    """What counts as a match, a gap and a copy.

    Defaults are the best of `benchmarks/tuning/tune_aligners.py` on videos made of training clips
    (docs/experiments.md, "Their settings"); the search was short.

    Attributes:
        cell_seconds: length of a cell of the even time axis.
        max_cells: on an axis; longer videos get longer cells.
        background: share of the medians of a row and a column that is taken off a similarity.
        floor: similarity at which a cell neither speaks for a copy nor against.
        gap_seconds: a path ends after so long below the floor.
        straight_seconds: a path is cut where one side stands still for longer.
        min_similarity: least mean along a box's path.
        shortest_seconds: shorter boxes, on either side, are chance.
        segments: at most so many boxes for a pair.
        sure: of `models.aligners.confidence`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    cell_seconds: float = Field(default=0.5, gt=0)
    max_cells: int = Field(default=1000, ge=1)
    background: float = Field(default=0.25, ge=0, le=1)
    floor: float = Field(default=0.3, ge=-1, le=1)
    gap_seconds: float = Field(default=4.0, ge=0)
    straight_seconds: float = Field(default=10.0, ge=0)
    min_similarity: float = Field(default=0.4, ge=-1, le=1)
    shortest_seconds: float = Field(default=2.0, ge=0)
    segments: int = Field(default=8, ge=1)
    sure: Sure = (-6.31, 4.22, 2.45)


class DynamicProgrammingAligner:
    """Boxes forward copies, several per pair."""

    def __init__(self, settings: DynamicProgrammingSettings | None = None) -> None:
        self.settings = settings or DynamicProgrammingSettings()

    def align(self, similarity: SimilarityMatrix) -> list[Segment]:
        """The copied spans, best first; empty when nothing is copied."""
        settings = self.settings
        if min(similarity.values.shape) == 0:
            return []
        lifted = less_background(similarity, settings.background)
        even = EvenMatrix.of(lifted, settings.cell_seconds, settings.max_cells)
        gains = even.values - settings.floor
        gap, straight = (
            int(seconds / even.cell_seconds)
            for seconds in (settings.gap_seconds, settings.straight_seconds)
        )
        found: list[Segment] = []
        for _ in range(settings.segments):
            path, _ = heaviest_warp(gains, side_weight=0.5, ends="anywhere", max_losses=gap)
            if len(path) == 0:
                break
            cut = pieces(path, np.zeros(len(path), bool), straight)
            boxes = [box for piece in cut if (box := self._segment(even, piece)) is not None]
            if not boxes:
                break  # lighter paths are worse
            found += boxes
            (top, left), (bottom, right) = path[0], path[-1]
            # The whole path's box goes, not the pieces' alone: what lies between would come again.
            gains[top : bottom + 1, left : right + 1] = -1.0
        return sorted(found, key=lambda segment: -segment.score)[: settings.segments]

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
