"""Whether a thing in one shot of ten is found, as often as the same thing alone.

    python -m benchmarks.text.one_of_ten DATA [--pair FOLDER] [--split val] [--seed N] [--json FILE]

Photos that training didn't see become clips of ten shots. A caption of one of the ten looks for its
clip among all clips: by the clip's one vector, by its nearest frame, and as search serves it, by
the nearer of the two, where a frame has to be nearer by `search.moment_margin`. Beside it the same
captions look for those photos among as many photos alone.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import orjson
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.copies.tables import machine
from benchmarks.text.shots import (
    ClipVectors,
    Part,
    Pictures,
    Vectors,
    clip_vectors,
    draw_groups,
    nearest_shots,
    read_shots,
)
from models.text_video.captions import Photo
from models.text_video.serve import Pair, open_pair
from stream.search.settings import SearchSettings

LANGUAGES = ("en", "zh")
SHOTS = 10
RANK = 10


@dataclass(frozen=True)
class Figures:
    """R@10 among all clips, percent, of captions of one shot of each.

    Attributes:
        vector: by the clip's vector, of the frames that the tower looks at together.
        nearest: by the nearest of its frames' vectors, all ten of them.
        served: by either, as search has it.
        alone: of the photo alone, among as many photos.
    """

    language: str
    clips: int
    vector: float
    nearest: float
    served: float
    alone: float


def figures_of(pair: Pair, photos: list[Photo], pictures: Pictures, seed: int) -> list[Figures]:
    """Every photo in one clip, every shot of every clip asked for by one caption, by language."""
    random = np.random.default_rng(seed)
    groups = draw_groups(len(photos), SHOTS, random)  # (N, 10)
    seen = clip_vectors(pair.video, pictures, groups)
    alone = np.stack([pair.video.embed(picture[None]) for picture in pictures])  # (P, D)
    found = []
    for language in LANGUAGES:
        told = [str(random.choice(photo.captions[language])) for photo in photos]
        texts = pair.text.embed(told)
        shares = [_found(texts[places], seen, alone[places]) for places in groups.T]
        mean = 100 * np.mean(shares, axis=0)
        found.append(Figures(language, len(groups), *mean.round(1).tolist()))
    return found


def _found(asks: Vectors, seen: ClipVectors, alone: Vectors) -> list[float]:
    """Shares of captions that find their clip, in each of the four ways.

    Args:
        asks: (N, D) unit rows, a caption of one shot of each clip.
        seen: the clips.
        alone: (N, D) unit rows of those shots' photos.
    """
    nearest, together = nearest_shots(asks, seen.frames), asks @ seen.whole.T
    served = np.maximum(together, nearest - SearchSettings().moment_margin)
    return [in_first(ranked) for ranked in (together, nearest, served, asks @ alone.T)]


def in_first(similarities: Vectors) -> float:
    """Share of rows, (N, N), whose own column is among the ten nearest."""
    own = similarities.diagonal()[:, None]
    return float(((similarities > own).sum(axis=1) < RANK).mean())


def main(
    data: Annotated[
        Path, typer.Argument(help="Photos and captions, as `train text-video` reads them.")
    ],
    pair: Annotated[
        Path | None, typer.Option(help="Folder of an exported pair; the shipped one without.")
    ] = None,
    split: Annotated[Part, typer.Option(help="Of the photos.")] = "val",
    seed: Annotated[int, typer.Option(help="Of photos, groups and captions.")] = 1,
    json: Annotated[Path | None, typer.Option(help="Figures go here.")] = None,
) -> None:
    """Look for one shot of ten."""
    opened = open_pair(pair, threads=2)
    rows = figures_of(opened, *read_shots(data, split, opened.video.input_size, seed), seed)
    table = Table("language", "clips", title=f"one shot of {SHOTS}, R@{RANK} in %")
    for heading in ("one vector", "nearest frame", "as served", "the photo alone"):
        table.add_column(heading, justify="right")
    for row in rows:
        shown = [f"{one:.1f}" for one in (row.vector, row.nearest, row.served, row.alone)]
        table.add_row(row.language, str(row.clips), *shown)
    Console().print(table)
    if json is not None:
        report: dict[str, Any] = {"machine": machine(), "rows": [asdict(row) for row in rows]}
        json.write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2))


if __name__ == "__main__":
    typer.run(main)
