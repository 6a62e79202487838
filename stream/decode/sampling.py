"""Which packets must be decoded for frames that are evenly spaced in time: pure, no codec.

Reads what `stream.decode.packets` found in the container; `stream.decode.child` feeds the plan.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ROUNDING_SECONDS = 1e-6


@dataclass(frozen=True)
class PacketTable:
    """The video packets of a file, in the order of decoding.

    Attributes:
        pts: (P,) int64, presentation time in units of the stream.
        seconds: (P,) float64, presentation time; the first frame that is shown has 0.
        key: (P,) bool, decoding can start here.
        shown: (P,) bool; an edit list hides the others.
        duration_seconds: from the first shown frame to the end of the last.
        complete: every packet has its own time, so that `pts` names a frame; where not, neither
            `seconds` nor `duration_seconds` can be relied on.
        stated_seconds: duration by the container's header, where it has one.
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
    broken: int = 0
    pixel_aspect_ratio: float = 1.0

    def __len__(self) -> int:
        return len(self.pts)


@dataclass(frozen=True)
class SamplingPlan:
    """What to feed to the decoder, and which of its frames to keep.

    Attributes:
        feed: (P,) bool, packets for the decoder; the rest is not decoded.
        wanted: (P,) bool, packets whose frame is a sample; the other fed ones are only decoded
            where later frames refer to them.
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


def plan_sampling(
    table: PacketTable, *, frames_per_second: float, tolerance_seconds: float
) -> SamplingPlan:
    """The cheapest decoding that shows the frame of every even time.

    A group of pictures is fed up to its last sample only; a group without one is not decoded.

    Args:
        table: with at least one shown packet; `complete`.
        frames_per_second: of the samples.
        tolerance_seconds: how far from its time a key frame may stand for a sample.
    """
    times = even_times(table.duration_seconds, frames_per_second)
    tolerance = min(tolerance_seconds, 0.25 / frames_per_second)
    chosen, seconds = _choose(table, times, tolerance)
    wanted = np.zeros(len(table), bool)
    wanted[chosen] = True
    feed, fresh = _feed(table, wanted)
    return SamplingPlan(feed, wanted, fresh, table.pts[chosen], seconds)


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
    np.maximum.at(last, group[wanted], np.flatnonzero(wanted))
    leading = wanted & (table.seconds < table.seconds[heads][group])
    continued = np.unique(group[leading & (group > 0)])  # open groups: they refer to the one before
    last[continued - 1] = heads[continued] - 1
    feed = np.arange(len(table)) <= last[group]
    fresh = np.zeros(len(table), bool)
    fresh[heads[1:]] = True
    fresh[heads[continued]] = False
    return feed, fresh & feed
