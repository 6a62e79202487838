"""Pairs that the detector learns from: boxes lie on what is copied, and nothing else is."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models.aligners.base import Segment
from models.aligners.matrix import SimilarityMatrix
from models.detector.lines import LineFinder
from models.detector.pair_plans import PairRecipe
from models.detector.pasted_pairs import PairMaker
from models.detector.timelines import Piece, Timeline, sliced
from models.training.descriptor_pool import Footage
from tests.models.made_footage import CLEAN, POOL, footage


def along_the_boxes(matrix: SimilarityMatrix, boxes: NDArray[np.float32]) -> list[float]:
    """Mean similarity on each box's diagonal."""
    means = []
    for q0, r0, q1, r1 in boxes.tolist():
        rows = np.flatnonzero((matrix.query_seconds > q0) & (matrix.query_seconds < q1))
        at = r0 + (matrix.query_seconds[rows] - q0) * (r1 - r0) / (q1 - q0)
        columns = np.abs(matrix.reference_seconds[None, :] - at[:, None]).argmin(axis=1)
        means.append(float(matrix.values[rows, columns].mean()))
    return means


@pytest.mark.parametrize("changed", [{}, {"other_speed_share": 1.0}, {"several_share": 1.0}])
def test_boxes_lie_where_the_reference_is_pasted(changed: dict[str, Any]) -> None:
    maker = PairMaker(POOL, replace(CLEAN, longest_seconds=60.0, **changed), 5)
    pairs = [maker.pair(index) for index in range(12)]
    means = [m for pair in pairs for m in along_the_boxes(pair.similarity, pair.boxes)]
    assert len(means) >= 12
    assert np.mean(means) > 0.75 and min(means) > 0.4
    assert np.mean([pair.similarity.values.mean() for pair in pairs]) < 0.2


def test_backward_spans_run_down_the_other_diagonal() -> None:
    maker = PairMaker(POOL, replace(CLEAN, longest_seconds=60.0, reversed_share=1.0), 6)
    pairs = [maker.pair(index) for index in range(8)]
    assert all(pair.reversed.all() for pair in pairs)
    means = []
    for pair in pairs:
        turned = pair.boxes[:, [0, 3, 2, 1]]
        means += along_the_boxes(pair.similarity, turned)
    assert np.mean(means) > 0.75


def test_what_moves_in_a_copy_moves_in_its_original() -> None:
    spans = replace(CLEAN, longest_seconds=60.0, reversed_share=0.0, motionless_share=0.0)
    maker = PairMaker(POOL, spans, 5)
    agreed = []
    for index in range(12):
        pair = maker.pair(index)
        finder = LineFinder(pair.similarity)
        for q0, r0, q1, r1 in pair.boxes.tolist():
            span = Segment(q0, q1, r0, r1, 1.0)
            elsewhere = Segment(q0, q1, max(r0 - 5, 0), max(r1 - 5, 1), 1.0)
            if q1 - q0 > 8:
                agreed.append((finder.motion_agreement(span), finder.motion_agreement(elsewhere)))
    here, there = np.array(agreed).T
    assert len(agreed) > 5
    assert np.median(here) > 0.6 > 0.4 > np.median(there)


def test_at_double_speed_twice_as_much_moves() -> None:
    even = [replace(POOL[0], motion=np.full(48, 1.5, np.float32))]
    once = Timeline([Piece(0, 0, 0.0, 12.0)]).motion(even, np.random.default_rng(0))
    twice = Timeline([Piece(0, 0, 0.0, 12.0, speed=2.0)]).motion(even, np.random.default_rng(0))
    assert len(once) == 48 and len(twice) == 24
    np.testing.assert_allclose(np.expm1(twice), 2 * np.expm1(1.5), rtol=1e-5)
    np.testing.assert_allclose(once, 1.5, rtol=1e-5)


def test_pairs_without_motion_are_among_them() -> None:
    maker = PairMaker(POOL, replace(CLEAN, motionless_share=1.0), 5)
    assert len(maker.pair(0).similarity.query_motion) == 0


def test_a_pair_is_a_function_of_seed_and_number() -> None:
    one, again = (PairMaker(POOL, PairRecipe(), 3).pair(7) for _ in range(2))
    assert (one.similarity.values == again.similarity.values).all()
    assert (one.boxes == again.boxes).all()
    other = PairMaker(POOL, PairRecipe(), 4).pair(7)
    assert one.similarity.values.shape != other.similarity.values.shape


def test_too_little_footage_is_refused() -> None:
    with pytest.raises(ValueError, match="at least four clips"):
        PairMaker(POOL[:3], PairRecipe(), 1)


