"""The encoder as the fingerprint step uses it: frames that lie on disk, a batch at a time."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.encoder.serve import EncodedFrames, Encoder
from stream.fingerprint.shared_batches import SharedBatches


class Frames(Protocol):
    """An array of frames, or what makes them when they are asked for."""

    def __getitem__(self, which: NDArray[np.intp], /) -> NDArray[np.uint8]:
        """(M, S, S, 3) uint8."""


class BatchedEncoder:
    """Describes frames that lie on disk, a batch in memory at a time. Thread-safe."""

    def __init__(self, encoder: Encoder, batch: int, *, shared: bool = False) -> None:
        """Make one per encoder.

        Args:
            encoder: describes frames.
            batch: frames in one run.
            shared: whether the frames of uploads that are at work at a time fill one batch.
        """
        self._batch = batch
        self._encoder = SharedBatches(encoder, batch) if shared else encoder

    def describe(self, frames: Frames, chosen: NDArray[np.intp]) -> EncodedFrames:
        """Describe some of the frames.

        Args:
            frames: (N, S, S, 3) uint8 RGB, prepared; may be mapped from disk.
            chosen: (K,) indices, K ≥ 1.
        """
        parts = [
            self._encoder.describe(
                np.ascontiguousarray(frames[chosen[start : start + self._batch]])
            )
            for start in range(0, len(chosen), self._batch)
        ]
        return EncodedFrames(
            np.concatenate([part.descriptors for part in parts]),
            np.concatenate([part.score_biases for part in parts]),
        )
