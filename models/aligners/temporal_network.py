"""The temporal-network aligner: longest consistent paths through the best frame matches.

After Tan et al., "Scalable detection of partial near-duplicate videos by visual-temporal
consistency", ACM MM 2009, as benchmarked in VCSL (He et al., CVPR 2022). Works in seconds, so
key frames may lie unevenly and one side may be denser than the other.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from models.align import Segment
from models.similarity import SimilarityMatrix


class TemporalNetworkSettings(BaseModel):
    """What counts as a match, a step and a path.

    Attributes:
        top: reference frames considered for each query frame.
        similarity: nodes are more similar than this, after the background is taken off.
        background: share of the mean similarity of a row and a column that is taken off: it
            lifts the copy over footage that resembles everything.
        step_seconds: longest gap on a path, on either side.
        slowest, fastest: slopes (reference seconds per query second) of a path.
        pace_penalty: how much a step's departure from one slope costs, per second.
        shortest_seconds: shorter boxes are chance.
        score: paths of a lower mean similarity are dropped.
        total: paths of a lower sum of similarities are dropped.
        segments: at most so many boxes for a pair.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    top: int = Field(default=5, ge=1)
    similarity: float = 0.25
    background: float = Field(default=0.5, ge=0, le=1)
    step_seconds: float = Field(default=8.0, gt=0)
    slowest: float = Field(default=0.45, gt=0)
    fastest: float = Field(default=2.2, gt=0)
    pace_penalty: float = Field(default=0.05, ge=0)
    shortest_seconds: float = Field(default=2.0, ge=0)
    score: float = 0.3
    total: float = 1.2
    segments: int = Field(default=8, ge=1)


@dataclass(frozen=True)
class _Nodes:
    """Frame matches, in order of query time then reference time.

    Attributes:
        query: (M,) seconds.
        reference: (M,) seconds.
        weight: (M,) similarity, background off.
        row: (M,) query frame of each.
    """

    query: NDArray[np.float64]
    reference: NDArray[np.float64]
    weight: NDArray[np.float64]
    row: NDArray[np.intp]


class TemporalNetworkAligner:
    """Boxes forward copies at about half to double speed, several per pair."""

    def __init__(self, settings: TemporalNetworkSettings | None = None) -> None:
        self.settings = settings or TemporalNetworkSettings()

    def align(self, similarity: SimilarityMatrix) -> list[Segment]:
        """The copied spans, best first; empty when nothing is copied."""
        nodes = self._nodes(similarity)
        free = np.ones(len(nodes.weight), bool)
        segments: list[Segment] = []
        while len(segments) < self.settings.segments and free.any():
            path = self._best_path(nodes, free)
            if nodes.weight[path].sum() < self.settings.total:
                break
            segment = self._segment(similarity, nodes, path)
            free &= ~_touched(nodes, path, self.settings.step_seconds)
            if segment is not None:
                segments.append(segment)
        return sorted(segments, key=lambda segment: -segment.score)

    def _nodes(self, similarity: SimilarityMatrix) -> _Nodes:
        values = similarity.values.astype(np.float64)
        if min(values.shape) == 0:
            empty = np.empty(0)
            return _Nodes(empty, empty, empty, np.empty(0, np.intp))
        share = self.settings.background / 2
        weights = values - share * (
            np.median(values, axis=1, keepdims=True) + np.median(values, axis=0, keepdims=True)
        )
        top = min(self.settings.top, values.shape[1])
        best = np.sort(np.argpartition(-weights, top - 1, axis=1)[:, :top], axis=1)  # (Nq, top)
        rows = np.repeat(np.arange(len(values)), top)
        columns = best.ravel()
        picked = weights[rows, columns]
        keep = picked > self.settings.similarity
        rows, columns = rows[keep], columns[keep]
        return _Nodes(
            similarity.query_seconds[rows].astype(np.float64),
            similarity.reference_seconds[columns].astype(np.float64),
            picked[keep],
            rows,
        )

    def _best_path(self, nodes: _Nodes, free: NDArray[np.bool_]) -> NDArray[np.intp]:
        """The heaviest chain of free nodes, by dynamic programming in order of query time."""
        settings = self.settings
        total = np.where(free, nodes.weight, -np.inf)
        before = np.full(len(total), -1)
        for node in np.flatnonzero(free):
            first = np.searchsorted(nodes.query, nodes.query[node] - settings.step_seconds)
            last = np.searchsorted(nodes.query, nodes.query[node])  # strictly earlier in time
            if first == last:
                continue
            across = nodes.query[node] - nodes.query[first:last]
            down = nodes.reference[node] - nodes.reference[first:last]
            # Both sides are sampled, so a step's slope is known to about one sample.
            fits = (
                (down >= settings.slowest * across - 0.5)
                & (down <= settings.fastest * across + 0.5)
                & (down >= 0)
                & (down <= settings.step_seconds)
            )
            cost = settings.pace_penalty * np.abs(down - across)
            gain = np.where(fits, total[first:last] - cost, -np.inf)
            best = int(gain.argmax())
            if gain[best] > 0:
                total[node] += gain[best]
                before[node] = first + best
        path = [int(total.argmax())]
        while before[path[-1]] >= 0:
            path.append(int(before[path[-1]]))
        return np.array(path[::-1])

    def _segment(
        self, similarity: SimilarityMatrix, nodes: _Nodes, path: NDArray[np.intp]
    ) -> Segment | None:
        settings = self.settings
        query = _widened(
            nodes.query[path], similarity.query_seconds, similarity.query_duration_seconds
        )
        reference = _widened(
            nodes.reference[path],
            similarity.reference_seconds,
            similarity.reference_duration_seconds,
        )
        length = min(query[1] - query[0], reference[1] - reference[0])
        score = float(nodes.weight[path].mean())
        if length < settings.shortest_seconds or score < settings.score:
            return None
        slope = (reference[1] - reference[0]) / (query[1] - query[0])
        if not settings.slowest / 1.5 <= slope <= settings.fastest * 1.5:
            return None
        return Segment(*query, *reference, score=float(np.clip(score, 0.0, 1.0)))


def _widened(
    seconds: NDArray[np.float64], samples: NDArray[np.float32], duration_seconds: float
) -> tuple[float, float]:
    """The span of a path, half a sample further on both ends, inside the video."""
    half = 0.5 * float(np.median(np.diff(samples))) if len(samples) > 1 else duration_seconds
    return (
        max(0.0, float(seconds.min()) - half),
        min(max(duration_seconds, float(samples[-1])), float(seconds.max()) + half),
    )


def _touched(nodes: _Nodes, path: NDArray[np.intp], margin: float) -> NDArray[np.bool_]:
    """Nodes beside a found path, which would only give its echo."""
    query, reference = nodes.query[path], nodes.reference[path]
    inside = (nodes.query >= query.min()) & (nodes.query <= query.max())
    on_path = np.interp(nodes.query, query, reference)
    near: NDArray[np.bool_] = inside & (np.abs(nodes.reference - on_path) <= margin)
    near[path] = True
    return near
