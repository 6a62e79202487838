"""Fills the encoder's batches across the uploads that are at work: what a GPU needs to be busy.

Serves `batched_encoder.py`. On a processor every upload's thread runs the encoder for itself
instead, which keeps all cores busy.
"""

import threading
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.encoder.serve import EncodedFrames, Encoder


@dataclass
class _Piece:
    """Frames of one caller, and what became of them."""

    frames: NDArray[np.uint8]
    described: EncodedFrames | None = None
    error: Exception | None = None

    @property
    def done(self) -> bool:
        return self.described is not None or self.error is not None


class SharedBatches:
    """Describes frames of many threads together. Thread-safe.

    Nobody waits for company: whoever finds the encoder free runs what has come until then, up to
    a batch; frames that come meanwhile are the next run. A frame's numbers may differ in the last
    digits with what it shares a run with, as a GPU's do.
    """

    def __init__(self, encoder: Encoder, batch: int) -> None:
        self._encoder, self._batch = encoder, batch
        self._waiting: deque[_Piece] = deque()
        # Two locks: under the one, frames join the queue while under the other the encoder runs.
        self._guard = threading.Lock()
        self._turn = threading.Lock()

    def describe(self, frames: NDArray[np.uint8]) -> EncodedFrames:
        """Describe at most a batch of frames, (N, S, S, 3) uint8, N ≥ 1.

        Raises:
            Exception: what the encoder raised of the run that these frames were in.
        """
        piece = _Piece(frames)
        with self._guard:
            self._waiting.append(piece)
        while piece.described is None:
            if piece.error is not None:
                raise piece.error
            with self._turn:
                # Whoever had the turn before may have done it. What is taken now need not be ours:
                # older pieces go first, and then this is asked again.
                if not piece.done:
                    self._run(self._take())
        return piece.described

    def _take(self) -> list[_Piece]:
        """The pieces that came first and fit into one batch, at least one."""
        with self._guard:
            # Never empty: the caller's own piece isn't done, so nobody has taken it.
            taken = [self._waiting.popleft()]
            count = len(taken[0].frames)
            while self._waiting and count + len(self._waiting[0].frames) <= self._batch:
                taken.append(self._waiting.popleft())
                count += len(taken[-1].frames)
            return taken

    def _run(self, pieces: list[_Piece]) -> None:
        try:
            made = self._encoder.describe(np.concatenate([piece.frames for piece in pieces]))
        except Exception as error:
            # Whose frames it were isn't known: each caller is told.
            for piece in pieces:
                piece.error = error
            return
        start = 0
        for piece in pieces:
            end = start + len(piece.frames)
            piece.described = EncodedFrames(
                made.descriptors[start:end], made.score_biases[start:end]
            )
            start = end
