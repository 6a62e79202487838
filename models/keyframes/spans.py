"""Cuts a video into spans that one frame each can stand for; serves the learned selector.

An exact k-medoids on a line: spans are contiguous in time, and each is stood for by the frame
inside it that the others resemble most. Equal spacing in content rather than in time.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
NEVER = 1e9  # far above the costs of a day of frames, and finite: sums of it still compare
BISECTIONS = 14  # leave the price open by a thousandth, about as little as `OFF_CENTRE` decides
OFF_CENTRE = 1e-3  # a frame off the middle of its span; decides between equal ones


@dataclass(frozen=True)
class SpanCosts:
    """What it costs to let one frame stand for a span.

    Attributes:
        costs: (W, N) float64; `costs[n, i]` of the span of n + 1 frames that starts at i, with
            its best frame; `NEVER` where the span is not allowed.
        medoids: (W, N) that frame.
    """

    costs: Array
    medoids: NDArray[np.intp]

    def cheapest(self, price: float) -> NDArray[np.intp]:
        """The frames of the cheapest cut into spans, (K,) ascending.

        Args:
            price: of one more key frame, in units of the costs.
        """
        longest, count = self.costs.shape
        best = np.zeros(count + 1)
        taken = np.zeros(count + 1, np.intp)
        for end in range(1, count + 1):
            reach = min(longest, end)
            starts = np.arange(end - 1, end - 1 - reach, -1)  # spans of 1 … reach frames
            totals = best[starts] + self.costs[np.arange(reach), starts]
            # Of equals the first, which is the shortest span.
            taken[end] = totals.argmin()
            best[end] = totals[taken[end]] + price
        chosen, end = [], count
        while end > 0:
            start = end - 1 - taken[end]
            chosen.append(self.medoids[taken[end], start])
            end = start
        return np.array(chosen[::-1], np.intp)

    def at_most(self, count: int) -> NDArray[np.intp]:
        """The frames of the cheapest cut into no more than `count` spans, or into the fewest."""
        low, high = 0.0, 2.0 * len(self.costs) + 1  # a frame costs 2 at most: more buys nothing
        if len(found := self.cheapest(low)) <= count:
            return found
        if len(fewest := self.cheapest(high)) >= count:
            return fewest
        for _ in range(BISECTIONS):
            price = (low + high) / 2
            found = self.cheapest(price)
            if len(found) == count:
                return found
            if len(found) > count:
                low = price
            else:
                high = price
        return self.cheapest(high)  # of the two bounds the one that keeps to the count


def span_costs(
    descriptors: NDArray[np.float32],
    shots: NDArray[np.intp],
    seconds: NDArray[np.float32],
    quality: NDArray[np.float32],
    *,
    longest_seconds: float,
) -> SpanCosts:
    """Costs of all spans that lie within one shot and last no longer than allowed.

    A frame t that key frame m stands for costs `1 - quality[m] * cosine(t, m)`.

    Args:
        descriptors: (N, D) float32, unit rows.
        shots: (N,) number of the shot that each frame is of, ascending.
        seconds: (N,) ascending.
        quality: (N,) float32 in [0, 1].
        longest_seconds: from the first frame of a span to its last.
    """
    count = len(seconds)
    longest = _longest(seconds, longest_seconds)
    before = np.full((longest, count), NEVER)  # [a, m]: frames m - a … m cost, stood for by m
    after = np.full((longest, count), NEVER)  # [b, m]: frames m + 1 … m + b cost
    before[0], after[0] = 1 - quality, 0.0  # the key frame itself is counted once, in `before`
    for step in range(1, longest):
        cosine = np.einsum("nd,nd->n", descriptors[step:], descriptors[:-step]).astype(np.float64)
        before[step, step:] = before[step - 1, step:] + 1 - quality[step:] * cosine
        after[step, :-step] = after[step - 1, :-step] + 1 - quality[:-step] * cosine
    costs = np.full((longest, count), NEVER)
    medoids = np.zeros((longest, count), np.intp)
    for length in range(longest):
        starts = np.arange(count - length)
        allowed = shots[starts] == shots[starts + length]
        allowed &= (seconds[starts + length] - seconds[starts] <= longest_seconds) | (length == 0)
        for offset in range(length + 1):
            total = before[offset, starts + offset] + after[length - offset, starts + offset]
            total += OFF_CENTRE * abs(offset - length / 2)
            better = allowed & (total < costs[length, starts])
            costs[length, starts[better]] = total[better]
            medoids[length, starts[better]] = starts[better] + offset
    return SpanCosts(costs, medoids)


def _longest(seconds: NDArray[np.float32], longest_seconds: float) -> int:
    """Most frames in a span."""
    ends = np.searchsorted(seconds, seconds + longest_seconds, side="right")
    return int((ends - np.arange(len(seconds))).max(initial=1))
