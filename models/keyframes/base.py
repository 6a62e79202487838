"""The interface of every key-frame selector: candidate frames in, the ones to store out."""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


def _no_cuts() -> NDArray[np.float32]:
    return np.empty(0, np.float32)


def _none() -> NDArray[np.intp]:
    return np.empty(0, np.intp)


@dataclass(frozen=True)
class CandidateFrames:
    """Cheaply decoded frames of one video, among which key frames are chosen.

    Attributes:
        frames: (N, S, S, 3) uint8 RGB, prepared by `models.video.frames.prepare`, in order of time.
        seconds: (N,) float32, ascending.
        duration_seconds: length of the video.
        cut_seconds: (C,) float32, ascending: where one shot ends and the next begins.
        described: (M,) ascending indices of the frames that are encoded already, to search with.
        descriptors: (M, D) float32, unit rows, of those; None where nothing is encoded yet.
    """

    frames: NDArray[np.uint8]
    seconds: NDArray[np.float32]
    duration_seconds: float
    cut_seconds: NDArray[np.float32] = field(default_factory=_no_cuts)
    described: NDArray[np.intp] = field(default_factory=_none)
    descriptors: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        if len(self.frames) != len(self.seconds):
            raise ValueError(f"{len(self.frames) = } differs from {len(self.seconds) = }")
        if self.descriptors is not None and len(self.descriptors) != len(self.described):
            raise ValueError(f"{len(self.descriptors) = } differs from {len(self.described) = }")

    def __len__(self) -> int:
        return len(self.frames)


class KeyFrameSelector(Protocol):
    """Chooses which candidate frames are stored; a pure function of them."""

    def select(self, candidates: CandidateFrames) -> NDArray[np.intp]:
        """Indices of the key frames, (K,) ascending; empty when every frame is blank."""
        ...
