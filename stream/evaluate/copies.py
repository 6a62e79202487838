"""Measures the service's own steps on a labelled set of copies, without a broker.

The engine behind `samesource evaluate copies`: each video goes through the fingerprint step and
every library shard, as on the log.
"""

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from models.errors import ModelError
from models.keyframes import SELECTORS
from models.metrics import draw_f1, interval, score_pairs
from stream.contract.events import Match, Role, VideoUploaded
from stream.contract.fingerprint import Fingerprint
from stream.errors import RejectedError, SettingsError
from stream.evaluate.copy_set import CopySet, pair_name, read_copy_set
from stream.evaluate.report import CopiesReport, Sampling, UploadOutcome
from stream.fingerprint.fingerprinter import Fingerprinter
from stream.library.matches import open_aligner
from stream.library.shard import LibraryShard
from stream.library.snapshot import SnapshotStore
from stream.settings import Settings

FINGERPRINT_STAGES = ("fetch", "select", "encode")
LIBRARY_STAGES = ("search", "align")
UNIFORM_FRAMES_PER_SECOND = 1.0  # as the published baselines sample, so that rows can be compared
NO_GAP_SECONDS = 1e-6  # shorter than any frame: every sample is stored, still pictures included


@dataclass
class _Costs:
    """CPU seconds by stage, and how much video they bought."""

    cpu_seconds: dict[str, float] = field(default_factory=dict)
    video_seconds: float = 0.0
    videos: int = 0
    key_frames: int = 0
    query_frames: int = 0

    def spend(self, cpu_seconds: float, wall_seconds: dict[str, float], *stages: str) -> None:
        """Share out this process's CPU by the stages' wall-clock: they run on one thread."""
        total = sum(wall_seconds.get(stage, 0.0) for stage in stages)
        for stage in stages:
            spent = cpu_seconds * wall_seconds.get(stage, 0.0) / total if total else 0.0
            self.cpu_seconds[stage] = self.cpu_seconds.get(stage, 0.0) + spent

    def __add__(self, other: "_Costs") -> "_Costs":
        stages = {**self.cpu_seconds, **other.cpu_seconds}
        spent = {s: self.cpu_seconds.get(s, 0.0) + other.cpu_seconds.get(s, 0.0) for s in stages}
        return _Costs(
            spent,
            self.video_seconds + other.video_seconds,
            self.videos + other.videos,
            self.key_frames + other.key_frames,
            self.query_frames + other.query_frames,
        )

    def per_video_hour(self, amount: float) -> float:
        """An amount for one hour of video."""
        return amount * 3600 / self.video_seconds if self.video_seconds else 0.0

    def table(self) -> dict[str, float]:
        """CPU seconds per video-hour by stage, and in all."""
        rates = {stage: self.per_video_hour(spent) for stage, spent in self.cpu_seconds.items()}
        return {**rates, "total": sum(rates.values())}

    def per_video(self, *stages: str) -> dict[str, float]:
        """CPU seconds of one video by stage, and in all."""
        videos = max(1, self.videos)
        rates = {stage: self.cpu_seconds.get(stage, 0.0) / videos for stage in stages}
        return {**rates, "total": sum(rates.values())}


def evaluate_copies(
    dataset: Path,
    settings: Settings,
    *,
    aligner: str | None = None,
    selector: str | None = None,
    sampling: Sampling = "keyframes",
    console: Console,
) -> CopiesReport:
    """Run a labelled set through the service's steps and score what they find.

    Args:
        dataset: a folder as `stream.evaluate.copy_set` reads it.
        settings: of the service; files of the set may be read whatever `fetch.roots` says.
        aligner: instead of the one in the settings.
        selector: of the key frames, instead of the one in the settings.
        sampling: `keyframes` as the settings choose them, or `uniform`: one frame a second is
            stored and searches, whatever the selector.
        console: for the progress bar and the table.

    Returns:
        The figures. A video that can't be processed is named in `unanswered`.

    Raises:
        SettingsError: the set is incomplete, or the settings name a model that can't be used.
    """
    copies = read_copy_set(dataset)
    settings = _for_evaluation(settings, dataset, aligner, selector, sampling)
    try:
        run = _Run(settings)
        with Fingerprinter(settings, embed=False) as fingerprinter:
            for video_id, path, role in _with_progress(copies, console):
                run.take(fingerprinter, video_id, path, role)
            report = run.report(copies, sampling, settings, fingerprinter)
    except ModelError as error:
        raise SettingsError(str(error)) from error
    console.print(report.table())
    for video_id, reason in report.unanswered.items():
        console.print(f"unanswered: {video_id}: {reason}", markup=False, soft_wrap=True)
    return report


