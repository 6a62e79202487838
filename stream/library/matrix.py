"""From an upload's query frames and a library video's key frames to their similarity matrix."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.aligners.matrix import SimilarityMatrix
from models.video.motion import coarse_curve, curve_of
from stream.contract.events import VideoFingerprinted
from stream.contract.packed import CODE_SCALE
from stream.index.exact import cosines
from stream.library.entry import Entry


@dataclass(frozen=True)
class QueryFrames:
    """The frames of an upload that search, unpacked once for all candidates.

    Attributes:
        codes: (Q, D) float32 whole numbers: unit descriptors times 127.
        bias_codes: (Q,) float32 whole numbers: score biases times 127.
        seconds: (Q,) float32, ascending.
        cut_seconds: (C,) float32, ascending.
        motion: (M,) float32, `models.video.motion` curve; empty where unknown.
    """

    codes: NDArray[np.float32]
    bias_codes: NDArray[np.float32]
    seconds: NDArray[np.float32]
    cut_seconds: NDArray[np.float32]
    motion: NDArray[np.float32]
    duration_seconds: float

    @classmethod
    def of(cls, event: VideoFingerprinted) -> "QueryFrames":
        """Unpack an event's."""
        return cls(
            event.query_codes().astype(np.float32),
            event.query_bias_codes().astype(np.float32),
            event.query_times(),
            event.cuts(),
            curve_of(event.motion_codes()),
            event.duration_seconds,
        )


def similarity_of(query: QueryFrames, entry: Entry, rows: NDArray[np.float32]) -> SimilarityMatrix:
    """The exact matrix of an upload's query frames and a library video's key frames.

    Args:
        query: of the upload.
        entry: of the library video.
        rows: (R, D) whole numbers: unit descriptors of its key frames times 127.
    """
    values = cosines(query.codes, rows)
    ours, theirs = query.bias_codes, entry.bias_codes.astype(np.float32)
    if ours.any() or theirs.any():
        both = ours[:, None] + theirs[None, :]  # (Q, R)
        values = np.clip(values - both / np.float32(2 * CODE_SCALE), -1, 1)
    return SimilarityMatrix(
        values=values,
        query_seconds=query.seconds,
        reference_seconds=entry.seconds,
        query_duration_seconds=query.duration_seconds,
        reference_duration_seconds=entry.duration_seconds,
        query_cuts_seconds=query.cut_seconds,
        reference_cuts_seconds=entry.cut_seconds,
        query_motion=query.motion,
        reference_motion=coarse_curve(entry.motion_levels),
    )


def searching_frames(
    event: VideoFingerprinted, which: Literal["query", "key"]
) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    """Codes and score-bias codes of the frames that look for candidates: (Q, D) and (Q,) int8."""
    if which == "key":
        return event.codes(), event.bias_codes()
    return event.query_codes(), event.query_bias_codes()
