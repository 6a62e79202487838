"""Proposes copied spans: boxes of the network, and classical paths where it draws none.

A network that learned on made pairs misses diagonals that stand plainly on a matrix; a classical
aligner sees those and little else. Both kinds of proposals get the same features, from which one
regression makes their probability.
"""

import numpy as np
from numpy.typing import NDArray

from models.aligners.base import Aligner, Segment
from models.aligners.matrix import SimilarityMatrix
from models.detector.boxes import Run, find_segments, with_score
from models.detector.refine import Refiner

Array = NDArray[np.float64]

FEATURES = 5  # of a span without paths
FEATURES_WITH_PATHS = 6
LONG_SECONDS = 30.0  # beyond it length makes a span no surer; set by hand, then calibrated with
SAME_SHARE = 0.3  # intersection over union, on both axes, at which path and box mean one span
UNBOXED_SCORE = 0.05  # of a path without a box: below any that the network's boxes are read from
PATHLESS = -4.0  # logit of a box without a path: about that of the least sure paths


class SpanFinder:
    """Spans of a pair with the features that tell how sure they are."""

    def __init__(
        self, run: Run, min_score: float, *, refine: bool = True, paths: Aligner | None = None
    ) -> None:
        """Find spans.

        Args:
            run: the network.
            min_score: of the network; boxes below are not even refined.
            refine: whether edges are refined on the matrix.
            paths: proposes spans besides; None: the network's boxes alone.
        """
        self._run, self._min_score, self._refine = run, min_score, refine
        self._paths = paths

    def spans(self, similarity: SimilarityMatrix) -> list[tuple[Segment, Array]]:
        """Every span, refined, with its features: (`FEATURES`,) or (`FEATURES_WITH_PATHS`,)."""
        boxes = find_segments(similarity, self._run, self._min_score)
        paths = self._paths.align(similarity) if self._paths else []
        if not boxes and not paths:
            return []
        refiner = Refiner(similarity)
        if self._refine:
            boxes = [refiner.refine(span) for span in boxes]
            paths = [refiner.refine(span) for span in paths]
        boxes, paths = (
            [span for span in some if not refiner.is_merely_alike(span)] for some in (boxes, paths)
        )
        unboxed = [path for path in paths if not any(same(path, box) for box in boxes)]
        spans = [*boxes, *(with_score(path, UNBOXED_SCORE) for path in unboxed)]
        if self._paths is None:
            return [(span, features(span, refiner)) for span in spans]
        return [(span, features(span, refiner, paths)) for span in spans]


def features(span: Segment, refiner: Refiner, paths: list[Segment] | None = None) -> Array:
    """What a span's probability is computed from, float64.

    1, the logit of the network's score, mean similarity along the span, how alike both videos move
    along it, and its length; with paths, the logit of the surest one that means the same span.
    """
    seconds = span.query_end_seconds - span.query_start_seconds
    own = [
        1.0,
        _logit(span.score),
        refiner.path_similarity(span),
        refiner.motion_agreement(span),
        min(seconds / LONG_SECONDS, 1.0),
    ]
    if paths is not None:
        own.append(
            max((_logit(path.score) for path in paths if same(path, span)), default=PATHLESS)
        )
    return np.array(own)


def unboxed(count: int) -> Array:
    """The features, (count,), of a span that was found without the network or a path."""
    own = [1.0, _logit(UNBOXED_SCORE), 0.0, 0.0, 0.0, PATHLESS]
    return np.array(own[:count])


def same(one: Segment, other: Segment) -> bool:
    """Whether two spans of one pair run one way and overlap enough on both axes."""
    query = _overlap(
        (one.query_start_seconds, one.query_end_seconds),
        (other.query_start_seconds, other.query_end_seconds),
    )
    reference = _overlap(
        (one.reference_start_seconds, one.reference_end_seconds),
        (other.reference_start_seconds, other.reference_end_seconds),
    )
    return one.reversed == other.reversed and min(query, reference) >= SAME_SHARE


def _overlap(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Intersection over union of two intervals."""
    shared = min(one[1], other[1]) - max(one[0], other[0])
    return max(shared, 0.0) / max(max(one[1], other[1]) - min(one[0], other[0]), 1e-9)


def _logit(score: float) -> float:
    score = min(max(score, 1e-4), 1 - 1e-4)  # a float of 0 or 1 has no finite logit
    return float(np.log(score / (1 - score)))
