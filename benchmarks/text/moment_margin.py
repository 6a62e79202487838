"""What a moment must be nearer by than a whole video: both kinds of question, over margins.

    python -m benchmarks.text.moment_margin DATA RUN [--split train] [--json FILE]

A caption of one shot of ten should find its clip, which a margin of 0 serves best; a sentence of
two shots should find the clip that shows both, and not all those that show one half, which a large
margin serves best. Choose on photos that the pair learned from.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import orjson
import torch
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.copies.tables import machine
from benchmarks.text.clips import (
    Vectors,
    make_clips,
    nearest_shots,
    open_run,
    tower_vectors,
)
from benchmarks.text.one_of_ten import LANGUAGES, SHOTS, in_first
from models.metrics.recall import retrieval_of
from models.text_video.features import Features
from models.text_video.network import TextVideoNetwork
from models.text_video.run import FEATURES, Split
from models.text_video.tokenizer import CaptionTokenizer
from models.text_video.towers import evenly_spread
from models.text_video.validate import text_vectors

MARGINS = (0.0, 0.04, 0.08, 0.1, 0.12, 0.15, 0.2, 1.0)
PHOTOS = 1000  # as many as validation has
PAIR = 2  # shots of a sentence that names all of them


@torch.inference_mode()
def by_margin(
    network: TextVideoNetwork, tokenizer: CaptionTokenizer, split: Split, language: str, seed: int
) -> dict[float, tuple[float, float]]:
    """R@10 of one shot of ten, percent, and R@sum of sentences of two shots, at each margin."""
    whole, nearest = [], []
    for shots in (SHOTS, PAIR):
        made = make_clips(split, language, shots, seed)
        asked = [told[0] for told in made.captions] if shots == SHOTS else made.texts
        texts = text_vectors(network, tokenizer.ids(asked, network.config.max_tokens), "cpu")
        whole.append(texts @ _together(network, made.regions).T)
        nearest.append(nearest_shots(network, made.regions, texts))
    found = {}
    for margin in MARGINS:
        ten, pair = (
            np.maximum(one, shot - margin) for one, shot in zip(whole, nearest, strict=True)
        )
        found[margin] = 100 * in_first(ten), retrieval_of(pair, np.arange(len(pair))).r_sum
    return found


def some_photos(split: Split, seed: int) -> Split:
    """As many as validation has, drawn."""
    drawn = np.random.default_rng(seed).permutation(len(split.photos))[:PHOTOS]
    chosen = np.sort(drawn).tolist()
    features = split.features
    names = [features.names[place] for place in chosen]
    return Split(
        Features(names, features.views, features.regions[chosen]),
        [split.photos[place] for place in chosen],
    )


def _together(network: TextVideoNetwork, regions: torch.Tensor) -> Vectors:
    """By the tower, of as many evenly spread shots as it looks at."""
    most = min(network.config.max_frames, regions.shape[1])
    seen = evenly_spread(regions.shape[1], most)
    found: Vectors = tower_vectors(network, regions[:, seen]).numpy()
    return found


def main(
    data: Annotated[
        Path, typer.Argument(help="Photos and captions, as `train text-video` reads them.")
    ],
    run: Annotated[Path, typer.Argument(help="The folder of a run of `train text-video`.")],
    split: Annotated[Literal["train", "val"], typer.Option(help="Of the photos.")] = "train",
    seed: Annotated[int, typer.Option(help="Of photos, groups and captions.")] = 1,
    json: Annotated[Path | None, typer.Option(help="Figures go here.")] = None,
    features: Annotated[Path, typer.Option(help="What the trunk sees is kept here.")] = FEATURES,
) -> None:
    """Sweep the margin."""
    network, tokenizer, seen = open_run(run, data, features, split)
    some = some_photos(seen, seed)
    rows = {language: by_margin(network, tokenizer, some, language, seed) for language in LANGUAGES}
    table = Table("margin", title=f"{len(some.photos)} photos of {split}")
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
