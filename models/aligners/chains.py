"""Heaviest chains: dynamic programming over matches that lie on one line, many lines at once.

Serves the temporal network. A chain takes matches of one group in order of time; a step without
a match costs, a long one ends the chain.
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Numbers = NDArray[np.intp]


@dataclass(frozen=True)
class Links:
    """What chains are made of, in order of group, then of time; one a group and moment.

    Attributes:
        group: (L,) only links of one group follow each other.
        number: (L,) the match behind each.
        query: (L,) seconds.
        gain: (L,) what it adds to a chain.
        trust: (L,) factor on a chain's total; the same within a group.
        step_seconds: a step as short as this costs nothing.
    """

    group: NDArray[np.int64]
    number: Numbers
    query: Array
    gain: Array
    trust: Array
    step_seconds: float

    @classmethod
    def of(
        cls,
        group: NDArray[np.int64],
        number: Numbers,
        query: Array,
        gain: Array,
        trust: Array,
        step_seconds: float,
    ) -> Self:
        """Sort links, and keep the best of each group and moment."""
        order = np.lexsort((-gain, query, group))
        group, query = group[order], query[order]
        first = _changes(group) | _changes(query)
        kept = order[first]
        return cls(group[first], number[kept], query[first], gain[kept], trust[kept], step_seconds)

    @classmethod
    def of_one_group(cls, number: Numbers, query: Array, gain: Array, step_seconds: float) -> Self:
        """Keep the best link of each moment; `query` ascends already."""
        starts = np.flatnonzero(_changes(query))
        if len(starts) < len(query):
            order = np.lexsort((-gain, query))[starts]
            number, query, gain = number[order], query[order], gain[order]
        count = len(number)
        return cls(np.zeros(count, np.int64), number, query, gain, np.ones(count), step_seconds)

    def without(self, gone: Numbers) -> Self:
        """All but some of the links, by their places."""
        kept = np.ones(len(self.group), bool)
        kept[gone] = False
        return replace(
            self,
            group=self.group[kept],
            number=self.number[kept],
            query=self.query[kept],
            gain=self.gain[kept],
            trust=self.trust[kept],
        )


@dataclass(frozen=True)
class Chain:
    """A chain of links.

    Attributes:
        links: places in `Links`, ascending.
        total: gains less costs, times trust.
    """

    links: Numbers
    total: float


def heaviest_chain(links: Links, longest_gap_seconds: float, gap_cost: float) -> Chain | None:
    """The chain of the greatest total; None without links.

    Costs are linear in time, so that passing through a match never costs more than passing it
    over: the best chain is a run of neighbours, and the best run is the greatest rise of a
    prefix sum.

    Args:
        links: gains above 0.
        longest_gap_seconds: a longer step ends the chain.
        gap_cost: for each second of a step beyond the usual.
    """
    if len(links.group) == 0:
        return None
    gaps = np.zeros(len(links.query))
    np.subtract(links.query[1:], links.query[:-1], out=gaps[1:])
    fresh = _changes(links.group)
    fresh |= gaps > longest_gap_seconds
    cost = gap_cost * np.maximum(gaps - links.step_seconds, 0.0)
    cost[fresh] = 0.0
    reached = np.cumsum(links.gain - cost)
    before = reached - links.gain
    # Each run lies far below the one before it, so that one running minimum serves all of them.
    depth = (reached.max() - before.min() + 1.0) * np.cumsum(fresh)  # 1: strictly below
    lowest = np.minimum.accumulate(before - depth)
    totals = (reached - depth - lowest) * links.trust
    end = int(totals.argmax())
    start = int(np.flatnonzero(before[: end + 1] - depth[: end + 1] == lowest[end])[-1])
    return Chain(np.arange(start, end + 1), float(totals[end]))


def _changes(values: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Where a value differs from the one before it; true at the first."""
    changed = np.ones(len(values), bool)
    np.not_equal(values[1:], values[:-1], out=changed[1:])
    return changed
