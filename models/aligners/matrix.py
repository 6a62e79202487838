"""The similarity matrix of two videos on a time axis: what every aligner reads."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.video.similarity import similarities


def _none() -> NDArray[np.float32]:
    return np.empty(0, np.float32)


@dataclass(frozen=True)
class DescribedVideo:
    """Key frames of one video: when they are, and what they look like.

    Serves training and measurement, whose rows were never rounded; the service compares
    `stream.contract.fingerprint.Fingerprint` and the library's codes.

    Attributes:
        seconds: (N,) float32, ascending.
        descriptors: (N, D) float32, unit rows.
        duration_seconds: length of the video; the last key frame is at or before it.
        score_biases: (N,) float32, score normalisation of each frame: how much more it resembles
            a background set than the average frame does. None is none.
        cut_seconds: (C,) float32, ascending: where one shot ends and the next begins.
        motion: (M,) float32, `models.video.motion` curve; empty where unknown.
    """

    seconds: NDArray[np.float32]
    descriptors: NDArray[np.float32]
    duration_seconds: float
    score_biases: NDArray[np.float32] | None = None
    cut_seconds: NDArray[np.float32] = field(default_factory=_none)
    motion: NDArray[np.float32] = field(default_factory=_none)

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
        values: (Nq, Nr) float32, cosine less half of both frames' score biases, in [-1, 1].
        query_seconds: (Nq,) float32, ascending.
        reference_seconds: (Nr,) float32, ascending.
        query_duration_seconds: length of the query video.
        reference_duration_seconds: length of the reference video.
        query_cuts_seconds: (Cq,) float32, ascending: cuts between shots of the query.
        reference_cuts_seconds: (Cr,) float32, ascending.
        query_motion: (Mq,) float32, `models.video.motion` curve of the query; empty where unknown.
        reference_motion: (Mr,) float32, of the reference.
    """

    values: NDArray[np.float32]
    query_seconds: NDArray[np.float32]
    reference_seconds: NDArray[np.float32]
    query_duration_seconds: float
    reference_duration_seconds: float
    query_cuts_seconds: NDArray[np.float32] = field(default_factory=_none)
    reference_cuts_seconds: NDArray[np.float32] = field(default_factory=_none)
    query_motion: NDArray[np.float32] = field(default_factory=_none)
    reference_motion: NDArray[np.float32] = field(default_factory=_none)

    def __post_init__(self) -> None:
        expected = (len(self.query_seconds), len(self.reference_seconds))
        if self.values.shape != expected:
            raise ValueError(f"{self.values.shape = }, expected {expected}")

    @classmethod
    def of(cls, query: DescribedVideo, reference: DescribedVideo) -> "SimilarityMatrix":
        """The exact matrix of two videos' unit descriptors, less their score biases."""
        values = similarities(
            query.descriptors, reference.descriptors, query.score_biases, reference.score_biases
        )
        return cls(
            values=np.clip(values, -1, 1),
            query_seconds=query.seconds,
            reference_seconds=reference.seconds,
            query_duration_seconds=query.duration_seconds,
            reference_duration_seconds=reference.duration_seconds,
            query_cuts_seconds=query.cut_seconds,
            reference_cuts_seconds=reference.cut_seconds,
            query_motion=query.motion,
            reference_motion=reference.motion,
        )
