"""Made videos as rows of pieces of footage; serves `models.detector.pair_plans`."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from models.training.descriptor_pool import Footage
from models.training.pool_pictures import FRAMES_PER_SECOND
from models.video import motion

Floats = NDArray[np.float64]

# How an edited copy's motion differs, set by hand: pasted pairs have no real motion, so the score
# is calibrated on whole videos instead (docs/experiments.md, "Training the detector").
GAIN_OCTAVES = 0.25  # deviation of the natural logarithm of the gain: crops and insets scale it
NOISY_SHARE = 0.3  # of the edited pieces: grain that never stands still
MAX_STILL_NOISE = 0.6  # change a second that such grain adds; a dozen times `motion.FLOOR`
BESIDE_SHARE = 0.2  # pieces with other footage in the picture, as insets have
COARSE_SHARE = 0.15  # pieces smoothed over three codes, as dropped frames smooth them
MAX_JITTER = 0.3  # deviation of the logarithm, code by code


@dataclass(frozen=True)
class Piece:
    """A stretch of a clip as it plays.

    Attributes:
        clip: its number in the pool.
        variant: which edit; 0 is none.
        start: seconds in the clip.
        seconds: of the clip, before a change of speed.
        noise: length of the noise on its unit descriptors.
        mixed: weight of one foreign descriptor throughout.
        held: its first frame is shown throughout, and nothing moves.
    """

    clip: int
    variant: int
    start: float
    seconds: float
    speed: float = 1.0
    backwards: bool = False
    noise: float = 0.0
    mixed: float = 0.0
    held: bool = False

    @property
    def played_seconds(self) -> float:
        """Seconds of the made video, after the change of speed."""
        return self.seconds / self.speed

    def source_seconds(self, played: Floats) -> Floats:
        """Where in the clip it is, at seconds from its own start."""
        if self.held:
            return np.full(len(played), self.start)
        along = played * self.speed
        return self.start + (self.seconds - along if self.backwards else along)


@dataclass(frozen=True)
class Located:
    """Frames of the pool.

    Attributes:
        piece: (N,) number of the piece that plays.
        frame: (N,) frame of its clip.
    """

    piece: NDArray[np.intp]
    frame: NDArray[np.intp]


@dataclass(frozen=True)
class Timeline:
    """Pieces one after the other."""

    pieces: list[Piece]

    @cached_property
    def starts(self) -> Floats:
        """Where each piece begins, and the end, (P + 1,) seconds."""
        return np.cumsum([0.0, *(piece.played_seconds for piece in self.pieces)])

    @property
    def seconds(self) -> float:
        """Length of the video."""
        return float(self.starts[-1])

    def cuts(self, pool: list[Footage]) -> Floats:
        """Joins, and the cuts inside the clips, ascending seconds."""
        found = list(self.starts[1:-1])
        for piece, begin in zip(self.pieces, self.starts, strict=False):
            inside = pool[piece.clip].cut_seconds.astype(np.float64) - piece.start
            inside = inside[(inside > 0.05) & (inside < piece.seconds - 0.05) & (not piece.held)]
            if piece.backwards:
                inside = piece.seconds - inside
            found.extend(begin + inside / piece.speed)
        return np.sort(np.array(found, np.float64))

    def locate(self, pool: list[Footage], times: NDArray[np.float32]) -> Located:
        """Which frame of the pool is shown at each of the times."""
        number = np.clip(np.searchsorted(self.starts, times, side="right") - 1, 0, None)
        number = np.minimum(number, len(self.pieces) - 1)
        frames = np.empty(len(times), np.intp)
        for one in np.unique(number).tolist():
            here, piece = number == one, self.pieces[one]
            at = piece.source_seconds(times[here].astype(np.float64) - self.starts[one])
            last = pool[piece.clip].descriptors.shape[1] - 1
            frames[here] = np.clip(np.rint(at * FRAMES_PER_SECOND), 0, last).astype(np.intp)
        return Located(number, frames)

    def describe(
        self, pool: list[Footage], times: NDArray[np.float32], random: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Unit descriptors (N, D) and score biases (N,) of the frames shown at `times`."""
        shown = self.locate(pool, times)
        rows = np.empty((len(times), pool[0].descriptors.shape[2]), np.float32)
        biases = np.empty(len(times), np.float32)
        for one in np.unique(shown.piece).tolist():
            here, piece = shown.piece == one, self.pieces[one]
            footage, frames = pool[piece.clip], shown.frame[here]
            own = footage.descriptors[piece.variant][frames]  # (n, D)
            rows[here] = _disturbed(own, piece, pool, random)
            biases[here] = footage.score_biases[piece.variant][frames]
        return rows, biases

    def motion(self, pool: list[Footage], random: np.random.Generator) -> NDArray[np.float32]:
        """Its motion curve, (M,) float32; pieces that are edited move a little else.

        Where a clip's own motion isn't known, nothing moves.
        """
        length = max(1, int(np.ceil(self.seconds * motion.RATE - 1e-6)))
        middles = (np.arange(length) + 0.5) / motion.RATE
        number = np.clip(np.searchsorted(self.starts, middles, side="right") - 1, 0, None)
        number = np.minimum(number, len(self.pieces) - 1)
        rates = np.zeros(length)
        for one in np.unique(number).tolist():
            here, piece = number == one, self.pieces[one]
            curve = pool[piece.clip].motion
            if len(curve) and not piece.held:
                source = piece.source_seconds(middles[here] - self.starts[one])
                own = motion.FLOOR * np.expm1(motion.at(curve, source)) * piece.speed
                rates[here] = _moved(own, piece, pool, random)
        return np.log1p(rates / motion.FLOOR).astype(np.float32)


