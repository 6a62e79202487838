"""What encoder files cost a frame, and how far apart they are.

    python -m benchmarks.tuning.encoder_cost FILE... [--data DIR]

Files take turns, so that a busy moment of the machine meets all of them; the best turn counts. With
the training data, the descriptors of each file are held against the first one's.
"""

import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.copies.tables import machine
from models.encoder.quantise import frames_of
from models.encoder.serve import FrameEncoder

BATCH = 32  # `encoder.batch`'s default
TURNS = 12  # the best is told, as other work on the machine only ever adds time


def milliseconds(encoders: dict[str, FrameEncoder]) -> dict[str, float]:
    """The best turn of each, milliseconds a frame on one thread."""
    random = np.random.default_rng(0)
    best = dict.fromkeys(encoders, float("inf"))
    for turn in range(TURNS + 1):
        for name, encoder in encoders.items():
            size = encoder.input_size
            frames = random.integers(0, 256, (BATCH, size, size, 3), np.uint8)
            before = time.perf_counter()
            encoder.describe(frames)
            if turn:
                spent = 1000 * (time.perf_counter() - before) / BATCH
                best[name] = min(best[name], spent)
    return best


def main(
    files: Annotated[list[Path], typer.Argument(help="Exported encoders.")],
    data: Annotated[Path | None, typer.Option(help="clips/*.mp4, to compare them on.")] = None,
) -> None:
    """Print milliseconds a frame, and how close descriptors are to the first file's."""
    console = Console()
    encoders = {str(path): FrameEncoder(path) for path in files}
    close: dict[str, str] = {}
    if data is not None:
        first, *others = encoders
        frames = frames_of(data, encoders[first].input_size)
        own = encoders[first].encode(frames)
        for name in others:
            cosines = (own * encoders[name].encode(frames)).sum(axis=1)
            close[name] = f"{np.median(cosines):.3f}, {np.percentile(cosines, 5):.3f}"
    table = Table("encoder", "ms a frame", "cosine to the first: median, 5th percentile")
    for name, spent in milliseconds(encoders).items():
        table.add_row(name, f"{spent:.2f}", close.get(name, ""))
    console.print(table, machine())


if __name__ == "__main__":
    typer.run(main)
