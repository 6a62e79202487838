"""Makes probabilities of the pattern detector's scores, on sets that nobody is judged by.

    python -m benchmarks.tuning.calibrate_detector SET... --file models/weights/detector.onnx

The export calibrates on pairs that are pasted together from descriptors; here whole videos were
edited, encoded and searched with the key frames of the settings, as uploads are. Make the sets
of training clips with `copies/made_copies.py`, and one of pages that are no copies with
`copies/page_alerts.py --training-set`. Spans that run backwards don't count: no set has one that is
right. Writes the weights into the file, which gets another version, whatever it was calibrated for.
"""

import shutil
import tempfile
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console

from benchmarks.copies.rows import key_frames_of, search_row
from benchmarks.copies.set_frames import SetFrames, read_set_frames
from benchmarks.library.set_search import Searched
from models.detector.calibrate import fit_logistic, is_right
from models.detector.evidence import FEATURES, FEATURES_WITH_PATHS
from models.detector.export import recalibrated
from models.detector.serve import PatternDetector, PatternDetectorSettings
from models.detector.spans import SpanFinder
from models.errors import ModelError, ModelFileError
from stream.errors import SettingsError
from stream.settings import load_settings

Floats = NDArray[np.float64]
NO_BOX = np.empty((0, 4), np.float32)  # of a pair that copies nothing


def spans_of(
    finder: SpanFinder, frames: SetFrames, searched: Searched, count: int
) -> tuple[list[Floats], list[bool]]:
    """`count` features of all spans of the pairs with a reference, and whether each is right."""
    rows: list[Floats] = []
    right: list[bool] = []
    for candidate in searched.candidates:
        if not candidate.known:
            continue
        labelled = np.asarray(frames.copies.labels.get(candidate.pair, NO_BOX), np.float32)
        for span, own in finder.spans(candidate.similarity):
            if not span.reversed:
                rows.append(own.features(count))
                right.append(is_right(span, labelled))
    return rows, right


def finder_of(file: Path, count: int, *, with_paths: bool) -> SpanFinder:
    """Finds spans with a file's network, whatever features the file was calibrated for.

    Raises:
        ModelError: it is no detector, or can't run here.
    """
    if not file.is_file():
        raise ModelFileError(f"{file}: there is no such file")
    with tempfile.TemporaryDirectory() as folder:
        blank = Path(shutil.copy(file, folder))
        recalibrated(blank, np.zeros(count))
        return PatternDetector(PatternDetectorSettings(path=blank)).finder(with_paths=with_paths)


def main(
    sets: Annotated[list[Path], typer.Argument(help="Labelled sets of training footage.")],
    file: Annotated[Path, typer.Option(help="The detector to calibrate; written anew.")],
    kept: Annotated[Path, typer.Option(help="Frames of earlier runs.")] = Path("runs/frames"),
    paths: Annotated[
        bool, typer.Option("--paths", help="Look at the temporal network's paths too.")
    ] = False,
) -> None:
    """Fit the logistic regression of the scores, and write it into the file."""
    console, settings = Console(), load_settings()
    try:
        count = FEATURES_WITH_PATHS if paths else FEATURES
        finder = finder_of(file, count, with_paths=paths)
        rows: list[Floats] = []
        right: list[bool] = []
        for folder in sets:
            frames = read_set_frames(folder, settings, kept, console)
            sampling = key_frames_of(frames, settings.key_frames).sampling()
            searched = search_row(frames, sampling, settings.library)
            found = spans_of(finder, frames, searched, count)
            rows += found[0]
            right += found[1]
        weights = fit_logistic(np.array(rows), np.array(right, np.float64))
        version = recalibrated(file, weights)
    except (ModelError, SettingsError, ValueError) as error:
        console.print(f"error: {error}", markup=False, soft_wrap=True)
        raise typer.Exit(2) from error
    console.print(f"{len(right)} spans, {sum(right)} right; weights {weights.round(3).tolist()}")
    console.print(f"wrote {file}: {version}")


if __name__ == "__main__":
    typer.run(main)
