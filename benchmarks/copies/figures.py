"""The figures of a row of `same_source`, by kind of edit, and against the targets."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.copies.rows import DENSE, KEY_FRAMES, NO_MOTION, PDQ, SAME_COUNT, Row
from benchmarks.copies.set_frames import SetFrames
from benchmarks.library.set_search import Aligned, Searched
from benchmarks.tuning.decode_costs import DecodeCosts
from models.metrics import (
    micro_average_precision,
    score_pair,
    score_pairs,
    segment_average_precision,
)
from stream.evaluate.copy_set import pair_name

HALF_FLOAT_BYTES = 2  # of each number, as the baselines that store frames uniformly keep them
PDQ_BYTES = 32  # 256 bits of a frame


@dataclass(frozen=True)
class Figures:
    """One row, as plain values.

    Attributes:
        min_score: boxes below it don't count; chosen on other sets.
        segment_ap: average precision over boxes, as `micro_ap` over pairs.
        stored_frames_per_hour: of video.
        library_bytes_per_hour: of video, on disk.
        cpu_seconds_per_hour: of video, by stage, and in all.
        pairs_per_second: of the aligner, on one core.
        match_seconds_per_upload: search, matrices and aligner, CPU.
        recall_by_edit: of the labelled spans with that edit.
    """

    row: str
    sampling: str
    group: str
    aligner: str
    curve: bool
    min_score: float
    precision: float
    recall: float
    f1: float
    missed_rate: float
    false_alarm_rate: float
    micro_ap: float
    segment_ap: float
    stored_frames_per_hour: float
    library_bytes_per_hour: float
    cpu_seconds_per_hour: dict[str, float]
    pairs: int
    pairs_per_second: float
    match_seconds_per_upload: float
    recall_by_edit: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """As it stands."""
        return asdict(self)


def figures_of(
    row: Row,
    frames: SetFrames,
    searched: Searched,
    aligned: Aligned,
    *,
    min_score: float,
    decoding: DecodeCosts,
    select_cpu_seconds: float,
) -> Figures:
    """Score a row and count its costs.

    Args:
        row: which.
        frames: of the set.
        searched: by the row's sampling.
        aligned: by its aligner.
        min_score: boxes below it don't count.
        decoding: CPU seconds per video-hour.
        select_cpu_seconds: of choosing key frames, for all videos.
    """
    copies, hours = frames.copies, frames.video_hours
    pairs = [pair_name(*pair) for pair in copies.pairs]
    boxes = aligned.at(min_score)
    score = score_pairs(boxes, copies.labels, pairs)
    listed = set(pairs)
    ranked = [one for one in aligned.boxes if one.pair in listed]
    best: dict[str, float] = {}
    for one in ranked:
        best[one.pair] = max(one.score, best.get(one.pair, 0.0))
    labelled = {pair: copies.labels[pair] for pair in pairs if pair in copies.labels}
    pdq = row.sampling.hashes
    frame = frames.hash_frame_seconds if pdq else frames.encode_frame_seconds
    query_hours = sum(v.duration_seconds for v in frames.videos if v.role == "upload") / 3600
    stages = {
        "decode": decoding.candidates if row.sampling.dense_decoding else decoding.one_a_second,
        "select": select_cpu_seconds / hours,
        "encode": searched.described_frames * frame / hours,
        "search": searched.search_cpu_seconds / query_hours,
        "align": (searched.matrix_cpu_seconds + aligned.cpu_seconds) / query_hours,
    }
    stored = searched.stored_frames / hours
    return Figures(
        row=row.name,
        sampling=row.sampling.name,
        group=row.sampling.group,
        aligner=row.aligner,
        curve=row.curve,
        min_score=min_score,
        precision=score.precision,
        recall=score.recall,
        f1=score.f1,
        missed_rate=score.missed_rate,
        false_alarm_rate=score.false_alarm_rate,
        micro_ap=micro_average_precision(best, labelled),
        segment_ap=segment_average_precision(ranked, labelled),
        stored_frames_per_hour=stored,
        library_bytes_per_hour=stored * PDQ_BYTES if pdq else searched.library_bytes / hours,
        cpu_seconds_per_hour={**stages, "total": sum(stages.values())},
        pairs=aligned.pairs,
        pairs_per_second=aligned.pairs / max(aligned.cpu_seconds, 1e-9),
        match_seconds_per_upload=(
            searched.search_cpu_seconds + searched.matrix_cpu_seconds + aligned.cpu_seconds
        )
        / max(searched.queries, 1),
        recall_by_edit=recall_by_edit(boxes, copies_edits(frames)),
    )


Edits = list[tuple[str, list[float], list[str]]]


def copies_edits(frames: SetFrames) -> Edits:
    """Labelled spans with their edits: pair, box, names; none where the set doesn't tell."""
    path = next(iter(frames.copies.queries.values())).parent.parent / "edits.json"
    return read_edits(path) if path.exists() else []


