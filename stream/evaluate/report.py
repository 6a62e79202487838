"""What `samesource evaluate copies` reports: figures, boxes and costs, as JSON and as a table."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from rich.table import Table

from models.metrics import CopyScore

Sampling = Literal["keyframes", "uniform"]
UploadOutcome = Literal["clear", "matched"]
"""Whether a query copies a reference, by the service's own answer."""


@dataclass(frozen=True)
class CopiesReport:
    """What one run found and what it cost.

    Attributes:
        score: by the VCSL protocol, over the pairs of `pairs.csv`.
        score_of_all: the same over every query with every reference, as a platform would have it:
            `pairs.csv` has as many pairs without a copy as with one, and so shows few false alarms.
        f1_interval: of the first F1, 95 %, by the bootstrap over the queries of these pairs.
        library_bytes_per_video_hour: of the shards' snapshots on disk.
        key_frames_per_video_hour: stored frames.
        cpu_seconds_per_video_hour: by stage, and their `total`.
        cpu_seconds_per_video_hour_by_outcome: the same of uploads alone, for those in which nothing
            was found and for those in which something was; without such uploads, `total` is 0.
        cpu_seconds_per_upload: of the library's stages, queries alone, and their `total`.
        query_frames_per_video_hour: frames that search, stored ones included.
        boxes: predicted boxes by `query-reference`, [query_start, reference_start, query_end,
            reference_end] in seconds; pairs without a prediction are left out.
        unanswered: why, by video id; their pairs count as not predicted.
        video_hours: of all videos that were fingerprinted.
    """

    score: CopyScore
    score_of_all: CopyScore
    f1_interval: tuple[float, float]
    library_bytes_per_video_hour: float
    key_frames_per_video_hour: float
    query_frames_per_video_hour: float
    cpu_seconds_per_video_hour: dict[str, float]
    cpu_seconds_per_video_hour_by_outcome: dict[UploadOutcome, dict[str, float]]
    cpu_seconds_per_upload: dict[str, float]
    boxes: dict[str, list[list[float]]]
    unanswered: dict[str, str]
    video_hours: float
    aligner: str
    selector: str
    sampling: Sampling
    model_version: str
    aligner_version: str
    key_frames_version: str

    def to_json(self) -> dict[str, Any]:
        """The figures as plain values, the score's own keys on top."""
        fields = asdict(self)
        return {**fields.pop("score"), **fields}

    def table(self) -> Table:
        """The figures for a terminal."""
        title = f"{self.key_frames_version}, {self.aligner_version}, {self.sampling}"
        table = Table("figure", "value", title=title)
        for name, value in asdict(self.score).items():
            table.add_row(name.replace("_", " "), f"{value:.4f}")
        low, high = self.f1_interval
        table.add_row("f1, 95 % interval", f"{low:.4f} to {high:.4f}")
        for name in ("precision", "f1", "false_alarm_rate"):
            value = getattr(self.score_of_all, name)
            table.add_row(f"all pairs, {name.replace('_', ' ')}", f"{value:.4f}")
        table.add_row("library bytes per video-hour", f"{self.library_bytes_per_video_hour:,.0f}")
        table.add_row("key frames per video-hour", f"{self.key_frames_per_video_hour:,.0f}")
        table.add_row("query frames per video-hour", f"{self.query_frames_per_video_hour:,.0f}")
        for stage, seconds in self.cpu_seconds_per_video_hour.items():
            table.add_row(f"CPU seconds per video-hour, {stage}", f"{seconds:.2f}")
        for outcome, stages in self.cpu_seconds_per_video_hour_by_outcome.items():
            name = f"CPU seconds per video-hour of a {outcome} upload"
            table.add_row(name, f"{stages['total']:.2f}")
        for stage, seconds in self.cpu_seconds_per_upload.items():
            table.add_row(f"CPU milliseconds per upload, {stage}", f"{1000 * seconds:.2f}")
        table.add_row("unanswered videos", str(len(self.unanswered)))
        return table
