"""The pattern detector (SPD) as an aligner: a network boxes spans, the matrix refines their edges.

After SSAN (Jiang et al., ACM MM 2021), which reads the similarity matrix as a picture with a
YOLO-like detector. Forward and reversed copies, at half to double speed, several per pair.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from models.aligners.base import Segment
from models.aligners.matrix import SimilarityMatrix
from models.aligners.temporal_network import TemporalNetworkAligner
from models.detector.boomerangs import cut_at_turns
from models.detector.boxes import TILE, with_score
from models.detector.evidence import FEATURES, FEATURES_WITH_PATHS, Evidence, Examiner, Judge
from models.detector.grid import ALIGN
from models.detector.last_query import LastQuery
from models.detector.lines import LineFinder
from models.detector.loops import find_loops
from models.detector.palindromes import find_palindromes
from models.detector.spans import SpanFinder
from models.detector.stills import joined_stills
from models.detector.turns import with_turns
from models.detector.ways import with_ways
from models.encoder.serve import WEIGHTS
from models.errors import ModelFileError
from models.runtime import Provider, Span, open_session

Pictures = NDArray[np.float32]

EXPLAINED_SHARE = 0.5  # of a span's time: lower drops neighbours, higher shows echoes; by hand


class PatternDetectorSettings(BaseModel):
    """What runs the detector.

    Attributes:
        path: an ONNX file; the shipped one when left out.
        engine_cache: a folder where TensorRT keeps what it builds.
        refine: whether edges are refined on the matrix.
        min_score: of the network; boxes below are not even refined.
        shortest_seconds: refined boxes with a shorter side are left out; set by hand.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: Path | None = None
    provider: Provider = "cpu"
    threads: int = Field(default=1, ge=1)
    engine_cache: Path | None = None
    refine: bool = True
    min_score: float = Field(default=0.3, ge=0, le=1)
    shortest_seconds: float = Field(default=1.5, ge=0)


def default_detector_path() -> Path:
    """The detector that is shipped."""
    return WEIGHTS / "detector.onnx"


class PatternDetector:
    """Boxes copied spans with a network.

    The file's contract: input `picture` (N, 8, H, W) float32 as `models.detector.grid` lays it,
    outputs `what` (N, 2, H/2, W/2), scores and directions in [0, 1], and `distances` (N, 4, H/2,
    W/2) in cells; metadata `model_version` and `calibration`, weights of the logistic regression
    that makes a probability of `models.detector.evidence.Evidence`. A file that is calibrated for
    paths has the temporal network's looked at as well.
    """

    def __init__(self, settings: PatternDetectorSettings | None = None) -> None:
        """Load the file when it is first needed.

        Raises:
            ModelFileError: missing, unreadable, or without its metadata.
            ProviderError: the provider can't run here.
        """
        self.settings = settings or PatternDetectorSettings()
        self._session = open_session(
            self.settings.path or default_detector_path(),
            provider=self.settings.provider,
            threads=self.settings.threads,
            rows=Span(1, 1, 8),
            sides=Span(ALIGN, TILE, TILE),
            engine_cache=self.settings.engine_cache,
        )
        metadata = self._session.get_modelmeta().custom_metadata_map
        missing = {"model_version", "calibration"} - metadata.keys()
        if missing:
            raise ModelFileError(
                f"{self.settings.path or default_detector_path()} lacks the metadata "
                f"{', '.join(sorted(missing))}: export it again"
            )
        self.version = str(metadata["model_version"])
        self._calibration = np.array(metadata["calibration"].split(), np.float64)
        if len(self._calibration) not in (FEATURES, FEATURES_WITH_PATHS):
            raise ModelFileError(
                f"{self.settings.path or default_detector_path()} is calibrated for "
                f"{len(self._calibration)} features, expected {FEATURES} or "
                f"{FEATURES_WITH_PATHS}: export it again"
            )
        with_paths = len(self._calibration) == FEATURES_WITH_PATHS
        self._finder = self.finder(with_paths=with_paths)
        self._loops, self._palindromes = LastQuery(find_loops), LastQuery(find_palindromes)

    def finder(self, *, with_paths: bool) -> SpanFinder:
        """What proposes spans: the network, and with paths the temporal network too."""
        return SpanFinder(
            self._run,
            self.settings.min_score,
            refine=self.settings.refine,
            paths=TemporalNetworkAligner() if with_paths else None,
        )

    def align(self, similarity: SimilarityMatrix) -> list[Segment]:
        """The copied spans, best first; empty when nothing is copied."""
        found = self._finder.spans(similarity)
        scored = [with_score(span, self._probability(own)) for span, own in found]
        # Short ones are left out behind the choice: until then they outdo what is worse.
        kept = [
            span
            for span in one_place_each(scored)
            if _shortest(span) >= self.settings.shortest_seconds
        ]
        if not self.settings.refine:
            return kept
        judge = Judge(Examiner(LineFinder(similarity)), found, self._probability)
        kept = joined_stills(similarity, cut_at_turns(kept), judge)
        if loops := self._loops.of(similarity):
            turns = with_turns(similarity, loops, kept, judge)
            if turns is not kept:
                return turns
        return with_ways(similarity, self._palindromes.of(similarity), kept, judge)

    def _run(self, pictures: Pictures) -> tuple[Pictures, Pictures]:
        what, distances = self._session.run(None, {"picture": pictures})
        return what, distances

    def _probability(self, own: Evidence) -> float:
        """How sure a span is, in (0, 1): a logistic regression on its features."""
        weights = self._calibration
        return float(1 / (1 + np.exp(-float(weights @ own.features(len(weights))))))


def _shortest(span: Segment) -> float:
    return min(
        span.query_end_seconds - span.query_start_seconds,
        span.reference_end_seconds - span.reference_start_seconds,
    )


def one_place_each(spans: list[Segment]) -> list[Segment]:
    """Spans, best first, without those whose moments of the query a better one explains.

    What resembles the copied shot elsewhere in the reference is boxed as well, less surely.
    """
    kept: list[Segment] = []
    for span in sorted(spans, key=lambda span: -span.score):
        if all(_explained(span, other) < EXPLAINED_SHARE for other in kept):
            kept.append(span)
    return kept


def _explained(span: Segment, other: Segment) -> float:
    """Share of a span's time in the query that another covers."""
    start = max(span.query_start_seconds, other.query_start_seconds)
    end = min(span.query_end_seconds, other.query_end_seconds)
    own = span.query_end_seconds - span.query_start_seconds
    return max(end - start, 0.0) / max(own, 1e-9)
