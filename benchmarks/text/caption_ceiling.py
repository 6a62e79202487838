"""How much captions say: what finds a photo whose picture is what other people wrote of it.

    python -m benchmarks.text.caption_ceiling CAPTIONS.jsonl [--cache FOLDER] [--json FILE]

A photo stands for the mean of its captions in one language, by the sentence encoder that teaches
the text tower; a caption that asks isn't among them. No picture is looked at: where these figures
are low, captions don't say which photo is meant.
"""

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
from models.text_video.captions import read_captions
from models.text_video.pairs import Pairs, make_pairs
from models.text_video.sentences import MULTILINGUAL, sentence_vectors

LANGUAGES = ("en", "zh")
RANKS = (1, 5, 10)

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Figures:
    """Of captions of one language that look for captions of another, percent."""

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


def centred(pairs: Pairs, cache: Path) -> Vectors:
    """(M, E) unit rows of captions, what all have in common taken off."""
    rows = sentence_vectors(pairs.texts, [MULTILINGUAL], cache).astype(np.float32)
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
    vectors = {language: centred(pairs[language], cache) for language in LANGUAGES}
    rows = []
    for asks in LANGUAGES:
        for answers in LANGUAGES:
            same = asks == answers
            found = ranks(vectors[asks], vectors[answers], pairs[asks].photos, same)
            shares = [100 * float((found < rank).mean()) for rank in RANKS]
            rows.append(Figures(asks, answers, *(round(share, 1) for share in shares)))
    table = Table("asks", "answers", "R@1", "R@5", "R@10", title=f"{len(photos)} photos")
    for row in rows:
        table.add_row(*(str(value) for value in asdict(row).values()))
    Console().print(table)
    if json is not None:
        report = {"machine": machine(), "rows": [asdict(row) for row in rows]}
        json.write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2))


if __name__ == "__main__":
    typer.run(main)
