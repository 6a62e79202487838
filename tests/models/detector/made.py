"""Made videos that are described, for what is placed on a matrix. Serves the detector's tests."""

import numpy as np
from numpy.typing import NDArray

from models.aligners.base import Segment
from models.aligners.matrix import DescribedVideo, SimilarityMatrix
from models.detector.evidence import Evidence, Examiner, Judge
from models.detector.lines import LineFinder
from models.video import motion

Array = NDArray[np.float32]
FINE = 100  # samples a second, of what codes average
NO_CUTS = np.empty(0)
REFERENCE_SECONDS = 40
BOXED = Evidence(2.0, 0.8, 0.2, 0.0, 1.0, 1.0, 0.1, 0.0, 1.0, 1.5)


def judge(pair: SimilarityMatrix, found: list[tuple[Segment, Evidence]]) -> Judge:
    return Judge(Examiner(LineFinder(pair)), found, lambda own: 0.9)


def moves(seconds: float, seed: int) -> NDArray[np.float64]:
    """How much a scene moves, `FINE` times a second."""
    random = np.random.default_rng(seed)
    noise = random.standard_normal(round(seconds * FINE) + 30)
    smooth = np.convolve(noise, np.full(30, 1 / 30), "valid")[: round(seconds * FINE)]
    found: NDArray[np.float64] = 3 + 4 * smooth
    return found


def codes_of(fine: NDArray[np.float64]) -> Array:
    each = round(FINE / motion.RATE)
    count = len(fine) // each
    means = fine[: count * each].reshape(count, each).mean(axis=1)
    return np.asarray(means, np.float32)


def reference() -> DescribedVideo:
    """40 s whose look changes all the time, in shots of five seconds."""
    times = np.arange(0.5, REFERENCE_SECONDS, dtype=np.float32)
    return DescribedVideo(
        times,
        looks(times.astype(np.float64)),
        float(REFERENCE_SECONDS),
        cut_seconds=np.arange(5, REFERENCE_SECONDS, 5, dtype=np.float32),
        motion=codes_of(moves(REFERENCE_SECONDS, 1)),
    )


def looks(at: NDArray[np.float64]) -> Array:
    """Descriptors of what the reference shows at some seconds: near moments are alike."""
    random = np.random.default_rng(2)
    second = random.standard_normal((REFERENCE_SECONDS + 2, 64))
    second /= np.linalg.norm(second, axis=1, keepdims=True)
    before, part = at.astype(np.intp), (at % 1)[:, None]
    mixed = (1 - part) * second[before] + part * second[before + 1]
    found: Array = (mixed / np.linalg.norm(mixed, axis=1, keepdims=True)).astype(np.float32)
    return found
