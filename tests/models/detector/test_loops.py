"""Loops: periods are found by motion and by cuts, all turns are placed as one."""

import time
import tracemalloc

import numpy as np
import pytest
from numpy.typing import NDArray

from models.aligners.base import Segment
from models.aligners.matrix import DescribedVideo, SimilarityMatrix
from models.detector.last_query import LastQuery
from models.detector.loops import Loop, find_loops
from models.detector.serve import PatternDetector, PatternDetectorSettings
from models.detector.turns import LoopPlacer, with_turns
from models.video import motion
from tests.models.detector.made import (
    BOXED,
    FINE,
    NO_CUTS,
    REFERENCE_SECONDS,
    Array,
    codes_of,
    judge,
    looks,
    moves,
    reference,
)


@pytest.mark.parametrize("period", [1.5, 2.0, 2.73, 3.4, 5.0])
@pytest.mark.parametrize("seed", range(3))
def test_a_turn_that_comes_again_is_found_by_its_motion(period: float, seed: int) -> None:
    turns = round(20 / period)
    curve = codes_of(np.tile(moves(period, seed), turns))
    found = find_loops(curve, NO_CUTS, period * turns)
    assert any(
        (loop.start, loop.end) == (0.0, period * turns)
        and loop.period == pytest.approx(period, abs=0.05)
        for loop in found
    ), found


def test_a_loop_in_the_middle_of_a_video_has_its_ends() -> None:
    turn = np.tile(moves(2.0, 7), 6)
    curve = codes_of(np.concatenate([moves(9.0, 8), turn, moves(8.0, 9)]))
    (loop, *_) = find_loops(curve, np.array([9.0, 21.0]), 29.0)
    assert (loop.start, loop.end) == (9.0, 21.0)
    assert loop.period == pytest.approx(2.0, abs=0.05)


def test_cuts_that_come_again_make_a_period_where_next_to_nothing_moves() -> None:
    cuts = np.sort(np.concatenate([np.arange(1.0, 20, 2.4), np.arange(2.4, 20, 2.4)]))
    (loop, *_) = find_loops(np.full(80, 3.0, np.float32), cuts, 19.2)
    assert loop.period == pytest.approx(2.4, abs=1e-6)
    assert (loop.start, loop.end) == (0.0, 19.2)


def test_other_footage_hardly_ever_repeats_itself() -> None:
    looped = []
    for seed in range(40):
        cuts = np.cumsum(np.random.default_rng(seed).uniform(2.0, 7.0, 5))
        looped += find_loops(codes_of(moves(30.0, seed)), cuts, 30.0)
    assert len(looped) <= 4, looped


@pytest.mark.parametrize("count", [0, 1, 5])
def test_a_short_or_unknown_curve_has_no_loop(count: int) -> None:
    assert find_loops(np.ones(count, np.float32), NO_CUTS, count / motion.RATE) == []


def looped(at: float, period: float, turns: int) -> DescribedVideo:
    """The reference's `period` seconds from `at` on, again and again."""
    duration = period * turns
    times = np.arange(0, duration - 0.2, 1.0)
    fine = moves(REFERENCE_SECONDS, 1)[round(at * FINE) : round((at + period) * FINE)]
    inside = [cut - at for cut in range(5, REFERENCE_SECONDS, 5) if at < cut < at + period]
    jumps = [turn * period for turn in range(1, turns)]
    cuts = [turn * period + cut for turn in range(turns) for cut in inside]
    return DescribedVideo(
        times.astype(np.float32),
        looks(at + times % period),
        duration,
        cut_seconds=np.sort(np.array(jumps + cuts, np.float32)),
        motion=codes_of(np.tile(fine, turns)),
    )


