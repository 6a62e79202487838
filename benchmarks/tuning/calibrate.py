"""Shows what thresholds of the library and scores of the aligner mean, on a labelled set of copies.

    python -m benchmarks.tuning.calibrate SET [--json FILE] [--kept FOLDER] [--aligner NAME]

For choosing `min_score`, `min_similarity` and `candidate_hits`, on a set that nobody is
judged by (`benchmarks/copies/made_copies.py`). Runs the library's own steps, without a broker.
"""

import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import orjson
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.copies.fingerprinted_set import FingerprintedSet, fingerprint_set
from models.all_aligners import make_aligner
from models.metrics import CopyScore, score_pairs
from stream.contract.fingerprint import Fingerprint
from stream.evaluate.copy_set import pair_name
from stream.index.exact import FrameIndex
from stream.library.candidates import vote
from stream.library.rows import RowCodes
from stream.library.settings import LibrarySettings
from stream.library.shard import LibraryShard
from stream.settings import load_settings

# The grids that the tables show, each around the value in `LibrarySettings`.
MIN_SCORES = tuple(tenth / 10 for tenth in range(10))
MIN_SIMILARITIES = (0.3, 0.4, 0.5, 0.6, 0.7)  # around 0.4
CANDIDATE_HITS = (1, 2, 3, 4)  # around 2; more would lose the shortest copies
# Of a box with a label, on both axes: less and the seconds that an alert names are wrong, more and
# an unsure label decides. Set by hand.
RIGHT_OVERLAP = 0.3


@dataclass(frozen=True)
class FoundBox:
    """A box of the aligner.

    Attributes:
        pair: `query-reference`.
        box: [query_start, reference_start, query_end, reference_end] in seconds.
        right: whether it overlaps a labelled box well on both axes.
    """

    pair: str
    box: tuple[float, float, float, float]
    score: float
    right: bool


@dataclass(frozen=True)
class CandidateStage:
    """What a threshold lets through to the aligner.

    Attributes:
        recall: share of the labelled pairs that become candidates.
        per_query: candidates of one query, on average.
    """

    min_similarity: float
    hits: int
    recall: float
    per_query: float


def is_right(box: tuple[float, ...], labelled: np.ndarray[Any, Any]) -> bool:
    """Whether a box overlaps one of the labelled ones by `RIGHT_OVERLAP` on both axes.

    Args:
        box: [query_start, reference_start, query_end, reference_end] in seconds.
        labelled: (N, 4), the same.
    """
    ours, truth = np.array(box), np.asarray(labelled).reshape(-1, 4)
    shared = np.minimum(ours[2:], truth[:, 2:]) - np.maximum(ours[:2], truth[:, :2])  # (N, 2)
    both = np.maximum(ours[2:], truth[:, 2:]) - np.minimum(ours[:2], truth[:, :2])
    return bool((shared / both >= RIGHT_OVERLAP).all(axis=1).any())


def find_boxes(
    made: FingerprintedSet, library: LibrarySettings
) -> tuple[list[FoundBox], dict[str, float]]:
    """All boxes of every query with every reference, however unsure.

    Returns:
        The boxes, and CPU seconds of `search` and `align` on all videos, references included.
    """
    settings = library.model_copy(update={"shards": 1, "min_score": 0.0})
    shard = LibraryShard(settings, 0, make_aligner(settings.aligner))
    known = {event.video_id for event in made.references}
    found, cpu_seconds = [], {"search": 0.0, "align": 0.0}
    for offset, event in enumerate((*made.references, *made.queries)):
        bare = replace(event, stage_seconds={})
        before = time.process_time()
        answer = shard.apply(bare, offset)
        spent = time.process_time() - before
        wall = sum(answer.stage_seconds.values())
        for stage in cpu_seconds:
            cpu_seconds[stage] += spent * answer.stage_seconds[stage] / wall
        for match in answer.matches:
            if match.reference_id not in known or event.video_id in known:
                continue
            pair = pair_name(event.video_id, match.reference_id)
            labelled = made.copies.labels.get(pair, np.empty((0, 4)))
            for segment in match.segments:
                box = (
                    segment.video_start_seconds, segment.reference_start_seconds,
                    segment.video_end_seconds, segment.reference_end_seconds,
                )  # fmt: skip
                found.append(FoundBox(pair, box, segment.score, is_right(box, labelled)))
    return found, cpu_seconds


def scores_by_min_score(made: FingerprintedSet, found: list[FoundBox]) -> list[CopyScore]:
    """The VCSL protocol over the set's pairs, for each of `MIN_SCORES`."""
    pairs = [pair_name(*pair) for pair in made.copies.pairs]
    scores = []
    for least in MIN_SCORES:
        kept: dict[str, list[tuple[float, ...]]] = {}
        for one in found:
            if one.score >= least:
                kept.setdefault(one.pair, []).append(one.box)
        scores.append(score_pairs(kept, made.copies.labels, pairs))
    return scores


