"""What the temporal part of the video tower adds: clips of several photos, captions of several.

    python -m benchmarks.text.clips DATA RUN [--seed N] [--json FILE]

Photos that training didn't see become clips of a few cuts, their captions one sentence with "then"
between them. Each way to make a clip's vector ranks the same clips for the same sentences; "as
served" is the tower's vector or that of a shot by itself, less `search.moment_margin`. Order
is asked for by itself: whether the sentence is nearer to its clip than to the same clip played
backwards; a way that doesn't look at order gets half of these right, as a tie is half.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import orjson
import torch
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn import functional

from benchmarks.copies.tables import machine
from models.metrics.recall import Retrieval, retrieval_of
from models.text_video.features import TRAINING_VIEWS
from models.text_video.network import TextVideoNetwork
from models.text_video.run import FEATURES, HELD_VIEWS, Split, load_split
from models.text_video.tokenizer import CaptionTokenizer
from models.text_video.train import trained_network
from models.text_video.trunk import load_trunk
from models.text_video.validate import text_vectors
from stream.search.settings import SearchSettings

JOINTS = {"en": ", then ", "zh": "，然后"}
# Joined to one clip, as their captions are to one text. Set by hand.
SHOTS = (2, 3)

Vectors = NDArray[np.float32]
Way = Callable[[TextVideoNetwork, Tensor], Tensor]


@dataclass(frozen=True)
class Figures:
    """Of one way, language and number of shots.

    Attributes:
        r_sum: both directions, at most 600.
        in_order: percent of sentences nearer to the clip than to the clip backwards.
    """

    way: str
    language: str
    shots: int
    clips: int
    r_sum: float
    in_order: float


def tower_vectors(network: TextVideoNetwork, regions: Tensor) -> Tensor:
    """(N, T, R, C) regions of clips to (N, D) unit rows, by the whole tower."""
    count, shots = regions.shape[:2]
    vectors: Tensor = network.video(
        regions.flatten(0, 1), torch.ones(count, shots, dtype=torch.bool)
    ).vectors
    return vectors


def mean_vectors(network: TextVideoNetwork, regions: Tensor) -> Tensor:
    """The same by the mean of the vectors of each frame alone: no temporal part."""
    count, shots = regions.shape[:2]
    alone = network.video(regions.flatten(0, 1), torch.ones(count * shots, 1, dtype=torch.bool))
    return functional.normalize(alone.vectors.view(count, shots, -1).mean(dim=1), dim=-1)


def first_vectors(network: TextVideoNetwork, regions: Tensor) -> Tensor:
    """The same by the first frame, as if a clip were its opening picture."""
    return tower_vectors(network, regions[:, :1])


WAYS: dict[str, Way] = {
    "the tower": tower_vectors,
    "mean of frames": mean_vectors,
    "first frame": first_vectors,
}


@dataclass(frozen=True)
class ClipSet:
    """Clips with a sentence each.

    Attributes:
        regions: (N, T, R, C) float32.
        captions: N, of T captions each.
        language: `en` or `zh`.
    """

    regions: Tensor
    captions: list[list[str]]
    language: str

    @property
    def texts(self) -> list[str]:
        """N sentences, of all captions of a clip."""
        return [JOINTS[self.language].join(told) for told in self.captions]


def make_clips(split: Split, language: str, shots: int, seed: int) -> ClipSet:
    """Every photo once, in groups of some shots, with a drawn caption each.

    Args:
        split: of photos that have captions in the language.
        language: `en` or `zh`.
        shots: photos a clip.
        seed: of the groups and captions.
    """
    random = np.random.default_rng(seed)
    groups = random.permutation(len(split.photos))[: len(split.photos) // shots * shots]
    told = [
        [str(random.choice(split.photos[photo].captions[language])).rstrip(" .。")
         for photo in group]
        for group in groups.reshape(-1, shots)
    ]  # fmt: skip
    view = split.features.view("full")
    regions = split.features.regions[groups, view].astype(np.float32)
    return ClipSet(torch.from_numpy(regions.reshape(-1, shots, *regions.shape[1:])), told, language)


@torch.inference_mode()
def figures_of(
    network: TextVideoNetwork, tokenizer: CaptionTokenizer, made: ClipSet, language: str
) -> list[Figures]:
    """Rank a set of clips in every way."""
    ids = tokenizer.ids(made.texts, network.config.max_tokens)
    texts = text_vectors(network, ids, "cpu")
    count, shots = made.regions.shape[:2]
    margin = SearchSettings().moment_margin
    nearest = nearest_shots(network, made.regions, texts)
    found = []
    for way, vectors in WAYS.items():
        forth, back = (texts @ vectors(network, one).numpy().T
                       for one in (made.regions, made.regions.flip(1)))  # fmt: skip
        found.append(_figures(way, language, shots, forth, back))
        if vectors is tower_vectors:
            both = (np.maximum(one, nearest - margin) for one in (forth, back))
            found.append(_figures("as served", language, shots, *both))
    return found


def nearest_shots(network: TextVideoNetwork, regions: Tensor, texts: Vectors) -> Vectors:
    """(M, N) texts by clips: the similarity of the nearest of a clip's shots, each by itself."""
    count, shots = regions.shape[:2]
    alone = tower_vectors(network, regions.flatten(0, 1)[:, None]).numpy()
    found: Vectors = (texts @ alone.T).reshape(len(texts), count, shots).max(axis=2)
    return found


