"""The VCSL protocol by hand-computed cases, a slow reference and what must always hold."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike

from models.metrics import PairScore, as_boxes, score_pair, score_pairs

LABEL = [[10.0, 30.0, 20.0, 40.0]]
ABOUT = 1e-5

edges = st.integers(0, 30)
box = st.tuples(edges, edges, st.integers(1, 20), st.integers(1, 20)).map(
    lambda drawn: [drawn[0], drawn[1], drawn[0] + drawn[2], drawn[1] + drawn[3]]
)
box_lists = st.lists(box, max_size=4)


def scored(predicted: ArrayLike, labelled: ArrayLike) -> tuple[float, float]:
    score = score_pair(predicted, labelled)
    assert score.precision is not None and score.recall is not None
    return score.precision, score.recall


def test_the_same_box_is_right() -> None:
    assert scored(LABEL, LABEL) == pytest.approx((1, 1), abs=ABOUT)


def test_half_of_both_axes_is_a_quarter() -> None:
    assert scored(LABEL, [[10, 30, 15, 35]]) == pytest.approx((0.25, 1), abs=ABOUT)
    assert scored([[10, 30, 15, 35]], LABEL) == pytest.approx((1, 0.25), abs=ABOUT)


def test_a_shifted_box_counts_what_overlaps_on_each_axis() -> None:
    assert scored([[12, 35, 22, 45]], LABEL) == pytest.approx((0.8 * 0.5, 0.8 * 0.5), abs=ABOUT)


def test_overlap_on_one_axis_only_counts_for_nothing() -> None:
    assert scored([[10, 60, 20, 70]], LABEL) == (0, 0)


def test_a_label_found_in_two_pieces_is_found() -> None:
    pieces = [[10, 30, 14, 34], [14, 34, 20, 40]]
    assert scored(pieces, LABEL) == pytest.approx((1, 1), abs=ABOUT)


def test_what_two_predictions_cover_counts_once_for_recall_and_twice_for_precision() -> None:
    twice: ArrayLike = [[10, 30, 15, 35], [10, 30, 15, 35]]
    assert scored(twice, LABEL) == pytest.approx((1, 0.25), abs=ABOUT)


def test_a_false_box_beside_a_right_one_costs_precision_on_both_axes() -> None:
    predicted = [LABEL[0], [50.0, 80.0, 60.0, 90.0]]
    assert scored(predicted, LABEL) == pytest.approx((0.25, 1), abs=ABOUT)


def test_a_pair_without_boxes_has_no_figure() -> None:
    assert score_pair([], []) == PairScore(None, None)
    assert score_pair(LABEL, []) == PairScore(0.0, None)
    assert score_pair([], LABEL) == PairScore(None, 0.0)


def test_micro_averages_leave_out_what_has_no_figure() -> None:
    labels: dict[str, ArrayLike] = {"a-r": LABEL, "b-r": LABEL, "c-r": LABEL}
    predicted: dict[str, ArrayLike] = {"a-r": LABEL, "b-r": [[10, 30, 15, 35]], "d-r": LABEL}
    score = score_pairs(predicted, labels, ["a-r", "b-r", "c-r", "d-r", "e-r"])
    assert score.precision == pytest.approx((1 + 1 + 0) / 3, abs=ABOUT)
    assert score.recall == pytest.approx((1 + 0.25 + 0) / 3, abs=ABOUT)
    assert score.f1 == pytest.approx(2 * (2 / 3) * (1.25 / 3) / (2 / 3 + 1.25 / 3), abs=ABOUT)
    assert score.missed_rate == pytest.approx(1 / 3)
    assert score.false_alarm_rate == pytest.approx(1 / 2)


def test_pairs_that_are_not_listed_do_not_count() -> None:
    score = score_pairs({"x-r": LABEL}, {"a-r": LABEL}, ["a-r"])
    assert (score.precision, score.recall, score.f1, score.missed_rate) == (0, 0, 0, 1)


@pytest.mark.parametrize(
    "wrong", [[[1, 2, 3]], [[5, 0, 4, 1]], [[0, 5, 1, 4]], [[0, 0, float("nan"), 1]]]
)
def test_what_is_no_box_is_refused(wrong: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="box|expected"):
        as_boxes(wrong)


def test_scoring_no_pairs_is_refused() -> None:
    with pytest.raises(ValueError, match="no pairs"):
        score_pairs({}, {}, [])


def by_counting(boxes: list[list[int]], others: list[list[int]]) -> float:
    """The same share on whole seconds, counted one by one."""
    shares = []
    for axis in (0, 1):
        covered = sum(
            any(
                other[axis] <= second < other[axis + 2]
                and min(box[2 + side], other[2 + side]) > max(box[side], other[side])
                for other in others
            )
            for box in boxes
            for second in range(box[axis], box[axis + 2])
            for side in (1 - axis,)
        )
        shares.append(covered / sum(box[axis + 2] - box[axis] for box in boxes))
    return shares[0] * shares[1]


@given(box_lists.filter(bool), box_lists.filter(bool))
def test_it_agrees_with_counting_seconds(
    predicted: list[list[int]], labelled: list[list[int]]
) -> None:
    expected = (by_counting(predicted, labelled), by_counting(labelled, predicted))
    assert scored(predicted, labelled) == pytest.approx(expected, abs=ABOUT)


@given(box_lists, box_lists)
def test_swapping_prediction_and_label_swaps_precision_and_recall(
    predicted: list[list[int]], labelled: list[list[int]]
) -> None:
    forward, backward = score_pair(predicted, labelled), score_pair(labelled, predicted)
    assert (forward.precision, forward.recall) == (backward.recall, backward.precision)


@given(box_lists, box_lists)
def test_the_order_of_boxes_does_not_matter(
    predicted: list[list[int]], labelled: list[list[int]]
) -> None:
    score = score_pair(predicted, labelled)
    for turned in itertools.islice(itertools.permutations(predicted), 6):
        other = score_pair(list(turned), labelled)
        assert other.precision == pytest.approx(score.precision)
        assert other.recall == pytest.approx(score.recall)