class _Run:
    """The library's shards, what they answered, and what it cost."""

    def __init__(self, settings: Settings) -> None:
        self._library = settings.library
        self._shards = [
            LibraryShard(settings.library, shard, open_aligner(settings.library))
            for shard in range(settings.library.shards)
        ]
        self._offset = 0
        self._aligner_version = settings.library.aligner
        self._reference_costs = _Costs()
        self._upload_costs: dict[UploadOutcome, _Costs] = {"clear": _Costs(), "matched": _Costs()}
        self._boxes: dict[str, list[list[float]]] = {}
        self._unanswered: dict[str, str] = {}

    def take(self, fingerprinter: Fingerprinter, video_id: str, path: Path, role: Role) -> None:
        """One video through the fingerprint step and onto the log."""
        upload = VideoUploaded(
            video_id=video_id, uri=path.resolve().as_uri(), owner_id=role, role=role
        )
        # CPU and not the clock, as whatever else runs on this machine isn't the service's cost.
        before = time.process_time()
        try:
            made = fingerprinter.fingerprint(upload, f"evaluate-{self._offset}")
        except RejectedError as error:
            self._unanswered[video_id] = f"{error.code}: {error}"
            return
        spent = time.process_time() - before
        fingerprint = made.fingerprint
        costs = _Costs(
            video_seconds=fingerprint.duration_seconds,
            videos=1,
            key_frames=len(fingerprint.key_frames),
            query_frames=len(fingerprint.query_frames),
        )
        costs.spend(made.decode_cpu_seconds, {"decode": 1.0}, "decode")
        costs.spend(spent, fingerprint.stage_seconds, *FINGERPRINT_STAGES)
        matched = self._append(fingerprint, costs)
        if role == "reference":
            self._reference_costs += costs
        else:
            self._upload_costs["matched" if matched else "clear"] += costs

    def _append(self, fingerprint: Fingerprint, costs: _Costs) -> bool:
        """Whether some shard found a copy of a reference in it."""
        matched = False
        for shard in self._shards:
            before = time.process_time()
            answer = shard.apply(fingerprint, self._offset)
            spent = time.process_time() - before
            costs.spend(spent, answer.stage_seconds, *LIBRARY_STAGES)
            self._aligner_version = answer.aligner_version or self._library.aligner
            for match in answer.matches:
                self._boxes[pair_name(fingerprint.video_id, match.reference_id)] = _boxes_of(match)
                matched |= match.reference_role == "reference"
        self._offset += 1
        return matched

    def report(
        self, copies: CopySet, sampling: Sampling, settings: Settings, made_by: Fingerprinter
    ) -> CopiesReport:
        """Score the pairs that count."""
        pairs = [pair_name(*pair) for pair in copies.pairs]
        asking = [query for query, _ in copies.pairs]
        known = [pair_name(q, r) for q in copies.queries for r in copies.references]
        uploads = self._upload_costs["clear"] + self._upload_costs["matched"]
        costs = self._reference_costs + uploads
        return CopiesReport(
            score=score_pairs(self._boxes, copies.labels, pairs),
            score_of_all=score_pairs(self._boxes, copies.labels, known),
            f1_interval=interval(draw_f1(self._boxes, copies.labels, pairs, asking)),
            library_bytes_per_video_hour=costs.per_video_hour(self._library_bytes()),
            key_frames_per_video_hour=costs.per_video_hour(costs.key_frames),
            query_frames_per_video_hour=costs.per_video_hour(costs.query_frames),
            cpu_seconds_per_video_hour=costs.table(),
            cpu_seconds_per_video_hour_by_outcome={
                outcome: spent.table() for outcome, spent in self._upload_costs.items()
            },
            cpu_seconds_per_upload=uploads.per_video(*LIBRARY_STAGES),
            boxes={pair: self._boxes[pair] for pair in known if pair in self._boxes},
            unanswered=self._unanswered,
            video_hours=costs.video_seconds / 3600,
            aligner=self._library.aligner,
            selector=settings.key_frames.selector,
            sampling=sampling,
            model_version=made_by.model_version,
            aligner_version=self._aligner_version,
            key_frames_version=made_by.key_frames_version,
        )

    def _library_bytes(self) -> int:
        """What the shards' snapshots take on disk."""
        with tempfile.TemporaryDirectory(prefix="samesource-") as scratch:
            for number, shard in enumerate(self._shards):
                library = self._library.model_copy(update={"snapshot_folder": Path(scratch)})
                store = SnapshotStore(library, shard=number, log_id="evaluate")
                store.save(shard.state, self._offset)
            return sum(path.stat().st_size for path in Path(scratch).rglob("*") if path.is_file())


def _for_evaluation(
    settings: Settings,
    dataset: Path,
    aligner: str | None,
    selector: str | None,
    sampling: Sampling,
) -> Settings:
    changed: dict[str, Any] = {
        "fetch": settings.fetch.model_copy(update={"roots": (dataset.resolve(),)})
    }
    if aligner is not None:
        changed["library"] = settings.library.model_copy(update={"aligner": aligner})
    key_frames: dict[str, Any] = {} if selector is None else {"selector": selector}
    if sampling == "uniform":
        changed["decode"] = settings.decode.model_copy(
            # Without a gap no repeated sample is left out: the baselines keep those too.
            update={"frames_per_second": UNIFORM_FRAMES_PER_SECOND, "repeat_gap_seconds": 0.0}
        )
        key_frames = {
            "selector": "even",
            "every_seconds": 1 / UNIFORM_FRAMES_PER_SECOND,
            "query_every_seconds": 1 / UNIFORM_FRAMES_PER_SECOND,
            "max_gap_seconds": NO_GAP_SECONDS,
        }
    elif selector is not None and selector not in SELECTORS:
        known = ", ".join(sorted(SELECTORS))
        raise SettingsError(f"no key-frame selector {selector!r}; there are: {known}")
    changed["key_frames"] = settings.key_frames.model_copy(update=key_frames)
    return settings.model_copy(update=changed)


def _with_progress(copies: CopySet, console: Console) -> Iterator[tuple[str, Path, Role]]:
    """References first, so that every query is compared with all of them."""
    videos: list[tuple[str, Path, Role]] = [
        *((video_id, path, "reference") for video_id, path in copies.references.items()),
        *((video_id, path, "upload") for video_id, path in copies.queries.items()),
    ]
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=len(videos))
        for video in videos:
            progress.update(task, description=video[0])
            yield video
            progress.advance(task)


def _boxes_of(match: Match) -> list[list[float]]:
    return [
        [
            segment.video_start_seconds,
            segment.reference_start_seconds,
            segment.video_end_seconds,
            segment.reference_end_seconds,
        ]
        for segment in match.segments
    ]
