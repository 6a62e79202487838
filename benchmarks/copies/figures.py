"""The figures of a row of `same_source`: how well, what is stored, what it costs."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.copies.rows import Row
from benchmarks.copies.set_frames import SetFrames
from benchmarks.library.set_search import Aligned, Searched
from benchmarks.tuning.decode_costs import DecodeCosts
from models.metrics import (
    Draws,
    draw_f1,
    interval,
    micro_average_precision,
    score_pair,
    score_pairs,
    segment_average_precision,
)
from stream.evaluate.copy_set import pair_name

PDQ_BYTES = 32  # 256 bits of a frame


@dataclass(frozen=True)
class Figures:
    """One row, as plain values.

    Attributes:
        min_score: boxes below it don't count; chosen on other sets.
        f1_draws: (B,) F1 of sets whose queries are drawn anew; alike for all rows of a set.
        segment_ap: average precision over boxes, as `micro_ap` over pairs.
        stored_frames_per_hour: of video.
        library_bytes_per_hour: of video, on disk.
        cpu_seconds_per_hour: of video, by stage, and in all.
        cpu_seconds_per_hour_by_outcome: the same of queries alone: `clear`, in which nothing was
            found, and `matched`. Decoding is the mean of all videos.
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
    f1_draws: Draws
    missed_rate: float
    false_alarm_rate: float
    micro_ap: float
    segment_ap: float
    stored_frames_per_hour: float
    library_bytes_per_hour: float
    cpu_seconds_per_hour: dict[str, float]
    cpu_seconds_per_hour_by_outcome: dict[str, dict[str, float]]
    pairs: int
    pairs_per_second: float
    match_seconds_per_upload: float
    recall_by_edit: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """As it stands, with the 95 % interval of F1 for its draws."""
        fields = asdict(self)
        del fields["f1_draws"]
        return {**fields, "f1_interval": interval(self.f1_draws)}


def figures_of(
    row: Row,
    frames: SetFrames,
    searched: Searched,
    aligned: Aligned,
    *,
    min_score: float,
    decoding: DecodeCosts,
) -> Figures:
    """Score a row and count its costs.

    Args:
        row: which.
        frames: of the set.
        searched: by the row's sampling.
        aligned: by its aligner.
        min_score: boxes below it don't count.
        decoding: CPU seconds per video-hour.
    """
    copies, hours = frames.copies, frames.video_hours
    asking = [query for query, _ in copies.pairs]
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
    decode = decoding.candidates if row.sampling.dense_decoding else decoding.one_a_second
    found = {query for query in searched.asked if _is_found(query, boxes)}
    groups = {"clear": searched.asked.keys() - found, "matched": found}
    of_all = _stages(searched, aligned, searched.asked.keys(), decode, frame)
    stages = {
        **of_all,
        "select": searched.select_cpu_seconds / hours,
        "encode": searched.described_frames * frame / hours,
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
        f1_draws=draw_f1(boxes, copies.labels, pairs, asking),
        missed_rate=score.missed_rate,
        false_alarm_rate=score.false_alarm_rate,
        micro_ap=micro_average_precision(best, labelled),
        segment_ap=segment_average_precision(ranked, labelled),
        stored_frames_per_hour=stored,
        library_bytes_per_hour=stored * PDQ_BYTES if pdq else searched.library_bytes / hours,
        cpu_seconds_per_hour=_with_total(stages),
        cpu_seconds_per_hour_by_outcome={
            outcome: _with_total(_stages(searched, aligned, queries, decode, frame))
            for outcome, queries in groups.items()
        },
        pairs=aligned.pairs,
        pairs_per_second=aligned.pairs / max(aligned.cpu_seconds, 1e-9),
        match_seconds_per_upload=(of_all["search"] + of_all["align"])
        * _hours(searched, searched.asked.keys())
        / max(len(searched.asked), 1),
        recall_by_edit=recall_by_edit(boxes, copies_edits(frames)),
    )


def _stages(
    searched: Searched, aligned: Aligned, queries: Iterable[str], decode: float, frame: float
) -> dict[str, float]:
    """CPU seconds per hour of some queries, by stage; `frame` is what encoding one takes."""
    asked = {query: searched.asked[query] for query in queries}
    hours = max(_hours(searched, asked), 1e-9)
    aligning = sum(aligned.cpu_seconds_by_query.get(query, 0.0) for query in asked)
    each = asked.values()
    return {
        "decode": decode,
        "select": sum(one.select_cpu_seconds for one in each) / hours,
        "encode": sum(one.described_frames for one in each) * frame / hours,
        "search": sum(one.search_cpu_seconds for one in each) / hours,
        "align": (sum(one.matrix_cpu_seconds for one in each) + aligning) / hours,
    }


def _hours(searched: Searched, queries: Iterable[str]) -> float:
    return sum(searched.asked[query].seconds for query in queries) / 3600


def _with_total(stages: dict[str, float]) -> dict[str, float]:
    return {**stages, "total": sum(stages.values())}


def _is_found(query: str, boxes: Mapping[str, Sequence[Sequence[float]]]) -> bool:
    return any(pair.startswith(f"{query}-") for pair in boxes)


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
