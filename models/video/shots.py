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
SIDE = BLOCKS * SAMPLES  # pixels that are looked at, on a side
AT_ONCE = 64  # frames: 256 KB, and numpy's cost a call is spread over so many
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

    A frame costs little more than the copy of 4,096 of its pixels: what is worked out from them is
    worked out for many frames at once.
    """

    def __init__(self) -> None:
        self._taken = np.empty((AT_ONCE, SIDE * SIDE), np.uint8)
        self._waiting = 0  # frames in `_taken` that are not worked out yet
        self._recent = np.zeros((LOOK_BACK, BLOCKS * BLOCKS), np.float32)  # in order of time
        self._seconds: list[float] = []
        self._jumps: list[NDArray[np.float32]] = []

    def add(self, luma: NDArray[np.uint8], seconds: float, width: int | None = None) -> None:
        """Note a frame.

        Args:
            luma: (H, W) uint8, both sides at least 64; quickest where it is contiguous.
            seconds: since the start of the video; not before the frame added last.
            width: how many columns are seen, where rows are padded, as codecs pad them.
        """
        places = _places(luma.shape[0], luma.shape[1], width or luma.shape[1])
        # Clipped: no place is outside, and to look for one takes as long as the copy.
        luma.reshape(-1).take(places, out=self._taken[self._waiting], mode="clip")
        self._seconds.append(seconds)
        self._waiting += 1
        if self._waiting == AT_ONCE:
            self._work_out()

    def __len__(self) -> int:
        return len(self._seconds)

    @property
    def seconds(self) -> NDArray[np.float64]:
        """(N,) of the frames."""
        return np.array(self._seconds, np.float64)

    @property
    def steps(self) -> NDArray[np.float32]:
        """(N,) how far each frame is from the one before it, as `jumps` says; 0 for the first."""
        steps = self._all_jumps()[:, 0].copy()
        steps[:1] = 0
        return steps

    def cuts(self) -> list[int]:
        """Which frames begin a shot, ascending, the first frame left out."""
        if len(self) < 2:
            return []
        return find_cuts(self._all_jumps(), self.seconds)

    def _all_jumps(self) -> NDArray[np.float32]:
        """(N, LOOK_BACK) of all frames so far."""
        if self._waiting:
            self._work_out()
        return np.concatenate([np.empty((0, LOOK_BACK), np.float32), *self._jumps])

    def _work_out(self) -> None:
        blocks = block_means(self._taken[: self._waiting])
        blocks -= (1 - MEAN_WEIGHT) * blocks.mean(axis=1, keepdims=True)
        rows = np.concatenate([self._recent, blocks])
        self._jumps.append(jumps(rows))
        self._recent, self._waiting = rows[-LOOK_BACK:].copy(), 0


def block_means(taken: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Means of 16x16 blocks, (N, 256) float32, from 4x4 samples each, (N, 4096) uint8."""
    samples = taken.reshape(-1, SIDE, SIDE).astype(np.uint16)
    # Sums by slices: numpy's own along short axes take seven times as long.
    across = samples[:, :, ::SAMPLES].copy()
    for place in range(1, SAMPLES):
        across += samples[:, :, place::SAMPLES]
    sums = across[:, ::SAMPLES].copy()
    for place in range(1, SAMPLES):
        sums += across[:, place::SAMPLES]
    means: NDArray[np.float32] = sums.reshape(len(taken), -1).astype(np.float32)
    means /= SAMPLES**2
    return means


@functools.lru_cache(maxsize=16)  # 32 KB each, one for each size of picture
def _places(height: int, row: int, width: int) -> NDArray[np.intp]:
    """Places of 64 x 64 evenly spaced pixels in a picture whose rows have so many bytes."""
    rows, columns = ((np.arange(SIDE) * 2 + 1) * side // (2 * SIDE) for side in (height, width))
    return (rows[:, None] * row + columns).reshape(-1)


def jumps(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """How far frames are from each of those before them: 0 for the same, about 1 for unrelated.

    One minus the correlation where both have the same contrast; the floor keeps the noise of dark
    and plain frames from counting.

    Args:
        rows: (LOOK_BACK + N, B) float32, blocks of frames in order of time.

    Returns:
        (N, LOOK_BACK) float32; [n, l] is the jump to row LOOK_BACK + n from the row 1 + l before.
    """
    energy = np.einsum("nb,nb->n", rows, rows)
    floor = rows.shape[1] * FLOOR_DEVIATION**2
    distances = np.empty((len(rows) - LOOK_BACK, LOOK_BACK), np.float32)
    for back in range(1, LOOK_BACK + 1):
        before = slice(LOOK_BACK - back, -back)
        apart = rows[LOOK_BACK:] - rows[before]
        both = energy[LOOK_BACK:] + energy[before] + floor
        distances[:, back - 1] = np.einsum("nb,nb->n", apart, apart) / both
    return distances


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
