"""Library videos of any number, made of real descriptors; serves `benchmarks.candidate_thresholds`.

A video has three shots of five key frames. A shot is five encoded views of one picture; of each, 30
to 50 % of the principal components come from one of the thirty rows of other pictures that are most
like it. So no two shots are the same, frames of a shot are nearly as alike as views of a picture are,
and a row resembles a stranger about as often as a real one does: `candidate_thresholds` prints both.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from benchmarks.real_rows import RealRows

SHOTS, SHOT_ROWS = 3, 5
VIDEO_ROWS = SHOTS * SHOT_ROWS
NEAR_ROWS = 30
SHARES = (0.3, 0.5)
BLOCK = 500

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class VideoMaker:
    """Makes library videos.

    Attributes:
        components: (N, D) float32, the real rows in principal components, less their mean.
        axes: (D, D) float32, the components' axes in columns.
        mean: (D,) float32, of the real rows.
        views: (P, V) int64, for each picture the numbers of some rows that show it.
        near: (N, K) int32, for each row those of other pictures that are most like it.
    """

    components: Floats
    axes: Floats
    mean: Floats
    views: NDArray[np.int64]
    near: NDArray[np.int32]

    @classmethod
    def of(cls, rows: RealRows) -> Self:
        """Learn what is needed from real rows."""
        real = _unit(rows.codes.astype(np.float32))
        mean = real.mean(axis=0)
        _, axes = np.linalg.eigh(np.cov((real - mean).T))
        order = np.argsort(rows.pictures, kind="stable")
        starts = np.flatnonzero(np.diff(rows.pictures[order], prepend=-1))
        groups = np.split(order, starts[1:])
        random = np.random.default_rng(0)
        views = np.stack(
            [random.choice(group, SHOT_ROWS, len(group) < SHOT_ROWS) for group in groups]
        )
        near = np.empty((len(real), NEAR_ROWS), np.int32)
        for start in range(0, len(real), BLOCK):
            alike = real[start : start + BLOCK] @ real.T
            alike[rows.pictures[start : start + BLOCK, None] == rows.pictures[None, :]] = -1
            near[start : start + BLOCK] = np.argpartition(-alike, NEAR_ROWS, axis=1)[:, :NEAR_ROWS]
        parts = ((real - mean) @ axes).astype(np.float32)
        return cls(parts, axes.astype(np.float32), mean.astype(np.float32), views, near)

    def videos(self, count: int, random: np.random.Generator) -> Floats:
        """Key frames of videos, (count * VIDEO_ROWS, D) float32 unit rows."""
        shots = SHOTS * count
        shown = self.views[random.integers(0, len(self.views), shots)]  # (shots, SHOT_ROWS)
        beside = self.near[shown, random.integers(0, NEAR_ROWS, shown.shape)]
        share = random.uniform(*SHARES, (shots, 1, 1)).astype(np.float32)
        foreign = random.random((shots, 1, len(self.mean)), np.float32) < share
        made = np.where(foreign, self.components[beside], self.components[shown])
        return _unit(made.reshape(-1, len(self.mean)) @ self.axes.T + self.mean)


def _unit(rows: Floats) -> Floats:
    unit: Floats = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit
