"""Aligners: from a similarity matrix to boxes of copied spans. One implementation per file.

A new one is a class with `align` and a line in `ALIGNERS`.
"""

from collections.abc import Callable

from models.align import Aligner
from models.aligners.dynamic_programming import DynamicProgrammingAligner
from models.aligners.dynamic_time_warping import DynamicTimeWarpingAligner
from models.aligners.hough_voting import HoughVotingAligner
from models.aligners.pattern_detector import PatternDetector
from models.aligners.temporal_network import TemporalNetworkAligner
from models.errors import ModelError

ALIGNERS: dict[str, Callable[[], Aligner]] = {
    "dynamic_programming": DynamicProgrammingAligner,
    "dynamic_time_warping": DynamicTimeWarpingAligner,
    "hough_voting": HoughVotingAligner,
    "pattern_detector": PatternDetector,
    "temporal_network": TemporalNetworkAligner,
}


def make_aligner(name: str) -> Aligner:
    """The aligner of that name, with its default settings.

    Raises:
        ModelError: no such aligner; the text lists those that there are.
    """
    if name not in ALIGNERS:
        raise ModelError(f"no aligner {name!r}; there are: {', '.join(sorted(ALIGNERS))}")
    return ALIGNERS[name]()
