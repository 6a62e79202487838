"""Which library videos are worth aligning: frame hits voted per video."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream.library.settings import LibrarySettings

SMALL_LOG = 1000  # entries up to which chance hits are few: ten to forty thousand key frames


def min_similarity_at(settings: LibrarySettings, offset: int) -> float:
    """The cosine above which a frame is a hit for an upload at a place of the log.

    Chance hits grow as the library does, and crowd out copies. How much of the log there was is
    the same for all shards and in every replay; 0.001 is a step, so it's the same on all machines.
    `benchmarks/library/candidate_thresholds.py` measures what it does.
    """
    tenfolds = math.log10(max(1.0, offset / SMALL_LOG))
    raised = settings.min_similarity + settings.min_similarity_growth * tenfolds
    return min(round(raised, 3), 1.0)


@dataclass(frozen=True)
class Candidate:
    """A library video with enough hits.

    Attributes:
        entry: its number in the shard.
        frames: query frames with at least one hit in it.
        votes: sum over those frames of their best similarity.
    """

    entry: int
    frames: int
    votes: float


def vote(
    queries: NDArray[np.int64],
    similarities: NDArray[np.float32],
    entries: NDArray[np.int64],
    *,
    min_frames: int,
    most: int,
) -> list[Candidate]:
    """Count, for each video, the query frames that hit it.

    Whether a video is a candidate depends on its own hits alone; `most` only acts where a query
    hits more videos than that.

    Args:
        queries: (M,) int64, the query frame of each hit.
        similarities: (M,) float32, of each hit.
        entries: (M,) int64, the entry of each hit.
        min_frames: fewer hitting frames are chance.
        most: how many candidates at the most.

    Returns:
        Best first; ties by entry number.
    """
    if len(entries) == 0:
        return []
    # One sort puts hits of a video and a frame together, the best first: hits are
    # too many for a loop over them.
    order = np.lexsort((-similarities, queries, entries))
    videos, frames = entries[order], queries[order]
    first = np.ones(len(order), bool)  # of a (video, frame): its best hit
    first[1:] = (np.diff(videos) != 0) | (np.diff(frames) != 0)
    # Summed in float64 and in sorted order: replicas must agree to the last bit.
    best = similarities[order][first].astype(np.float64)
    numbers, starts, counts = np.unique(videos[first], return_index=True, return_counts=True)
    votes = np.add.reduceat(best, starts)
    found = [
        Candidate(entry, count, total)
        for entry, count, total in zip(
            numbers.tolist(), counts.tolist(), votes.tolist(), strict=True
        )
        if count >= min_frames
    ]
    return sorted(found, key=lambda candidate: (-candidate.votes, candidate.entry))[:most]
