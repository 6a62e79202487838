"""The one similarity of frames: it is its formula, exactly, for codes and for unit rows."""

from fractions import Fraction

import numpy as np
import pytest

from models.aligners.matrix import DescribedVideo, SimilarityMatrix
from models.video.similarity import similarities

SCALE = 127


def test_codes_are_compared_as_the_formula_says_pair_by_pair() -> None:
    random = np.random.default_rng(0)
    rows = [random.integers(-40, 41, (count, 16)) for count in (5, 7)]
    biases = [random.integers(-30, 31, count) for count in (5, 7)]
    found = similarities(*(each.astype(np.float32) for each in rows), *biases, scale=SCALE)
    for q in range(5):
        for r in range(7):
            product = sum(int(a) * int(b) for a, b in zip(rows[0][q], rows[1][r], strict=True))
            cosine = min(max(Fraction(product, SCALE**2), Fraction(-1)), Fraction(1))
            bias = Fraction(int(biases[0][q]) + int(biases[1][r]), 2 * SCALE)
            assert found[q, r] == pytest.approx(float(cosine - bias), abs=1e-7)


def test_the_order_of_dimensions_and_the_cut_of_the_work_change_no_bit_of_codes() -> None:
    random = np.random.default_rng(1)
    queries, references = (random.integers(-127, 128, (40, 128)).astype("f4") for _ in range(2))
    order = random.permutation(128)
    whole = similarities(queries, references, scale=SCALE)
    turned = similarities(queries[:, order], references[:, order], scale=SCALE)
    single = [similarities(queries, references[n : n + 1], scale=SCALE) for n in range(40)]
    assert whole.tobytes() == turned.tobytes() == np.hstack(single).tobytes()


def test_a_rounded_cosine_beyond_one_is_one_before_the_biases_are_taken_off() -> None:
    row = np.full((1, 4), 64, np.float32)  # 4 * 64 * 64 > 127 * 127
    bias = np.full(1, 127)
    assert similarities(row, row, bias, bias, scale=SCALE).tolist() == [[0.0]]


def test_unit_rows_are_compared_by_the_same_formula_and_the_matrix_is_in_its_range() -> None:
    rows = np.array([[1, 0], [0.6, 0.8]], np.float32)
    biases = np.array([0.1, -0.5], np.float32)
    found = similarities(rows, rows, biases, biases)
    assert found == pytest.approx(np.array([[0.9, 0.8], [0.8, 1.5]]), abs=1e-6)
    video = DescribedVideo(np.arange(2, dtype=np.float32), rows, 2.0, biases)
    assert SimilarityMatrix.of(video, video).values == pytest.approx(found.clip(-1, 1))


def test_biases_of_one_side_alone_count_for_nothing() -> None:
    rows = np.eye(2, dtype=np.float32)
    assert similarities(rows, rows, np.ones(2), None).tolist() == rows.tolist()
