"""Library videos of any number, made of real descriptors; serves `candidate_thresholds.py`.

A video has three shots of five key frames. A shot is five encoded views of one picture, or of one
clip; of each, 30 to 50 % of the principal components come from one of the ten rows of other
pictures, of a pool of 15,000, that are most like it. So no two shots are the same, and a row
resembles a stranger about as often as a real one does: `candidate_thresholds` prints both.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from benchmarks.library.real_rows import RealRows

SHOTS, SHOT_ROWS = 3, 5
VIDEO_ROWS = SHOTS * SHOT_ROWS
NEAR_ROWS, POOL = 10, 15_000
# As the docstring says: less would repeat real rows, more would leave no picture of its own.
SHARES = (0.3, 0.5)
BLOCK = 500  # rows compared with the pool at a time, which bounds the memory

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class VideoMaker:
    """Makes library videos.

    Attributes:
        components: (N, D) float32, the real rows in principal components, less their mean.
        axes: (D, D) float32, the components' axes in columns.
        mean: (D,) float32, of the real rows.
        order: (N,) int64, the rows by picture.
        starts: (N,) int64, where in `order` those of each row's picture begin.
        counts: (N,) int64, how many they are.
        near: (N, K) int32, for each row those of other pictures that are most like it.
    """

    components: Floats
    axes: Floats
    mean: Floats
    order: NDArray[np.int64]
    starts: NDArray[np.int64]
    counts: NDArray[np.int64]
    near: NDArray[np.int32]

    @classmethod
    def of(cls, rows: RealRows) -> Self:
        """Learn what is needed from real rows."""
        real = _unit(rows.codes.astype(np.float32))
        mean = real.mean(axis=0)
        _, axes = np.linalg.eigh(np.cov((real - mean).T))
        order = np.argsort(rows.pictures, kind="stable")
        ordered = rows.pictures[order]
        starts = np.searchsorted(ordered, rows.pictures)
        counts = np.searchsorted(ordered, rows.pictures, side="right") - starts
        pool = np.random.default_rng(0).permutation(len(real))[:POOL]
        near = np.empty((len(real), NEAR_ROWS), np.int32)
        for start in range(0, len(real), BLOCK):
            alike = real[start : start + BLOCK] @ real[pool].T
            own = rows.pictures[start : start + BLOCK, None] == rows.pictures[None, pool]
            alike[own] = -1
            best = np.argpartition(-alike, NEAR_ROWS, axis=1)[:, :NEAR_ROWS]
            near[start : start + BLOCK] = pool[best]
        parts = ((real - mean) @ axes).astype(np.float32)
        return cls(
            parts, axes.astype(np.float32), mean.astype(np.float32), order, starts, counts, near
        )

    def videos(self, count: int, random: np.random.Generator) -> Floats:
        """Key frames of videos, (count * VIDEO_ROWS, D) float32 unit rows."""
        shots = SHOTS * count
        first = random.integers(0, len(self.order), (shots, 1))
        chosen = random.integers(0, self.counts[first], (shots, SHOT_ROWS))
        shown = self.order[self.starts[first] + chosen]  # (shots, SHOT_ROWS)
        beside = self.near[shown, random.integers(0, NEAR_ROWS, shown.shape)]
        share = random.uniform(*SHARES, (shots, 1, 1)).astype(np.float32)
        foreign = random.random((shots, 1, len(self.mean)), np.float32) < share
        made = np.where(foreign, self.components[beside], self.components[shown])
        return _unit(made.reshape(-1, len(self.mean)) @ self.axes.T + self.mean)


def _unit(rows: Floats) -> Floats:
    unit: Floats = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit
