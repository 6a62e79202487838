"""Boomerangs: turns are found by motion and by cuts, both ways are placed as one."""

import time
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from models.aligners.base import Segment
from models.aligners.matrix import DescribedVideo, SimilarityMatrix
from models.detector.last_query import LastQuery
from models.detector.palindromes import Palindrome, find_palindromes
from models.detector.serve import PatternDetector, PatternDetectorSettings
from models.detector.ways import with_ways
from models.video import motion
from tests.models.detector.made import (
    BOXED,
    FINE,
    NO_CUTS,
    REFERENCE_SECONDS,
    codes_of,
    judge,
    looks,
    moves,
    reference,
)

Floats = NDArray[np.float64]


def there_and_back(fine: Floats) -> Floats:
    return np.concatenate([fine, fine[::-1]])


def boomerang(at: float, way: float, *, back_first: bool = False) -> DescribedVideo:
    """The reference's seconds from `at` on, `way` of them, there and back or back and there."""
    times = np.arange(0, 2 * way - 0.2, 1.0)
    away = np.abs(times - way)
    fine = moves(REFERENCE_SECONDS, 1)[round(at * FINE) : round((at + way) * FINE)]
    inside = [cut - at for cut in range(5, REFERENCE_SECONDS, 5) if at < cut < at + way]
    cuts = [*inside, *(2 * way - cut for cut in inside)]
    if back_first:
        cuts = [(way - cut) % (2 * way) for cut in cuts]
    return DescribedVideo(
        times.astype(np.float32),
        looks(at + (away if back_first else way - away)),
        2 * way,
        cut_seconds=np.sort(np.array(cuts, np.float32)),
        motion=codes_of(there_and_back(fine[::-1] if back_first else fine)),
    )


@pytest.mark.parametrize("way", [2.0, 3.3, 6.0, 15.0])
@pytest.mark.parametrize("seed", range(3))
def test_a_turn_is_found_by_the_motion_on_both_sides(way: float, seed: int) -> None:
    around = moves(7.0, seed + 10), moves(5.0, seed + 20)
    curve = codes_of(np.concatenate([around[0], there_and_back(moves(way, seed)), around[1]]))
    cuts = np.array([7.0, 7.0 + 2 * way])
    found = find_palindromes(curve, cuts, 12.0 + 2 * way)
    assert any(one.turn == pytest.approx(7.0 + way, abs=0.05) for one in found), found


def test_a_cut_and_its_mirror_image_tell_the_turn() -> None:
    curve = codes_of(there_and_back(moves(6.0, 3)))
    (first, *_) = find_palindromes(curve, np.array([1.07, 10.97]), 12.0)
    assert first.turn == pytest.approx(6.02)


@pytest.mark.parametrize("count", [0, 1, 5, 40])
def test_a_short_an_unknown_and_a_still_curve_turn_nowhere(count: int) -> None:
    assert find_palindromes(np.ones(count, np.float32), NO_CUTS, count / motion.RATE) == []


@pytest.mark.parametrize("back_first", [False, True])
@pytest.mark.parametrize(("at", "way"), [(12.3, 2.0), (8.0, 3.0), (21.7, 4.5), (13.1, 8.0)])
def test_each_way_is_a_span_at_its_place(at: float, way: float, back_first: bool) -> None:
    pair = SimilarityMatrix.of(boomerang(at, way, back_first=back_first), reference())
    found = PatternDetector(PatternDetectorSettings()).align(pair)
    first, second = sorted(found, key=lambda span: span.query_start_seconds)
    for span, start in ((first, 0.0), (second, way)):
        edges = (
            span.query_start_seconds, span.query_end_seconds,
            span.reference_start_seconds, span.reference_end_seconds,
        )  # fmt: skip
        assert edges == pytest.approx((start, start + way, at, at + way), abs=0.3)
    assert (first.reversed, second.reversed) == (back_first, not back_first)


def test_a_straight_line_that_says_as_much_stays() -> None:
    video = boomerang(8.0, 5.0)
    pair = SimilarityMatrix.of(video, video)  # the reference turns too
    line = Segment(0.0, 10.0, 0.0, 10.0, 0.97)
    turns = [Palindrome(0.0, 5.0, 10.0)]
    assert with_ways(pair, turns, [line], judge(pair, [(line, BOXED)])) == [line]


def test_what_else_the_video_copies_stays() -> None:
    video = boomerang(8.0, 5.0)
    pair = SimilarityMatrix.of(video, reference())
    pair = replace(pair, query_duration_seconds=30.0)
    other = Segment(14.0, 20.0, 30.0, 36.0, 0.4)
    found = with_ways(pair, [Palindrome(0.0, 5.0, 10.0)], [other], judge(pair, [(other, BOXED)]))
    assert [span.score for span in found] == [0.9, 0.9, 0.4]
    assert found[-1] == other


@pytest.mark.parametrize("end", [12.0, 40.0])
def test_a_span_that_goes_on_beyond_the_stretch_outweighs_it(end: float) -> None:
    video = boomerang(8.0, 5.0)
    pair = replace(SimilarityMatrix.of(video, reference()), query_duration_seconds=40.0)
    longer = Segment(0.0, end, 0.0, end, 0.9)
    found = with_ways(pair, [Palindrome(0.0, 5.0, 10.0)], [longer], judge(pair, [(longer, BOXED)]))
    assert found == [longer]


def test_a_boomerang_of_something_else_has_no_place() -> None:
    video = boomerang(8.0, 5.0)
    others = np.random.default_rng(9).standard_normal((5, 64)).astype(np.float32)
    others = np.concatenate([others, others[::-1]])
    others /= np.linalg.norm(others, axis=1, keepdims=True)
    pair = SimilarityMatrix.of(replace(video, descriptors=others), reference())
    palindromes = LastQuery(find_palindromes).of(pair)
    assert palindromes
    assert with_ways(pair, palindromes, [], judge(pair, [])) == []


def test_hours_cost_no_more_than_is_bounded() -> None:
    seconds = 2 * 3600.0
    video = boomerang(8.0, 6.0)
    times = np.arange(0, seconds, 1.0)
    cuts = np.arange(0.5, seconds, 0.5).astype(np.float32)
    turns = round(seconds / 12)
    away = np.abs(times % 12 - 6)
    query = DescribedVideo(
        times.astype(np.float32), looks(14.0 - away), seconds, cut_seconds=cuts,
        motion=np.tile(video.motion, turns),
    )  # fmt: skip
    pair = SimilarityMatrix.of(query, reference())
    tracemalloc.start()
    began = time.process_time()
    wide = Segment(0.0, seconds, 0.0, 40.0, 0.9)
    with_ways(pair, LastQuery(find_palindromes).of(pair), [wide], judge(pair, [(wide, BOXED)]))
    spent, (_, peak) = time.process_time() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1e8 and spent < 20, (peak, spent)
