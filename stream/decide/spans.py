"""Arithmetic of half-open spans in seconds: how much they cover, and what exclusions leave."""

from collections.abc import Iterable, Sequence

from stream.contract.events import MatchedSegment

Span = tuple[float, float]


def covered_seconds(spans: Iterable[Span]) -> float:
    """The length of the union of spans, in seconds, to the millisecond."""
    covered, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        covered += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return round(covered, 3)


def remainder(span: Span, excluded: Iterable[Span]) -> list[Span]:
    """What of a span lies in none of the excluded ones, in order."""
    left, reached = [], span[0]
    for start, end in sorted(excluded):
        if start >= span[1]:
            break
        if start > reached:
            left.append((reached, start))
        reached = max(reached, end)
    return [*left, (reached, span[1])] if reached < span[1] else left


def outside(
    segment: MatchedSegment, excluded: Sequence[Span], min_seconds: float
) -> list[MatchedSegment]:
    """Cut what is excluded out of a segment, on both sides.

    The video's side is cut in proportion, from its end where the segment plays backwards.

    Args:
        segment: returned as it is where no exclusion meets it.
        excluded: spans of the reference.
        min_seconds: of the reference; what remains shorter than this is dropped.
    """
    whole = (segment.reference_start_seconds, segment.reference_end_seconds)
    if not any(start < whole[1] and end > whole[0] for start, end in excluded):
        return [segment]
    return [
        _part(segment, start, end)
        for start, end in remainder(whole, excluded)
        if end - start >= min_seconds
    ]


def _part(segment: MatchedSegment, start: float, end: float) -> MatchedSegment:
    """The part of a segment whose reference side is [start, end) seconds."""
    first, last = segment.reference_start_seconds, segment.reference_end_seconds
    video_seconds = segment.video_end_seconds - segment.video_start_seconds
    shares = ((start - first) / (last - first), (end - first) / (last - first))
    if segment.reversed:
        shares = (1 - shares[1], 1 - shares[0])
    begins, ends = (segment.video_start_seconds + share * video_seconds for share in shares)
    return segment.model_copy(
        update={
            "video_start_seconds": round(begins, 3),
            "video_end_seconds": round(ends, 3),
            "reference_start_seconds": round(start, 3),
            "reference_end_seconds": round(end, 3),
        }
    )
