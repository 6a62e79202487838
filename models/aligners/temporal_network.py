"""The temporal-network aligner: heaviest paths of one pace through the best frame matches.

After Tan et al., "Scalable detection of partial near-duplicate videos by visual-temporal
consistency", ACM MM 2009, as benchmarked in VCSL (He et al., CVPR 2022). Counts in seconds, not
in frames: key frames may lie unevenly, and one side may be denser than the other.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from models.aligners.base import Segment
from models.aligners.chains import Chain, Links, heaviest_chain
from models.aligners.matrix import SimilarityMatrix
from models.aligners.samples import best_of_each, stands_for, step

Array = NDArray[np.float64]

# Set by hand, but for the last.
MAX_REFINEMENTS = 10  # a bound on the time: a round that gains nothing ends the search anyway
WIDE_LOOK = 3.0  # times the usual reach: less corrects no pace, more is led astray by echoes
SPARSE_STEPS = 2.5  # a path outlives one missed sample, and steps that are somewhat uneven
PACES_PER_OCTAVE = 6  # neighbours are 12 % apart; more cost as much more time, fewer miss paces
SURE = (-3.34, 4.82, 3.15)
"""1, logarithm of the similarity-seconds, evidence: fitted on 249 boxes of four labelled sets, with
an encoder of before (docs/experiments.md, "The score")."""


class TemporalNetworkSettings(BaseModel):
    """What counts as a match, a step and a path.

    Defaults were chosen on four labelled sets, none of them the development copies, with an
    encoder of before (docs/experiments.md, "The temporal network"): similarities of another one
    may want others.
    A path's total is in similarity-seconds of its shorter side: each frame match adds its
    similarity above `floor`, times the seconds that the query frame stands for, or what these are
    in a reference that lasts shorter. Else slow motion would count each reference frame twice.

    Attributes:
        top: most reference frames considered for each query frame; a static scene needs many.
        matches: most frame matches of a pair in all, shared out evenly among the query frames.
        background: share of the medians of a row and a column that is taken off a similarity: it
            lifts the copy over footage that resembles everything.
        floor: similarity at which a frame match neither speaks for a copy nor against.
        frame_seconds: a frame stands for so long at the most.
        step_seconds: longest gap on a path, in the query; more where its samples are sparse.
        gap_cost: for each query second that a step leaves without a match.
        pace_range: paces (reference seconds per query second) go from its inverse to this.
        slack_seconds: how far a match may lie off its path, beyond half a reference sample.
        changed_pace_doubt: share of its total that a path of another pace than 1 loses.
        octave_doubt: share that it loses on top, for each octave.
        total: paths of a lower total are chance.
        beside_seconds: what lies this far from a path, in the reference, is what it stands out
            from.
        evidence: paths whose mean similarity, plus half of how far it stands out from what is
            beside them, is lower are scenes that resemble each other.
        shortest_seconds: shorter boxes are chance.
        segments: at most so many boxes for a pair.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    top: int = Field(default=40, ge=1)
    matches: int = Field(default=50_000, ge=1)
    background: float = Field(default=0.26, ge=0, le=1)
    floor: float = Field(default=0.26, ge=-1, le=1)
    frame_seconds: float = Field(default=1.0, gt=0)
    step_seconds: float = Field(default=10.0, gt=0)
    gap_cost: float = Field(default=0.118, ge=0)
    pace_range: float = Field(default=2.0, ge=1)
    slack_seconds: float = Field(default=0.5, ge=0)
    changed_pace_doubt: float = Field(default=0.03, ge=0, lt=1)
    octave_doubt: float = Field(default=0.04, ge=0, lt=0.5)
    total: float = Field(default=0.76, gt=0)
    beside_seconds: tuple[float, float] = (3.0, 10.0)
    evidence: float = Field(default=0.37, ge=-1, le=2)
    shortest_seconds: float = Field(default=2.0, ge=0)
    segments: int = Field(default=8, ge=1)


@dataclass(frozen=True)
class _Matches:
    """Frame matches, in order of query time, then of reference time.

    Attributes:
        query: (M,) seconds.
        reference: (M,) seconds.
        gain: (M,) similarity-seconds above the floor.
        query_step: seconds between two query samples.
        reference_step: seconds between two reference samples.
    """

    query: Array
    reference: Array
    gain: Array
    query_step: float
    reference_step: float


