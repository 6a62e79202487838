"""What it costs to take a video in: CPU seconds per video-hour of decode, select, encode and embed.

Beside two floors over the same files in the same run: decoding every frame with bare PyAV, and
only the key frames. What the embedding costs is measured twice: as a stage of its own, the
thumbnails in it, and against runs that embed nothing, which shows what else it makes dearer, such
as previews in decode. Run `python -m benchmarks.ingest FOLDER [--json FILE]`.
"""

import contextlib
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import av
import av.error
import orjson
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from stream.contract.events import VideoUploaded
from stream.demo.folder import videos_in
from stream.errors import RejectedError
from stream.fingerprint.fingerprinter import Fingerprinter
from stream.settings import Settings, load_settings

FINGERPRINT = ("decode", "select", "encode")
STAGES = (*FINGERPRINT, "embed")
ALONE = "fingerprint_alone"  # all stages of a run that embeds nothing
FLOORS = ("every_frame", "key_frames")
EMBEDDING_TARGET = 0.25  # of fingerprinting
Costs = dict[str, float]


class Ingest:
    """The service's own step: CPU seconds of each stage."""

    def __init__(self, settings: Settings, folder: Path, *, embed: bool = True) -> None:
        fetch = settings.fetch.model_copy(update={"roots": (folder.resolve(),)})
        self.fingerprinter = Fingerprinter(
            settings.model_copy(update={"fetch": fetch}), embed=embed
        )

    def cost(self, path: Path) -> tuple[Costs, float, int]:
        """Take one video in.

        Returns:
            CPU seconds by stage, the video's seconds, and the number of key frames.

        Raises:
            RuntimeError: it couldn't be embedded.
        """
        upload = VideoUploaded(video_id=path.stem, uri=path.resolve().as_uri(), owner_id="ingest")
        began = time.process_time()
        made = self.fingerprinter.fingerprint(upload, "ingest")
        spent = time.process_time() - began
        if self.fingerprinter.embeds and made.embedding is None:
            raise RuntimeError(f"{path} wasn't embedded: the log says why")
        costs = shares(spent, made.fingerprint.stage_seconds) | {"decode": made.decode_cpu_seconds}
        return costs, made.fingerprint.duration_seconds, len(made.fingerprint.key_frames)


def shares(spent: float, stage_seconds: Mapping[str, float]) -> Costs:
    """CPU seconds of the parent process, split by the time that each of its stages took.

    Args:
        spent: CPU seconds.
        stage_seconds: wall-clock; what isn't there took none.
    """
    wall = {stage: stage_seconds.get(stage, 0.0) for stage in STAGES if stage != "decode"}
    return {stage: spent * seconds / sum(wall.values()) for stage, seconds in wall.items()}


def bare_cost(path: Path, *, key_frames_only: bool) -> float:
    """CPU seconds to decode with PyAV alone, on one thread, keeping nothing."""
    began = time.process_time()
    with av.open(path.as_posix()) as container:
        stream = container.streams.video[0]
        stream.thread_count = 1
        if key_frames_only:
            stream.codec_context.skip_frame = "NONKEY"
        for _ in container.decode(stream):
            pass
    return time.process_time() - began


def measure(paths: list[Path], folder: Path, settings: Settings, rounds: int) -> dict[str, Any]:
    """Measure all files in several rounds; the order of the ways changes from one to the next.

    Returns:
        The report as JSON: medians over the rounds, in CPU seconds per video-hour.
    """
    ingest, alone = Ingest(settings, folder), Ingest(settings, folder, embed=False)
    totals = [dict.fromkeys((*STAGES, ALONE, *FLOORS), 0.0) for _ in range(rounds)]
    hours, key_frames, rejected = 0.0, 0, {}
    with ingest.fingerprinter, alone.fingerprinter:
        _warm_up(ingest, paths)
        _warm_up(alone, paths)
        for turn, total in enumerate(totals):
            for index, path in enumerate(track(paths, f"round {turn + 1} of {rounds}")):
                try:
                    costs, seconds, chosen = _file_costs(ingest, alone, path, turn + index)
                except (RejectedError, av.error.FFmpegError) as error:
                    rejected[path.name] = str(error)
                    continue
                for name, value in costs.items():
                    total[name] += value
                if turn == 0:
                    hours, key_frames = hours + seconds / 3600, key_frames + chosen
    if not hours:
        raise typer.BadParameter(f"no usable video among {len(paths)}: {rejected}")
    per_hour = {
        name: statistics.median(total[name] / hours for total in totals) for name in totals[0]
    }
    fingerprinter = ingest.fingerprinter
    return report_of(per_hour, fingerprinter.model_version, embeds=fingerprinter.embeds) | {
        "rounds": [{name: value / hours for name, value in total.items()} for total in totals],
        "files": len(paths) - len(rejected),
        "rejected": rejected,
        "video_hours": hours,
        "key_frames_per_video_hour": key_frames / hours,
    }


