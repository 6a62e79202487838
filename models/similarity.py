"""The similarity matrix of two videos on a time axis: what every aligner reads."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class FrameDescriptors:
    """Key frames of one video: when they are, and what they look like.

    Attributes:
        seconds: (N,) float32, ascending.
        descriptors: (N, D) float32, unit rows.
        duration_seconds: length of the video; the last key frame is at or before it.
    """

    seconds: NDArray[np.float32]
    descriptors: NDArray[np.float32]
    duration_seconds: float

    def __post_init__(self) -> None:
        if self.seconds.ndim != 1 or self.descriptors.ndim != 2:
            raise ValueError(
                f"{self.seconds.shape = }, {self.descriptors.shape = }, expected (N,) and (N, D)"
            )
        if len(self.seconds) != len(self.descriptors):
            raise ValueError(f"{len(self.seconds) = } differs from {len(self.descriptors) = }")

    def __len__(self) -> int:
        return len(self.seconds)


@dataclass(frozen=True)
class SimilarityMatrix:
    """Cosine similarity of every key frame of a query with every one of a reference.

    Attributes:
        values: (Nq, Nr) float32 in [-1, 1].
        query_seconds: (Nq,) float32, ascending.
        reference_seconds: (Nr,) float32, ascending.
        query_duration_seconds: length of the query video.
        reference_duration_seconds: length of the reference video.
    """

    values: NDArray[np.float32]
    query_seconds: NDArray[np.float32]
    reference_seconds: NDArray[np.float32]
    query_duration_seconds: float
    reference_duration_seconds: float

    def __post_init__(self) -> None:
        expected = (len(self.query_seconds), len(self.reference_seconds))
        if self.values.shape != expected:
            raise ValueError(f"{self.values.shape = }, expected {expected}")

    @classmethod
    def of(cls, query: FrameDescriptors, reference: FrameDescriptors) -> "SimilarityMatrix":
        """The exact matrix of two videos' unit descriptors."""
        return cls(
            values=query.descriptors @ reference.descriptors.T,
            query_seconds=query.seconds,
            reference_seconds=reference.seconds,
            query_duration_seconds=query.duration_seconds,
            reference_duration_seconds=reference.duration_seconds,
        )