def _figures(way: str, language: str, shots: int, forth: Vectors, back: Vectors) -> Figures:
    """Of (N, N) similarities of sentences and clips, and of clips backwards."""
    ranks: Retrieval = retrieval_of(forth, np.arange(len(forth)))
    order = in_order(forth.diagonal(), back.diagonal())
    return Figures(way, language, shots, len(forth), ranks.r_sum, order)


def in_order(forth: Vectors, back: Vectors) -> float:
    """Percent of sentences nearer to their clip than to it backwards; a tie counts half."""
    ahead = forth - back
    ahead[np.abs(ahead) < 1e-6] = 0
    return 50 * float((np.sign(ahead) + 1).mean())


def open_run(
    run: Path, data: Path, features: Path, name: Literal["train", "val"] = "val"
) -> tuple[TextVideoNetwork, CaptionTokenizer, Split]:
    """A trained pair, and photos as its trunk sees them: those that it didn't see, or did."""
    network = trained_network(run)
    tokenizer = CaptionTokenizer.load(run / "tokenizer.json")
    trunk = load_trunk(network.config.trunk)
    views = HELD_VIEWS if name == "val" else TRAINING_VIEWS
    return network, tokenizer, load_split(data, name, trunk, features, views=views)


def main(
    data: Annotated[
        Path, typer.Argument(help="Photos and captions, as `train text-video` reads them.")
    ],
    run: Annotated[Path, typer.Argument(help="The folder of a run of `train text-video`.")],
    seed: Annotated[int, typer.Option(help="Of groups and captions.")] = 1,
    json: Annotated[Path | None, typer.Option(help="Figures go here.")] = None,
    features: Annotated[Path, typer.Option(help="What the trunk sees is kept here.")] = FEATURES,
) -> None:
    """Rank clips of several photos by sentences of several captions."""
    network, tokenizer, split = open_run(run, data, features)
    found = [
        figures
        for shots in SHOTS
        for language in JOINTS
        for figures in figures_of(
            network, tokenizer, make_clips(split, language, shots, seed), language
        )
    ]
    table = Table("shots", "language", "clips", "way", title="clips of photos, joined captions")
    for heading in ("R@sum", "in order, %"):
        table.add_column(heading, justify="right")
    for row in found:
        table.add_row(
            str(row.shots), row.language, str(row.clips), row.way,
            f"{row.r_sum:.1f}", f"{row.in_order:.1f}",
        )  # fmt: skip
    Console().print(table)
    if json is not None:
        report: dict[str, Any] = {"machine": machine(), "rows": [asdict(row) for row in found]}
        json.write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2))


if __name__ == "__main__":
    typer.run(main)
