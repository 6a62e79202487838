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
        query: id of the upload.
        pair: `query-reference`.
        known: whether the library video is a reference of the set, and not an earlier query.
    """

    query: str
    pair: str
    known: bool
    similarity: SimilarityMatrix


@dataclass(frozen=True)
class Asked:
    """What one query took.

    Attributes:
        seconds: length of the video.
        described_frames: that the encoder had to see.
        select_cpu_seconds: of choosing them.
        search_cpu_seconds: candidates by vote.
        matrix_cpu_seconds: to make their matrices.
    """

    seconds: float
    described_frames: int
    select_cpu_seconds: float
    search_cpu_seconds: float
    matrix_cpu_seconds: float


@dataclass(frozen=True)
class Searched:
    """What the candidate stage let through, and what it cost.

    Attributes:
        candidates: of all queries.
        asked: by id of the query.
        stored_frames: of all videos.
        described_frames: that the encoder had to see, of all videos.
        select_cpu_seconds: of choosing them, of all videos.
        library_bytes: of the snapshot with all videos.
    """

    candidates: list[CandidatePair]
    asked: dict[str, Asked]
    stored_frames: int
    described_frames: int
    select_cpu_seconds: float
    library_bytes: int


@dataclass(frozen=True)
class Aligned:
    """Boxes of one aligner, however unsure.

    Attributes:
        boxes: of the pairs with references of the set.
        pairs: that were aligned, all of them.
        cpu_seconds_by_query: for all pairs of each query that has some.
    """

    boxes: list[ScoredBox]
    pairs: int
    cpu_seconds_by_query: dict[str, float]

    @property
    def cpu_seconds(self) -> float:
        """For all pairs."""
        return sum(self.cpu_seconds_by_query.values())

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
    asked: dict[str, Asked] = {}
    stored = described = 0
    selecting = 0.0
    for offset, video in enumerate(frames.videos):
        choice = choose(video)
        upload = fingerprint_of(video, choice, frames.model_version)
        stored += len(upload.key_frames)
        described += choice.described
        selecting += choice.select_cpu_seconds
        if video.role == "reference":
            shard.absorb(upload, offset)
            continue
        recorder.matrices.clear()
        before = time.process_time()
        answer = shard.apply(upload, offset)
        cpu, wall = time.process_time() - before, sum(answer.stage_seconds.values())
        spent = {stage: cpu * seconds / wall for stage, seconds in answer.stage_seconds.items()}
        asked[video.video_id] = Asked(
            video.duration_seconds, choice.described, choice.select_cpu_seconds,
            spent["search"], spent["align"],
        )  # fmt: skip
        for match in answer.matches:
            number = round(match.segments[0].video_start_seconds)
            candidates.append(
                CandidatePair(
                    video.video_id,
                    pair_name(video.video_id, match.reference_id),
                    match.reference_id in known,
                    recorder.matrices[number],
                )
            )
    return Searched(
        candidates, asked, stored, described, selecting,
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
    pairs, spent = 0, dict[str, float]()
    for candidate in searched.candidates:
        if known_only and not candidate.known:
            continue
        pairs += 1
        before = time.process_time()
        found = aligner.align(candidate.similarity)
        took = time.process_time() - before
        spent[candidate.query] = spent.get(candidate.query, 0.0) + took
        if candidate.known:
            boxes.extend(ScoredBox(candidate.pair, _box(one), one.score) for one in found)
    return Aligned(boxes, pairs, spent)


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
