"""Batches of pictures of pasted pairs; serves the training of the pattern detector."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from models.detector.grid import ALIGN, CELL_SECONDS, CHANNELS, lay_out
from models.detector.pasted_pairs import PairMaker, PastedPair
from models.detector.recipe import DetectorRecipe, with_length
from models.detector.windows import windowed
from models.training.descriptor_pool import Footage

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Batch:
    """Pictures, padded to one size, and the true boxes of each.

    Attributes:
        pictures: (N, 8, H, W) float32.
        boxes: of each picture, (M, 4) float32 in cells.
        backwards: of each picture, (M,) bool.
    """

    pictures: Tensor
    boxes: list[Tensor]
    backwards: list[Tensor]


class PairBatches(Dataset[Batch]):
    """Item `i` is batch `i`, a function of the recipe's seed and `i`: resumed runs see the same."""

    def __init__(self, pool: list[Footage], recipe: DetectorRecipe) -> None:
        self._recipe = recipe
        # A seed for each length, or pair `i` of each would be made by the same draws.
        self._makers = {
            length: PairMaker(
                pool, with_length(recipe.made, length), recipe.seed * 1009 + int(length)
            )
            for own in set(recipe.lengths_seconds)
            for length in (own, 2 * own)  # the double is what windows are cut from
        }

    def __len__(self) -> int:
        return self._recipe.steps

    def __getitem__(self, index: int) -> Batch:
        """Batch `index`."""
        recipe = self._recipe
        lengths = recipe.lengths_seconds
        length = lengths[int(np.random.default_rng((recipe.seed, index)).integers(len(lengths)))]
        # Chance of its own: windows must not depend on how the length was drawn.
        random = np.random.default_rng((recipe.seed, index, 1))
        parts = []
        for number in range(index * recipe.pairs, (index + 1) * recipe.pairs):
            shown = random.random() < recipe.window_share
            pair = self._makers[length * 2 if shown else length].pair(number)
            parts.append(_picture(pair, int(length), random))
        return batch_of(parts)


def _picture(
    pair: PastedPair, max_cells: int, random: np.random.Generator
) -> tuple[Array, Array, NDArray[np.bool_]]:
    """A pair's picture, boxes and directions, in cells; a window of it where it is longer."""
    picture = lay_out(pair.similarity)
    top, left = (int(random.integers(max(1, s - max_cells + 1))) for s in picture.shape[1:])
    shown = picture[:, top : top + max_cells, left : left + max_cells]
    window = np.array([top, left, top + shown.shape[1], left + shown.shape[2]], np.float32)
    return shown, *windowed(pair.boxes / CELL_SECONDS, pair.reversed, window)


def batch_of(parts: list[tuple[Array, Array, NDArray[np.bool_]]]) -> Batch:
    """Pictures, padded to one size, with their boxes and directions."""
    return Batch(
        torch.from_numpy(padded([picture for picture, _, _ in parts])),
        [torch.from_numpy(boxes) for _, boxes, _ in parts],
        [torch.from_numpy(backwards) for _, _, backwards in parts],
    )


def padded(pictures: list[Array]) -> Array:
    """(N, 8, H, W): zeros beyond each picture's end; sides are multiples of `ALIGN`."""
    height = max(picture.shape[1] for picture in pictures)
    width = max(picture.shape[2] for picture in pictures)
    shape = (-(-height // ALIGN) * ALIGN, -(-width // ALIGN) * ALIGN)
    full = np.zeros((len(pictures), CHANNELS, *shape), np.float32)
    for own, picture in zip(full, pictures, strict=True):
        own[:, : picture.shape[1], : picture.shape[2]] = picture
    return full