def candidate_stages(made: FingerprintedSet, library: LibrarySettings) -> list[CandidateStage]:
    """What each threshold of the candidate stage lets through, references alone in the library."""
    codes = RowCodes(made.references[0].dimension, library.code_bits)
    index = FrameIndex(codes.dimension)
    starts = []
    for event in made.references:
        rows = codes.whole(codes.pack(event.key_frames.codes))
        starts.append(len(index))
        index.add(rows, len(index) + np.arange(len(rows)))
    names = [event.video_id for event in made.references]
    stages = []
    for min_similarity in MIN_SIMILARITIES:
        for hits in CANDIDATE_HITS:
            tried = library.model_copy(
                update={"min_similarity": min_similarity, "candidate_hits": hits}
            )
            chosen = {
                pair_name(query.video_id, names[entry])
                for query in made.queries
                for entry in _candidates(query, index, starts, tried)
            }
            wanted = made.copies.labels.keys()
            recall = len(chosen & wanted) / len(wanted) if wanted else 0.0
            stages.append(
                CandidateStage(min_similarity, hits, recall, len(chosen) / len(made.queries))
            )
    return stages


def _candidates(
    query: Fingerprint,
    index: FrameIndex,
    starts: list[int],
    library: LibrarySettings,
) -> list[int]:
    asked = query.key_frames if library.search_frames == "key" else query.query_frames
    found = index.hits(asked.codes, asked.bias_codes, library.min_similarity, below=None)
    entries = np.searchsorted(starts, found.serials, side="right") - 1
    least = min(library.candidate_hits, len(asked))
    voted = vote(
        found.queries,
        found.similarities,
        entries,
        min_frames=least,
        most=library.candidates,
    )
    return [one.entry for one in voted]


def report_of(made: FingerprintedSet, library: LibrarySettings) -> dict[str, Any]:
    """All figures as plain values."""
    found, cpu_seconds = find_boxes(made, library)
    scores = scores_by_min_score(made, found)
    return {
        "model_version": made.model_version,
        "aligner": library.aligner,
        "queries": len(made.queries),
        "references": len(made.references),
        "labelled_pairs": len(made.copies.labels),
        "unanswered": made.unanswered,
        "video_hours": made.video_hours,
        "cpu_seconds_per_video_hour": {
            stage: spent / made.video_hours for stage, spent in cpu_seconds.items()
        },
        "by_min_score": [
            {
                "min_score": least,
                **asdict(score),
                "right_boxes": sum(one.right and one.score >= least for one in found),
                "wrong_boxes": sum(not one.right and one.score >= least for one in found),
            }
            for least, score in zip(MIN_SCORES, scores, strict=True)
        ],
        "candidate_stage": [asdict(stage) for stage in candidate_stages(made, library)],
        "boxes": [asdict(one) for one in found],
    }


def tables(report: dict[str, Any]) -> list[Table]:
    """The figures for a terminal."""
    title = f"{report['aligner']}, {report['model_version']}, {report['queries']} queries"
    by_score = Table("least score", title=title)
    for heading in ("right", "wrong", "precision", "recall", "F1", "missed", "alarms"):
        by_score.add_column(heading, justify="right")
    names = ("precision", "recall", "f1", "missed_rate", "false_alarm_rate")
    for row in report["by_min_score"]:
        counts = (str(row["right_boxes"]), str(row["wrong_boxes"]))
        by_score.add_row(f"{row['min_score']:.1f}", *counts, *(f"{row[n]:.3f}" for n in names))
    stage = Table("min similarity", title="candidate stage: recall of pairs, candidates of a query")
    for hits in CANDIDATE_HITS:
        stage.add_column(f"{hits} hits", justify="right")
    for min_similarity in MIN_SIMILARITIES:
        cells = [
            f"{row['recall']:.3f}, {row['per_query']:.1f}"
            for row in report["candidate_stage"]
            if row["min_similarity"] == min_similarity
        ]
        stage.add_row(f"{min_similarity:.1f}", *cells)
    return [by_score, stage]


def main(
    folder: Annotated[Path, typer.Argument(help="references/, queries/, pairs.csv, labels.json")],
    json: Annotated[Path | None, typer.Option(help="Write all figures and boxes here.")] = None,
    kept: Annotated[Path, typer.Option(help="Fingerprints of earlier runs.")] = Path(
        "runs/fingerprints"
    ),
    aligner: Annotated[str | None, typer.Option(help="Instead of the one in the settings.")] = None,
) -> None:
    """Thresholds and scores on a labelled set of copies."""
    settings, console = load_settings(), Console()
    changed = {"aligner": aligner} if aligner else {}
    made = fingerprint_set(folder, settings, kept, console)
    report = report_of(made, settings.library.model_copy(update=changed))
    console.print(*tables(report))
    for stage, seconds in report["cpu_seconds_per_video_hour"].items():
        console.print(f"{stage}: {seconds:.2f} CPU seconds per video-hour")
    for video_id, reason in report["unanswered"].items():
        console.print(f"unanswered: {video_id}: {reason}", markup=False, soft_wrap=True)
    if json is not None:
        json.write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2))


if __name__ == "__main__":
    typer.run(main)