def _moved(rates: Floats, piece: Piece, pool: list[Footage], random: np.random.Generator) -> Floats:
    """Change a second, (n,), as an edited copy shows it: fainter, noisy, or with more around it."""
    if not piece.variant:
        return rates
    rates = rates * np.exp(random.normal(0, GAIN_OCTAVES))
    if random.random() < NOISY_SHARE:
        rates = rates + random.uniform(0, MAX_STILL_NOISE)
    if random.random() < BESIDE_SHARE:
        other = pool[int(random.integers(len(pool)))].motion
        if len(other):
            start = int(random.integers(len(other)))
            beside = np.resize(np.roll(other, -start), len(rates))
            weight = random.uniform(0, 1)
            rates = (1 - weight / 2) * rates + weight * motion.FLOOR * np.expm1(beside)
    if random.random() < COARSE_SHARE and len(rates) > 2:
        rates = np.convolve(rates, np.full(3, 1 / 3), mode="same")
    jitter = random.uniform(0, MAX_JITTER)
    shaken: Floats = rates * np.exp(random.normal(0, jitter, len(rates)))
    return shaken


def sliced(timeline: Timeline, start: float, end: float) -> Iterator[Piece]:
    """The pieces between two times of a timeline of unchanged speed."""
    for piece, begin in zip(timeline.pieces, timeline.starts, strict=False):
        first, last = max(start - begin, 0.0), min(end - begin, piece.seconds)
        if last - first > 1e-6:
            start = piece.start if piece.held else piece.start + first
            yield replace(piece, start=start, seconds=last - first)


def _disturbed(
    rows: NDArray[np.float32], piece: Piece, pool: list[Footage], random: np.random.Generator
) -> NDArray[np.float32]:
    """Harder copies, made in descriptor space: noise, and something foreign in every frame."""
    if not piece.noise and not piece.mixed:
        return rows
    noise = random.standard_normal(rows.shape).astype(np.float32)
    noise *= piece.noise / np.sqrt(rows.shape[1])
    foreign = pool[int(random.integers(len(pool)))].descriptors[0]
    constant = foreign[int(random.integers(len(foreign)))]
    mixed = (1 - piece.mixed) * rows + piece.mixed * constant + noise
    unit: NDArray[np.float32] = mixed / np.linalg.norm(mixed, axis=1, keepdims=True)
    return unit
