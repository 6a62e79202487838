"""A similarity matrix on an even time axis, both sides alike, so that pace 1 is a diagonal.

Serves the aligners that walk from cell to cell: dynamic programming and dynamic time warping.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from models.aligners.matrix import SimilarityMatrix

Array = NDArray[np.float64]


@dataclass(frozen=True)
class EvenMatrix:
    """Similarities at the middles of cells of equal length.

    Attributes:
        values: (I, J) float64; cell (i, j) is at `(i + 0.5) * cell_seconds` of the query and
            `(j + 0.5) * cell_seconds` of the reference.
        cell_seconds: length of a cell on both axes.
        query_duration_seconds: where the last row ends, at the latest.
        reference_duration_seconds: where the last column ends, at the latest.
    """

    values: Array
    cell_seconds: float
    query_duration_seconds: float
    reference_duration_seconds: float

    @classmethod
    def of(cls, similarity: SimilarityMatrix, cell_seconds: float, max_cells: int) -> Self:
        """Interpolate a matrix linearly in time; outside of the frames the nearest one holds.

        Args:
            similarity: at least one frame on each side.
            cell_seconds: longer where the longer video would have more cells than `max_cells`.
            max_cells: on an axis.
        """
        sides = [
            (similarity.query_seconds, similarity.query_duration_seconds),
            (similarity.reference_seconds, similarity.reference_duration_seconds),
        ]
        lengths = [max(float(duration), float(times[-1])) for times, duration in sides]
        # One length of cell for both: else pace 1 would be no diagonal.
        cell = max(cell_seconds, max(lengths) / max_cells)
        rows, columns = (
            _weights(times.astype(np.float64), _middles(length, cell))
            for (times, _), length in zip(sides, lengths, strict=True)
        )
        # Two products with thin weights: as exact as interpolating cell by cell, and fast.
        values = rows @ similarity.values.astype(np.float64) @ columns.T
        return cls(values, cell, *lengths)

    def seconds(self, path: NDArray[np.intp]) -> tuple[float, float, float, float]:
        """The box around a path: query start, query end, reference start, reference end.

        Args:
            path: (K, 2) cells, ascending on both axes.
        """
        first, last = path[0] * self.cell_seconds, (path[-1] + 1) * self.cell_seconds
        return (
            float(first[0]),
            min(float(last[0]), self.query_duration_seconds),
            float(first[1]),
            min(float(last[1]), self.reference_duration_seconds),
        )


def less_background(similarity: SimilarityMatrix, share: float) -> SimilarityMatrix:
    """The matrix without part of what each frame has in common with the whole other video.

    Args:
        similarity: the matrix.
        share: of the mean of the medians of a value's row and column that is taken off.
    """
    values = similarity.values
    if share == 0 or min(values.shape) == 0:
        return similarity
    across = np.median(values, axis=1, keepdims=True) + np.median(values, axis=0, keepdims=True)
    return SimilarityMatrix(
        values - np.float32(share / 2) * across,
        similarity.query_seconds,
        similarity.reference_seconds,
        similarity.query_duration_seconds,
        similarity.reference_duration_seconds,
    )


def _middles(length_seconds: float, cell_seconds: float) -> Array:
    count = max(1, int(np.ceil(length_seconds / cell_seconds - 1e-6)))  # rounding adds no cell
    return (np.arange(count, dtype=np.float64) + 0.5) * cell_seconds


def _weights(samples: Array, wanted: Array) -> Array:
    """Linear interpolation from samples to wanted times, (W, N), rows that sum to 1."""
    weights = np.zeros((len(wanted), len(samples)))
    after = np.searchsorted(samples, wanted).clip(1, max(1, len(samples) - 1))
    if len(samples) == 1:
        return np.ones((len(wanted), 1))
    before = after - 1
    gap = np.maximum(samples[after] - samples[before], 1e-9)
    part = ((wanted - samples[before]) / gap).clip(0, 1)
    rows = np.arange(len(wanted))
    weights[rows, before] = 1 - part
    weights[rows, after] += part
    return weights
