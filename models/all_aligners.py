"""All aligners by name: those of the literature, `models.aligners`, and the pattern detector.

Above both of them, so that neither knows the other's place here. A new aligner is a class with
`align` and a line in `ALIGNERS`.
"""

from collections.abc import Callable
from pathlib import Path

from models.aligners.base import Aligner
from models.aligners.dynamic_programming import DynamicProgrammingAligner
from models.aligners.dynamic_time_warping import DynamicTimeWarpingAligner
from models.aligners.hough_voting import HoughVotingAligner
from models.aligners.temporal_network import TemporalNetworkAligner
from models.detector.serve import PatternDetector, PatternDetectorSettings
from models.errors import ModelError, ProviderError
from models.runtime import Provider

ALIGNERS: dict[str, Callable[[], Aligner]] = {
    "dynamic_programming": DynamicProgrammingAligner,
    "dynamic_time_warping": DynamicTimeWarpingAligner,
    "hough_voting": HoughVotingAligner,
    "pattern_detector": PatternDetector,
    "temporal_network": TemporalNetworkAligner,
}


def make_aligner(
    name: str, *, provider: Provider = "cpu", engine_cache: Path | None = None
) -> Aligner:
    """The aligner of that name, with its default settings.

    Args:
        name: in `ALIGNERS`.
        provider: what runs its network; aligners without one take the CPU alone.
        engine_cache: where TensorRT keeps what it builds.

    Raises:
        ModelError: no such aligner; the text lists those that there are.
        ProviderError: the provider can't run here, or the aligner has no network for it.
    """
    if name not in ALIGNERS:
        raise ModelError(f"no aligner {name!r}; there are: {', '.join(sorted(ALIGNERS))}")
    if provider == "cpu":
        return ALIGNERS[name]()
    if ALIGNERS[name] is not PatternDetector:
        raise ProviderError(f"{provider = }, but {name} has no network: ask for cpu")
    return PatternDetector(PatternDetectorSettings(provider=provider, engine_cache=engine_cache))
