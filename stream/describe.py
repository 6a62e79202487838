"""The encoder as the fingerprint step uses it: descriptors and score offsets of chosen frames."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.encode import FrameEncoder


@dataclass(frozen=True)
class Described:
    """What the encoder says of frames.

    Attributes:
        descriptors: (N, D) float32, unit rows.
        score_offsets: (N,) float32; zeros from an encoder without score normalisation.
    """

    descriptors: NDArray[np.float32]
    score_offsets: NDArray[np.float32]


class FrameDescriber:
    """Describes frames that lie on disk, a batch in memory at a time. Thread-safe."""

    def __init__(self, encoder: FrameEncoder, batch: int) -> None:
        self._encoder, self._batch = encoder, batch

    def describe(self, frames: NDArray[np.uint8], chosen: NDArray[np.intp]) -> Described:
        """Describe some of the frames.

        Args:
            frames: (N, S, S, 3) uint8 RGB, prepared; may be mapped from disk.
            chosen: (K,) indices, K ≥ 1.
        """
        parts = [
            self._encode(np.ascontiguousarray(frames[chosen[start : start + self._batch]]))
            for start in range(0, len(chosen), self._batch)
        ]
        return Described(
            np.concatenate([part.descriptors for part in parts]),
            np.concatenate([part.score_offsets for part in parts]),
        )

    def _encode(self, frames: NDArray[np.uint8]) -> Described:
        describe = getattr(self._encoder, "describe", None)
        if describe is None:
            return Described(self._encoder.encode(frames), np.zeros(len(frames), np.float32))
        made = describe(frames)
        return Described(made.descriptors, made.score_offsets)
