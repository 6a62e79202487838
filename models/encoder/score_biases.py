"""Score normalisation: how much more a frame resembles everything than most frames do.

Near-empty frames, diagrams on white and the like are similar to far too much; their similarities
come down, so that one threshold serves all. After Jégou et al., "Accurate image search using the
contextual dissimilarity measure", TPAMI 2010, and the score normalisation of SSCD (Pizzi et al.,
CVPR 2022, section 3.4), made symmetric: half of each side's bias is subtracted.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.encoder.network import FrameNetwork


class ScoredNetwork(nn.Module):
    """A frame network that gives score biases beside descriptors."""

    background: Tensor
    average: Tensor

    def __init__(
        self, network: FrameNetwork, background: NDArray[np.float32], neighbours: int, beta: float
    ) -> None:
        """Measure the background against itself.

        Args:
            network: makes descriptors.
            background: (B, D) float32, unit rows of frames that are no copies of anything.
            neighbours: k, how many of the most similar background frames count.
            beta: weight of the bias.

        Raises:
            ValueError: the background has too few frames.
        """
        super().__init__()
        if not 0 < neighbours < len(background):
            raise ValueError(f"{neighbours = }, expected 1 to {len(background) - 1}")
        self.network, self.neighbours, self.beta = network, neighbours, beta
        stored = background.astype(np.float16).astype(np.float32)  # as the file has it
        self.register_buffer("background", torch.from_numpy(stored))
        average = background_nearest(stored, neighbours).mean()
        self.register_buffer("average", torch.tensor(float(average)))

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """(N, S, S, 3) uint8 RGB to (N, D) float32 unit rows and (N,) float32 score biases."""
        descriptors = self.network(frames)
        similarity = descriptors @ self.background.T  # (N, B)
        nearest = similarity.topk(self.neighbours, dim=1).values.mean(dim=1)
        return descriptors, self.beta * (nearest - self.average)


def mean_nearest(
    rows: NDArray[np.float32], background: NDArray[np.float32], neighbours: int
) -> NDArray[np.float32]:
    """Mean similarity of each row to its `neighbours` nearest of the background: (N,) float32.

    Args:
        rows: (N, D) float32, unit rows.
        background: (B, D) float32, unit rows.
        neighbours: k, at most B.
    """
    similarity = rows @ background.T  # (N, B)
    top: NDArray[np.float32] = np.partition(similarity, -neighbours, axis=1)[:, -neighbours:]
    return np.asarray(top.mean(axis=1), np.float32)


def background_nearest(background: NDArray[np.float32], neighbours: int) -> NDArray[np.float32]:
    """`mean_nearest` of the background's own frames, each left out of what it is compared with."""
    similarity = background @ background.T  # (B, B)
    np.fill_diagonal(similarity, -1.0)
    top: NDArray[np.float32] = np.partition(similarity, -neighbours, axis=1)[:, -neighbours:]
    return np.asarray(top.mean(axis=1), np.float32)