def read_edits(path: Path) -> Edits:
    """Spans of `edits.json` that have their times."""
    found: Edits = []
    for query, spans in json.loads(path.read_bytes()).items():
        for span in spans:
            if "times" in span:
                names = [str(name) for name in span["edits"]] or ["none"]
                found.append((pair_name(query, span["reference"]), list(span["times"]), names))
    return found


def recall_by_edit(
    boxes: Mapping[str, Sequence[Sequence[float]]], edits: Edits
) -> dict[str, float]:
    """Mean VCSL recall of the spans of each kind of edit, in order of the name."""
    found: dict[str, list[float]] = {}
    for pair, span, names in edits:
        recall = score_pair([list(box) for box in boxes.get(pair, ())], [span]).recall or 0.0
        for name in names:
            found.setdefault(name, []).append(recall)
    return {name: fmean(found[name]) for name in sorted(found)}


@dataclass(frozen=True)
class Target:
    """A promise and what was measured.

    Attributes:
        value: None where a row that it needs was not run.
        target: at least so much.
        further: and better so much.
        unit: for the table.
    """

    name: str
    value: float | None
    target: float
    further: float | None
    unit: str

    @property
    def reached(self) -> bool | None:
        """Whether the target is; None where it was not measured."""
        return None if self.value is None else self.value >= self.target


def targets_of(figures: Sequence[Figures], decoding: DecodeCosts, dimension: int) -> list[Target]:
    """What the rows say about the promises; the last detector's row with key frames is ours."""
    plain = [one for one in figures if not one.curve]

    def pick(group: str, sampling: str, wanted: Callable[[str], bool]) -> Figures | None:
        found = [
            one
            for one in plain
            if one.group == group and one.sampling == sampling and wanted(one.aligner)
        ]
        return found[-1] if found else None

    def detector(name: str) -> bool:
        return name.startswith("pattern_detector")

    ours = pick("key frames", KEY_FRAMES, detector)
    dense, unmoved = (pick("uniform", name, detector) for name in (DENSE, NO_MOTION))
    same = pick("uniform", SAME_COUNT, detector)
    pooled = pick("uniform, pooled", f"{SAME_COUNT}, pooled", detector)
    pdq = pick("PDQ", PDQ, lambda _: True)
    others = [one for one in plain if one.group == "key frames" and not detector(one.aligner)]
    best = max(others, key=lambda one: one.f1, default=None)

    def points(other: Figures | None) -> float | None:
        return None if ours is None or other is None else 100 * (ours.f1 - other.f1)

    def ratio(of: Callable[[Figures], float], other: Figures | None) -> float | None:
        return None if ours is None or other is None else of(other) / max(of(ours), 1e-12)

    def saved(now: float | None, before: float | None) -> float | None:
        return None if now is None or before is None else 100 * (1 - now / before)

    stored = ours.stored_frames_per_hour if ours else None
    uniform_stored = dense.stored_frames_per_hour if dense else None
    half_bytes = uniform_stored * dimension * HALF_FLOAT_BYTES if uniform_stored else None
    cpu = None
    if ours and dense:
        stages = dict(dense.cpu_seconds_per_hour)
        whole = stages["total"] - stages["decode"] + decoding.everything
        cpu = whole / ours.cpu_seconds_per_hour["total"]
    match = ratio(lambda one: one.match_seconds_per_upload, dense)
    bytes_now = ours.library_bytes_per_hour if ours else None
    return [
        Target("F1, key frames and pattern detector", 100 * ours.f1 if ours else None, 85, 92, "%"),
        Target("F1 over uniform 1 s, same detector", points(dense), 2.78, 5, "points"),
        Target("F1 over uniform 1 s, no motion", points(unmoved), 2.78, 5, "points"),
        Target("F1 over uniform at the same count", points(same), 5, 10, "points"),
        Target("F1 over uniform at the same count, pooled", points(pooled), 5, 10, "points"),
        Target("F1 over the best baseline aligner", points(best), 5, 10, "points"),
        Target("F1 over PDQ and temporal network", points(pdq), 30, None, "points"),
        Target("stored frames saved", saved(stored, uniform_stored), 70, 85, "%"),
        Target("library bytes saved, against fp16", saved(bytes_now, half_bytes), 95, 97, "%"),
        Target("search and alignment, times faster", match, 10, 18, "x"),
        Target("CPU, times less than full decoding at 1 fps", cpu, 2, 5, "x"),
        Target(
            "detector's pairs per second, one core",
            ours.pairs_per_second if ours else None, 250, 1000, "/s",
        ),
    ]  # fmt: skip
