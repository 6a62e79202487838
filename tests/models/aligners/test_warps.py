"""Monotone paths and even time axes, told by slow references."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from models.aligners.matrix import SimilarityMatrix
from models.aligners.time_axis import EvenMatrix, less_background
from models.aligners.warps import heaviest_warp, pieces

Array = NDArray[np.float64]
grids = st.tuples(st.integers(1, 7), st.integers(1, 7)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=st.integers(-4, 4).map(float))
)


def sum_along(gains: Array, path: NDArray[np.intp], side_weight: float) -> float:
    steps = np.diff(path, axis=0).min(axis=1, initial=1) if len(path) > 1 else np.empty(0)
    weights = np.concatenate(([1.0], np.where(steps == 1, 1.0, side_weight)))
    return float((gains[path[:, 0], path[:, 1]] * weights).sum())


def every_path(gains: Array) -> list[list[tuple[int, int]]]:
    """All monotone paths from every cell."""
    rows, columns = gains.shape
    found = [[(row, column)] for row in range(rows) for column in range(columns)]
    for path in found:
        row, column = path[-1]
        for down, right in ((1, 1), (1, 0), (0, 1)):
            if row + down < rows and column + right < columns:
                found.append([*path, (row + down, column + right)])
    return found


@given(grids.filter(lambda grid: grid.size <= 16), st.sampled_from([0.5, 1.0]))
def test_no_path_is_heavier(gains: Array, side_weight: float) -> None:
    paths = [np.array(path) for path in every_path(gains)]
    path, total = heaviest_warp(gains, side_weight=side_weight, ends="anywhere")
    best = max(sum_along(gains, one, side_weight) for one in paths)
    assert total == pytest.approx(max(best, 0.0))
    assert not len(path) or sum_along(gains, path, side_weight) == pytest.approx(total)


@given(grids.filter(lambda grid: grid.size <= 16))
def test_no_path_through_all_rows_is_heavier(gains: Array) -> None:
    whole = [np.array(path) for path in every_path(gains)]
    whole = [path for path in whole if path[0, 0] == 0 and path[-1, 0] == len(gains) - 1]
    path, total = heaviest_warp(gains, side_weight=1.0, ends="all_rows")
    assert total == pytest.approx(max(sum_along(gains, one, 1.0) for one in whole))
    assert (path[0, 0], path[-1, 0]) == (0, len(gains) - 1)
    assert sum_along(gains, path, 1.0) == pytest.approx(total)


@pytest.mark.parametrize(("most", "whole"), [(3, True), (2, False)])
def test_a_path_ends_after_too_many_losses_in_a_row(most: int, whole: bool) -> None:
    gains = np.full((9, 9), -9.0)
    np.fill_diagonal(gains, [2, 2, 2, -0.5, -0.5, -0.5, 2, 2, 2])
    path, _ = heaviest_warp(gains, side_weight=0.5, ends="anywhere", max_losses=most)
    assert (len(path) == 9) is whole


def test_a_path_is_cut_where_one_side_stands_still() -> None:
    cells = [(0, 0), (1, 1), (2, 2), *((2, column) for column in range(3, 9)), (3, 9), (4, 10)]
    path = np.array(cells, np.intp)
    fine = np.zeros(len(path), bool)
    assert [piece.tolist() for piece in pieces(path, fine, 6)] == [path.tolist()]
    cut = pieces(path, fine, 5)
    assert [piece[[0, -1]].tolist() for piece in cut] == [[[0, 0], [2, 2]], [[3, 9], [4, 10]]]


def test_broken_cells_are_passed_over_inside_a_piece_and_left_out_at_its_ends() -> None:
    path = np.array([(cell, cell) for cell in range(10)], np.intp)
    broken = np.isin(np.arange(10), [0, 4, 5, 9])
    assert [piece.tolist() for piece in pieces(path, broken, 2)] == [path[1:9].tolist()]
    halves = pieces(path, broken, 1)
    assert [piece[[0, -1], 0].tolist() for piece in halves] == [[1, 3], [6, 8]]


def test_an_even_matrix_is_interpolated_in_time() -> None:
    values = np.array([[0.0, 1.0], [0.5, 0.0]], np.float32)
    times = np.array([0.5, 2.5], np.float32)
    even = EvenMatrix.of(SimilarityMatrix(values, times, times, 3.0, 3.0), 1.0, 100)
    expected = [[0, 0.5, 1], [0.25, 0.375, 0.5], [0.5, 0.25, 0]]
    np.testing.assert_allclose(even.values, expected, atol=1e-6)
    assert even.seconds(np.array([[0, 1], [2, 2]])) == (0.0, 3.0, 1.0, 3.0)


def test_cells_grow_with_the_longer_video() -> None:
    values, times = np.ones((1, 1), np.float32), np.zeros(1, np.float32)
    even = EvenMatrix.of(SimilarityMatrix(values, times, times, 10.0, 1000.0), 1.0, 100)
    assert (even.values.shape, even.cell_seconds) == ((1, 100), 10.0)
    assert (even.values == 1).all()


def test_what_resembles_everything_is_lowered() -> None:
    values = np.array([[0.8, 0.8, 0.8], [0.0, 0.0, 0.9], [0.0, 0.0, 0.0]], np.float32)
    times = np.arange(3, dtype=np.float32)
    matrix = SimilarityMatrix(values, times, times, 3.0, 3.0)
    lifted = less_background(matrix, 1.0).values
    np.testing.assert_allclose(lifted[0, :2], 0.4, atol=1e-6)
    assert lifted[1, 2] == pytest.approx(0.9 - 0.4)
    assert less_background(matrix, 0.0) is matrix
