"""Which packets must be decoded for frames that are evenly spaced in time: pure, no codec.

Reads what `stream.decode.packets` found in the container; `stream.decode.strategies` feeds the
plan.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ROUNDING_SECONDS = 1e-6  # times are sums of fractions
# A frame that stays is sampled evenly for a minute, then whenever it has stood a tenth longer: a
# hole of a day costs some 80 samples more.
HELD_SECONDS = 60.0
HELD_GROWTH = 1.1  # log(86,400 s / 60 s) / log(1.1) = 76 samples of a day; set by hand


@dataclass(frozen=True)
class PacketTable:
    """The video packets of a file, in the order of decoding.

    Attributes:
        pts: (P,) int64, presentation time in units of the stream.
        seconds: (P,) float64, presentation time; the first frame that is shown has 0.
        lead_seconds: what players show before that frame, while only sound plays.
        key: (P,) bool, decoding can start here.
        shown: (P,) bool; an edit list hides the others.
        duration_seconds: from the first shown frame to the end of the last.
        complete: every packet has its own time, so that `pts` names a frame; where not, neither
            `seconds` nor `duration_seconds` can be relied on.
        stated_seconds: duration by the container's header, where it has one.
        frame_seconds: how long a frame is shown where nothing else says it.
        broken: packets that the container could not read.
        pixel_aspect_ratio: width by height of a coded pixel; 1 where nothing says it.
    """

    pts: NDArray[np.int64]
    seconds: NDArray[np.float64]
    key: NDArray[np.bool_]
    shown: NDArray[np.bool_]
    duration_seconds: float
    complete: bool
    stated_seconds: float | None = None
    lead_seconds: float = 0.0
    frame_seconds: float = 0.04
    broken: int = 0
    pixel_aspect_ratio: float = 1.0

    def __len__(self) -> int:
        return len(self.pts)


@dataclass(frozen=True)
class SamplingPlan:
    """What to feed to the decoder, and which of its frames to keep.

    Attributes:
        feed: (P,) bool, packets for the decoder; the rest is not decoded.
        wanted: (P,) bool, packets whose frame is a sample or shows motion; the other fed ones are
            only decoded where later frames refer to them.
        fresh: (P,) bool, the decoder is emptied before this packet: nothing before it is needed.
        sample_pts: (K,) int64, ascending: the frame of each sample.
        sample_seconds: (K,) float64, ascending: when that frame is on the screen, as near to
            the even time as it is shown.
    """

    feed: NDArray[np.bool_]
    wanted: NDArray[np.bool_]
    fresh: NDArray[np.bool_]
    sample_pts: NDArray[np.int64]
    sample_seconds: NDArray[np.float64]


def even_times(duration_seconds: float, frames_per_second: float) -> NDArray[np.float64]:
    """Sampling times k / rate in [0, duration), at least one: (K,) float64."""
    count = max(1, int(np.ceil(duration_seconds * frames_per_second - ROUNDING_SECONDS)))
    return np.arange(count) / frames_per_second


def times_between(start: float, end: float, frames_per_second: float) -> NDArray[np.float64]:
    """Sampling times k / rate in [start, end), (K,) float64."""
    first, last = (
        int(np.ceil((seconds - ROUNDING_SECONDS) * frames_per_second)) for seconds in (start, end)
    )
    return np.arange(first, last) / frames_per_second


def plan_sampling(
    table: PacketTable,
    *,
    frames_per_second: float,
    tolerance_seconds: float,
    motion_frames_per_second: float = 0.0,
) -> SamplingPlan:
    """The cheapest decoding that shows the frame of every even time.

    A group of pictures is fed up to its last wanted frame only; a group without one is not decoded.

    Args:
        table: with at least one shown packet; `complete`.
        frames_per_second: of the samples.
        tolerance_seconds: how far from its time a key frame may stand for a sample.
        motion_frames_per_second: frames that are wanted besides and are no samples.
    """
    times = even_times(table.duration_seconds, frames_per_second)
    # A quarter at most, or two samples could choose the same key frame and the sampling be uneven.
    tolerance = min(tolerance_seconds, 0.25 / frames_per_second)
    chosen, seconds = _choose(table, times, tolerance)
    kept = held_samples(chosen, seconds - table.seconds[chosen])
    chosen, seconds = chosen[kept], seconds[kept]
    wanted = np.zeros(len(table), bool)
    wanted[chosen] = True
    if motion_frames_per_second > frames_per_second:
        times = even_times(table.duration_seconds, motion_frames_per_second)
        near = min(tolerance_seconds, 0.25 / motion_frames_per_second)
        wanted[_choose(table, times, near)[0]] = True
    feed, fresh = _feed(table, wanted)
    return SamplingPlan(feed, wanted, fresh, table.pts[chosen], seconds)


def plan_of_times(table: PacketTable, seconds: NDArray[np.float64]) -> SamplingPlan:
    """The cheapest decoding that shows the frames of some times.

    Args:
        table: with at least one shown packet; `complete`.
        seconds: (K,) from the first shown frame; beyond either end it is the frame there.
    """
    chosen, shown_seconds = _choose(table, np.sort(np.maximum(seconds, 0.0)), 0.0)
    wanted = np.zeros(len(table), bool)
    wanted[chosen] = True
    feed, fresh = _feed(table, wanted)
    return SamplingPlan(feed, wanted, fresh, table.pts[chosen], shown_seconds)


def held_samples(frame: NDArray[np.intp], stood_seconds: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which samples to keep where one frame is on the screen for long: a hole in a recording.

    All of the first `HELD_SECONDS`, then one each time that the frame has stood `HELD_GROWTH`
    times as long, and the last one. So a hole of a day costs a hundred samples.

    Args:
        frame: (K,) which frame each sample shows, equal ones in a row.
        stood_seconds: (K,) how long it has been on the screen by then.

    Returns:
        (K,) bool.
    """
    stood = np.maximum(stood_seconds, HELD_SECONDS) / HELD_SECONDS
    step = np.floor(np.log(stood) / np.log(HELD_GROWTH))
    short = stood_seconds <= HELD_SECONDS
    new = np.append(True, (np.diff(frame) != 0) | (np.diff(step) != 0))
    last = np.append(np.diff(frame) != 0, True)
    kept: NDArray[np.bool_] = short | new | last
    return kept


