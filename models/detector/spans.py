"""Proposes copied spans: boxes of the network, and classical paths where it draws none.

A network that learned on made pairs misses diagonals that stand plainly on a matrix; a classical
aligner sees those and little else. For both kinds of proposals the same evidence is looked at, from
which one regression makes their probability.
"""

from models.aligners.base import Aligner, Segment
from models.aligners.matrix import SimilarityMatrix
from models.detector.boxes import Run, find_segments, with_score
from models.detector.evidence import PATHLESS, UNBOXED_SCORE, Evidence, Examiner, logit
from models.detector.lines import LineFinder
from models.detector.refine import Refiner

SAME_SHARE = 0.3  # intersection over union, on both axes, at which path and box mean one span


class SpanFinder:
    """Spans of a pair with the evidence that tells how sure they are."""

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

    def spans(self, similarity: SimilarityMatrix) -> list[tuple[Segment, Evidence]]:
        """Every span, refined, with its evidence; blocks that are merely alike are left out."""
        boxes = find_segments(similarity, self._run, self._min_score)
        paths = self._paths.align(similarity) if self._paths else []
        if not boxes and not paths:
            return []
        lines = LineFinder(similarity)
        refiner, examiner = Refiner(lines), Examiner(lines)
        if self._refine:
            boxes = [refiner.refine(span) for span in boxes]
            paths = [refiner.refine(span) for span in paths]
        boxes, paths = (
            [span for span in some if not examiner.is_merely_alike(span)] for some in (boxes, paths)
        )
        unboxed = [path for path in paths if not any(same(path, box) for box in boxes)]
        spans = [*boxes, *(with_score(path, UNBOXED_SCORE) for path in unboxed)]
        return [(span, examiner.evidence(span, _surest(span, paths))) for span in spans]


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


def _surest(span: Segment, paths: list[Segment]) -> float:
    """Logit of the surest path that means a span."""
    return max((logit(path.score) for path in paths if same(path, span)), default=PATHLESS)


def _overlap(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Intersection over union of two intervals."""
    shared = min(one[1], other[1]) - max(one[0], other[0])
    return max(shared, 0.0) / max(max(one[1], other[1]) - min(one[0], other[0]), 1e-9)
