"""One run, one table: what is found, and what it costs, for every choice of frames and aligner.

    python -m benchmarks.same_source SET [--json FILE] [--plots FOLDER] [--rows TEXT]
        [--no-curves] [--detector NAME=PATH]...

Decodes each video once and describes each frame once; every row then goes through the library's
own steps. Least scores are those that `benchmarks/tuning/min_scores.py` chose on other sets; the
default row has the service's.
"""

import time
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console

from benchmarks.copies.figures import Figures, figures_of
from benchmarks.copies.plots import write_plots
from benchmarks.copies.rows import (
    DETECTOR,
    KEY_FRAMES,
    Row,
    key_frames_of,
    rows_of,
    search_row,
)
from benchmarks.copies.set_frames import SetFrames, read_set_frames
from benchmarks.copies.tables import (
    cost_table,
    edit_table,
    machine,
    main_table,
    target_table,
)
from benchmarks.copies.targets import Target, targets_of
from benchmarks.library.set_search import Searched, align_set
from benchmarks.tuning.decode_costs import DecodeCosts, decode_costs
from benchmarks.tuning.min_scores import CHOSEN, read_min_scores, weights_of
from models.errors import ModelError
from stream.errors import SettingsError
from stream.settings import Settings, load_settings


def run(
    frames: SetFrames,
    settings: Settings,
    wanted: str,
    curves: bool,
    weights: dict[str, Path],
    min_scores: dict[str, float],
    console: Console,
) -> tuple[list[Figures], DecodeCosts]:
    """All rows whose name holds the wanted text, those of the curves if asked for."""
    key_frames = key_frames_of(frames, settings.key_frames)
    rows = [row for row in rows_of(frames, key_frames, weights) if wanted in row.name]
    rows = [row for row in rows if curves or not row.curve]
    if not rows:
        raise SettingsError(f"--rows {wanted!r} is in no row's name")
    decoding = decode_costs(frames.videos, settings, frames.videos[0].frames.shape[1])
    searched: dict[str, Searched] = {}
    found = []
    for row in rows:
        name = row.sampling.name
        if name not in searched:
            searched[name] = search_row(frames, row.sampling, settings.library)
        aligner = row.make()
        warm = searched[name].candidates[:1]
        for candidate in warm:  # the first call of a network or of numpy's is slow
            aligner.align(candidate.similarity)
        found.append(
            figures_of(
                row, frames, searched[name], align_set(searched[name], aligner),
                min_score=_min_score(row, min_scores, settings),
                decoding=decoding,
            )
        )  # fmt: skip
        console.print(f"{row.name}: F1 {100 * found[-1].f1:.1f}")
    return found, decoding


def _min_score(row: Row, min_scores: dict[str, float], settings: Settings) -> float:
    """The default row has the service's own, whatever would have been chosen for it."""
    if (row.sampling.name, row.aligner) == (KEY_FRAMES, DETECTOR):
        return settings.library.min_score
    return min_scores.get(row.name, settings.library.min_score)


def report_of(
    frames: SetFrames,
    figures: list[Figures],
    targets: list[Target],
    decoding: DecodeCosts,
    wall_seconds: float,
) -> dict[str, Any]:
    """All figures as plain values."""
    return {
        "machine": machine(),
        "model_version": frames.model_version,
        "video_hours": frames.video_hours,
        "videos": len(frames.videos),
        "unanswered": frames.unanswered,
        "wall_seconds": wall_seconds,
        "decode_cpu_seconds_per_hour": {
            "candidates": decoding.candidates,
            "one_a_second": decoding.one_a_second,
            "everything": decoding.everything,
        },
        "encode_frame_seconds": frames.encode_frame_seconds,
        "rows": [one.to_json() for one in figures],
        "targets": [
            {"name": one.name, "value": one.value, "target": one.target, "further": one.further,
             "between": one.between, "unit": one.unit, "reached": one.reached}
            for one in targets
        ],
    }  # fmt: skip


def main(
    dataset: Annotated[Path, typer.Argument(help="references/, queries/, pairs.csv, labels.json")],
    json: Annotated[Path | None, typer.Option(help="Write all figures here.")] = None,
    plots: Annotated[Path | None, typer.Option(help="Write the curves into this folder.")] = None,
    rows: Annotated[str, typer.Option(help="Only rows with this in their name.")] = "",
    curves: Annotated[bool, typer.Option(help="Also other densities, for the curves.")] = True,
    detector: Annotated[list[str] | None, typer.Option(help="NAME=PATH of a detector.")] = None,
    min_scores: Annotated[Path, typer.Option(help="Of `tuning.min_scores`.")] = CHOSEN,
    kept: Annotated[Path, typer.Option(help="Frames of earlier runs.")] = Path("runs/frames"),
) -> None:
    """Measure every choice of frames and aligner on a labelled set."""
    console, settings, before = Console(), load_settings(), time.perf_counter()
    try:
        weights, chosen = weights_of(detector or []), read_min_scores(min_scores)
        frames = read_set_frames(dataset, settings, kept, console)
        figures, decoding = run(frames, settings, rows, curves, weights, chosen, console)
    except (ModelError, SettingsError) as error:
        console.print(f"error: {error}", markup=False, soft_wrap=True)
        raise typer.Exit(2) from error
    targets = targets_of(figures, decoding)
    wall = time.perf_counter() - before
    edits = edit_table(figures)
    title = f"{dataset.name}, {frames.model_version}, {frames.video_hours:.2f} video-hours"
    console.print(main_table(figures, title), cost_table(figures), *([edits] if edits else []))
    console.print(target_table(targets), f"{wall:.0f} seconds in all")
    if json is not None:
        report = report_of(frames, figures, targets, decoding, wall)
        json.write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2))
    if plots is not None:
        console.print(*write_plots(figures, plots))


if __name__ == "__main__":
    typer.run(main)
