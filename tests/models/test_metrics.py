"""The VCSL protocol by hand-computed cases, a slow reference and what must always hold."""

import itertools

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import ArrayLike

from models.metrics import (
    PairScore,
    ScoredBox,
    as_boxes,
    draw_f1,
    interval,
    micro_average_precision,
    score_pair,
    score_pairs,
    segment_average_precision,
)

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


@given(box_lists.filter(bool), box)
def test_a_box_far_from_every_label_never_raises_precision(
    labelled: list[list[int]], false: list[int]
) -> None:
    far = [edge + 1000 for edge in false]
    for predicted in (labelled, labelled[:1]):
        before, after = scored(predicted, labelled), scored([*predicted, far], labelled)
        assert after[0] <= before[0] + ABOUT
        assert after[1] == pytest.approx(before[1], abs=ABOUT)


@given(box_lists.filter(bool), box_lists.filter(bool))
def test_more_boxes_never_lose_recall(labelled: list[list[int]], more: list[list[int]]) -> None:
    assert scored(labelled[:1] + more, labelled)[1] >= scored(labelled[:1], labelled)[1] - ABOUT


names = st.text("abcdef", min_size=1, max_size=2)
ranking = st.dictionaries(names, st.integers(0, 8).map(float), max_size=12)
wanted_pairs = st.sets(names, min_size=1, max_size=6)


def average_by_thresholds(scores: dict[str, float], labelled: set[str]) -> float:
    """The same sum, by asking at each score what is at least as high."""
    total, recall = 0.0, 0.0
    for least in sorted(set(scores.values()), reverse=True):
        kept = {pair for pair, score in scores.items() if score >= least}
        reached = len(kept & labelled) / len(labelled)
        total += len(kept & labelled) / len(kept) * (reached - recall)
        recall = reached
    return total


def test_average_precision_of_a_ranking_by_hand() -> None:
    scores = {"a": 0.9, "x": 0.8, "b": 0.7, "y": 0.6}
    assert micro_average_precision(scores, {"a", "b"}) == pytest.approx((1 + 2 / 3) / 2)
    assert micro_average_precision(scores, {"a", "b", "c"}) == pytest.approx((1 + 2 / 3) / 3)
    assert micro_average_precision(scores, {"x"}) == pytest.approx(1 / 2)


def test_pairs_of_equal_score_enter_together() -> None:
    assert micro_average_precision({"a": 0.5, "x": 0.5}, {"a"}) == pytest.approx(0.5)


@given(ranking, wanted_pairs)
def test_average_precision_agrees_with_asking_at_each_score(
    scores: dict[str, float], labelled: set[str]
) -> None:
    average = micro_average_precision(scores, labelled)
    assert average == pytest.approx(average_by_thresholds(scores, labelled))
    turned = dict(reversed(scores.items()))
    assert micro_average_precision(turned, labelled) == pytest.approx(average)
    assert 0 <= average <= 1 + 1e-9


@given(ranking, wanted_pairs)
def test_only_the_order_of_the_scores_matters(scores: dict[str, float], labelled: set[str]) -> None:
    squashed = {pair: float(np.tanh(score)) for pair, score in scores.items()}
    assert micro_average_precision(squashed, labelled) == pytest.approx(
        micro_average_precision(scores, labelled)
    )


@given(ranking, wanted_pairs)
def test_a_false_pair_on_top_never_raises_average_precision(
    scores: dict[str, float], labelled: set[str]
) -> None:
    assert (
        micro_average_precision({**scores, "z": 9.0}, labelled)
        <= micro_average_precision(scores, labelled) + 1e-9
    )


def test_every_labelled_pair_before_the_rest_is_perfect() -> None:
    assert micro_average_precision({"a": 3.0, "b": 2.0, "x": 1.0}, {"a", "b"}) == 1


def test_a_ranking_without_labels_or_with_a_score_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="no labelled pairs"):
        micro_average_precision({"a": 1.0}, set())
    with pytest.raises(ValueError, match="'a' is nan"):
        micro_average_precision({"a": float("nan")}, {"a"})


def test_segment_average_precision_by_hand() -> None:
    whole = (10.0, 30.0, 20.0, 40.0)
    assert segment_average_precision([ScoredBox("a", whole, 0.5)], {"a": LABEL}) == pytest.approx(1)
    half = ScoredBox("a", (10.0, 30.0, 15.0, 35.0), 0.9)
    assert segment_average_precision([half], {"a": LABEL}) == pytest.approx(0.5)
    # First 10 s that share nothing, then all 10: P = 1/2 at R = 1.
    wrong = ScoredBox("b", (0.0, 0.0, 10.0, 10.0), 0.9)
    right = ScoredBox("a", whole, 0.5)
    assert segment_average_precision([wrong, right], {"a": LABEL}) == pytest.approx(0.5)
    # A label of another pair halves recall.
    labels: dict[str, ArrayLike] = {"a": LABEL, "c": LABEL}
    assert segment_average_precision([right], labels) == pytest.approx(0.5)


