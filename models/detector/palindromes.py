"""Palindromes: where a video runs back the way it came, by its own cuts and motion; numpy only."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.detector.loops import MIN_MOVING, MIN_VARIANCE, SMOOTH
from models.video import motion

Floats = NDArray[np.float64]

# All set by hand, on boomerangs made of training clips.
SHORTEST_SECONDS = 1.5  # of a way
FIRST_SECONDS = 12.0  # of a way that are looked at around each moment; beyond, of the best alone
STEP = 0.5  # codes: between two moments that are tried as the turn
SAME_SHARE = 0.4  # of the curve's variance, by which a moment and its mirror image may differ
MIN_GAIN = 0.15  # of `SAME_SHARE`, that a way leaves on average; chance leaves less
MAX_TURNS = 4  # of a query, by its motion
MIN_OF_BEST = 0.5  # share of the best turn's evidence, below which no other is a candidate
MOMENTS_AT_ONCE = 4096
FINE_SECONDS, FINE_STEP = 0.3, 0.02  # to both sides of the turn; codes are 0.25 s long
EDGE_SECONDS = 0.8  # so near to a cut, or to the video's end, a way ends there
CUT_SLACK_SECONDS = 0.15  # by which a cut and its mirror image may be off
MAX_CUTS = 100  # that are looked at, those around the turn


@dataclass(frozen=True)
class Palindrome:
    """A stretch of a video that is its own mirror image in time.

    Attributes:
        start: seconds.
        turn: seconds, in the middle but for where the video ends early.
        end: seconds.
    """

    start: float
    turn: float
    end: float


def find_palindromes(
    curve: NDArray[np.float32], cuts: Floats, duration_seconds: float
) -> list[Palindrome]:
    """Where a video may run back the way it came, by its motion; the plainest first.

    The whole video is among them where anything moves: a matrix tells what is one.

    Args:
        curve: (M,) motion, as `models.video.motion`.
        cuts: (C,) seconds.
        duration_seconds: of the video.
    """
    codes = curve.astype(np.float64)
    if len(codes) < 2 * SHORTEST_SECONDS * motion.RATE:
        return []
    codes = np.convolve(np.pad(codes, 1, mode="edge"), SMOOTH, "valid")
    variance = float(codes.var())
    if variance < MIN_VARIANCE:
        return []
    shortest = SHORTEST_SECONDS * motion.RATE
    turns = np.arange(shortest, len(codes) - shortest + 1e-9, STEP)
    evidence = np.concatenate(
        [
            _evidence(codes, turns[first : first + MOMENTS_AT_ONCE], variance)
            for first in range(0, len(turns), MOMENTS_AT_ONCE)
        ]
    )
    beside = np.concatenate([[0.0], evidence, [0.0]])
    peaks = (evidence >= beside[:-2]) & (evidence > beside[2:])
    peaks &= evidence >= MIN_OF_BEST * evidence.max()
    numbers = np.flatnonzero(peaks)
    found = []
    for number in numbers[np.argsort(-evidence[numbers], kind="stable")][:MAX_TURNS].tolist():
        one = _palindrome(codes, float(turns[number]), variance, cuts, duration_seconds)
        if one is not None:
            found.append(one)
    # Whoever makes a boomerang often uploads nothing else; next to nothing need move in it.
    return [*found, Palindrome(0.0, duration_seconds / 2, duration_seconds)]


def _evidence(codes: Floats, turns: Floats, variance: float) -> Floats:
    """Of moments, in codes from the start: how long what follows mirrors what went before, (T,)."""
    gains = _gains(codes, turns, FIRST_SECONDS * motion.RATE, variance)
    found: Floats = np.maximum(np.cumsum(gains, axis=1).max(axis=1), 0.0)
    return found


def _gains(codes: Floats, turns: Floats, most: float, variance: float) -> Floats:
    """By how far from the turn, (T, S); nothing where one of the two is beyond the video's ends.

    A code stands for the quarter of a second around its middle.
    """
    far = np.arange(0.5, most, 1.0)
    before, after = turns[:, None] - far - 0.5, turns[:, None] + far - 0.5
    places = np.arange(len(codes))
    apart = np.interp(before, places, codes) - np.interp(after, places, codes)
    inside = (before >= -0.5) & (after <= len(codes) - 0.5)
    found: Floats = np.where(inside, SAME_SHARE - apart**2 / (2 * variance), -np.inf)
    return found


def _palindrome(
    codes: Floats, turn: float, variance: float, cuts: Floats, duration_seconds: float
) -> Palindrome | None:
    """Of a turn, in codes from the start; None where it is no plain one by its own measure."""
    most = min(turn, len(codes) - turn) + 1
    length = _length(codes, turn, most, variance)[1]
    own = float(codes[max(int(turn - length), 0) : int(np.ceil(turn + length))].var())
    if own < MIN_MOVING * variance or own < MIN_VARIANCE:
        return None
    # Again by its own measure: beside what moves more, all of a calm piece is the same.
    gain, length = _length(codes, turn, most, own)
    if length < SHORTEST_SECONDS * motion.RATE or gain < MIN_GAIN * length:
        return None
    near = np.arange(-FINE_SECONDS, FINE_SECONDS + 1e-9, FINE_STEP) * motion.RATE + turn
    fits = _gains(codes, near, length, own)
    fits = np.where(np.isfinite(fits), fits, 0.0).sum(axis=1)
    middle = float(near[int(fits.argmax())]) / motion.RATE
    return _snapped(middle, length / motion.RATE, cuts, duration_seconds)


def _length(codes: Floats, turn: float, most: float, variance: float) -> tuple[float, int]:
    """Evidence of a turn, and how many codes each way has."""
    sums = np.cumsum(_gains(codes, np.array([turn]), most, variance)[0])
    if not len(sums):
        return 0.0, 0
    number = int(sums.argmax())
    return float(sums[number]), number + 1


def _snapped(turn: float, length: float, cuts: Floats, duration_seconds: float) -> Palindrome:
    """With ends at the video's own, or at cuts, and its turn in the middle of cuts around it."""
    # A cut that comes again on the other side tells the turn finer than motion does.
    cuts = around(cuts, turn)
    middles = (cuts[:, None] + cuts[None, :])[np.triu_indices(len(cuts), 1)] / 2
    near = middles[np.abs(middles - turn) < CUT_SLACK_SECONDS]
    edges = np.append(cuts, [0.0, duration_seconds])
    start, end = (_nearest(edges, at) for at in (turn - length, turn + length))
    if len(near):
        turn = float(np.median(near))
    elif abs((start + end) / 2 - turn) < CUT_SLACK_SECONDS:
        turn = (start + end) / 2
    return Palindrome(start, turn, end)


def around(cuts: Floats, turn: float) -> Floats:
    """The cuts that are nearest to a turn, as many as are looked at, in any order."""
    return cuts[np.argsort(np.abs(cuts - turn), kind="stable")[:MAX_CUTS]]


def _nearest(edges: Floats, at: float) -> float:
    near = float(edges[np.abs(edges - at).argmin()])
    return near if abs(near - at) < EDGE_SECONDS else at