def test_a_few_clips_are_enough_for_pairs_of_any_length() -> None:
    maker = PairMaker(POOL[:4], replace(CLEAN, longest_seconds=120.0), 1)
    assert all(maker.pair(index).similarity.values.size for index in range(20))


def test_clips_of_a_single_scene_are_refused() -> None:
    twins = [replace(POOL[0], name=f"twin{number}") for number in range(4)]
    with pytest.raises(ValueError, match="footage of more scenes"):
        PairMaker(twins, CLEAN, 1).pair(0)


def test_clips_of_one_scene_never_meet() -> None:
    twin = replace(POOL[0], name="twin")
    maker = PairMaker([*POOL[:6], twin], replace(CLEAN, clear_share=1.0), 2)
    for index in range(40):
        plan = maker.plan(np.random.default_rng(index))
        known = {piece.clip for piece in plan.reference.pieces}
        asked = {piece.clip for piece in plan.query.pieces}
        assert not ({0, 6} & known and {0, 6} & asked - known)


def family_of(number: int) -> tuple[Footage, Footage]:
    """Two shows of one template: nearly the same pictures, and no copy."""
    one = footage(number)
    return (
        replace(one, name=f"pages-{number}-a", family=f"pages-{number}"),
        replace(one, name=f"pages-{number}-b", family=f"pages-{number}"),
    )


def test_pages_of_one_family_meet_and_are_no_copy() -> None:
    shows = [show for number in range(50, 53) for show in family_of(number)]
    recipe = replace(CLEAN, clear_share=1.0, family_share=1.0)
    maker = PairMaker([*POOL[:6], *shows], recipe, 2)
    met = 0
    for index in range(30):
        plan = maker.plan(np.random.default_rng((2, index)))
        reference = {piece.clip for piece in plan.reference.pieces}
        query = {piece.clip for piece in plan.query.pieces}
        assert not len(plan.boxes) and not reference & query
        families = {number // 2 for number in reference if number >= 6}
        met += bool(families & {number // 2 for number in query if number >= 6})
    assert met > 15


def test_a_slice_of_a_timeline_plays_the_same() -> None:
    timeline = Timeline([Piece(0, 0, 2.0, 6.0), Piece(1, 0, 0.0, 8.0)])
    parts = Timeline(list(sliced(timeline, 3.0, 11.0)))
    times = np.arange(0, 8, 0.25, dtype=np.float32)
    random = np.random.default_rng(0)
    whole = timeline.describe(POOL, times + np.float32(3.0), random)[0]
    assert np.allclose(parts.describe(POOL, times, random)[0], whole)
    assert timeline.cuts(POOL).tolist() == [2.0, 6.0, 10.0]


def test_a_piece_that_is_held_shows_one_frame_and_nothing_moves() -> None:
    timeline = Timeline([Piece(0, 0, 2.0, 6.0, held=True)])
    times = np.arange(0, 6, 0.25, dtype=np.float32)
    rows = timeline.describe(POOL, times, np.random.default_rng(0))[0]
    assert (rows == rows[0]).all()
    assert (
        not timeline.cuts(POOL).size and not timeline.motion(POOL, np.random.default_rng(0)).any()
    )
    part = Timeline(list(sliced(timeline, 3.0, 5.0)))
    assert (part.describe(POOL, times[:4], np.random.default_rng(0))[0] == rows[0]).all()


def test_no_copied_span_ends_where_nothing_moves() -> None:
    maker = PairMaker(POOL, replace(CLEAN, still_share=0.5, several_share=0.5), 2)
    held = partly = 0
    for index in range(60):
        plan = maker.plan(np.random.default_rng((3, index)))
        starts = plan.reference.starts
        stills = [
            (begin, begin + piece.seconds)
            for piece, begin in zip(plan.reference.pieces, starts, strict=False)
            if piece.held
        ]
        for _, start, _, end in plan.boxes:
            among = [(a, b) for a, b in stills if a < end - 1e-3 and b > start + 1e-3]
            whole = [start <= a + 1e-3 and b - 1e-3 <= end for a, b in among]
            held, partly = held + sum(whole), partly + len(whole) - sum(whole)
    assert held > 30 and partly < 5  # those whose still is longer than the query may be


def test_a_short_video_that_is_uploaded_again_is_one_box() -> None:
    maker = PairMaker(POOL, replace(CLEAN, whole_share=1.0), 2)
    for index in range(10):
        plan = maker.plan(np.random.default_rng(index))
        assert 4 <= plan.reference.seconds < 40  # twenty, and a piece shown again
        whole = [0, 0, plan.query.seconds, plan.reference.seconds]
        assert plan.boxes.tolist() == [pytest.approx(whole, abs=1e-3)]
