"""How well an encoder finds edited frames of held-out clips: the figure that training watches."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.encoder.serve import EncodedFrames
from models.training.edits.pictures import edited
from models.training.source import Source
from models.video.frames import prepare
from models.video.similarity import similarities

DISTRACTORS = 800  # photos kept from training, so that they may stand in the library
NEVER = -2.0  # below every similarity, also one less score biases
Encode = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


@dataclass(frozen=True)
class Retrieval:
    """Edited frames against a library of unedited ones.

    Attributes:
        recall_at_1: share of edited frames whose nearest library frame is of the same clip.
        average_precision: micro average precision of all (query, nearest) pairs ranked by
            similarity (µAP of the ISC 2021 challenge): punishes scores that don't compare.
        recall_at_p90: share found at the threshold that gives 90 % precision.
        negative_99: 99th percentile of the similarity to the best frame of another clip.
        positive_50: median similarity of true pairs.
    """

    recall_at_1: float
    average_precision: float
    recall_at_p90: float
    negative_99: float
    positive_50: float


@dataclass(frozen=True)
class RetrievalTask:
    """Prepared pictures: made once, so that every encoder sees the same.

    Attributes:
        library: (N, S, S, 3) uint8, unedited frames and distractors.
        queries: (Q, S, S, 3) uint8, edited frames.
        library_clip: (N,) clip number, -1 for distractors.
        library_index: (N,) place in the clip, half seconds.
        query_clip: (Q,) as above.
        query_index: (Q,) as above.
    """

    library: NDArray[np.uint8]
    queries: NDArray[np.uint8]
    library_clip: NDArray[np.int64]
    library_index: NDArray[np.int64]
    query_clip: NDArray[np.int64]
    query_index: NDArray[np.int64]


def make_task(
    clips: list[Source],
    distractors: list[Source],
    *,
    size: int,
    seed: int = 5,
    query_every: int = 3,
    looks: int = 1,
) -> RetrievalTask:
    """Every second frame of the clips is in the library, every few ones are edited as queries.

    Args:
        clips: what is asked for; the library's other pictures are distractors.
        distractors: unrelated pictures; also what edits mix in.
        size: side of the prepared squares.
        seed: of the edits.
        query_every: one frame in so many is a query.
        looks: differently edited queries of one frame.
    """
    random = Random(seed)
    library, queries = [], []
    library_at: list[tuple[int, int]] = []
    query_at: list[tuple[int, int]] = []
    for number, clip in enumerate(clips):
        for index, picture in enumerate(clip.pictures):
            if index % 2 == 0:
                library.append(prepare(picture, size))
                library_at.append((number, index))
            for _ in range(looks if index % query_every == 1 % query_every else 0):
                source = random.choice(distractors)
                other = Image.fromarray(random.choice(source.pictures))
                image = edited(Image.fromarray(picture), random, other)
                queries.append(prepare(np.asarray(image), size))
                query_at.append((number, index))
    for source in distractors:
        library.append(prepare(source.pictures[len(source.pictures) // 2], size))
        library_at.append((-1, 0))
    places, asked = np.array(library_at), np.array(query_at)
    return RetrievalTask(
        np.stack(library), np.stack(queries), places[:, 0], places[:, 1], asked[:, 0], asked[:, 1]
    )


def retrieval(task: RetrievalTask, encode: Encode, within: int = 4) -> Retrieval:
    """Measure an encoder without score biases.

    Args:
        task: what to find in what.
        encode: (N, S, S, 3) uint8 to (N, D) float32 unit rows.
        within: how far in time a right answer may be, in half seconds.
    """
    library, queries = (without_biases(encode(f)) for f in (task.library, task.queries))
    return rank(task, library, queries, within)


def without_biases(rows: NDArray[np.float32]) -> EncodedFrames:
    """(N, D) float32 unit rows as an encoder without score biases describes frames."""
    return EncodedFrames(rows, np.zeros(len(rows), np.float32))


def rank(
    task: RetrievalTask, library: EncodedFrames, queries: EncodedFrames, within: int = 4
) -> Retrieval:
    """Measure descriptions of the task's pictures.

    Library frames of the query's own clip that are further off than `within` are left out: a still
    shot shows the same for longer, and there they are neither right nor wrong.

    Args:
        task: what to find in what.
        library: what an encoder says of the task's library.
        queries: what it says of the task's queries.
        within: how far in time a right answer may be, in half seconds.
    """
    similarity = similarities(  # (Q, N)
        queries.descriptors, library.descriptors, queries.score_biases, library.score_biases
    )
    same = task.query_clip[:, None] == task.library_clip[None, :]
    near = np.abs(task.query_index[:, None] - task.library_index[None, :]) <= within
    right = same & near
    similarity = np.where(same & ~near, NEVER, similarity)
    nearest = similarity.argmax(axis=1)
    rows = np.arange(len(queries))
    hit, score = right[rows, nearest], similarity[rows, nearest]
    order = np.argsort(-score, kind="stable")
    precision = np.cumsum(hit[order]) / np.arange(1, len(hit) + 1)
    good = np.flatnonzero(precision >= 0.9)
    return Retrieval(
        recall_at_1=float(hit.mean()),
        average_precision=float((precision * hit[order]).sum() / len(hit)),
        recall_at_p90=float(hit[order][: good[-1] + 1].sum() / len(hit)) if len(good) else 0.0,
        negative_99=float(np.quantile(np.where(same, NEVER, similarity).max(axis=1), 0.99)),
        positive_50=float(np.median(np.where(right, similarity, NEVER).max(axis=1))),
    )
