"""Whether a thing in one shot of ten is found, as often as the same thing alone.

    python -m benchmarks.text.one_of_ten DATA RUN [--seed N] [--json FILE]

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
import torch
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.copies.tables import machine
from benchmarks.text.clips import open_run, tower_vectors
from models.text_video.network import TextVideoNetwork
from models.text_video.run import FEATURES, Split
from models.text_video.tokenizer import CaptionTokenizer
from models.text_video.towers import evenly_spread
from models.text_video.validate import text_vectors, video_vectors
from stream.search.settings import SearchSettings

LANGUAGES = ("en", "zh")
SHOTS = 10
RANK = 10

Vectors = NDArray[np.float32]


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


@torch.inference_mode()
def figures_of(
    network: TextVideoNetwork, tokenizer: CaptionTokenizer, split: Split, seed: int
) -> list[Figures]:
    """Every photo in one clip, every shot of every clip asked for by one caption, by language."""
    random = np.random.default_rng(seed)
    groups = random.permutation(len(split.photos))[: len(split.photos) // SHOTS * SHOTS]
    groups = groups.reshape(-1, SHOTS)  # (N, 10)
    alone = video_vectors(network, split.features, "cpu")  # (P, D)
    view = split.features.view("full")
    seen = groups[:, evenly_spread(SHOTS, min(network.config.max_frames, SHOTS))]
    regions = torch.from_numpy(split.features.regions[seen, view].astype(np.float32))
    whole = tower_vectors(network, regions).numpy()  # (N, D)
    found = []
    for language in LANGUAGES:
        told = [str(random.choice(photo.captions[language])) for photo in split.photos]
        texts = text_vectors(network, tokenizer.ids(told, network.config.max_tokens), "cpu")
        shares = np.mean([_found(texts, alone, whole, groups, shot) for shot in range(SHOTS)], 0)
        found.append(Figures(language, len(groups), *(100 * shares).round(1).tolist()))
    return found


def _found(
    texts: Vectors, alone: Vectors, whole: Vectors, groups: NDArray[np.intp], shot: int
) -> list[float]:
    """Shares of captions of one shot that find their clip, in each of the four ways."""
    asks = texts[groups[:, shot]]  # (N, D)
    frames = (asks @ alone[groups.ravel()].T).reshape(len(asks), -1, SHOTS)  # (N, N, 10)
    nearest, together = frames.max(axis=2), asks @ whole.T
    served = np.maximum(together, nearest - SearchSettings().moment_margin)
    ways = together, nearest, served, frames[:, :, shot]
    return [in_first(similarities) for similarities in ways]


def in_first(similarities: Vectors) -> float:
    """Share of rows, (N, N), whose own column is among the ten nearest."""
    own = similarities.diagonal()[:, None]
    return float(((similarities > own).sum(axis=1) < RANK).mean())


def main(
    data: Annotated[
        Path, typer.Argument(help="Photos and captions, as `train text-video` reads them.")
    ],
    run: Annotated[Path, typer.Argument(help="The folder of a run of `train text-video`.")],
    seed: Annotated[int, typer.Option(help="Of groups and captions.")] = 1,
    json: Annotated[Path | None, typer.Option(help="Figures go here.")] = None,
    features: Annotated[Path, typer.Option(help="What the trunk sees is kept here.")] = FEATURES,
) -> None:
    """Look for one shot of ten."""
    network, tokenizer, split = open_run(run, data, features)
    rows = figures_of(network, tokenizer, split, seed)
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
