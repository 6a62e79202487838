"""What speaks for a span, number by number, and which blocks are merely alike."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from models.aligners.base import Segment
from models.aligners.matrix import SimilarityMatrix
from models.detector.evidence import (
    FEATURES,
    FEATURES_WITH_PATHS,
    MOVING,
    PATHLESS,
    UNBOXED_SCORE,
    Evidence,
    Examiner,
    Judge,
    logit,
)
from models.detector.lines import LineFinder
from models.video import motion

Array = NDArray[np.float32]


def examiner(matrix: SimilarityMatrix) -> Examiner:
    return Examiner(LineFinder(matrix))


def grid(values: Array) -> SimilarityMatrix:
    """A matrix of frames a second apart."""
    query, reference = (np.arange(size, dtype=np.float32) + 0.5 for size in values.shape)
    return SimilarityMatrix(values, query, reference, len(query), len(reference))


SPAN = Segment(10, 20, 30, 40, 0.9)


@pytest.mark.parametrize(
    ("inside", "alike"),
    [
        (0.1 + 0.4 * np.eye(10), False),  # a line, however weak
        (np.full((10, 10), 0.5), True),  # slides of one template
        (0.5 + 0.05 * np.eye(10), True),
        (np.full((10, 10), 0.9), False),  # a scene that stands still
    ],
)
def test_a_block_of_middling_similarity_is_no_copy(inside: Array, alike: bool) -> None:
    values = np.full((40, 60), 0.1, np.float32)
    values[10:20, 30:40] = inside
    assert examiner(grid(values)).is_merely_alike(SPAN) is alike


def test_of_few_frames_what_they_usually_resemble_tells() -> None:
    values = np.full((10, 4), 0.2, np.float32)
    values[:, 1] = 0.5
    times = np.arange(10, dtype=np.float32), np.array([0, 10, 20, 30], np.float32)
    one_frame, slides = Segment(2, 5, 9, 12, 0.9), np.full((10, 4), 0.5, np.float32)
    assert not examiner(SimilarityMatrix(values, *times, 10, 40)).is_merely_alike(one_frame)
    assert examiner(SimilarityMatrix(slides, *times, 10, 40)).is_merely_alike(one_frame)


@pytest.mark.parametrize(
    ("above", "seconds", "alike"), [(0.25, 5, True), (0.25, 1, False), (0.4, 5, False)]
)
def test_a_still_that_is_like_one_frame_has_to_stand_out_more(
    above: float, seconds: int, alike: bool
) -> None:
    """Of an upload that stands still one frame is searched in five seconds, not one a second."""
    values = np.full((10, 4), 0.2, np.float32)
    values[:, 1] += above
    query, reference = (
        np.arange(10, dtype=np.float32) * seconds,
        np.array([0, 10, 20, 30], np.float32),
    )
    matrix = SimilarityMatrix(values, query, reference, 10 * seconds, 40)
    one_frame = Segment(2 * seconds, 5 * seconds, 9, 12, 0.9)
    assert examiner(matrix).is_merely_alike(one_frame) is alike


def moving_block(seed: int, level: float, *, same: bool = True) -> SimilarityMatrix:
    """All frames alike; ten seconds of the query move as the reference does, or not."""
    chance = np.random.default_rng(seed)
    curve = (level + 0.4 * chance.normal(size=4 * 60)).astype(np.float32)
    other = (level + 0.4 * chance.normal(size=4 * 40)).astype(np.float32)
    if same:
        at = np.arange(4 * 10) / 4 + 0.125 + SPAN.reference_start_seconds
        other[4 * 10 : 4 * 20] = motion.at(curve, at)
    alike = grid(np.full((40, 60), 0.5, np.float32))
    return replace(alike, query_motion=other, reference_motion=curve)


@pytest.mark.parametrize("seed", range(5))
def test_a_block_that_moves_alike_is_a_copy(seed: int) -> None:
    """A short reference of one scene is a block, and what moves there tells a copy from it."""
    assert not examiner(moving_block(seed, 2.5)).is_merely_alike(SPAN)
    assert examiner(moving_block(seed, 2.5, same=False)).is_merely_alike(SPAN)


def test_of_stills_the_noise_may_agree_and_means_nothing() -> None:
    assert examiner(moving_block(0, 0.5)).is_merely_alike(SPAN)


def diagonal(*, beside: float = 0.1) -> SimilarityMatrix:
    """A line of 0.8 in a block, and one frame of the span far off that is more alike."""
    values = np.full((40, 60), 0.1, np.float32)
    values[10:20, 24:46] = beside
    values[np.arange(10, 20), np.arange(30, 40)] = 0.8
    values[10, 55] = 1.0
    return grid(values)


def test_the_line_and_what_is_beside_it() -> None:
    own = examiner(diagonal(beside=0.4)).evidence(SPAN)
    assert own.similarity == pytest.approx(0.8) and own.beside == pytest.approx(0.4)
    assert own.better_elsewhere == pytest.approx(0.02, abs=1e-6)  # 0.2 of one frame in ten
    assert own.frames == pytest.approx(np.log(10)) and own.length == pytest.approx(10 / 30)
    assert own.score == pytest.approx(np.log(9))


def test_beside_a_line_at_the_edge_of_a_short_reference_stands_what_is_usual() -> None:
    values = np.full((10, 2), 0.3, np.float32)
    short = SimilarityMatrix(
        values, np.arange(10, dtype=np.float32), np.array([0.5, 1.5], np.float32), 10, 2
    )
    assert examiner(short).evidence(Segment(4, 6, 0, 2, 0.9)).beside == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("cuts", "span", "share"),
    [
        ([10.0, 20.0], (10, 20), 1.0),
        ([10.2], (10, 20), 0.5),
        ([10.4], (10, 20), 0.0),
        ([], (0, 40), 1.0),  # the query's own start and end
    ],
)
def test_who_pastes_a_span_makes_cuts(
    cuts: list[float], span: tuple[int, int], share: float
) -> None:
    pair = replace(diagonal(), query_cuts_seconds=np.array(cuts, np.float32))
    assert examiner(pair).evidence(Segment(*span, 10, 50, 0.9)).on_cuts == share


def test_cuts_that_meet_are_counted() -> None:
    pair = replace(
        diagonal(),
        query_cuts_seconds=np.array([12, 14, 16], np.float32),
        reference_cuts_seconds=np.array([32, 34, 37], np.float32),
    )
    assert examiner(pair).evidence(SPAN).cuts_met == pytest.approx(2 / 4, abs=0.01)
    assert examiner(diagonal()).evidence(SPAN).cuts_met == 0


def test_how_much_moves_has_a_bound_and_a_value_for_unknown() -> None:
    assert examiner(diagonal()).evidence(SPAN).moving == MOVING
    for level, expected in ((0.5, 0.5), (3.0, MOVING)):
        found = examiner(moving_block(3, level)).evidence(SPAN).moving
        assert found == pytest.approx(expected, abs=0.15)


def test_a_span_between_the_frames_has_no_line() -> None:
    between = Segment(10.6, 11.4, 30.6, 31.4, 0.9)
    own = examiner(diagonal()).evidence(between)
    assert (own.similarity, own.beside, own.better_elsewhere, own.frames) == (0, 0, 0, 0)
    assert not examiner(diagonal()).is_merely_alike(between)


def test_features_are_one_and_the_attributes_the_path_last() -> None:
    own = Evidence(*range(2, 12))
    np.testing.assert_array_equal(own.features(FEATURES), range(1, 12))
    assert own.features(FEATURES_WITH_PATHS).tolist() == [*range(1, 12), PATHLESS]


def test_turns_of_a_loop_are_one_with_the_score_of_the_surest_box() -> None:
    values = np.full((40, 60), 0.1, np.float32)
    for row in range(6, 26):
        values[row, 30 + (row - 6) % 10] = 0.9
    pair = replace(grid(values), query_cuts_seconds=np.array([6, 16, 26], np.float32))
    own = examiner(pair)
    boxes = [Segment(6, 16, 30, 40, 0.9), Segment(20, 25, 34, 39, 0.8)]
    found = [(span, own.evidence(span)) for span in boxes]
    seen: list[Evidence] = []

    def probability(one: Evidence) -> float:
        seen.append(one)
        return 0.7

    judge = Judge(own, found, probability)
    assert judge.sure(lambda query: 30 + (query - 6) % 10, 6, 26) == 0.7
    assert judge.sure(lambda query: np.full_like(query, 31), 30, 36) == 0.7
    loop, elsewhere = seen
    assert loop.score == logit(0.9) and loop.on_cuts == 1.0
    assert (loop.similarity, loop.better_elsewhere) == pytest.approx((0.9, 0), abs=1e-6)
    assert loop.very_alike == pytest.approx(0.5, abs=1e-5) and loop.length == pytest.approx(20 / 30)
    assert loop.frames == pytest.approx(np.log(10))
    assert elsewhere.score == logit(UNBOXED_SCORE) and elsewhere.path == PATHLESS
    assert elsewhere.similarity == pytest.approx(0.1, abs=1e-6)
