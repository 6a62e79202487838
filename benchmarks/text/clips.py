"""What the temporal part of the video tower adds: clips of several photos, captions of several.

    python -m benchmarks.text.clips DATA [--pair FOLDER] [--split val] [--seed N] [--json FILE]

Photos that training didn't see become clips of a few cuts, their captions one sentence with "then"
between them. Each way to make a clip's vector ranks the same clips for the same sentences; "as
served" is the tower's vector or that of a shot by itself, less `search.moment_margin`. Order
is asked for by itself: whether the sentence is nearer to its clip than to the same clip played
backwards; a way that doesn't look at order gets half of these right, as a tie is half.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import orjson
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.copies.tables import machine
from benchmarks.text.shots import (
    JOINTS,
    ClipSet,
    ClipVectors,
    Part,
    Pictures,
    Vectors,
    clip_vectors,
    make_clips,
    nearest_shots,
    read_shots,
)
from models.metrics.recall import Retrieval, retrieval_of
from models.text_video.serve import TextEncoder, VideoEncoder, open_pair
from stream.search.settings import SearchSettings

# Joined to one clip, as their captions are to one text. Set by hand.
SHOTS = (2, 3)


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


def tower_vectors(seen: ClipVectors) -> Vectors:
    """(N, D) unit rows, by the whole tower."""
    return seen.whole


def mean_vectors(seen: ClipVectors) -> Vectors:
    """The same by the mean of the vectors of each frame alone: no temporal part."""
    mean = seen.frames.mean(axis=1)
    found: Vectors = mean / np.linalg.norm(mean, axis=1, keepdims=True)
    return found


def first_vectors(seen: ClipVectors) -> Vectors:
    """The same by the first frame, as if a clip were its opening picture."""
    return seen.frames[:, 0]


WAYS: dict[str, Callable[[ClipVectors], Vectors]] = {
    "the tower": tower_vectors,
    "mean of frames": mean_vectors,
    "first frame": first_vectors,
}


def both_ways(
    video: VideoEncoder, pictures: Pictures, groups: NDArray[np.intp]
) -> tuple[ClipVectors, ClipVectors]:
    """Of clips, (N, T) places of their photos, and of the same clips backwards."""
    forth = clip_vectors(video, pictures, groups)
    back = np.stack([video.embed(pictures[group[::-1]]) for group in groups])
    return forth, ClipVectors(back, forth.frames[:, ::-1])


def figures_of(
    text: TextEncoder, made: ClipSet, forth: ClipVectors, back: ClipVectors
) -> list[Figures]:
    """Rank a set of clips in every way."""
    texts = text.embed(made.texts)
    least = nearest_shots(texts, forth.frames) - SearchSettings().moment_margin
    found = []
    for way, vectors in WAYS.items():
        both = [texts @ vectors(seen).T for seen in (forth, back)]
        found.append(_figures(way, made, *both))
        if vectors is tower_vectors:
            found.append(_figures("as served", made, *(np.maximum(one, least) for one in both)))
    return found


def _figures(way: str, made: ClipSet, forth: Vectors, back: Vectors) -> Figures:
    """Of (N, N) similarities of sentences and clips, and of clips backwards."""
    ranks: Retrieval = retrieval_of(forth, np.arange(len(forth)))
    order = in_order(forth.diagonal(), back.diagonal())
    return Figures(way, made.language, made.groups.shape[1], len(forth), ranks.r_sum, order)


def in_order(forth: Vectors, back: Vectors) -> float:
    """Percent of sentences nearer to their clip than to it backwards; a tie counts half."""
    ahead = forth - back
    ahead[np.abs(ahead) < 1e-6] = 0
    return 50 * float((np.sign(ahead) + 1).mean())


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
    """Rank clips of several photos by sentences of several captions."""
    opened = open_pair(pair, threads=2)
    photos, pictures = read_shots(data, split, opened.video.input_size, seed)
    found = []
    for shots in SHOTS:
        sets = [make_clips(photos, language, shots, seed) for language in JOINTS]
        seen = both_ways(opened.video, pictures, sets[0].groups)
        found += [figures for made in sets for figures in figures_of(opened.text, made, *seen)]
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
