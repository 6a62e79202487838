"""The background that score biases are measured against, and how much they should count."""

from collections.abc import Iterable
from random import Random

import numpy as np
from numpy.typing import NDArray

from models.encoder.score_biases import background_nearest, mean_nearest
from models.encoder.serve import EncodedFrames
from models.encoder.validate import Retrieval, RetrievalTask, rank
from models.training.source import Source
from models.video.frames import prepare

BACKGROUND = 1500  # pictures: 0.4 MB of the file, and a product with all of them for each frame
# The export tries all of these on held-out clips; 1 and 0.25 won, and every beta from 0.75 on lost
# to none at all (docs/experiments.md, "Held-out clips").
NEIGHBOURS = (1, 3, 10, 30)  # k: more say less of what a frame is like itself
BETAS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25)  # 0 is without biases


def background_pictures(
    clips: list[Source], photos: list[Source], *, size: int, count: int = BACKGROUND, seed: int = 3
) -> NDArray[np.uint8]:
    """Frames of clips and photos, half and half as far as there are: (B, S, S, 3) uint8.

    Args:
        clips: as many frames of each.
        photos: drawn at random.
        size: side of the prepared squares.
        count: B, how many at most.
        seed: of the choice.
    """
    random = Random(seed)
    each = -(-count // (2 * max(len(clips), 1)))
    frames = [
        p for clip in clips for p in random.sample(clip.pictures, min(each, len(clip.pictures)))
    ]
    chosen = random.sample(frames, min(count // 2, len(frames)))
    rest = [photo.pictures[0] for photo in photos]
    chosen += random.sample(rest, min(count - len(chosen), len(rest)))
    return np.stack([prepare(picture, size) for picture in chosen])


def bias_figures(
    task: RetrievalTask,
    library: NDArray[np.float32],
    queries: NDArray[np.float32],
    background: NDArray[np.float32],
    *,
    neighbours: Iterable[int],
    betas: Iterable[float],
) -> dict[tuple[int, float], Retrieval]:
    """What every k and beta of the score biases is worth.

    Args:
        task: of clips that neither training nor the background has seen.
        library: (N, D) float32, unit rows of the task's library.
        queries: (Q, D) float32, unit rows of the task's queries.
        background: (B, D) float32, unit rows.
        neighbours: values of k.
        betas: values of beta.
    """
    found = {}
    for k in neighbours:
        average = background_nearest(background, k).mean()
        sides = [mean_nearest(rows, background, k) - average for rows in (library, queries)]
        for beta in betas:
            found[k, beta] = rank(
                task,
                EncodedFrames(library, beta * sides[0]),
                EncodedFrames(queries, beta * sides[1]),
            )
    return found


def best_biases(figures: dict[tuple[int, float], Retrieval]) -> tuple[int, float]:
    """The k and beta that are best by µAP and recall at 90 % precision together."""
    return max(figures, key=lambda k: figures[k].average_precision + figures[k].recall_at_p90)
