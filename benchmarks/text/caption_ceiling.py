"""How much captions say: what finds a photo whose picture is what other people wrote of it.

    python -m benchmarks.text.caption_ceiling CAPTIONS.jsonl [--cache FOLDER] [--json FILE]

A photo stands for the mean of its captions in one language, by each of the sentence encoders that
teach the text tower; a caption that asks isn't among them. No picture is looked at: where these
figures are low, captions don't say which photo is meant, or the encoder doesn't hear it.
"""

from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import orjson
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.copies.tables import machine
from models.text_video.captions import read_captions
from models.text_video.pairs import Pairs, make_pairs
from models.text_video.sentence_jars import JARS
from models.text_video.sentences import DIMENSIONS, MULTILINGUAL, sentence_vectors

LANGUAGES = ("en", "zh")
RANKS = (1, 5, 10)

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Figures:
    """Of captions of one language that look for captions of another, percent."""

    encoder: str
    asks: str
    answers: str
    r1: float
    r5: float
    r10: float


def ranks(asks: Vectors, answers: Vectors, owners: NDArray[np.int64], same: bool) -> NDArray[Any]:
    """How many photos are nearer to each caption than its own.

    Args:
        asks: (M, E) unit rows.
        answers: (M, E) unit rows, of captions of the same photos.
        owners: (M,) int64, the photo of each caption of either side.
        same: whether both are the same captions: a caption isn't compared with itself.
    """
    photos = int(owners.max()) + 1
    sums = np.zeros((photos, answers.shape[1]), np.float32)
    np.add.at(sums, owners, answers)
    counts = np.bincount(owners, minlength=photos)
    means = asks @ (sums / counts[:, None]).T  # (M, P)
    own = means[np.arange(len(asks)), owners]
    if same:
        each = counts[owners]
        own = (own * each - (asks * answers).sum(axis=1)) / (each - 1)
    means[np.arange(len(asks)), owners] = own
    found: NDArray[Any] = (means > own[:, None]).sum(axis=1)
    return found


def languages_of(encoder: str) -> tuple[str, ...]:
    """Those that an encoder knows."""
    return LANGUAGES if encoder == MULTILINGUAL else (LANGUAGES[JARS[encoder].chinese],)


def centred(pairs: Pairs, encoder: str, cache: Path) -> Vectors:
    """(M, E) unit rows of captions, what all have in common taken off."""
    rows = sentence_vectors(pairs.texts, [encoder], cache).astype(np.float32)
    rows -= rows.mean(axis=0)
    away: Vectors = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return away


def main(
    captions: Annotated[Path, typer.Argument(help="A JSON line for each photo.")],
    cache: Annotated[Path, typer.Option(help="Sentence vectors are kept here.")] = Path(
        "runs/text-video-features"
    ),
    json: Annotated[Path | None, typer.Option(help="Figures go here.")] = None,
) -> None:
    """Find photos by what other people wrote of them."""
    photos = read_captions(captions)
    pairs = {language: make_pairs(photos, [language]) for language in LANGUAGES}
    rows = []
    for encoder in DIMENSIONS:
        known = languages_of(encoder)
        vectors = {language: centred(pairs[language], encoder, cache) for language in known}
        for asks, answers in product(known, known):
            same = asks == answers
            found = ranks(vectors[asks], vectors[answers], pairs[asks].photos, same)
            shares = [round(100 * float((found < rank).mean()), 1) for rank in RANKS]
            rows.append(Figures(encoder, asks, answers, *shares))
    table = Table("encoder", "asks", "answers", "R@1", "R@5", "R@10", title=f"{len(photos)} photos")
    for row in rows:
        table.add_row(*(str(value) for value in asdict(row).values()))
    Console().print(table)
    if json is not None:
        report = {"machine": machine(), "rows": [asdict(row) for row in rows]}
        json.write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2))


if __name__ == "__main__":
    typer.run(main)
