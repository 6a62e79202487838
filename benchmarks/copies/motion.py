"""How well motion alone says which second of a reference a copied span shows.

    python -m benchmarks.copies.motion SET...

For every labelled span, the agreement of both videos' motion along the labelled line, and whether
it is the best of all lines up to six seconds earlier or later. Uses the decoder of the service.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.copies.set_frames import SetFrames, VideoFrames, read_set_frames
from models.aligners.base import Segment
from models.aligners.matrix import SimilarityMatrix
from models.detector.lines import LineFinder
from models.video.motion import coarse, coarse_curve, curve_of
from stream.errors import SettingsError
from stream.settings import load_settings

# Seconds that the labelled line is moved by, both ways. Set by hand.
SHIFTS = np.arange(-6.0, 6.01, 0.25)
# Off the label: how many best lines lie within is what the table tells. Set by hand.
NEAR_SECONDS = 0.6
# Of a span: a shorter one has too few steps of motion for an agreement to mean much. Set by hand.
SHORTEST_SECONDS = 3.0


@dataclass(frozen=True)
class SpanMotion:
    """One labelled span.

    Attributes:
        agreement: along the labelled line, in [-1, 1].
        off_seconds: from the labelled line to the one with the best agreement.
    """

    agreement: float
    off_seconds: float


def matrix_of(query: VideoFrames, reference: VideoFrames) -> SimilarityMatrix:
    """Both videos' motion, the reference's as a library keeps it; no frames."""
    none = np.empty(0, np.float32)
    return SimilarityMatrix(
        np.empty((0, 0), np.float32), none, none,
        query.duration_seconds, reference.duration_seconds,
        query_motion=curve_of(query.motion),
        reference_motion=coarse_curve(coarse(reference.motion)),
    )  # fmt: skip


def spans_of(frames: SetFrames) -> list[SpanMotion]:
    """Every labelled span that is long enough to have a curve."""
    videos = {video.video_id: video for video in frames.videos}
    found = []
    for pair, boxes in frames.copies.labels.items():
        query, reference = (videos[name] for name in pair.split("-"))
        finder = LineFinder(matrix_of(query, reference))
        for q0, r0, q1, r1 in np.asarray(boxes, np.float64).tolist():
            if q1 - q0 < SHORTEST_SECONDS:
                continue
            agreements = [
                finder.motion_agreement(Segment(q0, q1, r0 + shift, r1 + shift, 1.0))
                for shift in SHIFTS.tolist()
            ]
            best = float(SHIFTS[int(np.argmax(agreements))])
            found.append(SpanMotion(agreements[len(SHIFTS) // 2], best))
    return found


def main(
    sets: Annotated[list[Path], typer.Argument(help="references/, queries/, labels.json")],
    kept: Annotated[Path, typer.Option(help="Frames of earlier runs.")] = Path("runs/frames"),
) -> None:
    """Print a row for each set."""
    console, settings = Console(), load_settings()
    table = Table("set", "spans", "best line within 0.6 s", "agreement: 10 %, median")
    for folder in sets:
        try:
            found = spans_of(read_set_frames(folder, settings, kept, console))
        except SettingsError as error:
            console.print(f"error: {error}", markup=False, soft_wrap=True)
            raise typer.Exit(2) from error
        near = np.mean([abs(one.off_seconds) <= NEAR_SECONDS for one in found])
        low, middle = np.percentile([one.agreement for one in found], [10, 50])
        table.add_row(
            folder.name, str(len(found)), f"{100 * near:.0f} %", f"{low:.2f}, {middle:.2f}"
        )
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