def max_frames(
    frame: NDArray[np.int64], seconds: NDArray[np.float64], repeat_gap_seconds: float
) -> int:
    """How many of the samples can be written at most: a frame again only after a gap.

    Args:
        frame: (K,) which frame each sample shows, equal ones in a row.
        seconds: (K,) of the samples, ascending.
        repeat_gap_seconds: between two samples of one frame that are both written.
    """
    if repeat_gap_seconds <= 0 or len(frame) == 0:
        return len(frame)
    first = np.flatnonzero(np.diff(frame, prepend=frame[0] - 1))
    stood = seconds[np.append(first[1:], len(frame)) - 1] - seconds[first]
    again = np.floor(stood / repeat_gap_seconds + ROUNDING_SECONDS) + 1
    return min(len(frame), int(again.sum()))


def _choose(
    table: PacketTable, times: NDArray[np.float64], tolerance: float
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """The packet of each time, a key frame where one is near, and when it is shown."""
    shown = np.flatnonzero(table.shown)
    order = shown[np.argsort(table.seconds[shown], kind="stable")]
    starts = table.seconds[order]
    ends = np.append(starts[1:], max(table.duration_seconds, starts[-1]))
    rank = np.searchsorted(starts, times + ROUNDING_SECONDS, side="right") - 1
    keys = np.flatnonzero(table.key[order])
    if len(keys):
        after = np.searchsorted(starts[keys], times + ROUNDING_SECONDS, side="right")
        for near in (keys[np.maximum(after - 1, 0)], keys[np.minimum(after, len(keys) - 1)]):
            distance = np.maximum(starts[near] - times, times - ends[near])
            rank = np.where(~table.key[order[rank]] & (distance <= tolerance), near, rank)
    return order[rank], np.clip(times, starts[rank], ends[rank])


def _feed(
    table: PacketTable, wanted: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which packets to decode, and before which of them the decoder is emptied."""
    group = np.maximum(np.cumsum(table.key) - 1, 0)  # (P,) packets before any key join group 0
    heads = np.flatnonzero(np.diff(group, prepend=-1))  # (G,) first packet of each group
    last = np.full(len(heads), -1)
    # `at`, since several samples lie in one group: plain indexing would keep any one of them.
    np.maximum.at(last, group[wanted], np.flatnonzero(wanted))
    leading = wanted & (table.seconds < table.seconds[heads][group])
    continued = np.unique(group[leading & (group > 0)])  # open groups: they refer to the one before
    last[continued - 1] = heads[continued] - 1
    feed = np.arange(len(table)) <= last[group]
    fresh = np.zeros(len(table), bool)
    fresh[heads[1:]] = True
    fresh[heads[continued]] = False
    return feed, fresh & feed
