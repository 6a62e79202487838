"""Cuts the two spans of a boomerang, there and back again, where they meet.

Around the turn each way is like the other: both boxes run on beyond it, for as long as the shot
stands nearly still.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

from models.aligners.base import Segment


def cut_at_turns(spans: Sequence[Segment]) -> list[Segment]:
    """The spans, in their order; two that run against each other share no moment of the query.

    Where their diagonals cross, the query shows one moment of the reference on its way there and
    back: the earlier span ends there, and the later one begins.
    """
    cut = [*spans]
    for one, other in product(range(len(cut)), repeat=2):
        if cut[one].reversed or not cut[other].reversed:
            continue
        turn = _crossing(cut[one], cut[other])
        if turn is not None:
            first, last = sorted((one, other), key=lambda at: cut[at].query_start_seconds)
            cut[first], cut[last] = _parted(cut[first], turn)[0], _parted(cut[last], turn)[1]
    return cut


def _crossing(one: Segment, other: Segment) -> float | None:
    """Second of the query at which two diagonals cross; None unless both go on beyond it."""
    # reference = start + rate * (query - query_start), for both
    (start, rate), (other_start, other_rate) = _line(one), _line(other)
    begins = other_start - other_rate * other.query_start_seconds
    # One rises and one falls; spans of no length, which settings may let through, do neither.
    turn = (begins - (start - rate * one.query_start_seconds)) / max(rate - other_rate, 1e-9)
    inside = all(span.query_start_seconds < turn < span.query_end_seconds for span in (one, other))
    return turn if inside else None


def _line(span: Segment) -> tuple[float, float]:
    """Where a span's diagonal begins in the reference, and its seconds for one of the query."""
    seconds = span.query_end_seconds - span.query_start_seconds
    rate = (span.reference_end_seconds - span.reference_start_seconds) / max(seconds, 1e-9)
    if span.reversed:
        return span.reference_end_seconds, -rate
    return span.reference_start_seconds, rate


def _parted(span: Segment, turn: float) -> tuple[Segment, Segment]:
    """What lies before a second of the query, and what lies behind it."""
    start, rate = _line(span)
    there = start + rate * (turn - span.query_start_seconds)
    before, behind = replace(span, query_end_seconds=turn), replace(span, query_start_seconds=turn)
    if span.reversed:
        return replace(before, reference_start_seconds=there), replace(
            behind, reference_end_seconds=there
        )
    return replace(before, reference_end_seconds=there), replace(
        behind, reference_start_seconds=there
    )
