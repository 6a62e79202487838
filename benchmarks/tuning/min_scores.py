"""Chooses each row's least score of `same_source`, on sets that nobody is judged by.

    python -m benchmarks.tuning.min_scores SET... [--out benchmarks/tuning/min_scores.json]

Make the sets of training clips with `copies/made_copies.py`. Run it again when the encoder,
a selector or an aligner has changed. Of scores that are within a point of the best F1, which two
sets of this size can't tell apart, the highest is taken: a false alarm costs somebody's time.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import orjson
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.copies.rows import key_frames_of, rows_of, search_row
from benchmarks.copies.set_frames import read_set_frames
from benchmarks.library.set_search import align_set
from models.metrics import score_pairs
from stream.errors import SettingsError
from stream.settings import load_settings

# The grid: `min_score` is a setting with two digits.
MIN_SCORES = tuple(twentieth / 20 for twentieth in range(20))
# F1 that is given up for a higher threshold: of scores that are as good, the one with fewest false
# alerts. Set by hand.
AS_GOOD = 0.01
CHOSEN = Path(__file__).parent / "min_scores.json"


def read_min_scores(path: Path) -> dict[str, float]:
    """By row.

    Raises:
        SettingsError: missing or malformed.
    """
    try:
        found = orjson.loads(path.read_bytes())
        return {str(row): float(fields["min_score"]) for row, fields in found.items()}
    except (OSError, orjson.JSONDecodeError, AttributeError, KeyError, TypeError) as error:
        raise SettingsError(
            f"{path} can't be read ({type(error).__name__}: {error}): make it with "
            "`python -m benchmarks.tuning.min_scores SET...`"
        ) from error


def weights_of(named: list[str]) -> dict[str, Path]:
    """`NAME=PATH` options, in order.

    Raises:
        SettingsError: one is malformed or names no file.
    """
    found: dict[str, Path] = {}
    for one in named:
        name, given, path = one.partition("=")
        if not given or not Path(path).is_file():
            raise SettingsError(f"--detector {one!r}: expected NAME=PATH of an ONNX file")
        found[name] = Path(path)
    return found


def surest(f1: NDArray[np.float64]) -> int:
    """The last of the scores whose F1, (N,), is within `AS_GOOD` of the best."""
    return int(np.flatnonzero(f1 >= f1.max() - AS_GOOD)[-1])


def main(
    sets: Annotated[list[Path], typer.Argument(help="Labelled sets of training footage.")],
    out: Annotated[Path, typer.Option(help="The file to write.")] = CHOSEN,
    detector: Annotated[list[str] | None, typer.Option(help="NAME=PATH of a detector.")] = None,
    kept: Annotated[Path, typer.Option(help="Frames of earlier runs.")] = Path("runs/frames"),
) -> None:
    """Choose the least score of each row by the mean VCSL F1 over the candidates and labels."""
    console, settings = Console(), load_settings()
    scores: dict[str, list[list[float]]] = {}
    for folder in sets:
        frames = read_set_frames(folder, settings, kept, console)
        key_frames = key_frames_of(frames, settings.key_frames)
        rows = rows_of(frames, key_frames, weights_of(detector or []))
        samplings = {row.sampling.name: row.sampling for row in rows}
        made = {
            name: search_row(frames, sampling, settings.library)
            for name, sampling in samplings.items()
        }
        for row in rows:
            found = made[row.sampling.name]
            aligned = align_set(found, row.make(), known_only=True)
            labels = frames.copies.labels
            pairs = sorted({one.pair for one in found.candidates if one.known} | labels.keys())
            scores.setdefault(row.name, []).append(
                [score_pairs(aligned.at(least), labels, pairs).f1 for least in MIN_SCORES]
            )
            console.print(f"{folder.name}: {row.name}: {max(scores[row.name][-1]):.3f}")
    table = Table("row", "least score", "F1", *(folder.name for folder in sets))
    report = {}
    for row_name, found_scores in scores.items():
        mean = np.mean(found_scores, axis=0)
        best = surest(mean)
        by_set = [each[best] for each in found_scores]
        report[row_name] = {"min_score": MIN_SCORES[best], "f1": float(mean[best])}
        table.add_row(
            row_name, f"{MIN_SCORES[best]:.2f}", f"{mean[best]:.3f}",
            *(f"{f1:.3f}" for f1 in by_set),
        )  # fmt: skip
    console.print(table)
    out.write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2) + b"\n")


if __name__ == "__main__":
    typer.run(main)
