"""Loops: where a video shows one piece again and again, by its own cuts and motion; numpy only."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.video import motion

Floats = NDArray[np.float64]

# All set by hand, on loops made of training clips.
SHORTEST_SECONDS, LONGEST_SECONDS = 1.0, 8.0  # of a turn: longer ones are boxed one by one
FEWEST_TURNS = 2.5  # fewer are a scene that is shown twice
LAG_STEP = 0.25  # codes: between two lags that are tried
MAX_PERIODS = 4  # local maxima of the evidence that are looked at in a reference
SAME_SHARE = 0.3  # of the curve's variance, by which a moment and that of the next turn may differ
MIN_GAIN = 0.15  # of `SAME_SHARE`, that a stretch leaves on average; chance leaves less
MIN_SEEN_CODES = 16  # that come again one turn later: four seconds
MIN_MOVING = 0.1  # share of the curve's variance that a stretch has to have itself
SMOOTH = np.array([0.25, 0.5, 0.25])
MIN_VARIANCE = 0.003  # of a curve, below which nothing moves that could come again
MAX_CUTS, FEWEST_CUTS, MAX_BY_CUTS = 200, 3, 2  # looked at; pairs one period apart; periods
MIN_REGULAR = 0.6  # share of a stretch's cuts that come again a period later; chance brings some
CUT_SLACK_SECONDS = 0.05  # by which cuts one period apart may be off: a frame or two
MIN_OF_BEST = 0.6  # share of the best lag's evidence, below which no other is a candidate
FINE_SECONDS, FINE_STEP = 0.16, 0.01  # to both sides of the lag; codes are 0.25 s long
FINE_CODES, FINE_TURNS = 1200, 12  # five minutes tell it, by about so many distances
MAX_TURNED = 0.14  # seconds from the lag: what is found further off is the search's own end
EDGE_SECONDS = 0.8  # so near to a cut, or to the video's end, a stretch ends there
EDGE_TURNS = 0.8  # the same of the video's end, in turns


@dataclass(frozen=True)
class Loop:
    """A stretch of a video that repeats itself.

    Attributes:
        start: seconds.
        end: seconds.
        period: seconds.
    """

    start: float
    end: float
    period: float


def find_loops(curve: NDArray[np.float32], cuts: Floats, duration_seconds: float) -> list[Loop]:
    """Stretches in which a video repeats itself, by its motion; the plainest first.

    They are several answers to one question: a turn may be seen as two, or two as one.

    Args:
        curve: (M,) motion, as `models.video.motion`.
        cuts: (C,) seconds.
        duration_seconds: of the video.
    """
    found = _by_cuts(cuts, duration_seconds) + _by_motion(
        curve.astype(np.float64), duration_seconds
    )
    return [
        Loop(
            _snapped(loop.start, 0.0, loop.period, cuts),
            _snapped(min(loop.end, duration_seconds), duration_seconds, loop.period, cuts),
            loop.period,
        )
        for loop in found
    ]


def _by_cuts(cuts: Floats, duration_seconds: float) -> list[Loop]:
    """Where cuts come again and again at one distance: where a turn ends, and inside of it."""
    longest = min(LONGEST_SECONDS, duration_seconds / FEWEST_TURNS)
    before, after = np.triu_indices(min(len(cuts), MAX_CUTS), 1)
    apart = cuts[after] - cuts[before]
    fit = (apart >= SHORTEST_SECONDS) & (apart <= longest)
    before, after, apart = before[fit], after[fit], apart[fit]
    order = np.argsort(apart, kind="stable")
    before, after, apart = before[order], after[order], apart[order]
    low = np.searchsorted(apart, apart - CUT_SLACK_SECONDS)
    high = np.searchsorted(apart, apart + CUT_SLACK_SECONDS, side="right")
    loops: list[Loop] = []
    for number in np.argsort(low - high, kind="stable").tolist():
        near = slice(low[number], high[number])
        count = int(high[number] - low[number])
        if count < FEWEST_CUTS or len(loops) == MAX_BY_CUTS:
            break
        period = float(apart[near].mean())
        if any(abs(loop.period - period) < 2 * CUT_SLACK_SECONDS for loop in loops):
            continue
        first, last = int(before[near].min()), int(after[near].max())
        if count < MIN_REGULAR * (last - first):
            continue
        start, end = float(cuts[first]) - period, float(cuts[last]) + period
        loops.append(Loop(max(start, 0.0), end, period))
    return loops


def _by_motion(codes: Floats, duration_seconds: float) -> list[Loop]:
    if len(codes) > 2:  # what lies between two codes would else be smoother than the codes
        codes = np.convolve(np.pad(codes, 1, mode="edge"), SMOOTH, "valid")
    variance = float(codes.var()) if len(codes) else 0.0
    longest = min(LONGEST_SECONDS, duration_seconds / FEWEST_TURNS) * motion.RATE
    lags = np.arange(SHORTEST_SECONDS * motion.RATE, longest + 1e-9, LAG_STEP)
    if variance < MIN_VARIANCE or not len(lags):
        return []
    found = [_stretch(codes, float(lag), variance) for lag in lags]
    evidence = np.array([each[0] for each in found])
    beside = np.concatenate([[0.0], evidence, [0.0]])
    peaks = (evidence >= beside[:-2]) & (evidence > beside[2:])
    peaks &= evidence >= MIN_OF_BEST * evidence.max()
    numbers = np.flatnonzero(peaks)
    loops = []
    for number in numbers[np.argsort(-evidence[numbers], kind="stable")][:MAX_PERIODS].tolist():
        (_, first, last), lag = found[number], float(lags[number])
        own = float(codes[first : last + int(lag)].var())
        if own < MIN_MOVING * variance or own < MIN_VARIANCE:
            continue
        # Again by its own measure: beside what moves more, all of a calm piece is the same.
        gain, first, last = _stretch(codes, lag, own)
        long_enough = last - first >= max((FEWEST_TURNS - 1) * lag, MIN_SEEN_CODES)
        if not long_enough or gain < MIN_GAIN * (last - first):
            continue
        period = _fine_period(codes[first : last + int(np.ceil(lag))], lag)
        if abs(period - lag / motion.RATE) > MAX_TURNED:  # no peak: shorter still fits better
            continue
        loops.append(Loop(first / motion.RATE, last / motion.RATE + period, period))
    return loops


def _stretch(codes: Floats, lag: float, variance: float) -> tuple[float, int, int]:
    """Evidence in codes, and where a curve is most like itself a lag later, half-open."""
    count = len(codes) - int(np.ceil(lag))
    if count < 1:
        return 0.0, 0, 0
    later = np.interp(np.arange(count) + lag, np.arange(len(codes)), codes)
    gains = SAME_SHARE - (codes[:count] - later) ** 2 / (2 * variance)
    sums = np.append(0.0, np.cumsum(gains))
    lowest = np.minimum.accumulate(sums)
    last = int((sums - lowest).argmax())
    first = int(sums[: last + 1].argmin())
    return float(sums[last] - sums[first]), first, last


def _fine_period(codes: Floats, lag: float) -> float:
    """The period in seconds, by all the turns that are seen: many lags tell it finer than one."""
    seconds = lag / motion.RATE
    periods = np.arange(seconds - FINE_SECONDS, seconds + FINE_SECONDS, FINE_STEP)
    codes = codes[:FINE_CODES]
    centred = codes - codes.mean()
    most = max(int(0.75 * len(codes) / lag), 1)
    fits = np.zeros(len(periods))
    for number, period in enumerate(periods):
        for turns in range(1, most + 1, max(most // FINE_TURNS, 1)):
            far = turns * period * motion.RATE
            count = len(codes) - int(np.ceil(far))
            if count < 2:
                break
            later = np.interp(np.arange(count) + far, np.arange(len(codes)), centred)
            fits[number] += float(centred[:count] @ later) / count
    return float(periods[int(fits.argmax())])


def _snapped(seconds: float, end: float, period: float, cuts: Floats) -> float:
    """The video's own end where less than most of a turn is left, or a cut that is near."""
    if abs(seconds - end) < max(EDGE_SECONDS, EDGE_TURNS * period):
        return end
    near = cuts[np.abs(cuts - seconds) < EDGE_SECONDS]
    return float(near[np.abs(near - seconds).argmin()]) if len(near) else seconds