def seconds_shared(
    boxes: dict[str, list[list[int]]], labels: dict[str, list[list[int]]], axis: int
) -> tuple[int, int]:
    """Whole seconds of an axis that are predicted and labelled, and that are predicted."""
    shared = covered = 0
    for pair, ours in boxes.items():
        met = [
            label
            for label in labels.get(pair, [])
            if any(
                min(label[side + 2], one[side + 2]) > max(label[side], one[side])
                for one in ours
                for side in (axis,)
                if min(label[3 - axis], one[3 - axis]) > max(label[1 - axis], one[1 - axis])
            )
        ]
        seconds = {second for one in ours for second in range(one[axis], one[axis + 2])}
        covered += len(seconds)
        shared += len(
            seconds & {second for one in met for second in range(one[axis], one[axis + 2])}
        )
    return shared, covered


@given(
    st.lists(st.tuples(st.sampled_from("ab"), box, st.integers(0, 2)), max_size=6),
    st.dictionaries(st.sampled_from("ab"), st.lists(box, min_size=1, max_size=3), min_size=1),
)
def test_segment_average_precision_agrees_with_counting_seconds(
    drawn: list[tuple[str, list[int], int]], labels: dict[str, list[list[int]]]
) -> None:
    whole = [
        sum(
            len({second for one in boxes for second in range(one[axis], one[axis + 2])})
            for boxes in labels.values()
        )
        for axis in (0, 1)
    ]
    expected, recall = 0.0, 0.0
    for least in sorted({score for _, _, score in drawn}, reverse=True):
        kept: dict[str, list[list[int]]] = {}
        for pair, one, score in drawn:
            if score >= least:
                kept.setdefault(pair, []).append(one)
        (q, q_all), (r, r_all) = (seconds_shared(kept, labels, axis) for axis in (0, 1))
        reached = (q / whole[0] * r / whole[1]) ** 0.5
        expected += (q / q_all * r / r_all) ** 0.5 * (reached - recall)
        recall = reached
    found = [
        ScoredBox(pair, (float(one[0]), float(one[1]), float(one[2]), float(one[3])), score)
        for pair, one, score in drawn
    ]
    assert segment_average_precision(found, labels) == pytest.approx(expected, abs=1e-9)
    assume(found)
    shuffled = found[1:] + found[:1]
    assert segment_average_precision(shuffled, labels) == pytest.approx(expected, abs=1e-9)


def test_segments_without_labels_are_refused() -> None:
    with pytest.raises(ValueError, match="no labelled boxes"):
        segment_average_precision([], {})


def test_a_result_that_is_always_right_has_no_spread() -> None:
    labelled = {f"q{number}-r": LABEL for number in range(10)}
    queries = [f"q{number}" for number in range(10)]
    draws = draw_f1(labelled, labelled, [*labelled], queries)
    assert interval(draws) == pytest.approx((1, 1), abs=ABOUT)
    assert interval(draw_f1({}, labelled, [*labelled], queries)) == (0, 0)


def test_an_interval_holds_the_figure_and_narrows_with_more_queries() -> None:
    widths = []
    for count in (20, 320):
        labelled = {f"q{number}-r": LABEL for number in range(count)}
        found = {pair: boxes for place, (pair, boxes) in enumerate(labelled.items()) if place % 4}
        queries = [f"q{number}" for number in range(count)]
        low, high = interval(draw_f1(found, labelled, [*labelled], queries))
        assert low < score_pairs(found, labelled, [*labelled]).f1 < high
        widths.append(high - low)
    assert widths[0] == pytest.approx(4 * widths[1], rel=0.25), "by the root of how many there are"


def test_pairs_of_one_query_are_drawn_together() -> None:
    labelled = {f"q{number}-r{own}": LABEL for number in range(8) for own in range(5)}
    found = {pair: boxes for pair, boxes in labelled.items() if int(pair[1]) % 2}
    pairs = [*labelled]
    together = interval(draw_f1(found, labelled, pairs, [pair[:2] for pair in pairs]))
    apart = interval(draw_f1(found, labelled, pairs, pairs))
    assert together[1] - together[0] > 1.5 * (apart[1] - apart[0])


def test_two_results_on_one_set_are_drawn_alike() -> None:
    labelled = {f"q{number}-r": LABEL for number in range(40)}
    queries = [f"q{number}" for number in range(40)]
    worse = {pair: LABEL for pair in [*labelled][:20]}
    better = {pair: LABEL for pair in [*labelled][:24]}
    pairs = [*labelled]
    ahead = draw_f1(better, labelled, pairs, queries) - draw_f1(worse, labelled, pairs, queries)
    assert ahead.min() >= 0, "what the worse one finds the better one finds too"


def test_no_pairs_are_refused_by_the_bootstrap_too() -> None:
    with pytest.raises(ValueError, match="no pairs"):
        draw_f1({}, {}, [], [])
