"""How much the picture changes from one frame to the next, and the cuts among those changes.

Each frame becomes 16x16 block means of its luma. A cut is a jump between neighbouring frames that
is large for the footage around it, and that stays: motion and noise make many smaller jumps, a
flash goes back to what was before.
"""

import functools

import numpy as np
from numpy.typing import NDArray

# What these find and miss is measured by `benchmarks/copies/cuts.py`. Jumps are those of `jumps`.
BLOCKS = 16  # on a side
SAMPLES = 4  # on a side of a block: 16 of its pixels stand for all
LOOK_BACK = 4  # frames: what goes back to them is a flash, and no cut
FLOOR_DEVIATION = 6.0  # levels of 255: frames of less contrast are compared as if they had it
MEAN_WEIGHT = 0.25  # of brightness, beside what is seen: lights that go on are no cut
MIN_JUMP = 0.3
MIN_RATIO = 3.0  # of a jump to what the footage around it does in the same time
FAINT_JUMP = 0.2
FAINT_RATIO = 20.0  # a jump that is small for a cut counts where next to nothing moves
STAYS_SHARE = 0.6  # of the jump: the shots must be so far apart some frames later too
WINDOW = 12  # frames on both sides that are the footage around
MIN_GAP_SECONDS = 1e-3


class Changes:
    """Takes the frames of one video in order of presentation.

    Cost: the last few frames' block means, and a few numbers for each frame.
    """

    def __init__(self) -> None:
        self._recent = np.zeros((LOOK_BACK, BLOCKS * BLOCKS), np.float32)
        self._seconds: list[float] = []
        self._jumps: list[NDArray[np.float32]] = []

    def add(self, luma: NDArray[np.uint8], seconds: float) -> None:
        """Note a frame.

        Args:
            luma: (H, W) uint8, both sides at least 64.
            seconds: since the start of the video; not before the frame added last.
        """
        blocks = block_means(luma)
        blocks -= (1 - MEAN_WEIGHT) * blocks.mean()
        self._jumps.append(jumps(blocks, self._recent))
        self._seconds.append(seconds)
        self._recent[1:] = self._recent[:-1]
        self._recent[0] = blocks

    def __len__(self) -> int:
        return len(self._jumps)

    @property
    def seconds(self) -> NDArray[np.float64]:
        """(N,) of the frames."""
        return np.array(self._seconds, np.float64)

    @property
    def steps(self) -> NDArray[np.float32]:
        """(N,) how far each frame is from the one before it, as `jumps` says; 0 for the first."""
        steps = np.array([jump[0] for jump in self._jumps], np.float32)
        steps[:1] = 0
        return steps

    def cuts(self) -> list[int]:
        """Which frames begin a shot, ascending, the first frame left out."""
        if len(self._jumps) < 2:
            return []
        return find_cuts(np.stack(self._jumps), self.seconds)


def block_means(luma: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Means of 16x16 blocks, from 4x4 samples each: (256,) float32.

    Args:
        luma: (H, W) uint8, both sides at least 64.
    """
    rows, columns = (_centres(side) for side in luma.shape)
    sampled = luma[rows[:, None], columns]  # (64, 64)
    sums = sampled.reshape(BLOCKS, SAMPLES, BLOCKS, SAMPLES).sum(axis=(1, 3), dtype=np.uint16)
    means: NDArray[np.float32] = sums.reshape(-1) / np.float32(SAMPLES**2)
    return means


@functools.cache
def _centres(side: int) -> NDArray[np.intp]:
    """64 evenly spaced places on a side."""
    count = BLOCKS * SAMPLES
    return (np.arange(count) * 2 + 1) * side // (2 * count)


def jumps(blocks: NDArray[np.float32], before: NDArray[np.float32]) -> NDArray[np.float32]:
    """How far a frame is from each of those before it, 0 for the same and about 1 for unrelated.

    One minus the correlation where both have the same contrast; the floor keeps the noise of dark
    and plain frames from counting.

    Args:
        blocks: (B,) float32, of a frame.
        before: (L, B) float32.

    Returns:
        (L,) float32.
    """
    apart = blocks - before  # (L, B)
    energy = blocks @ blocks + np.einsum("lb,lb->l", before, before)
    distance: NDArray[np.float32] = np.einsum("lb,lb->l", apart, apart) / (
        energy + len(blocks) * FLOOR_DEVIATION**2
    )
    return distance


def find_cuts(distances: NDArray[np.float32], seconds: NDArray[np.float64]) -> list[int]:
    """Which frames begin a shot.

    Frames that are skipped leave gaps, over which motion adds up: a jump is compared with what
    the footage around it would have done in the same time.

    Args:
        distances: (N, L) float32; [n, l] is the jump from frame n - 1 - l to frame n.
        seconds: (N,) float64, ascending.

    Returns:
        Frame numbers, ascending, the first frame left out.
    """
    step = distances[:, 0].astype(np.float64)
    step[0] = 0.0
    gaps = np.maximum(np.diff(seconds, prepend=seconds[0]), MIN_GAP_SECONDS)
    found = []
    for index in np.flatnonzero(step >= FAINT_JUMP).tolist():
        around = np.arange(max(1, index - WINDOW), min(len(step), index + WINDOW + 1))
        others = around[around != index]
        largest = step[max(0, index - 2) : index + 3].max()
        ratio = MIN_RATIO if step[index] >= MIN_JUMP else FAINT_RATIO
        if (
            step[index] == largest
            and step[index] >= ratio * _usual(step[others], gaps[others]) * gaps[index]
            and _stays(distances, index)
        ):
            found.append(index)
    return found


def _usual(step: NDArray[np.float64], gaps: NDArray[np.float64]) -> float:
    """Jump per second, without the largest one: another cut may be near."""
    if len(step) < 2:
        return 0.0
    rest = np.argsort(step, kind="stable")[:-1]
    return float(step[rest].sum() / gaps[rest].sum())


def _stays(distances: NDArray[np.float32], index: int) -> bool:
    """Whether both shots hold.

    The next frames are far from the last one of the shot before, and this frame is far from the
    last few of that shot: it is no return from a flash.
    """
    least = STAYS_SHARE * min(MIN_JUMP, float(distances[index, 0]))
    later = range(1, min(LOOK_BACK, len(distances) - index))
    earlier = range(1, min(LOOK_BACK, index))
    return all(distances[index + ahead, ahead] >= least for ahead in later) and all(
        distances[index, back] >= least for back in earlier
    )