@dataclass(frozen=True)
class _Path:
    """Where a path runs: `reference = offset + pace * query`, in seconds."""

    query_start: float
    query_end: float
    pace: float
    offset: float
    total: float

    def at(self, query: Array | float) -> Array:
        """Reference seconds at query seconds."""
        return np.asarray(self.offset + self.pace * query)


class TemporalNetworkAligner:
    """Boxes forward copies at half to double speed, several per pair.

    A moment of the query copies at most one place of the reference.
    """

    def __init__(self, settings: TemporalNetworkSettings | None = None) -> None:
        self.settings = settings or TemporalNetworkSettings()
        octaves = np.log2(self.settings.pace_range)
        steps = int(np.ceil(octaves * PACES_PER_OCTAVE))
        self._paces = 2.0 ** np.linspace(-octaves, octaves, 2 * steps + 1)
        distance = np.abs(np.log2(self._paces))
        doubt = self.settings.changed_pace_doubt * (distance > 0)
        doubt += self.settings.octave_doubt * distance
        self._trust = (1 - doubt) * np.minimum(self._paces, 1.0)

    def align(self, similarity: SimilarityMatrix) -> list[Segment]:
        """The copied spans, best first; empty when nothing is copied."""
        if min(similarity.values.shape) == 0:
            return []
        matches = self._matches(similarity)
        links = self._links(matches)
        segments: list[Segment] = []
        # Chains that make no segment count too: a hopeless pair must end as well.
        for _ in range(2 * self.settings.segments):
            chain = heaviest_chain(links, self._gap(matches), self.settings.gap_cost)
            if chain is None or chain.total < self.settings.total:
                break
            path = self._refined(matches, links, chain)
            segment = self._segment(similarity, matches, path)
            if segment is None:
                links = links.without(chain.links)
                continue
            segments.append(segment)
            if len(segments) == self.settings.segments:
                break
            used = (links.query >= path.query_start) & (links.query <= path.query_end)
            links = links.without(np.flatnonzero(used))
        return sorted(segments, key=lambda segment: -segment.score)

    def _matches(self, similarity: SimilarityMatrix) -> _Matches:
        settings = self.settings
        values = similarity.values
        share = settings.background / 2
        if share:
            across = np.median(values, axis=1, keepdims=True)
            values = values - share * (across + np.median(values, axis=0, keepdims=True))
        keep = values > settings.floor
        if values.shape[1] > settings.top:
            rank = values.shape[1] - settings.top
            keep &= values >= np.partition(values, rank, axis=1)[:, [rank]]
        rows, columns = np.nonzero(keep)
        query = similarity.query_seconds.astype(np.float64)
        reference = similarity.reference_seconds.astype(np.float64)
        if len(rows) > settings.matches:
            off = np.abs(reference[columns] - query[rows])
            best = best_of_each(rows, values[rows, columns], off, settings.matches)
            rows, columns = rows[best], columns[best]
        weights = stands_for(query, settings.frame_seconds)
        return _Matches(
            query=query[rows],
            reference=reference[columns],
            gain=(values[rows, columns].astype(np.float64) - settings.floor) * weights[rows],
            query_step=step(query),
            reference_step=step(similarity.reference_seconds),
        )

    def _gap(self, matches: _Matches) -> float:
        """The longest gap on a path; a sparse query has longer ones."""
        return max(self.settings.step_seconds, SPARSE_STEPS * matches.query_step)

    def _links(self, matches: _Matches) -> Links:
        """Every match in the two bands, of each pace, that it lies in."""
        half = matches.reference_step / 2 + self.settings.slack_seconds
        paces = self._paces[:, None]
        band = np.floor((matches.reference - paces * matches.query) / half).astype(np.int64)
        band -= band.min() if band.size else 0
        # Bands are two halves wide and overlap by one: a line near an edge is whole in the next.
        count = band.max() + 2 if band.size else 2
        first = band + count * np.arange(len(paces))[:, None]  # (P, M)
        groups = np.stack((first, first + 1)).ravel()
        number = np.tile(np.arange(len(matches.query)), 2 * len(paces))
        return Links.of(
            groups,
            number,
            matches.query[number],
            matches.gain[number],
            np.tile(np.repeat(self._trust, len(matches.query)), 2),
            matches.query_step,
        )

    def _refined(self, matches: _Matches, links: Links, chain: Chain) -> _Path:
        """The path's own pace, and all free matches along it."""
        free = np.isin(matches.query, links.query)
        reach = matches.reference_step / 2 + self.settings.slack_seconds
        path = self._line(matches, links.number[chain.links], chain.total)
        for _ in range(MAX_REFINEMENTS):
            # A wide look corrects a pace that is off, a narrow one is not led astray by echoes.
            turned = self._along(matches, free, path, WIDE_LOOK * reach) or path
            found = self._along(matches, free, turned, reach)
            if found is None or found.total <= path.total:
                found = self._along(matches, free, path, reach)
            if found is None or found.total <= path.total:
                break
            path = found
        return path

    def _along(
        self, matches: _Matches, free: NDArray[np.bool_], path: _Path, reach_seconds: float
    ) -> _Path | None:
        """The heaviest chain of the free matches that lie this near to a path."""
        off = np.abs(matches.reference - path.at(matches.query))
        near = np.flatnonzero(free & (off <= reach_seconds))
        beside = Links.of_one_group(
            near, matches.query[near], matches.gain[near], matches.query_step
        )
        chain = heaviest_chain(beside, self._gap(matches), self.settings.gap_cost)
        if chain is None:
            return None
        return self._line(matches, beside.number[chain.links], chain.total)

    def _line(self, matches: _Matches, numbers: NDArray[np.intp], total: float) -> _Path:
        """A line through matches; of pace 1 where they are too few to tell."""
        query, reference = matches.query[numbers], matches.reference[numbers]
        middle = float(query.sum()) / len(query)
        centre = query - middle
        pace = float(centre @ reference / (centre @ centre)) if len(numbers) > 3 else 1.0
        limit = self.settings.pace_range
        pace = float(np.clip(pace, 1 / limit, limit))
        offset = float(reference.sum()) / len(reference) - pace * middle
        return _Path(float(query[0]), float(query[-1]), pace, offset, total)

    def _segment(
        self, similarity: SimilarityMatrix, matches: _Matches, path: _Path
    ) -> Segment | None:
        """The path's box, half a sample further on both ends; None where it is too short."""
        half = matches.query_step / 2
        length = similarity.reference_duration_seconds
        start = max(path.query_start - half, 0.0, -path.offset / path.pace)
        end = min(path.query_end + half, max(similarity.query_duration_seconds, path.query_end))
        end = min(end, (length - path.offset) / path.pace)
        span = (float(path.at(start)), float(path.at(end)))
        if min(end - start, span[1] - span[0]) < self.settings.shortest_seconds:
            return None
        # Dearer than the checks above, and of no use for a path that is too short anyway.
        evidence = self._evidence(similarity, path)
        if evidence < self.settings.evidence:
            return None
        return Segment(
            query_start_seconds=start,
            query_end_seconds=end,
            reference_start_seconds=max(span[0], 0.0),
            reference_end_seconds=min(span[1], length),
            score=_score(path.total * path.pace, evidence),
        )

    def _evidence(self, similarity: SimilarityMatrix, path: _Path) -> float:
        """Mean similarity along the path, plus half of what it has more than its neighbourhood.

        A copy of a moving scene stands out from what is a few seconds off; a copy of a still one
        doesn't, but is very similar.
        """
        first, last = np.searchsorted(
            similarity.query_seconds, (path.query_start - 1e-3, path.query_end + 1e-3)
        )
        values = similarity.values[first:last]
        on_path = path.at(similarity.query_seconds[first:last].astype(np.float64))
        off = np.abs(similarity.reference_seconds[None, :] - on_path[:, None])
        along = float(values[np.arange(len(values)), off.argmin(axis=1)].mean())
        near, far = self.settings.beside_seconds
        beside = values[(off > near) & (off < far)]
        return along + (along - float(beside.mean())) / 2 if len(beside) else along


def _score(reference_total: float, evidence: float) -> float:
    """How sure a path is, in (0, 1): a logistic regression.

    Counted in similarity-seconds of the reference: what speaks for a copy is how much of it is
    seen again, not how long the query shows it. Fitted on all boxes of four labelled sets, which
    docs/experiments.md describes.
    """
    sure = SURE[0] + SURE[1] * np.log(reference_total) + SURE[2] * evidence
    return float(1 / (1 + np.exp(-sure)))
