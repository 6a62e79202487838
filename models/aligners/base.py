"""The interface of every aligner: a similarity matrix in, boxes of copied spans out."""

from dataclasses import dataclass
from typing import Protocol

from models.aligners.matrix import SimilarityMatrix


@dataclass(frozen=True)
class Segment:
    """One copied span: half-open intervals in seconds on both sides.

    Attributes:
        score: in [0, 1], how sure the aligner is; comparable across pairs of one aligner.
        reversed: the query plays the reference backwards.
    """

    query_start_seconds: float
    query_end_seconds: float
    reference_start_seconds: float
    reference_end_seconds: float
    score: float
    reversed: bool = False


class Aligner(Protocol):
    """Boxes copied spans on a similarity matrix.

    A pure function of the matrix: the same matrix gives the same segments, in descending score.
    """

    def align(self, similarity: SimilarityMatrix) -> list[Segment]:
        """The copied spans, best first; empty when nothing is copied."""
        ...
