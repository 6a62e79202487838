"""What a moment must be nearer by than a whole video: both kinds of question, over margins.

    python -m benchmarks.text.moment_margin DATA [--pair FOLDER] [--split train] [--json FILE]

A caption of one shot of ten should find its clip, which a margin of 0 serves best; a sentence of
two shots should find the clip that shows both, and not all those that show one half, which a large
margin serves best. Choose on photos that the pair learned from.
"""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import orjson
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.copies.tables import machine
from benchmarks.text.one_of_ten import LANGUAGES, SHOTS, in_first
from benchmarks.text.shots import (
    Part,
    Pictures,
    Vectors,
    clip_vectors,
    make_clips,
    nearest_shots,
    read_shots,
)
from models.metrics.recall import retrieval_of
from models.text_video.captions import Photo
from models.text_video.serve import Pair, open_pair

MARGINS = (0.0, 0.04, 0.08, 0.1, 0.12, 0.15, 0.2, 1.0)
PAIR = 2  # shots of a sentence that names all of them


def by_margin(
    pair: Pair, photos: list[Photo], pictures: Pictures, seed: int
) -> dict[str, dict[float, tuple[float, float]]]:
    """By language and margin: R@10 of one shot of ten, percent, and R@sum of two shots."""
    scores = {}
    for shots in (SHOTS, PAIR):
        sets = [make_clips(photos, language, shots, seed) for language in LANGUAGES]
        seen = clip_vectors(pair.video, pictures, sets[0].groups)
        for made in sets:
            asked = [told[0] for told in made.captions] if shots == SHOTS else made.texts
            texts = pair.text.embed(asked)
            whole, nearest = texts @ seen.whole.T, nearest_shots(texts, seen.frames)
            scores[made.language, shots] = {
                margin: np.maximum(whole, nearest - margin) for margin in MARGINS
            }
    return {
        language: {
            margin: (100 * in_first(scores[language, SHOTS][margin]), _r_sum(two))
            for margin, two in scores[language, PAIR].items()
        }
        for language in LANGUAGES
    }


def _r_sum(similarities: Vectors) -> float:
    """Of (N, N) similarities of sentences and their clips."""
    return retrieval_of(similarities, np.arange(len(similarities))).r_sum


def main(
    data: Annotated[
        Path, typer.Argument(help="Photos and captions, as `train text-video` reads them.")
    ],
    pair: Annotated[
        Path | None, typer.Option(help="Folder of an exported pair; the shipped one without.")
    ] = None,
    split: Annotated[Part, typer.Option(help="Of the photos.")] = "train",
    seed: Annotated[int, typer.Option(help="Of photos, groups and captions.")] = 1,
    json: Annotated[Path | None, typer.Option(help="Figures go here.")] = None,
) -> None:
    """Sweep the margin."""
    opened = open_pair(pair, threads=2)
    photos, pictures = read_shots(data, split, opened.video.input_size, seed)
    rows = by_margin(opened, photos, pictures, seed)
    table = Table("margin", title=f"{len(photos)} photos of {split}")
    for language in LANGUAGES:
        table.add_column(f"{language}: one shot of {SHOTS}, R@10 in %", justify="right")
        table.add_column(f"{language}: {PAIR} shots, R@sum", justify="right")
    for margin in MARGINS:
        shown = [f"{figure:.1f}" for language in LANGUAGES for figure in rows[language][margin]]
        table.add_row(f"{margin:g}", *shown)
    Console().print(table)
    if json is not None:
        report: dict[str, Any] = {"machine": machine(), "split": split, "rows": rows}
        options = orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS
        json.write_bytes(orjson.dumps(report, option=options))


if __name__ == "__main__":
    typer.run(main)
