"""The Hough-voting aligner: frame matches vote for a shift in time, peaks become boxes.

After Douze, Jégou and Schmid, "An image-based approach to video copy detection with
spatio-temporal post-filtering", IEEE Transactions on Multimedia 12(4), 2010, as benchmarked in VCSL
(He et al., CVPR 2022). Votes for several paces stand beside each other.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from models.aligners.base import Segment
from models.aligners.confidence import Sure, confidence
from models.aligners.matrix import SimilarityMatrix
from models.aligners.samples import stands_for
from models.aligners.time_axis import less_background

Array = NDArray[np.float64]


class HoughVotingSettings(BaseModel):
    """What votes, and which peaks are copies.

    Defaults are the best of `benchmarks/tuning/tune_aligners.py` on videos made of training clips,
    with an encoder of before (docs/experiments.md, "Their settings"); the search was short.

    Attributes:
        background: share of the medians of a row and a column that is taken off a similarity.
        min_match_similarity: matches below this similarity have no vote.
        top: most matches of a query frame that vote, the most similar ones.
        bin_seconds: shifts this near to each other are one; more where the reference is sparse.
        paces: reference seconds per query second.
        pace_doubt: share of its votes that another pace than 1 loses.
        gap_seconds: a box ends at a longer gap without a match, in the query; more where its
            samples are sparse.
        votes: similarity-seconds of the least peak.
        min_similarity: least mean of the matches of a box.
        shortest_seconds: shorter boxes, on either side, are chance.
        segments: at most so many boxes for a pair.
        sure: of `models.aligners.confidence`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    background: float = Field(default=0.5, ge=0, le=1)
    min_match_similarity: float = Field(default=0.25, ge=-1, le=1)
    top: int = Field(default=5, ge=1)
    bin_seconds: float = Field(default=1.0, gt=0)
    paces: tuple[float, ...] = (1.0, 0.5, 0.75, 1.25, 1.5, 2.0)
    pace_doubt: float = Field(default=0.0, ge=0, lt=1)
    gap_seconds: float = Field(default=4.0, ge=0)
    votes: float = Field(default=0.5, gt=0)
    min_similarity: float = Field(default=0.35, ge=-1, le=1)
    shortest_seconds: float = Field(default=2.0, ge=0)
    segments: int = Field(default=8, ge=1)
    sure: Sure = (-10.79, 3.61, 8.52)


@dataclass(frozen=True)
class _Votes:
    """Frame matches, in order of query time.

    Attributes:
        row: (M,) query frame.
        query: (M,) seconds.
        reference: (M,) seconds.
        similarity: (M,).
        weight: (M,) similarity-seconds.
    """

    row: NDArray[np.intp]
    query: Array
    reference: Array
    similarity: Array
    weight: Array

    def only(self, kept: NDArray[np.bool_] | NDArray[np.intp]) -> "_Votes":
        return _Votes(
            self.row[kept],
            self.query[kept],
            self.reference[kept],
            self.similarity[kept],
            self.weight[kept],
        )


