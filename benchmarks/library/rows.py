"""Key frames for libraries of any size, drawn around real ones; serves `benchmarks.library_size`.

Of every ten rows four are copies of real descriptors, edited as hard as a cosine of 0.6 to 0.98
says, and six are of shots that never were: their centres have the mean and the covariance of the
real descriptors, their frames a cosine of 0.8 to 0.95 to them, two to a shot.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream.contract.hashes import video_hash
from stream.contract.packed import quantise
from stream.library.entry import Entry, pack_entry
from stream.library.rows import RowCodes
from stream.library.run import ENTRY, NEVER, Run

# Of the rows: near real ones; the rest are drawn from their mean and covariance. Set by hand.
REAL_SHARE = 0.4
FRAMES_PER_VIDEO = 45  # three minutes at 900 an hour
SECONDS_PER_FRAME = 4.0

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class RowMaker:
    """Draws descriptors that lie like the real ones.

    Attributes:
        real: (M, D) float32, unit rows.
        mean: (D,) float32, of them.
        root: (D, D) float32, lower root of their covariance.
    """

    real: Floats
    mean: Floats
    root: Floats

    @classmethod
    def like(cls, real: Floats) -> "RowMaker":
        """Learn mean and covariance of (M, D) unit rows."""
        centred = (real - real.mean(axis=0)).astype(np.float64)
        covariance = centred.T @ centred / len(real) + 1e-6 * np.eye(real.shape[1])
        root = np.linalg.cholesky(covariance).astype(np.float32)
        return cls(real, real.mean(axis=0), root)

    def rows(self, count: int, random: np.random.Generator) -> Floats:
        """Key frames of a library, (count, D) unit rows, in no order."""
        copies = int(REAL_SHARE * count)
        shown = self.real[random.integers(0, len(self.real), copies)]
        shots = self._unit(self.mean + self._noise((count - copies) // 2 + 1, random))
        frames = shots[random.integers(0, len(shots), count - copies)]
        made = np.concatenate(
            (self.near(shown, 0.6, 0.98, random), self.near(frames, 0.8, 0.95, random))
        )
        return made[random.permutation(count)]

    def near(self, rows: Floats, least: float, most: float, random: np.random.Generator) -> Floats:
        """Other rows, each at a cosine between two bounds to its own, (N, D) unit rows."""
        cosine = random.uniform(least, most, (len(rows), 1)).astype(np.float32)
        aside = self._noise(len(rows), random)
        aside -= (aside * rows).sum(axis=1, keepdims=True) * rows
        made: Floats = cosine * rows + np.sqrt(np.float32(1) - cosine**2) * self._unit(aside)
        return made

    def _noise(self, count: int, random: np.random.Generator) -> Floats:
        shape = (count, len(self.mean))
        return random.standard_normal(shape, dtype=np.float32) @ self.root.T

    @staticmethod
    def _unit(rows: Floats) -> Floats:
        unit: Floats = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return unit


def run_of(rows: Floats, codes: RowCodes, first_video: int) -> Run:
    """Videos of `FRAMES_PER_VIDEO` key frames each, in memory, without lists.

    Args:
        rows: (N, D) float32, unit rows; N is a multiple of `FRAMES_PER_VIDEO`.
        codes: how they are packed.
        first_video: number of the first; its log offset too.
    """
    videos = len(rows) // FRAMES_PER_VIDEO
    numbers = first_video + np.arange(videos)
    payload = [pack_entry(entry_of(number)) for number in numbers.tolist()]
    sizes = np.array([len(part) for part in payload])
    entries = np.zeros(videos, ENTRY)
    entries["hash"] = [video_hash(f"v{number}") for number in numbers.tolist()]
    entries["offset"], entries["replaced_at"] = numbers, NEVER
    entries["serial"], entries["count"] = numbers * FRAMES_PER_VIDEO, FRAMES_PER_VIDEO
    entries["row"] = np.arange(videos) * FRAMES_PER_VIDEO
    entries["payload"] = np.cumsum(sizes) - sizes
    packed = codes.pack(quantise(rows))
    return Run(entries, packed, np.frombuffer(b"".join(payload), np.uint8))


def entry_of(number: int) -> Entry:
    """What is known of a video besides its rows; with cuts and motion, as real ones have them."""
    seconds = FRAMES_PER_VIDEO * SECONDS_PER_FRAME
    times = np.arange(FRAMES_PER_VIDEO, dtype=np.float32) * np.float32(SECONDS_PER_FRAME)
    return Entry(
        video_id=f"v{number}",
        content_version=1,
        owner_id=f"owner-{number % 1000}",
        role="upload",
        duration_seconds=seconds,
        seconds=times,
        bias_codes=np.full(FRAMES_PER_VIDEO, 12, np.int8),
        cut_seconds=times[1:],
        motion_levels=np.full(int(4 * seconds), number % 16, np.uint8),
    )
