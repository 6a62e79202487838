"""A similarity matrix laid on an even time axis: the picture that the pattern detector reads.

Serves the detector in training and in serving. Key frames lie unevenly; cells don't. A cell
shows the frame that is nearest in time, of its own shot where the shot has one. Motion has its own
layers: how well the curves of both videos agree around a cell, played forwards and backwards.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.aligners.matrix import SimilarityMatrix
from models.video import motion

# Weights are trained on these: after a change the detector must be trained again. Set by hand.
CELL_SECONDS = 1.0  # as often as frames search; finer shows them twice, for four times the work
CHANNELS = 8  # the layers of `picture_of`
ALIGN = 16  # cells: the stride of the network's coarsest map; sides are filled up to a multiple
FAR_SECONDS = 4.0  # a frame that far from its cell says nothing of it any more

Array = NDArray[np.float32]

NO_CURVE = np.empty(0, np.float32)  # motion isn't known: both layers of agreement are 0 then


@dataclass(frozen=True)
class Axis:
    """One side of the picture.

    Attributes:
        frames: (L,) the frame that each cell shows.
        distance: (L,) float32 in [0, 1]: how far in time that frame is, 1 from `FAR_SECONDS` on.
        cuts: (L,) float32, 1 where a cut falls into the cell.
        motion: (L, K) float32, the motion around the cell, as `motion.windows` gives it.
    """

    frames: NDArray[np.intp]
    distance: Array
    cuts: Array
    motion: Array

    def __len__(self) -> int:
        return len(self.frames)

    def part(self, start: int, length: int) -> "Axis":
        """Some of the cells, from `start` on."""
        inside = slice(start, start + length)
        return Axis(
            self.frames[inside], self.distance[inside], self.cuts[inside], self.motion[inside]
        )


def lay_axis(
    seconds: Array, cut_seconds: Array, duration_seconds: float, curve: Array = NO_CURVE
) -> Axis:
    """Cells of `CELL_SECONDS` from 0 to the end of a video.

    Args:
        seconds: (N,) of its frames, ascending, N ≥ 1.
        cut_seconds: (C,) ascending.
        duration_seconds: length of the video.
        curve: (M,) its motion.
    """
    # Containers may say less than they hold, and 12.0000001 s have no thirteenth cell.
    length = max(1, int(np.ceil(max(duration_seconds, float(seconds[-1])) / CELL_SECONDS - 1e-6)))
    centres = (np.arange(length, dtype=np.float32) + 0.5) * CELL_SECONDS
    after = np.clip(np.searchsorted(seconds, centres), 1, max(len(seconds) - 1, 1))
    before = np.maximum(after - 1, 0)
    after = np.minimum(after, len(seconds) - 1)
    near = seconds[after] - centres < centres - seconds[before]
    if len(cut_seconds):
        shot = np.searchsorted(cut_seconds, centres, side="right")
        shots = np.searchsorted(cut_seconds, seconds, side="right")
        own_after, own_before = shots[after] == shot, shots[before] == shot
        near = np.where(own_after == own_before, near, own_after)
    frames = np.where(near, after, before)
    cuts = np.zeros(length, np.float32)
    inside = cut_seconds[(cut_seconds >= 0) & (cut_seconds < length * CELL_SECONDS)]
    cuts[(inside / CELL_SECONDS).astype(np.intp)] = 1
    distance = np.minimum(np.abs(seconds[frames] - centres) / FAR_SECONDS, 1).astype(np.float32)
    around = motion.windows(curve, centres.astype(np.float64))
    return Axis(frames, distance, cuts, around)


def picture_of(values: Array, query: Axis, reference: Axis) -> Array:
    """The channels that the network reads.

    Args:
        values: (Nq, Nr) float32, similarity of frames.
        query: the rows' axis.
        reference: the columns' axis.

    Returns:
        (8, H, W) float32: similarity; the same less half of its row's and column's medians;
        distance of the frame on each side; cuts on each side; agreement of the motion, forwards
        and backwards.
    """
    shown = values[query.frames][:, reference.frames]  # (H, W)
    # Medians: a copy fills little of a row, so they show what is alike without being a copy.
    usual = (np.median(shown, axis=1, keepdims=True) + np.median(shown, axis=0, keepdims=True)) / 2
    picture = np.empty((CHANNELS, *shown.shape), np.float32)
    picture[0], picture[1] = shown, shown - usual
    picture[2], picture[3] = query.distance[:, None], reference.distance[None, :]
    picture[4], picture[5] = query.cuts[:, None], reference.cuts[None, :]
    picture[6] = query.motion @ reference.motion.T
    picture[7] = query.motion @ reference.motion[:, ::-1].T
    return picture


def lay_axes(similarity: SimilarityMatrix) -> tuple[Axis, Axis]:
    """The axes of a pair's query and reference.

    Raises:
        ValueError: a side has no frames.
    """
    if min(similarity.values.shape) == 0:
        raise ValueError(f"{similarity.values.shape = }, expected frames on both sides")
    return (
        lay_axis(
            similarity.query_seconds,
            similarity.query_cuts_seconds,
            similarity.query_duration_seconds,
            similarity.query_motion,
        ),
        lay_axis(
            similarity.reference_seconds,
            similarity.reference_cuts_seconds,
            similarity.reference_duration_seconds,
            similarity.reference_motion,
        ),
    )


def lay_out(similarity: SimilarityMatrix) -> Array:
    """The whole picture of a pair, (8, H, W) float32.

    Raises:
        ValueError: a side has no frames.
    """
    return picture_of(similarity.values, *lay_axes(similarity))
