"""A single picture is found where the reference shows it, and nowhere else."""

import numpy as np
import pytest

from models.aligners.base import Segment
from models.aligners.matrix import SimilarityMatrix
from models.aligners.picture import PictureAligner


def matrix(*alike: float, cuts: tuple[float, ...] = ()) -> SimilarityMatrix:
    """A picture against a reference with a frame in the middle of each second."""
    return SimilarityMatrix(
        values=np.array([alike], np.float32),
        query_seconds=np.zeros(1, np.float32),
        reference_seconds=np.arange(len(alike), dtype=np.float32) + 0.5,
        query_duration_seconds=0.04,
        reference_duration_seconds=float(len(alike)),
        reference_cuts_seconds=np.array(cuts, np.float32),
    )


@pytest.mark.parametrize(
    ("alike", "cuts", "start", "end"),
    [
        ((0.1, 0.9, 0.2), (), 0.5, 2.5),  # up to the frames that show something else
        ((0.1, 0.9, 0.2), (1.0, 1.75), 1.0, 1.75),  # or to cuts
        ((0.1, 0.85, 0.9, 0.1), (), 0.5, 3.5),  # with frames that are as alike
        ((0.9, 0.1, 0.85), (), 0.0, 1.5),  # that lie beside it
        ((0.75,), (), 0.0, 1.0),
    ],
)
def test_the_stretch_is_that_of_the_frame(
    alike: tuple[float, ...], cuts: tuple[float, ...], start: float, end: float
) -> None:
    [found] = PictureAligner(0.55).align(matrix(*alike, cuts=cuts))
    assert found == Segment(0.0, 0.04, start, end, found.score)
    assert found.score == pytest.approx(max(alike))


def test_another_picture_is_nowhere() -> None:
    assert PictureAligner(0.55).align(matrix(0.54, 0.1, 0.5)) == []