def _warm_up(ingest: Ingest, paths: list[Path]) -> None:
    """Start the child and the encoder, so that the first file is not charged for it."""
    for path in paths:
        with contextlib.suppress(RejectedError):
            ingest.cost(path)
            return


def _file_costs(ingest: Ingest, alone: Ingest, path: Path, turn: int) -> tuple[Costs, float, int]:
    costs: Costs = {}
    found: list[tuple[Costs, float, int]] = []
    ways: list[Callable[[], None]] = [
        lambda: found.append(ingest.cost(path)),
        lambda: costs.update({ALONE: sum(alone.cost(path)[0].values())}),
        lambda: costs.update(every_frame=bare_cost(path, key_frames_only=False)),
        lambda: costs.update(key_frames=bare_cost(path, key_frames_only=True)),
    ]
    for step in range(len(ways)):
        ways[(turn + step) % len(ways)]()
    stages, seconds, chosen = found[0]
    return stages | costs, seconds, chosen


def report_of(per_hour: Costs, model_version: str, *, embeds: bool) -> dict[str, Any]:
    """The figures of all files.

    Args:
        per_hour: CPU seconds per video-hour, of stages, floors and `fingerprint_alone`.
        model_version: of the encoder.
        embeds: whether there is a text–video pair; `embedding` is None without one.
    """
    fingerprint = sum(per_hour[stage] for stage in FINGERPRINT)
    total = fingerprint + per_hour["embed"]
    return {
        "cpu_seconds_per_video_hour": {stage: per_hour[stage] for stage in STAGES}
        | {"total": total},
        "floors": {floor: per_hour[floor] for floor in FLOORS},
        "ratios": {
            f"{name}_to_{floor}": cost / per_hour[floor]
            for name, cost in (("decode", per_hour["decode"]), ("total", total))
            for floor in FLOORS
        },
        "embedding": _embedding(per_hour["embed"], fingerprint, per_hour[ALONE])
        if embeds
        else None,
        "model_version": model_version,
        "machine": {"cpu": _cpu_model(), "cores": os.cpu_count(), "load": os.getloadavg()[0]},
        "pyav": av.__version__,
    }


def _embedding(stage: float, fingerprint: float, alone: float) -> Costs:
    """What the embedding adds to fingerprinting.

    Args:
        stage: CPU seconds per video-hour of the stage `embed`.
        fingerprint: of the other stages in the same runs.
        alone: of the same stages in runs that embed nothing.
    """
    return {
        "fingerprint": fingerprint,
        ALONE: alone,
        "stage_to_fingerprint": stage / fingerprint,
        "added_to_fingerprint_alone": (fingerprint + stage - alone) / alone,
        "target": EMBEDDING_TARGET,
    }


def _cpu_model() -> str:
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        for line in listing.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _table(report: dict[str, Any]) -> Table:
    machine = report["machine"]
    table = Table(
        title=f"{report['files']} videos, {report['video_hours']:.2f} h, "
        f"median of {len(report['rounds'])} rounds; {machine['cpu']}, {machine['cores']} cores"
    )
    table.add_column("step")
    for column in ("CPU s per video-hour", "times every frame", "times key frames"):
        table.add_column(column, justify="right")
    every, keys = (report["floors"][floor] for floor in FLOORS)
    rows = [*report["cpu_seconds_per_video_hour"].items()]
    if report["embedding"]:
        rows.append(("total, nothing embedded", report["embedding"][ALONE]))
    rows += [
        ("bare PyAV, every frame", every),
        ("bare PyAV, key frames only", keys),
    ]
    for name, cost in rows:
        table.add_row(name, f"{cost:.1f}", f"{cost / every:.2f}", f"{cost / keys:.2f}")
    return table


def verdict(embedding: Costs | None) -> str:
    """The cost of the embedding against its target, as a sentence."""
    if embedding is None:
        return "nothing was embedded: no text–video pair is shipped and the settings name none"
    stage, added = embedding["stage_to_fingerprint"], embedding["added_to_fingerprint_alone"]
    return (
        f"embedding costs {stage:.1%} of fingerprinting as a stage, {added:+.1%} against runs "
        f"without it; target below {embedding['target']:.0%}"
    )


def main(
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False)],
    json: Annotated[Path | None, typer.Option(help="where the figures are written")] = None,
    rounds: Annotated[int, typer.Option(min=1)] = 3,
) -> None:
    """Measure the intake of all videos in a folder."""
    settings = load_settings()
    report = measure(videos_in(folder), folder, settings, rounds)
    console = Console()
    console.print(_table(report))
    console.print(verdict(report["embedding"]))
    for name, reason in report["rejected"].items():
        console.print(f"left out {name}: {reason}")
    if json:
        json.write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2))


if __name__ == "__main__":
    typer.run(main)
