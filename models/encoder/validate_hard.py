"""How well an encoder does at the harder school: edited frames of held-out clips, drawn pages.

The figures are those of `models/encoder/validate.py`; pages count as right only if they are the
very page.
"""

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.encoder.validate import RetrievalTask
from models.training.edits.batch_edits import EDITS, GENTLE, Weighted, as_frames, edited
from models.training.edits.beside import Beside
from models.training.edits.chance import Chance
from models.training.picture_pack import PicturePack

# The edits' chance is drawn by the batch: another number makes other queries, and figures that
# don't compare with docs/experiments.md. Set by hand.
ROWS_AT_ONCE = 256


def hard_task(
    pack: PicturePack,
    overlays: dict[str, Tensor],
    *,
    size: int,
    seed: int = 11,
    query_every: int = 3,
    most: int = 3,
    edits: Weighted = EDITS,
    like: RetrievalTask | None = None,
) -> RetrievalTask:
    """Every second frame of the clips is in the library, and all photos; every few are asked for.

    Args:
        pack: held-out clips, and photos as distractors; pages are left out.
        overlays: as `Beside` takes them.
        size: side of the prepared squares.
        seed: of the edits.
        query_every: one frame in so many is a query.
        most: edits of one query at the most.
        edits: the table that they are chosen from.
        like: a task of the same pack and size, whose library is taken over.
    """
    clips, photos = pack.members(pages=False), pack.photos()
    place = {
        int(at): (number, index)
        for number, clip in enumerate(clips)
        for index, at in enumerate(clip)
    }
    frames = np.concatenate(clips)
    index = np.array([place[int(at)][1] for at in frames])
    library = np.concatenate([frames[index % 2 == 0], photos])
    queries = frames[index % query_every == 1 % query_every]
    return _task(pack, overlays, library, queries, place, size, seed, most, edits, like)


def page_task(
    pack: PicturePack,
    overlays: dict[str, Tensor],
    *,
    size: int,
    seed: int = 12,
    most: int = 2,
) -> RetrievalTask:
    """Every page is in the library and asked for, edited as pages are.

    Args:
        pack: families of held-out pages; the rest is left out.
        overlays: as `Beside` takes them.
        size: side of the prepared squares.
        seed: of the edits.
        most: edits of one query at the most.
    """
    pages = np.concatenate(pack.members(pages=True))
    place = {int(at): (number, 0) for number, at in enumerate(pages)}
    return _task(pack, overlays, pages, pages, place, size, seed, most, GENTLE, None)


def _task(
    pack: PicturePack,
    overlays: dict[str, Tensor],
    library: NDArray[np.int64],
    queries: NDArray[np.int64],
    place: dict[int, tuple[int, int]],
    size: int,
    seed: int,
    most: int,
    edits: Weighted,
    like: RetrievalTask | None,
) -> RetrievalTask:
    random = np.random.default_rng(seed)
    chance = Chance(pack.pictures.device, seed)
    asked = []
    for at in range(0, len(queries), ROWS_AT_ONCE):
        rows = queries[at : at + ROWS_AT_ONCE]
        others = _shown(pack, random.choice(library, len(rows)))
        asked.append(
            edited(_shown(pack, rows), Beside(others, overlays, chance), random, most, edits)
        )
    known = np.array([place.get(int(at), (-1, 0)) for at in library])
    wanted = np.array([place[int(at)] for at in queries])
    stored = (
        _shown(pack, library[at : at + ROWS_AT_ONCE]) for at in range(0, len(library), ROWS_AT_ONCE)
    )
    return RetrievalTask(
        like.library if like is not None else _frames(stored, size), _frames(asked, size),
        known[:, 0], known[:, 1], wanted[:, 0], wanted[:, 1],
    )  # fmt: skip


def _shown(pack: PicturePack, places: NDArray[np.int64]) -> Tensor:
    at = torch.from_numpy(places).to(pack.pictures.device)
    return pack.pictures[at].to(torch.float32) / 255


def _frames(parts: Iterable[Tensor], size: int) -> NDArray[np.uint8]:
    return np.concatenate([as_frames(part, size).cpu().numpy() for part in parts])
