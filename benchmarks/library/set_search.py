"""A set through the library's own steps: candidates by vote, their matrices, boxes of an aligner.

Serves `same_source` and `tune_aligners`. The search is run once for many aligners.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.copies.frame_choices import Choice, fingerprint_of
from benchmarks.copies.set_frames import SetFrames, VideoFrames
from models.aligners.base import Aligner, Segment
from models.aligners.matrix import SimilarityMatrix
from models.metrics import ScoredBox
from stream.evaluate.copy_set import pair_name
from stream.library.settings import LibrarySettings
from stream.library.shard import LibraryShard
from stream.library.snapshot import SnapshotStore

Choose = Callable[[VideoFrames], Choice]


@dataclass(frozen=True)
class CandidatePair:
    """An upload and a library video that shares frames with it.

    Attributes:
        pair: `query-reference`.
        known: whether the library video is a reference of the set, and not an earlier query.
    """

    pair: str
    known: bool
    similarity: SimilarityMatrix


@dataclass(frozen=True)
class Searched:
    """What the candidate stage let through, and what it cost.

    Attributes:
        candidates: of all queries.
        queries: how many searched.
        search_cpu_seconds: of the queries.
        matrix_cpu_seconds: of the queries, to make the matrices.
        stored_frames: of all videos.
        described_frames: that the encoder had to see, of all videos.
        library_bytes: of the snapshot with all videos.
    """

    candidates: list[CandidatePair]
    queries: int
    search_cpu_seconds: float
    matrix_cpu_seconds: float
    stored_frames: int
    described_frames: int
    library_bytes: int


@dataclass(frozen=True)
class Aligned:
    """Boxes of one aligner, however unsure.

    Attributes:
        boxes: of the pairs with references of the set.
        pairs: that were aligned, all of them.
        cpu_seconds: for all of them.
    """

    boxes: list[ScoredBox]
    pairs: int
    cpu_seconds: float

    def at(self, min_score: float) -> dict[str, list[list[float]]]:
        """Boxes by pair, those that are sure enough."""
        kept: dict[str, list[list[float]]] = {}
        for one in self.boxes:
            if one.score >= min_score:
                kept.setdefault(one.pair, []).append(list(one.box))
        return kept


@dataclass
class _Recorder:
    """Stands in for an aligner: keeps each matrix, and answers with a box that is its number."""

    matrices: list[SimilarityMatrix] = field(default_factory=list)

    def align(self, similarity: SimilarityMatrix) -> list[Segment]:
        number = float(len(self.matrices))
        self.matrices.append(similarity)
        return [Segment(number, number + 1, 0.0, 1.0, 1.0)]


def search_set(
    frames: SetFrames,
    choose: Choose,
    library: LibrarySettings,
) -> Searched:
    """References onto the log, then the queries, each searched before it is added.

    Args:
        frames: of the set.
        choose: which frames of a video are stored and search.
        library: candidate thresholds and codes; one shard is run.
    """
    library = library.model_copy(update={"shards": 1, "min_score": 0.0})
    recorder = _Recorder()
    shard = LibraryShard(library, 0, recorder)
    known = {video.video_id for video in frames.videos if video.role == "reference"}
    candidates: list[CandidatePair] = []
    spent = {"search": 0.0, "align": 0.0}
    stored = described = queries = 0
    for offset, video in enumerate(frames.videos):
        choice = choose(video)
        upload = fingerprint_of(video, choice, frames.model_version)
        stored += len(upload.key_frames)
        described += choice.described
        if video.role == "reference":
            shard.absorb(upload, offset)
            continue
        queries += 1
        recorder.matrices.clear()
        before = time.process_time()
        answer = shard.apply(upload, offset)
        cpu, wall = time.process_time() - before, sum(answer.stage_seconds.values())
        for stage in spent:
            spent[stage] += cpu * answer.stage_seconds[stage] / wall
        for match in answer.matches:
            number = round(match.segments[0].video_start_seconds)
            candidates.append(
                CandidatePair(
                    pair_name(video.video_id, match.reference_id),
                    match.reference_id in known,
                    recorder.matrices[number],
                )
            )
    return Searched(
        candidates, queries, spent["search"], spent["align"], stored, described,
        _snapshot_bytes(shard, len(frames.videos), library),
    )  # fmt: skip


def align_set(searched: Searched, aligner: Aligner, *, known_only: bool = False) -> Aligned:
    """Box the candidates.

    Args:
        searched: the candidates.
        aligner: any.
        known_only: whether earlier queries in the library are passed over.
    """
    boxes: list[ScoredBox] = []
    pairs, before = 0, time.process_time()
    for candidate in searched.candidates:
        if known_only and not candidate.known:
            continue
        pairs += 1
        found = aligner.align(candidate.similarity)
        if candidate.known:
            boxes.extend(ScoredBox(candidate.pair, _box(one), one.score) for one in found)
    return Aligned(boxes, pairs, time.process_time() - before)


def right_boxes(boxes: list[ScoredBox], frames: SetFrames, overlap: float) -> NDArray[np.bool_]:
    """Which boxes overlap a labelled one of their pair by so much on both time axes."""
    right = np.zeros(len(boxes), bool)
    for number, one in enumerate(boxes):
        truth = frames.copies.labels.get(one.pair)
        if truth is not None:
            ours = np.array(one.box)
            shared = np.minimum(ours[2:], truth[:, 2:]) - np.maximum(ours[:2], truth[:, :2])
            both = np.maximum(ours[2:], truth[:, 2:]) - np.minimum(ours[:2], truth[:, :2])
            right[number] = bool((shared / both >= overlap).all(axis=1).any())
    return right


def _box(segment: Segment) -> tuple[float, float, float, float]:
    return (
        segment.query_start_seconds,
        segment.reference_start_seconds,
        segment.query_end_seconds,
        segment.reference_end_seconds,
    )


def _snapshot_bytes(shard: LibraryShard, offset: int, library: LibrarySettings) -> int:
    with tempfile.TemporaryDirectory(prefix="samesource-") as scratch:
        here = library.model_copy(update={"snapshot_folder": Path(scratch)})
        store = SnapshotStore(here, shard=0, log_id="benchmark")
        store.save(shard.state, offset)
        return sum(path.stat().st_size for path in Path(scratch).rglob("*") if path.is_file())