class HoughVotingAligner:
    """Boxes forward copies at the settings' paces, several per pair."""

    def __init__(self, settings: HoughVotingSettings | None = None) -> None:
        self.settings = settings or HoughVotingSettings()
        paces = np.array(self.settings.paces)
        self._paces = paces
        # Slow motion shows each moment of the reference twice, and is no better evidence for it.
        self._trust = np.where(paces == 1, 1.0, 1 - self.settings.pace_doubt) * np.minimum(paces, 1)

    def align(self, similarity: SimilarityMatrix) -> list[Segment]:
        """The copied spans, best first; empty when nothing is copied."""
        if min(similarity.values.shape) == 0:
            return []
        votes = self._votes(less_background(similarity, self.settings.background))
        query_step, reference_step = (
            float(np.median(np.diff(times))) if len(times) > 1 else 1.0
            for times in (similarity.query_seconds, similarity.reference_seconds)
        )
        width = max(self.settings.bin_seconds, reference_step)
        gap = max(self.settings.gap_seconds, 1.5 * query_step)
        found: list[Segment] = []
        # Peaks that make no segment count too: a hopeless pair must end as well.
        for _ in range(2 * self.settings.segments):
            if len(votes.row) == 0 or len(found) == self.settings.segments:
                break
            run, pace = self._peak(votes, width, gap)
            if float(run.weight.sum()) < self.settings.votes:
                break
            segment = self._segment(similarity, run, pace, query_step / 2)
            if segment is None:
                votes = votes.only(~np.isin(votes.row, run.row))
                continue
            found.append(segment)
            inside = (votes.query >= run.query[0]) & (votes.query <= run.query[-1])
            votes = votes.only(~inside)
        return sorted(found, key=lambda segment: -segment.score)

    def _votes(self, similarity: SimilarityMatrix) -> _Votes:
        values = similarity.values
        keep = values >= self.settings.min_match_similarity
        if values.shape[1] > self.settings.top:
            rank = values.shape[1] - self.settings.top
            keep &= values >= np.partition(values, rank, axis=1)[:, [rank]]
        rows, columns = np.nonzero(keep)
        query = similarity.query_seconds.astype(np.float64)
        chosen = values[rows, columns].astype(np.float64)
        return _Votes(
            row=rows,
            query=query[rows],
            reference=similarity.reference_seconds.astype(np.float64)[columns],
            similarity=chosen,
            weight=chosen * stands_for(query, self.settings.gap_seconds)[rows],
        )

    def _peak(self, votes: _Votes, width: float, gap: float) -> tuple[_Votes, float]:
        """The matches of the fullest bin of a pace, from one gap to the next, and that pace.

        Bins overlap by half, so that a shift near an edge is whole in one of them.
        """
        shift = votes.reference[None, :] - self._paces[:, None] * votes.query  # (P, M)
        place = np.floor(shift / (width / 2)).astype(np.int64)
        place -= place.min(axis=1, keepdims=True)
        most = int(place.max()) + 2
        flat = place + most * np.arange(len(self._paces))[:, None]
        sums = np.bincount(
            flat.ravel(), np.tile(votes.weight, len(self._paces)), most * len(self._paces)
        ).reshape(len(self._paces), most)
        wide = (sums[:, :-1] + sums[:, 1:]) * self._trust[:, None]
        pace, start = divmod(int(wide.argmax()), most - 1)
        chosen = votes.only((place[pace] == start) | (place[pace] == start + 1))
        # A query frame speaks once: the best of its matches in this bin.
        best = np.lexsort((-chosen.similarity, chosen.row))
        rows = chosen.row[best]
        chosen = chosen.only(best[np.append(True, rows[1:] != rows[:-1])])
        pieces = np.split(
            np.arange(len(chosen.row)), np.flatnonzero(np.diff(chosen.query) > gap) + 1
        )
        heaviest = max(pieces, key=lambda piece: float(chosen.weight[piece].sum()))
        return chosen.only(heaviest), float(self._paces[pace])

    def _segment(
        self, similarity: SimilarityMatrix, run: _Votes, pace: float, half: float
    ) -> Segment | None:
        """The box around a run of matches, half a sample further on both ends."""
        # The median: a few matches of a neighbouring scene in the bin don't move the box.
        shift = float(np.median(run.reference - pace * run.query))
        start = max(float(run.query[0]) - half, 0.0, -shift / pace)
        end = min(
            float(run.query[-1]) + half,
            max(similarity.query_duration_seconds, float(run.query[-1])),
            (similarity.reference_duration_seconds - shift) / pace,
        )
        shorter = min(end - start, pace * (end - start))
        mean = float(run.similarity.mean())
        if shorter <= self.settings.shortest_seconds or mean < self.settings.min_similarity:
            return None
        return Segment(
            query_start_seconds=start,
            query_end_seconds=end,
            reference_start_seconds=max(pace * start + shift, 0.0),
            reference_end_seconds=min(pace * end + shift, similarity.reference_duration_seconds),
            score=confidence(self.settings.sure, shorter, mean),
        )