@pytest.mark.parametrize(("at", "period"), [(12.3, 1.5), (8.0, 2.0), (21.7, 3.0), (28.1, 4.6)])
def test_every_turn_is_a_span_at_its_place(at: float, period: float) -> None:
    turns = round(18 / period)
    pair = SimilarityMatrix.of(looped(at, period, turns), reference())
    found = PatternDetector(PatternDetectorSettings()).align(pair)
    places = sorted(
        (s.query_start_seconds, s.query_end_seconds, s.reference_start_seconds) for s in found
    )
    wanted = [(turn * period, (turn + 1) * period, at) for turn in range(turns)]
    assert len(places) == len(wanted), places
    for place, right in zip(places, wanted, strict=True):
        assert place == pytest.approx(right, abs=0.3)
    assert len({segment.score for segment in found}) == 1


def test_a_first_turn_that_is_cut_off_is_the_end_of_one() -> None:
    whole = looped(11.3, 4.0, 5)
    pair = SimilarityMatrix.of(whole, reference())
    loop = Loop(1.5, 20.0, 4.0)
    placed = LoopPlacer(pair, loop).place([(7.0, 15.0)])
    assert placed is not None
    first, second, *_ = placed.turns(loop, 0.9)
    assert (first.query_start_seconds, first.query_end_seconds) == pytest.approx((1.5, 4.0), 0.2)
    assert (first.reference_start_seconds, first.reference_end_seconds) == pytest.approx(
        (12.8, 15.3), abs=0.3
    )
    assert second.reference_start_seconds == pytest.approx(11.3, abs=0.3)


def test_a_straight_line_that_says_as_much_stays() -> None:
    period, turns = 2.0, 9
    video = looped(8.0, period, turns)
    pair = SimilarityMatrix.of(video, video)  # the reference repeats itself too
    line = Segment(0.0, 18.0, 0.0, 18.0, 0.97)
    kept = with_turns(pair, [Loop(0.0, 18.0, period)], [line], judge(pair, [(line, BOXED)]))
    assert kept == [line]


def test_a_loop_of_something_else_has_no_place() -> None:
    random = np.random.default_rng(9)
    others = random.standard_normal((18, 64)).astype(np.float32)
    others /= np.linalg.norm(others, axis=1, keepdims=True)
    video = looped(8.0, 2.0, 9)
    pair = SimilarityMatrix.of(
        DescribedVideo(
            video.seconds, others, 18.0, cut_seconds=video.cut_seconds, motion=video.motion
        ),
        reference(),
    )
    loops = LastQuery(find_loops).of(pair)
    assert loops
    assert with_turns(pair, loops, [], judge(pair, [])) == []


def test_one_query_is_looked_through_once_for_all_references() -> None:
    pairs = [SimilarityMatrix.of(looped(8.0, 2.0, 9), reference()) for _ in range(2)]
    asked = []

    def counted(curve: Array, cuts: NDArray[np.float64], seconds: float) -> list[Loop]:
        asked.append(seconds)
        return find_loops(curve, cuts, seconds)

    last = LastQuery(counted)
    first = last.of(pairs[0])
    assert last.of(pairs[0]) is first and len(asked) == 1
    assert last.of(pairs[1]) == first and len(asked) == 2


def test_hours_of_a_loop_cost_no_more_than_is_bounded() -> None:
    period, turns = (
        1.5,
        1200,
    )  # half an hour, with a cut each third of a second, in a long reference
    whole = looped(8.0, period, 12)
    seconds = np.arange(0, period * turns, 1.0)
    cuts = np.arange(0.3, period * turns, 0.3).astype(np.float32)
    pair = SimilarityMatrix.of(
        DescribedVideo(
            seconds.astype(np.float32),
            looks(8.0 + seconds % period),
            period * turns,
            cut_seconds=cuts,
            motion=np.tile(whole.motion, turns // 12),
        ),
        DescribedVideo(
            seconds.astype(np.float32), looks(seconds % 38), period * turns, cut_seconds=cuts
        ),
    )
    tracemalloc.start()
    began = time.process_time()
    loops = LastQuery(find_loops).of(pair)
    wide = Segment(0.0, period * turns, 0.0, period * turns, 0.9)
    with_turns(pair, loops, [wide], judge(pair, [(wide, BOXED)]))
    spent, (_, peak) = time.process_time() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert loops and peak < 3e8 and spent < 30, (peak, spent)
