"""The harder school's edits on footage of one's own, frame by frame, each kind alone and several.

    python -m benchmarks.copies.hard_frames SET [ENCODER...] [--json FILE]

Of two frames a second of `SET/references` every second one is in the library; some are asked for,
edited. A right answer is of the same video within two seconds. Drawn pages of templates that no
training saw are an exam of their own: there the very page is right. Score offsets count.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import orjson
import torch
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor

from models.encoder.school import HELD_FAMILIES
from models.encoder.serve import FrameEncoder, default_encoder_path
from models.encoder.validate import Retrieval, RetrievalTask, rank
from models.encoder.validate_hard import hard_task, page_task
from models.training.edits.batch_edits import EDITS, Weighted
from models.training.edits.drawn_pages import page_families
from models.training.edits.overlay_bank import overlay_bank
from models.training.picture_pack import PicturePack, packed
from models.training.pictures import load_clip

# Pixels of the pictures before they are edited, so that a crop still fills the encoder's input.
SIDE = 192
SEVERAL = {"two edits": 2, "up to four edits": 4}  # edits on one picture, at the most


def exams(
    pack: PicturePack, overlays: dict[str, Tensor], size: int, query_every: int
) -> dict[str, RetrievalTask]:
    """By name: each kind of edit alone, several together; all have one library."""
    singles: dict[str, tuple[Weighted, int]] = {n: ({n: e}, 1) for n, e in EDITS.items()}
    several: dict[str, tuple[Weighted, int]] = {n: (EDITS, most) for n, most in SEVERAL.items()}
    found: dict[str, RetrievalTask] = {}
    for name, (edits, most) in track({**singles, **several}.items(), "edits", transient=True):
        found[name] = hard_task(
            pack, overlays, size=size, query_every=query_every, most=most, edits=edits,
            like=next(iter(found.values()), None),
        )  # fmt: skip
    return found


def measured(
    encoder: FrameEncoder, tasks: dict[str, RetrievalTask], pages: RetrievalTask
) -> dict[str, Retrieval]:
    """An encoder as it serves, with its score biases, on all exams."""
    known = encoder.describe(next(iter(tasks.values())).library)
    found = {
        name: rank(task, known, encoder.describe(task.queries)) for name, task in tasks.items()
    }
    shown, asked = encoder.describe(pages.library), encoder.describe(pages.queries)
    return {**found, "pages": rank(pages, shown, asked)}


def main(
    dataset: Annotated[Path, typer.Argument(help="A folder with references/*.mp4.")],
    encoders: Annotated[list[Path] | None, typer.Argument(help="The shipped one without.")] = None,
    query_every: Annotated[int, typer.Option(help="One frame in so many is asked for.")] = 12,
    json: Annotated[Path | None, typer.Option(help="Write all figures here.")] = None,
) -> None:
    """Print recall@1 and µAP of every encoder on every exam."""
    torch.set_num_threads(1)
    clips = [load_clip(path) for path in sorted((dataset / "references").glob("*.mp4"))]
    families = page_families(range(HELD_FAMILIES, HELD_FAMILIES + 8), 10, SIDE)
    pack, overlays = packed(clips, [], families, side=SIDE), overlay_bank(SIDE, each=40)
    opened = [FrameEncoder(path) for path in encoders or [default_encoder_path()]]
    figures: dict[str, dict[str, Retrieval]] = {}
    for size in sorted({encoder.input_size for encoder in opened}):
        tasks = exams(pack, overlays, size, query_every)
        pages = page_task(pack, overlays, size=size)
        for encoder in [one for one in opened if one.input_size == size]:
            figures[f"{encoder.model_version} at {size}"] = measured(encoder, tasks, pages)
    console = Console(soft_wrap=True)
    table = Table("edit", *figures, title="recall@1, µAP in %")
    for name in next(iter(figures.values())):
        rows = [found[name] for found in figures.values()]
        cells = [f"{100 * r.recall_at_1:.1f}, {100 * r.average_precision:.1f}" for r in rows]
        table.add_row(name, *cells)
    means = [np.mean([f[n].recall_at_1 for n in EDITS]) for f in figures.values()]
    table.add_row("mean of the kinds", *(f"{100 * mean:.1f}" for mean in means))
    console.print(table)
    if json is not None:
        json.write_bytes(orjson.dumps(figures, option=orjson.OPT_INDENT_2))


if __name__ == "__main__":
    typer.run(main)
