"""Proposed spans: a copy that the network overlooks is found by its path, and all are weighed."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from models.aligners.base import Segment
from models.aligners.matrix import DescribedVideo, SimilarityMatrix
from models.aligners.temporal_network import TemporalNetworkAligner
from models.detector.evidence import FEATURES_WITH_PATHS, PATHLESS, UNBOXED_SCORE
from models.detector.export import recalibrated
from models.detector.serve import PatternDetector, PatternDetectorSettings, default_detector_path
from models.detector.spans import SpanFinder, same

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
    assert span.score == UNBOXED_SCORE and own.path > 0


def test_a_path_and_a_box_of_one_span_are_one_proposal(copy: SimilarityMatrix) -> None:
    detector = PatternDetector(PatternDetectorSettings())
    plain = detector.finder(with_paths=False).spans(copy)
    joined = detector.finder(with_paths=True).spans(copy)
    assert [span for span, _ in joined] == [span for span, _ in plain]
    for (_, few), (_, more) in zip(plain, joined, strict=True):
        assert replace(more, path=PATHLESS) == few
    assert max(own.path for _, own in joined) > 0


class Nothing:
    """An aligner that finds no path."""

    def align(self, similarity: SimilarityMatrix) -> list[Segment]:
        """None."""
        return []


def test_what_has_no_path_says_so(copy: SimilarityMatrix) -> None:
    session = PatternDetector(PatternDetectorSettings())
    found = SpanFinder(session._run, 0.3, paths=Nothing()).spans(copy)
    assert found and all(own.path == PATHLESS for _, own in found)


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
    version = recalibrated(file, np.eye(FEATURES_WITH_PATHS)[-1])
    detector = PatternDetector(PatternDetectorSettings(path=file))
    assert detector.version == version != before
    (first, *_) = detector.align(copy)
    (path, *_) = TemporalNetworkAligner().align(copy)
    assert first.score == pytest.approx(path.score, abs=1e-3)
    assert first.query_start_seconds == pytest.approx(COPIED[0], abs=1.0)
