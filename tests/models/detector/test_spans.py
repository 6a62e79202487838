"""Proposed spans: a copy that the network overlooks is found by its path, and all are weighed."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from models.aligners.base import Segment
from models.aligners.matrix import DescribedVideo, SimilarityMatrix
from models.aligners.temporal_network import TemporalNetworkAligner
from models.detector.export import recalibrated
from models.detector.refine import Refiner
from models.detector.serve import PatternDetector, PatternDetectorSettings, default_detector_path
from models.detector.spans import (
    FEATURES,
    FEATURES_WITH_PATHS,
    PATHLESS,
    UNBOXED_SCORE,
    SpanFinder,
    same,
)

Array = NDArray[np.float32]
COPIED = (8.0, 20.0)  # seconds of the query
AT = 15.0  # in the reference


@pytest.fixture
def copy() -> SimilarityMatrix:
    """Twelve seconds of one video in another, everything else unlike."""
    random = np.random.default_rng(4)
    looks = random.standard_normal((80, 32)).astype(np.float32)
    looks /= np.linalg.norm(looks, axis=1, keepdims=True)
    times = np.arange(0.5, 40, 1.0, dtype=np.float32)
    query = looks[40:].copy()
    inside = (times >= COPIED[0]) & (times < COPIED[1])
    query[inside] = looks[:40][(times >= AT) & (times < AT + 12)]
    return SimilarityMatrix.of(
        DescribedVideo(times, query, 40.0), DescribedVideo(times, looks[:40], 40.0)
    )


def blind(pictures: Array) -> tuple[Array, Array]:
    """A network that sees nothing."""
    shape = (len(pictures), pictures.shape[2] // 2, pictures.shape[3] // 2)
    distances = np.ones((shape[0], 4, *shape[1:]), np.float32)
    return np.zeros((shape[0], 2, *shape[1:]), np.float32), distances


def test_a_copy_that_the_network_overlooks_is_proposed_by_its_path(copy: SimilarityMatrix) -> None:
    assert SpanFinder(blind, 0.3).spans(copy) == []
    ((span, own),) = SpanFinder(blind, 0.3, paths=TemporalNetworkAligner()).spans(copy)
    assert (span.query_start_seconds, span.query_end_seconds) == pytest.approx(COPIED, abs=1.0)
    assert span.reference_start_seconds == pytest.approx(AT, abs=1.0)
    assert span.score == UNBOXED_SCORE and own.shape == (FEATURES_WITH_PATHS,)
    assert own[-1] > 0


def test_a_path_and_a_box_of_one_span_are_one_proposal(copy: SimilarityMatrix) -> None:
    detector = PatternDetector(PatternDetectorSettings())
    plain = detector.finder(with_paths=False).spans(copy)
    joined = detector.finder(with_paths=True).spans(copy)
    assert [span for span, _ in joined] == [span for span, _ in plain]
    for (_, few), (_, more) in zip(plain, joined, strict=True):
        assert few.shape == (FEATURES,)
        np.testing.assert_array_equal(more[:FEATURES], few)
    assert max(own[-1] for _, own in joined) > 0


class Nothing:
    """An aligner that finds no path."""

    def align(self, similarity: SimilarityMatrix) -> list[Segment]:
        """None."""
        return []


def test_what_has_no_path_says_so(copy: SimilarityMatrix) -> None:
    session = PatternDetector(PatternDetectorSettings())
    found = SpanFinder(session._run, 0.3, paths=Nothing()).spans(copy)
    assert found and all(own[-1] == PATHLESS for _, own in found)


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
    assert Refiner(grid(values)).is_merely_alike(SPAN) is alike


def test_of_few_frames_what_they_usually_resemble_tells() -> None:
    values = np.full((10, 4), 0.2, np.float32)
    values[:, 1] = 0.5
    times = np.arange(10, dtype=np.float32), np.array([0, 10, 20, 30], np.float32)
    one_frame, slides = Segment(2, 5, 9, 12, 0.9), np.full((10, 4), 0.5, np.float32)
    assert not Refiner(SimilarityMatrix(values, *times, 10, 40)).is_merely_alike(one_frame)
    assert Refiner(SimilarityMatrix(slides, *times, 10, 40)).is_merely_alike(one_frame)


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
    assert Refiner(matrix).is_merely_alike(one_frame) is alike


def test_spans_are_one_where_both_axes_agree() -> None:
    here = Segment(0, 10, 20, 30, 0.9)
    assert same(here, Segment(1, 11, 21, 31, 0.2))
    assert not same(here, Segment(0, 10, 20, 30, 0.9, reversed=True))
    assert not same(here, Segment(0, 10, 40, 50, 0.9))
    assert not same(here, Segment(8, 18, 28, 38, 0.9))


def test_a_file_that_is_calibrated_for_paths_alerts_on_them(
    copy: SimilarityMatrix, tmp_path: Path
) -> None:
    file = tmp_path / "detector.onnx"
    file.write_bytes(default_detector_path().read_bytes())
    before = PatternDetector(PatternDetectorSettings(path=file)).version
    # The path alone decides, so that a blind network would find it as surely.
    version = recalibrated(file, np.array([0.0, 0.0, 0.0, 0.0, 0.0, 1.0]))
    detector = PatternDetector(PatternDetectorSettings(path=file))
    assert detector.version == version != before
    (first, *_) = detector.align(copy)
    (path, *_) = TemporalNetworkAligner().align(copy)
    assert first.score == pytest.approx(path.score, abs=1e-3)
    assert first.query_start_seconds == pytest.approx(COPIED[0], abs=1.0)
