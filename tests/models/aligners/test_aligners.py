"""One contract for every aligner: pasted spans are found where they were pasted, and nothing else.

A newcomer to `ALIGNERS` is tested by being there. Exact edges, other speeds and still scenes are
asked of all but `BASELINES`, which stand here as the literature has them.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.aligners.base import Aligner, Segment
from models.aligners.matrix import DescribedVideo, SimilarityMatrix
from models.all_aligners import ALIGNERS, make_aligner
from models.detector.serve import PatternDetector
from models.errors import ModelError

BASELINES = ("dynamic_programming", "dynamic_time_warping", "hough_voting")
EVEN_ODDS = 0.5  # what an aligner is less sure of than this is no answer
DIMENSION = 64
# The detector also says what is unlikely, with its probability; a library drops it below this.
DETECTOR_MIN_SCORE = 0.8
FINE_PER_SECOND = 20  # how densely a made video is drawn before it is sampled
Fine = NDArray[np.float32]


@pytest.fixture(params=sorted(ALIGNERS))
def any_aligner(request: pytest.FixtureRequest) -> Aligner:
    return make_aligner(request.param)


@pytest.fixture
def rule() -> Aligner:
    """The one that knows no footage: what it does with stills and at the ends is exact."""
    return make_aligner("temporal_network")


@pytest.fixture(params=sorted(ALIGNERS.keys() - set(BASELINES)))
def aligner(request: pytest.FixtureRequest) -> Aligner:
    return make_aligner(request.param)


def video(seed: int, seconds: float, *, shot_seconds: float = 4.0) -> Fine:
    """Descriptors that drift from one random look to the next, (N, D) at the fine rate."""
    random = np.random.default_rng(seed)
    looks = random.standard_normal((int(seconds / shot_seconds) + 2, DIMENSION))
    at = np.arange(int(seconds * FINE_PER_SECOND)) / FINE_PER_SECOND / shot_seconds
    shot, part = at.astype(int), (at % 1)[:, None]
    return unit((1 - part) * looks[shot] + part * looks[shot + 1])


def unit(rows: NDArray[np.floating]) -> Fine:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def played(fine: Fine, start: float, end: float, pace: float = 1.0) -> Fine:
    """The span `start` to `end` seconds of a video, at another pace."""
    at = np.arange(start, end, pace / FINE_PER_SECOND) * FINE_PER_SECOND
    rows: Fine = fine[np.minimum(at.astype(int), len(fine) - 1)]
    return rows


def noisy(fine: Fine, seed: int, noise: float = 0.06) -> Fine:
    return unit(fine + noise * np.random.default_rng(seed).standard_normal(fine.shape))


def sampled(fine: Fine, seconds: NDArray[np.floating]) -> DescribedVideo:
    rows = fine[(seconds * FINE_PER_SECOND).astype(int)]
    return DescribedVideo(seconds.astype(np.float32), rows, len(fine) / FINE_PER_SECOND)


def every(fine: Fine, step: float, offset: float = 0.0) -> DescribedVideo:
    return sampled(fine, np.arange(offset, len(fine) / FINE_PER_SECOND - 1e-6, step))


def box(segment: Segment) -> list[float]:
    return [
        segment.query_start_seconds,
        segment.reference_start_seconds,
        segment.query_end_seconds,
        segment.reference_end_seconds,
    ]


def overlap(found: list[float], expected: list[float]) -> float:
    """Intersection over union on the time axis where it is less."""
    ours, truth = np.array(found), np.array(expected)
    shared = np.minimum(ours[2:], truth[2:]) - np.maximum(ours[:2], truth[:2])
    both = np.maximum(ours[2:], truth[2:]) - np.minimum(ours[:2], truth[:2])
    return float(np.maximum(shared / both, 0).min())


def boxes(aligner: Aligner, query: DescribedVideo, reference: DescribedVideo) -> list[list[float]]:
    found = aligner.align(SimilarityMatrix.of(query, reference))
    least = DETECTOR_MIN_SCORE if isinstance(aligner, PatternDetector) else 0.0
    return [box(segment) for segment in found if segment.score >= least]


def sure_boxes(
    aligner: Aligner, query: DescribedVideo, reference: DescribedVideo
) -> list[list[float]]:
    found = aligner.align(SimilarityMatrix.of(query, reference))
    return [box(segment) for segment in found if segment.score >= EVEN_ODDS]


REFERENCE = video(1, 60)
BEFORE, AFTER = video(2, 12), video(3, 15)


def pasted(start: float, end: float, pace: float = 1.0) -> Fine:
    return noisy(np.concatenate((BEFORE, played(REFERENCE, start, end, pace), AFTER)), 4)


@pytest.mark.parametrize("offset", [0.0, 0.3, 0.5, 0.8])
@pytest.mark.parametrize("reference_step", [1.0, 2.0])
def test_a_clear_span_is_found_by_every_aligner(
    any_aligner: Aligner, offset: float, reference_step: float
) -> None:
    found = boxes(any_aligner, every(pasted(20, 40), 1.0, offset), every(REFERENCE, reference_step))
    assert found
    assert overlap(found[0], [12, 20, 32, 40]) > 0.7


def test_two_spans_in_another_order_are_found_by_every_aligner(any_aligner: Aligner) -> None:
    fine = np.concatenate((played(REFERENCE, 40, 56), BEFORE, played(REFERENCE, 5, 20), AFTER))
    found = boxes(any_aligner, every(noisy(fine, 6), 1.0), every(REFERENCE, 1.0, 0.5))
    for expected in ([0.0, 40.0, 16.0, 56.0], [28.0, 5.0, 43.0, 20.0]):
        assert max(overlap(one, expected) for one in found) > 0.7


@pytest.mark.parametrize("offset", [0.0, 0.3, 0.5, 0.8])
def test_a_pasted_span_is_found_whatever_the_offset_of_the_samples(
    aligner: Aligner, offset: float
) -> None:
    found = boxes(aligner, every(pasted(20, 40), 1.0, offset), every(REFERENCE, 1.0))
    assert len(found) == 1
    np.testing.assert_allclose(found[0], [12, 20, 32, 40], atol=1.1)


@pytest.mark.parametrize("pace", [0.5, 0.7, 0.9, 1.2, 1.6, 2.0])
def test_a_copy_may_run_at_half_to_double_speed(aligner: Aligner, pace: float) -> None:
    found = boxes(aligner, every(pasted(20, 44, pace), 1.0, 0.4), every(REFERENCE, 1.0))
    assert len(found) == 1
    atol = 2.6 if isinstance(aligner, PatternDetector) else 2.0
    np.testing.assert_allclose(found[0], [12, 20, 12 + 24 / pace, 44], atol=atol)


@pytest.mark.parametrize(("query_step", "reference_step"), [(0.5, 2.0), (2.0, 0.5), (0.5, 0.5)])
def test_one_side_may_be_denser(aligner: Aligner, query_step: float, reference_step: float) -> None:
    query, reference = every(pasted(20, 40), query_step, 0.2), every(REFERENCE, reference_step)
    found = boxes(aligner, query, reference)
    assert len(found) == 1
    np.testing.assert_allclose(found[0], [12, 20, 32, 40], atol=1.5)


def test_key_frames_may_lie_unevenly(aligner: Aligner) -> None:
    random = np.random.default_rng(5)
    fine = pasted(20, 40)
    seconds = np.cumsum(random.uniform(0.3, 1.7, 43))
    query = sampled(fine, seconds[seconds < len(fine) / FINE_PER_SECOND])
    reference = sampled(REFERENCE, np.sort(random.uniform(0, 60, 70)))
    found = boxes(aligner, query, reference)
    assert len(found) == 1
    np.testing.assert_allclose(found[0], [12, 20, 32, 40], atol=2.0)


def test_several_spans_of_one_reference_are_boxes_of_their_own(aligner: Aligner) -> None:
    fine = np.concatenate(
        (played(REFERENCE, 40, 52), BEFORE, played(REFERENCE, 5, 20), AFTER, REFERENCE[500:700])
    )
    found = sorted(boxes(aligner, every(noisy(fine, 6), 1.0), every(REFERENCE, 1.0, 0.5)))
    assert len(found) == 3
    expected = [[0, 40, 12, 52], [24, 5, 39, 20], [54, 25, 64, 35]]
    np.testing.assert_allclose(found, expected, atol=1.6)


def test_a_static_scene_is_boxed_at_the_speed_of_its_surroundings(aligner: Aligner) -> None:
    still = np.concatenate(
        (played(REFERENCE, 0, 10), np.repeat(REFERENCE[200:201], 300, axis=0), REFERENCE[200:400])
    )
    query = noisy(np.concatenate((BEFORE, still)), 7)
    found = boxes(aligner, every(query, 1.0, 0.3), every(still, 1.0))
    assert len(found) == 1
    np.testing.assert_allclose(found[0], [12, 0, 47, 35], atol=1.1)


def test_nothing_but_a_static_scene_is_boxed_once_at_equal_speed(rule: Aligner) -> None:
    still = np.repeat(REFERENCE[:1], 20 * FINE_PER_SECOND, axis=0)
    found = boxes(rule, every(noisy(still, 8, 0.01), 1.0), every(still, 1.0))
    assert len(found) == 1
    np.testing.assert_allclose(found[0], [0, 0, 20, 20], atol=1.1)


def test_a_long_still_video_with_few_key_frames_is_one_box(rule: Aligner) -> None:
    seconds = np.arange(0, 10_800, 10, dtype=np.float32)
    still = DescribedVideo(seconds, np.repeat(REFERENCE[:1], len(seconds), axis=0), 10_800)
    found = boxes(rule, still, still)
    assert len(found) == 1
    np.testing.assert_allclose(found[0], [0, 0, 10_800, 10_800], atol=11)


def test_a_long_copy_at_an_odd_speed_is_found_whole(aligner: Aligner) -> None:
    long = video(11, 1300)
    fine = noisy(np.concatenate((BEFORE, played(long, 50, 1250, 1.07), AFTER)), 12)
    found = boxes(aligner, every(fine, 1.0, 0.4), every(long, 1.0))
    assert len(found) == 1
    np.testing.assert_allclose(found[0], [12, 50, 12 + 1200 / 1.07, 1250], atol=2.5)


@pytest.mark.parametrize("seed", range(5))
def test_unrelated_videos_give_nothing(any_aligner: Aligner, seed: int) -> None:
    query, reference = every(video(100 + seed, 60), 1.0), every(video(200 + seed, 60), 1.0)
    assert sure_boxes(any_aligner, query, reference) == []


def test_one_shared_picture_is_no_copy(any_aligner: Aligner) -> None:
    query = every(video(9, 40), 1.0)
    query.descriptors[17] = REFERENCE[600]
    assert sure_boxes(any_aligner, query, every(REFERENCE, 1.0)) == []


def test_swapping_the_videos_swaps_the_box(rule: Aligner) -> None:
    query, reference = every(pasted(20, 40), 1.0, 0.4), every(REFERENCE, 1.0)
    forward, backward = boxes(rule, query, reference), boxes(rule, reference, query)
    assert len(forward) == len(backward) == 1
    swapped = [backward[0][number] for number in (1, 0, 3, 2)]
    np.testing.assert_allclose(forward[0], swapped, atol=1.6)


def test_a_clearer_copy_scores_higher(any_aligner: Aligner) -> None:
    def score(noise: float) -> float:
        query = every(noisy(pasted(20, 30), 10, noise), 1.0)
        found = any_aligner.align(SimilarityMatrix.of(query, every(REFERENCE, 1.0)))
        return found[0].score

    assert score(0.02) > score(0.12)


@pytest.mark.parametrize(("queries", "references"), [(0, 0), (0, 5), (5, 0), (1, 1), (1, 5)])
def test_few_or_no_frames_are_no_copy(any_aligner: Aligner, queries: int, references: int) -> None:
    query = DescribedVideo(np.arange(queries, dtype=np.float32), BEFORE[:queries], 1.0)
    reference = DescribedVideo(np.arange(references, dtype=np.float32), BEFORE[:references], 1.0)
    assert boxes(any_aligner, query, reference) == []


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    frames=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    level=st.floats(-0.5, 1.0),
    spread=st.floats(0.0, 1.0),
    name=st.sampled_from(sorted(ALIGNERS)),
)
def test_boxes_lie_inside_the_videos_best_first_and_are_a_function_of_the_matrix(
    seed: int, frames: tuple[int, int], level: float, spread: float, name: str
) -> None:
    random = np.random.default_rng(seed)
    values = np.clip(level + spread * random.standard_normal(frames), -1, 1).astype(np.float32)
    times = [np.sort(random.uniform(0, 50, count)).astype(np.float32) for count in frames]
    matrix = SimilarityMatrix(values, times[0], times[1], 50.0, 50.0)
    before = values.copy()
    found = make_aligner(name).align(matrix)
    assert make_aligner(name).align(matrix) == found
    assert (values == before).all()
    assert [segment.score for segment in found] == sorted(
        (segment.score for segment in found), reverse=True
    )
    for segment in found:
        start, reference_start, end, reference_end = box(segment)
        assert 0 <= start < end <= 50 and 0 <= reference_start < reference_end <= 50
        assert 0 <= segment.score <= 1


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ModelError, match="no aligner 'crystal_ball'.*temporal_network"):
        make_aligner("crystal_ball")
