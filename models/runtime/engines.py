"""Builds TensorRT's engines ahead and checks half precision against the CPU; serves the export."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import ModelError
from models.runtime.providers import Provider

HALF_BOUND = 3e-2  # half precision has three digits, less after many layers; set by hand

Arrays = list[NDArray[Any]]
Answer = Callable[[Provider], Arrays]
"""Opens a network on a provider and gives its outputs for one fixed input."""


@dataclass(frozen=True)
class Built:
    """What building a network's engines took.

    Attributes:
        build_seconds: from the file to the first answer.
        start_seconds: the same again, as a worker starts, with the engines there.
        difference: of the outputs from the CPU's, the largest, relative where above 1.
    """

    build_seconds: float
    start_seconds: float
    difference: float


def largest_difference(found: Arrays, wanted: Arrays) -> float:
    """The largest difference of any value, relative where the wanted one is above 1.

    Infinite when shapes differ or a value is no number.
    """
    worst = 0.0
    for ours, theirs in zip(found, wanted, strict=True):
        if ours.shape != theirs.shape or not np.isfinite(ours).all():
            return float("inf")
        scale = np.maximum(np.abs(theirs), 1)
        worst = max(worst, float((np.abs(ours - theirs) / scale).max(initial=0)))
    return worst


def build(answer: Answer, provider: Provider = "tensorrt") -> Built:
    """Build a network's engines by running it, twice.

    Raises:
        ModelError: its answers differ from the CPU's by more than `HALF_BOUND`.
        ProviderError: the provider can't run here.
    """
    started = time.perf_counter()
    answer(provider)  # the first answer builds the engines, the second finds them in the cache
    built = time.perf_counter()
    found = answer(provider)
    again = time.perf_counter()
    difference = largest_difference(found, answer("cpu"))
    if difference > HALF_BOUND:
        raise ModelError(
            f"{provider} differs from the CPU by {difference:.2g}, more than {HALF_BOUND}: "
            "ask for cuda or cpu"
        )
    return Built(built - started, again - built, difference)
