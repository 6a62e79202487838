"""Cuts the two spans of a boomerang, there and back again, where they meet; numpy isn't needed.

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
            cut[first], cut[last] = _until(cut[first], turn), _from(cut[last], turn)
    return cut


def _crossing(one: Segment, other: Segment) -> float | None:
    """Second of the query at which two diagonals cross; None unless both go on beyond it."""
    # reference = start + rate * (query - query_start), for both
    (start, rate), (other_start, other_rate) = _line(one), _line(other)
    begins = other_start - other_rate * other.query_start_seconds
    turn = (begins - (start - rate * one.query_start_seconds)) / (rate - other_rate)
    inside = all(span.query_start_seconds < turn < span.query_end_seconds for span in (one, other))
    return turn if inside else None


def _line(span: Segment) -> tuple[float, float]:
    """Where a span's diagonal begins in the reference, and its seconds for one of the query."""
    rate = (span.reference_end_seconds - span.reference_start_seconds) / (
        span.query_end_seconds - span.query_start_seconds
    )
    if span.reversed:
        return span.reference_end_seconds, -rate
    return span.reference_start_seconds, rate


def _until(span: Segment, turn: float) -> Segment:
    start, rate = _line(span)
    there = start + rate * (turn - span.query_start_seconds)
    if span.reversed:
        return replace(span, query_end_seconds=turn, reference_start_seconds=there)
    return replace(span, query_end_seconds=turn, reference_end_seconds=there)


def _from(span: Segment, turn: float) -> Segment:
    start, rate = _line(span)
    there = start + rate * (turn - span.query_start_seconds)
    if span.reversed:
        return replace(span, query_start_seconds=turn, reference_end_seconds=there)
    return replace(span, query_start_seconds=turn, reference_start_seconds=there)
