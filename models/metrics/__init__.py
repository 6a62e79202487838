"""What is measured on labelled sets of copies. One protocol per file."""

from models.metrics.average_precision import (
    ScoredBox,
    micro_average_precision,
    segment_average_precision,
)
from models.metrics.intervals import Draws, draw_f1, interval
from models.metrics.vcsl import (
    Boxes,
    CopyScore,
    PairScore,
    as_boxes,
    score_pair,
    score_pairs,
)

__all__ = [
    "Boxes",
    "CopyScore",
    "Draws",
    "PairScore",
    "ScoredBox",
    "as_boxes",
    "draw_f1",
    "interval",
    "micro_average_precision",
    "score_pair",
    "score_pairs",
    "segment_average_precision",
]
